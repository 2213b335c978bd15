"""The courses of the ant: blocks on a grid, drawn as rows of cells, the ant's start at the origin.

Row i and column j of a drawing have their centre at x = (j - column of the start) cell, y = (i - row of the start)
cell: y grows downwards in the drawing. Sizes are those of the published environments (Nachum et al. 2018): cells of
8 m, blocks half as high.
"""

from dataclasses import dataclass
from enum import Enum

from isaachrl.sim import Block, Box


class Course(Enum):
    """The courses."""

    maze = "maze"
    push = "push"
    fall = "fall"
    four_rooms = "four_rooms"


class Asset(Enum):
    """How a block that can be pushed is made.

    `paper`: as published, of almost no mass (0.2 g and 1 g) and without any inertia or damping added, which is
    stiff. The block that slides aside touches floor and walls all the time, and their contacts brake it much like
    oil: 5 N move it at 0.6 m/s, 20 N at 3.1 m/s. `gpu`: of 0.5 kg (0.1 kg where it falls), for engines in single
    precision, with a small gap all around and a damping that gives the same speeds.
    """

    paper = "paper"
    gpu = "gpu"


@dataclass(frozen=True)
class Plan:
    """One course.

    Args:
        rows: `#` wall, `.` free, `s` start, `~` chasm, `X` block that slides along x and y, `Y` along y and down.
        cell_m: side of a cell; blocks are half as high.
        low, high: of the box that training targets are drawn from, uniformly.
        wide_low, wide_high: the same of the published variant with many targets.
        points: targets of evaluations.
        success_m: how near a target counts as reached.
    """

    rows: tuple[str, ...]
    cell_m: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    wide_low: tuple[float, ...]
    wide_high: tuple[float, ...]
    points: tuple[tuple[float, ...], ...]
    success_m: float = 5.0

    @property
    def height_m(self) -> float:
        """Height of a block."""
        return 0.5 * self.cell_m

    @property
    def floor_m(self) -> float:
        """Height of the ground that the ant starts on: beside a chasm it stands on blocks."""
        return self.height_m if any("~" in row for row in self.rows) else 0.0

    def centre_m(self, row: float, column: float) -> tuple[float, float]:
        """Place x, y of a cell's centre."""
        start = next((i, line.index("s")) for i, line in enumerate(self.rows) if "s" in line)
        return (column - start[1]) * self.cell_m, (row - start[0]) * self.cell_m


PLANS = {
    Course.maze: Plan(
        ("#####", "#s..#", "###.#", "#...#", "#####"),
        8.0, (-4.0, -4.0), (20.0, 20.0), (-4.0, -4.0), (20.0, 20.0), ((16.0, 0.0), (16.0, 16.0), (0.0, 16.0)),
    ),
    Course.push: Plan(
        ("#####", "#.s##", "#.X.#", "##.##", "#####"),
        8.0, (0.0, 19.0), (0.0, 19.0), (-16.0, -4.0), (16.0, 20.0), ((0.0, 19.0),),
    ),
    Course.fall: Plan(
        ("####", "#s.#", "#.Y#", "#~~#", "#..#", "####"),
        8.0, (0.0, 27.0, 4.5), (0.0, 27.0, 4.5), (-4.0, -4.0, 0.0), (12.0, 28.0, 5.0), ((0.0, 27.0, 4.5),),
    ),
    Course.four_rooms: Plan(
        (
            "#############",
            "#s....#.....#",
            "#.....#.....#",
            "#...........#",
            "#.....#.....#",
            "#.....#.....#",
            "##.####.....#",
            "#.....###.###",
            "#.....#.....#",
            "#.....#.....#",
            "#...........#",
            "#.....#.....#",
            "#############",
        ),
        2.0, (0.0, 0.0), (20.0, 20.0), (0.0, 0.0), (20.0, 20.0), ((20.0, 0.0), (0.0, 20.0), (20.0, 20.0)),
    ),
}  # fmt: skip


def merged(rows: tuple[str, ...], marks: str) -> list[tuple[int, int, int, int]]:
    """First row, last row, first column, last column of rectangles that cover the cells with one of `marks`."""
    open_runs: dict[tuple[int, int], int] = {}
    found = []
    for i, line in enumerate((*rows, "")):
        runs, start = set(), None
        for j, mark in enumerate((*line, "")):
            inside = mark != "" and mark in marks
            if inside and start is None:
                start = j
            elif not inside and start is not None:
                runs.add((start, j - 1))
                start = None
        for run in [run for run in open_runs if run not in runs]:
            found.append((open_runs.pop(run), i - 1, *run))
        for run in runs:
            open_runs.setdefault(run, i)
    return sorted(found)


def boxes(plan: Plan) -> tuple[Box, ...]:
    """The blocks that never move: walls, and beside a chasm the ground under every other cell."""
    half = 0.5 * plan.height_m
    layers = [("wall", "#", plan.floor_m + half, (0.75, 0.72, 0.66, 1.0))]
    if plan.floor_m > 0:
        layers.append(("ground", "#.sXY", half, (0.62, 0.66, 0.62, 1.0)))
    result = []
    for kind, marks, z, rgba in layers:
        for number, (first, last, left, right) in enumerate(merged(plan.rows, marks)):
            x, y = plan.centre_m(0.5 * (first + last), 0.5 * (left + right))
            size = (0.5 * (right - left + 1) * plan.cell_m, 0.5 * (last - first + 1) * plan.cell_m, half)
            result.append(Box(f"{kind}_{number}", size, (x, y, z), rgba))
    return tuple(result)


def blocks(plan: Plan, asset: Asset) -> tuple[Block, ...]:
    """The blocks that can be pushed. One that can fall is a hundredth smaller than its cell, and reaches the ground."""
    found = []
    for i, line in enumerate(plan.rows):
        for j, mark in enumerate(line):
            if mark not in "XY":
                continue
            x, y = plan.centre_m(i, j)
            falls, far = mark == "Y", plan.cell_m
            shrink = 0.99 if falls or asset is Asset.gpu else 1.0
            half = 0.5 * plan.cell_m * shrink
            # a gap under a block that cannot move down keeps the floor from braking it
            gap = 0.02 if asset is Asset.gpu and not falls else 0.0
            # the published upper end presses the block onto the ground: a heavier one would stick there
            top = 0.0 if asset is Asset.paper else 0.1
            slides = (("y", -far, far), ("z", -plan.floor_m, top)) if falls else (("x", -far, far), ("y", -far, far))
            paper = (1e-3, 0.0) if falls else (2e-4, 0.0)
            mass, damping = paper if asset is Asset.paper else (0.1, 1.0) if falls else (0.5, 7.0)
            place = (x, y, plan.floor_m + 0.5 * plan.height_m + gap)
            size = (half, half, 0.5 * plan.height_m)
            found.append(Block(f"block_{len(found)}", size, place, mass, slides, damping=damping))
    return tuple(found)
