"""Maze layouts: built-in, from a text file, and random."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from isaachrl.errors import ConfigError, nearest
from tasks.common.maze import FAR_CELLS, TABLE_BYTES, path_cells

RANDOM = "random"  # random mazes without loops
FILE = ".txt"
MIN_STEPS_TO_GOAL = 2
LARGEST_TABLES = 2**29  # bytes, three times that during construction: one maze of 81 x 81 cells, 128 of 23 x 23
# from above, y upwards: '#' wall, '.' free, 's' start, 'g' goal; without any 's' or 'g', every free cell is one
DRAWN: dict[str, tuple[str, ...]] = {
    "corridor": ("#########", "#s......#", "#########"),
    "umaze": ("#####", "#...#", "###.#", "#s..#", "#####"),
    "medium": (
        "########",
        "#..#...#",
        "#.##.#.#",
        "#....#.#",
        "##.#...#",
        "#..##.##",
        "#.#....#",
        "########",
    ),
    "large": (
        "############",
        "#....#.....#",
        "#.##.#.#.#.#",
        "#......#...#",
        "#.####.###.#",
        "#..#.#.....#",
        "##.#.#.#.###",
        "#..#...#...#",
        "############",
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


def drawing(layout: str) -> str:
    """The rows of a maze from top to bottom, separated by `/`.

    Args:
        layout: a name in `DRAWN`, a text file, or such rows.

    Raises:
        ConfigError: there is no such maze, or the one in the file is invalid.
    """
    if layout in DRAWN:
        return "/".join(DRAWN[layout])
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
    """The maze drawn in `rows`, from top to bottom, with the marks of `DRAWN`.

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
