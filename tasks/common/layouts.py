"""Maze layouts: built-in, from a text file, and random."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from isaachrl.errors import ConfigError, nearest

from .maze import FAR_CELLS, TABLE_BYTES, path_cells

RANDOM = "random"  # random mazes without loops
FILE = ".txt"
MIN_STEPS_TO_GOAL = 2
LARGEST_TABLES = 2**29  # bytes, three times that during construction: one maze of 81 x 81 cells, 128 of 23 x 23


@dataclass(frozen=True)
class Layout:
    """A maze as it is drawn, with the dimensions and episodes that belong to it.

    Args:
        rows: from top to bottom, y upwards: `#` wall, `.` free, `s` start, `g` goal; without any `s` or `g`, every free
            cell is one.
        cell_m: side of a cell.
        goal_radius_m: distance at which a goal is reached.
        start_noise, goal_noise: largest distance along x and along y from the middle of the cell, in cells.
        limit_s: time limit; 0 for one that depends on the length of the paths.
        routes: fixed episodes, each as long as the others: the cells of the start, of any checkpoints, and of the goal,
            as row (the lowest y is 0) and column.
    """

    rows: tuple[str, ...] = ()
    cell_m: float = 2.5
    goal_radius_m: float = 1.0
    start_noise: float = 0.12
    goal_noise: float = 0.0
    limit_s: float = 0.0
    routes: tuple[tuple[tuple[int, int], ...], ...] = ()


def _ogbench(limit_s: float, routes: tuple[tuple[tuple[int, int], ...], ...], rows: tuple[str, ...]) -> Layout:
    """A maze of OGBench's humanoidmaze (Park et al. 2025), whose clock has 40 steps a second."""
    return Layout(rows, 4.0, 0.5, 0.25, 0.25, limit_s, routes)


DRAWN: dict[str, Layout] = {
    "corridor": Layout(("#########", "#s......#", "#########")),
    "umaze": Layout(("#####", "#...#", "###.#", "#s..#", "#####")),
    "medium": Layout(
        (
            "########",
            "#..#...#",
            "#.##.#.#",
            "#....#.#",
            "##.#...#",
            "#..##.##",
            "#.#....#",
            "########",
        )
    ),
    "large": Layout(
        (
            "############",
            "#....#.....#",
            "#.##.#.#.#.#",
            "#......#...#",
            "#.####.###.#",
            "#..#.#.....#",
            "##.#.#.#.###",
            "#..#...#...#",
            "############",
        )
    ),
    "ogbench_medium": _ogbench(
        50.0,
        (((1, 1), (6, 6)), ((6, 1), (1, 6)), ((5, 3), (4, 2)), ((6, 5), (6, 1)), ((2, 6), (1, 1))),
        (
            "########",
            "#...#..#",
            "#.#..#.#",
            "#..#...#",
            "##...###",
            "#..#...#",
            "#..##..#",
            "########",
        ),
    ),
    "ogbench_large": _ogbench(
        50.0,
        (((1, 1), (7, 10)), ((5, 4), (7, 1)), ((7, 4), (1, 10)), ((3, 8), (5, 4)), ((1, 1), (5, 4))),
        (
            "############",
            "#..#...#...#",
            "##.#.#.#.###",
            "#..#.#.....#",
            "#.####.###.#",
            "#......#...#",
            "#.##.#.#.#.#",
            "#....#.....#",
            "############",
        ),
    ),
    "ogbench_giant": _ogbench(
        100.0,
        (((1, 1), (10, 14)), ((1, 14), (10, 1)), ((8, 14), (1, 1)), ((8, 3), (5, 12)), ((5, 9), (3, 8))),
        (
            "################",
            "#.....#...#....#",
            "#.###...#...##.#",
            "#.#.#.######.#.#",
            "#...#..#...#...#",
            "###.#.#..#.#.###",
            "#...#...#....#.#",
            "#.###.######.#.#",
            "#...#..#...#...#",
            "#.#.##.#.#..##.#",
            "#.#......##....#",
            "################",
        ),
    ),
    # the maze of HumanoidBench (Sferrazza et al. 2024), 1000 steps of 0.02 s; the route is not the only shortest path
    "humanoidbench": Layout(
        ("#######", "#.....#", "###.#.#", "#.....#", "#.#.###", "#.....#", "#######"),
        cell_m=1.5,
        goal_radius_m=0.4,
        start_noise=0.0,
        limit_s=20.0,
        routes=(((1, 1), (1, 3), (5, 3), (5, 5)),),
    ),
}


@dataclass(frozen=True)
class Plan:
    """One maze.

    Args:
        walls: `(H, W)` bool.
        starts: `(H, W)` bool, possible start cells.
        goals: `(H, W)` bool, possible goal cells.
        longest: length in cells of the longest shortest path from a start to a goal.
    """

    walls: Tensor
    starts: Tensor
    goals: Tensor
    longest: int


def plan(layout: str) -> Plan:
    """The maze of a layout, see `drawing`.

    Raises:
        ConfigError: there is no such maze, or it is invalid.
    """
    return read_plan(tuple(drawing(layout).split("/")), layout)


def find(layout: str) -> Layout:
    """The layout of a name in `DRAWN`, of rows as `drawing` returns them, or, without rows, of random mazes."""
    return DRAWN.get(layout) or Layout(() if layout == RANDOM else tuple(layout.split("/")))


