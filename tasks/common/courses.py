"""The ant's courses: blocks on a grid, drawn as rows of cells.

The ant starts at the origin. The centre of row i and column j is at x = (j - start column) cell and y = (i - start row)
cell: y grows downwards in the drawing. Sizes are as in Nachum et al. (2018): cells of 8 m, blocks half as high.
"""

import math
from dataclasses import dataclass
from enum import Enum

from isaachrl.sim import Block, Box


class Course(Enum):
    """Names of courses."""

    maze = "maze"
    push = "push"
    fall = "fall"
    four_rooms = "four_rooms"


class Asset(Enum):
    """Physical parameters of movable blocks.

    `paper`: as published, with almost no mass (0.2 g and 1 g), armature or damping, which is numerically stiff. The
    sliding block always touches floor and walls, whose contacts act like viscous damping: 5 N move it at 0.6 m/s, 20 N
    at 3.1 m/s. `gpu`: for single precision, of 0.5 kg (0.1 kg if it can fall), with a small gap all around and damping
    for the same speeds.
    """

    paper = "paper"
    gpu = "gpu"


@dataclass(frozen=True)
class Plan:
    """One course.

    Args:
        rows: `#` wall, `.` free, `s` start, `~` chasm, `X` block that slides along x and y, `Y` along y and down.
        cell_m: side of a cell; blocks are half as high.
        low, high: bounds of the uniform distribution of training targets.
        wide_low, wide_high: the same in the published variant with many targets.
        points: targets of evaluations.
        success_m: distance at which a target is reached.
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
        """Height of the ground at the start; in a course with a chasm the ground consists of blocks."""
        return self.height_m if any("~" in row for row in self.rows) else 0.0

    def centre_m(self, row: float, column: float) -> tuple[float, float]:
        """Position x, y of a cell's centre."""
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
    """Rectangles (first row, last row, first column, last column) that cover the cells with one of `marks`."""
    open_runs: dict[tuple[int, int], int] = {}
    rectangles = []
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
            rectangles.append((open_runs.pop(run), i - 1, *run))
        for run in runs:
            open_runs.setdefault(run, i)
    return sorted(rectangles)


def boxes(plan: Plan) -> tuple[Box, ...]:
    """The static blocks: walls, and in a course with a chasm the ground under all other cells."""
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


def free_regions(plan: Plan, low: list[float], high: list[float]) -> list[tuple[list[float], list[float]]]:
    """The parts (lowest, highest coordinates) of a region that lie outside of walls and chasms and above the ground."""
    half, result = 0.5 * plan.cell_m, []
    for first, last, left, right in merged(plan.rows, ".sXY"):
        (x_from, y_from), (x_to, y_to) = plan.centre_m(first, left), plan.centre_m(last, right)
        lowest = [max(pair) for pair in zip((x_from - half, y_from - half, plan.floor_m), low, strict=False)]
        highest = [min(pair) for pair in zip((x_to + half, y_to + half, math.inf), high, strict=False)]
        if lowest[0] < highest[0] and lowest[1] < highest[1]:
            result.append((lowest, highest))
    return result


def blocks(plan: Plan, asset: Asset) -> tuple[Block, ...]:
    """The movable blocks. One that can fall is 1 % smaller than its cell."""
    result = []
    for i, line in enumerate(plan.rows):
        for j, mark in enumerate(line):
            if mark not in "XY":
                continue
            x, y = plan.centre_m(i, j)
            falls, far = mark == "Y", plan.cell_m
            shrink = 0.99 if falls or asset is Asset.gpu else 1.0
            half = 0.5 * plan.cell_m * shrink
            # a gap avoids friction with the floor
            gap = 0.02 if asset is Asset.gpu and not falls else 0.0
            # the published upper limit presses the block onto the ground, where a heavier one would stick
            top = 0.0 if asset is Asset.paper else 0.1
            slides = (("y", -far, far), ("z", -plan.floor_m, top)) if falls else (("x", -far, far), ("y", -far, far))
            paper = (1e-3, 0.0) if falls else (2e-4, 0.0)
            mass, damping = paper if asset is Asset.paper else (0.1, 1.0) if falls else (0.5, 7.0)
            pos = (x, y, plan.floor_m + 0.5 * plan.height_m + gap)
            size = (half, half, 0.5 * plan.height_m)
            result.append(Block(f"block_{len(result)}", size, pos, mass, slides, damping=damping))
    return tuple(result)