def drawing(layout: str) -> str:
    """The rows of a maze from top to bottom, separated by `/`.

    Args:
        layout: a name in `DRAWN`, a text file, or such rows.

    Raises:
        ConfigError: there is no such maze, or the one in the file is invalid.
    """
    if layout in DRAWN:
        return "/".join(DRAWN[layout].rows)
    if layout.startswith("#"):
        return layout
    path = Path(os.path.expanduser(layout))
    if path.suffix != FILE:
        raise ConfigError(
            f"task.layout={layout}: there is no such maze{nearest(layout, [*DRAWN, RANDOM])}; your own is a text file,"
            f" task.layout=PATH{FILE}, with '#' for walls and '.' for free cells"
        )
    try:
        if not path.is_file():
            raise ConfigError(f"task.layout={layout}: there is no file {path.absolute()}")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"task.layout={layout}: cannot be read as text ({error})") from error
    rows = [line.strip() for line in lines if line.strip()]
    read_plan(tuple(rows), str(path))  # for error messages with the file's name
    return "/".join(rows)


def check_tables(mazes: int, rows: int, columns: int, name: str) -> None:
    """Check the size of the tables of shortest paths between all cells.

    Raises:
        ConfigError: they are too large; the message calls the mazes `name`.
    """
    tables = mazes * (rows * columns) ** 2 * TABLE_BYTES
    if tables > LARGEST_TABLES:
        side = int((LARGEST_TABLES / TABLE_BYTES / mazes) ** 0.25)
        raise ConfigError(
            f"{name}: {rows} x {columns} cells; the ways between all of them take {tables / 2**30:.3g} GiB, and"
            f" {LARGEST_TABLES / 2**30:.3g} GiB are the most; type a maze of {side} x {side} cells or fewer, walls"
            " included" + (", or a smaller task.maze_bank" if mazes > 1 else "")
        )


def read_plan(rows: tuple[str, ...], name: str) -> Plan:
    """The maze drawn in `rows`, from top to bottom, with the marks of `Layout`.

    Raises:
        ConfigError: it is invalid; the message calls the maze `name`.
    """
    wrong = sorted(set("".join(rows)) - set("#.sg"))
    if wrong:
        raise ConfigError(
            f"maze {name}: {', '.join(map(repr, wrong))} means nothing; the marks are '#' wall, '.' free, 's' start,"
            " 'g' goal"
        )
    if len({len(row) for row in rows}) != 1 or len(rows) < 3 or len(rows[0]) < 3:
        raise ConfigError(
            f"maze {name}: rows of {', '.join(str(len(row)) for row in rows) or 'no'} cells; expected at least 3 rows,"
            " all of the same length, 3 or more"
        )
    check_tables(1, len(rows), len(rows[0]), f"maze {name}")
    marks = [list(row) for row in reversed(rows)]
    walls, starts, goals = (torch.tensor([[mark == kind for mark in row] for row in marks]) for kind in "#sg")
    rim = torch.cat((walls[0], walls[-1], walls[:, 0], walls[:, -1]))
    if not bool(rim.all()):
        raise ConfigError(f"maze {name}: the rows and columns at the rim must be walls (#) from end to end")
    free = ~walls
    if not bool(free.any()):
        raise ConfigError(f"maze {name}: there is no free cell; mark some with '.'")
    starts = starts if bool(starts.any()) else free
    goals = goals if bool(goals.any()) else free
    paths = path_cells(walls.unsqueeze(0))[0]
    if bool((paths[free.flatten()][:, free.flatten()] >= FAR_CELLS).any()):
        raise ConfigError(f"maze {name}: some free cells cannot be reached from others; open a wall, or fill them")
    longest = int(paths[starts.flatten()][:, goals.flatten()].max())
    if longest < MIN_STEPS_TO_GOAL:
        raise ConfigError(f"maze {name}: no goal is {MIN_STEPS_TO_GOAL} cells or more away from a start")
    return Plan(walls, starts, goals, longest)


def random_walls(size: int, count: int, generator: torch.Generator) -> Tensor:
    """Walls `(count, size + 2, size + 2)` of random mazes with exactly one path between any two free cells.

    Rooms on the even inner rows and columns of an odd `size` are joined by a random spanning tree (Kruskal's
    algorithm), so that all mazes have the same number of walls.
    """
    rooms = (size + 1) // 2
    links = [(r, c, r, c + 1) for r in range(rooms) for c in range(rooms - 1)]
    links += [(r, c, r + 1, c) for r in range(rooms - 1) for c in range(rooms)]
    order = torch.rand(count, max(len(links), 1), generator=generator, device=generator.device).argsort(1).tolist()
    walls = torch.ones(count, size + 2, size + 2, dtype=torch.bool)
    walls[:, 1:-1:2, 1:-1:2] = False
    for maze in range(count):
        group = {(r, c): (r, c) for r in range(rooms) for c in range(rooms)}
        for link in order[maze][: len(links)]:
            r0, c0, r1, c1 = links[link]
            a, b = _root(group, (r0, c0)), _root(group, (r1, c1))
            if a != b:
                group[a] = b
                walls[maze, 1 + r0 + r1, 1 + c0 + c1] = False
    return walls


def _root(group: dict[tuple[int, int], tuple[int, int]], room: tuple[int, int]) -> tuple[int, int]:
    """The representative of the rooms joined with this one (union-find)."""
    while group[room] != room:
        room = group[room]
    return room
