"""Mazes on a grid of square cells: boxes, shortest paths, and observations.

The centre of cell (row r, column c) of an H x W maze is at x = (c - (W - 1) / 2) cell, y = (r - (H - 1) / 2) cell: the
maze is centred at the origin. The flat index of a cell is r W + c. Functions of positions are batched over N worlds,
each in its own maze of a bank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.sim import Box

BORDER_THICKNESS_M = 0.3
TABLE_BYTES = 12  # of each entry of `MazeBank.paths` and `towards` together
FAR_CELLS = 1.0e4


def path_cells(walls: Tensor) -> Tensor:
    """Lengths `(M, C, C)` of shortest paths between cells of mazes `(M, H, W)`; `FAR_CELLS` where there is none.

    Batched breadth-first search from all cells.
    """
    mazes, rows, columns = walls.shape
    cells = rows * columns
    # the start cell is the last axis, so that a step to a neighbour moves contiguous rows; paths are symmetric
    free = ~walls.unsqueeze(3)
    reached = torch.eye(cells, dtype=torch.bool, device=walls.device).view(1, rows, columns, cells) & free
    distance = torch.where(reached, 0.0, FAR_CELLS)
    for steps in range(1, cells):
        spread = reached.clone()
        spread[:, 1:] |= reached[:, :-1]
        spread[:, :-1] |= reached[:, 1:]
        spread[:, :, 1:] |= reached[:, :, :-1]
        spread[:, :, :-1] |= reached[:, :, 1:]
        spread &= free
        new = spread ^ reached
        if not bool(new.any()):
            break
        distance.masked_fill_(new, float(steps))
        reached = spread
    return distance.view(mazes, cells, cells)


def next_cells(walls: Tensor, paths: Tensor) -> Tensor:
    """The next cell `(M, C, C)` on a shortest path to a goal cell (second axis) from a cell (third axis).

    It is the cell itself at the goal and where there is no path.

    Args:
        walls: `(M, H, W)` bool.
        paths: `(M, C, C)` of `path_cells`.
    """
    mazes, rows, columns = walls.shape
    cells = torch.arange(rows * columns, device=walls.device).view(rows, columns)
    steps = paths.view(mazes, rows * columns, rows, columns)
    best, towards = steps.clone(), cells.expand_as(steps).clone()
    for axis, shift in ((2, 1), (2, -1), (3, 1), (3, -1)):
        # the border consists of walls, so neighbours across it are never nearer
        beside = steps.roll(shift, axis)
        nearer = (beside < best) & (steps < FAR_CELLS)
        best = torch.where(nearer, beside, best)
        towards = torch.where(nearer, cells.roll(shift, axis - 2).expand_as(steps), towards)
    return towards.reshape_as(paths)


@dataclass(frozen=True)
class MazeBank:
    """M mazes of one size with tables of shortest paths.

    Args:
        cell_m: side of a cell.
        walls: `(M, H, W)` bool.
        paths: `(M, C, C)` see `path_cells`; C = H W.
        towards: `(M, C, C)` see `next_cells`.
        pairs: `(M, P, 2)` possible start and goal cells of an episode; padded with the first pair.
        num_pairs: `(M,)` number of pairs of each maze.
    """

    cell_m: float
    walls: Tensor
    paths: Tensor
    towards: Tensor
    pairs: Tensor
    num_pairs: Tensor

    @property
    def extent_m(self) -> tuple[float, float, float, float]:
        """Bounds x min, x max, y min, y max, border walls included."""
        _, rows, columns = self.walls.shape
        half_x, half_y = (0.5 * (n - 2) * self.cell_m + BORDER_THICKNESS_M for n in (columns, rows))
        return -half_x, half_x, -half_y, half_y


def make_bank(
    walls: Tensor, starts: Tensor, goals: Tensor, cell_m: float, min_steps: int, device: torch.device
) -> MazeBank:
    """Prepare mazes `(M, H, W)` for episodes from `starts` to `goals (M, H, W)` at least `min_steps` apart."""
    paths = path_cells(walls)
    allowed = (paths >= min_steps) & (paths < FAR_CELLS)
    allowed &= starts.flatten(1).unsqueeze(2) & goals.flatten(1).unsqueeze(1)
    num_pairs = allowed.sum((1, 2))
    assert bool((num_pairs > 0).all()), "a maze has no start and goal that far apart"
    most = int(num_pairs.max())
    pairs = torch.zeros(len(walls), most, 2, dtype=torch.long)
    for maze, table in enumerate(allowed):
        own = table.nonzero()
        pairs[maze] = own[0]
        pairs[maze, : len(own)] = own
    towards = next_cells(walls, paths)
    return MazeBank(
        cell_m, walls.to(device), paths.to(device), towards.to(device), pairs.to(device), num_pairs.to(device)
    )


def sample_episodes(bank: MazeBank, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Sample mazes, start cells and goal cells, each `(count,)`."""
    device = bank.walls.device
    maze = torch.randint(len(bank.walls), (count,), generator=generator, device=device)
    share = torch.rand(count, generator=generator, device=device)
    pick = (share * bank.num_pairs[maze]).long().minimum(bank.num_pairs[maze] - 1)
    start, goal = bank.pairs[maze, pick].unbind(-1)
    return maze, start, goal


def cell_centre_m(bank: MazeBank, cell: Tensor) -> Tensor:
    """Centres `(…, 2)` in metres of flat cells `(…)`."""
    _, rows, columns = bank.walls.shape
    x = cell % columns - 0.5 * (columns - 1)
    y = torch.div(cell, columns, rounding_mode="floor") - 0.5 * (rows - 1)
    return torch.stack((x, y), dim=-1) * bank.cell_m


def _grid(bank: MazeBank, xy_m: Tensor) -> tuple[Tensor, Tensor]:
    """Continuous column and row `(…)` of positions `(…, 2)`; integers are cell centres."""
    _, rows, columns = bank.walls.shape
    return xy_m[..., 0] / bank.cell_m + 0.5 * (columns - 1), xy_m[..., 1] / bank.cell_m + 0.5 * (rows - 1)


def is_wall(bank: MazeBank, maze: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """`(N, …)` bool for cells `(N, …)` of the mazes `(N,)`; outside is wall."""
    _, rows, columns = bank.walls.shape
    flat = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
    # a flat index is several times as fast as two index tensors
    flat = flat + (maze * (rows * columns)).view(-1, *[1] * (row.dim() - 1))
    return bank.walls.flatten().take(flat)


def potential_m(bank: MazeBank, maze: Tensor, goal: Tensor, xy_m: Tensor) -> Tensor:
    """Distance `(N,)` in m from `xy_m (N, 2)` to the goal cells `(N,)` along the corridors' centre lines.

    Bilinear interpolation between the four surrounding cells. A wall among them takes the value of its free neighbour,
    or a weighted mean of two, so that the potential is continuous in free space and constant across a corridor.
    """
    _, rows, columns = bank.walls.shape
    u, v = _grid(bank, xy_m)
    column = u.floor().long().clamp(0, columns - 2)
    row = v.floor().long().clamp(0, rows - 2)
    ends = torch.arange(2, device=xy_m.device)
    near_rows, near_columns = row[:, None, None] + ends[:, None], column[:, None, None] + ends
    cells = near_rows * columns + near_columns
    free = ~bank.walls.flatten(1)[maze[:, None, None], cells]
    steps = bank.paths[maze[:, None, None], goal[:, None, None], cells]
    du = ((u - column).clamp(0.0, 1.0)[:, None, None] - ends).abs().expand_as(steps)
    dv = ((v - row).clamp(0.0, 1.0)[:, None, None] - ends[:, None]).abs().expand_as(steps)
    # of two free cells that touch only at a corner, the farther one counts as wall
    here = (du <= 0.5) & (dv <= 0.5)
    joined = free & (here | free.flip(1) | free.flip(2))
    # inside a wall there may be none left: use any free one of the four
    free = torch.where(joined.any(-1, keepdim=True).any(-2, keepdim=True), joined, free).float()
    beside, above = free.flip(2) * du, free.flip(1) * dv
    total = beside + above
    wall_value = (beside * steps.flip(2) + above * steps.flip(1)) / total.clamp_min(1e-6)
    wall_value = torch.where(total > 1e-6, wall_value, steps.flip(1, 2))
    value = torch.where(free > 0, steps, wall_value)
    return ((1.0 - du) * (1.0 - dv) * value).sum((1, 2)) * bank.cell_m


def cell_of(bank: MazeBank, xy_m: Tensor) -> Tensor:
    """Flat indices `(N,)` of the cells nearest to `xy_m (N, 2)`."""
    _, rows, columns = bank.walls.shape
    column, row = ((side + 0.5).floor().long() for side in _grid(bank, xy_m))
    return row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)


def way_points_m(bank: MazeBank, maze: Tensor, goal: Tensor, goal_m: Tensor, xy_m: Tensor, count: int) -> Tensor:
    """Centres `(N, count, 2)` in m of the next cells on a shortest path from `xy_m (N, 2)` to the goal cells `(N,)`.

    In the goal's cell it is the goal itself, `goal_m (N, 2)`, repeated at the end.
    """
    cell, cells = cell_of(bank, xy_m), bank.paths.shape[1]
    first = (maze * cells + goal) * cells
    points: list[Tensor] = []
    for _ in range(count):
        cell = bank.towards.flatten().take(first + cell)
        points.append(torch.where((cell == goal).unsqueeze(1), goal_m, cell_centre_m(bank, cell)))
    return torch.stack(points, dim=1)


def clearance_m(bank: MazeBank, maze: Tensor, xy_m: Tensor) -> Tensor:
    """Distance `(N,)` from `xy_m (N, 2)` to the nearest wall among the nine surrounding cells; at most one cell."""
    u, v = _grid(bank, xy_m)
    near = torch.arange(-1, 2, device=xy_m.device)
    column = (u + 0.5).floor().long()[:, None, None] + near
    row = (v + 0.5).floor().long()[:, None, None] + near[:, None]
    row, column = row.expand(-1, 3, 3), column.expand(-1, 3, 3)
    aside = ((u[:, None, None] - column).abs() - 0.5).clamp_min(0.0)
    ahead = ((v[:, None, None] - row).abs() - 0.5).clamp_min(0.0)
    distance = torch.where(is_wall(bank, maze, row, column), (aside.square() + ahead.square()).sqrt(), 1.0)
    return distance.amin((1, 2)) * bank.cell_m


def ray_distances_m(bank: MazeBank, maze: Tensor, origin_m: Tensor, direction: Tensor, range_m: float) -> Tensor:
    """Distance `(N, R)` from `origin_m (N, 2)` along unit `direction (N, R, 2)` to the nearest wall, at most `range_m`.

    A ray hits a wall where it crosses a grid line into a wall cell; all crossings are evaluated at once.
    """
    u, v = _grid(bank, origin_m)
    lines = torch.arange(int(range_m / bank.cell_m) + 2, device=origin_m.device)
    dx, dy = direction[..., 0], direction[..., 1]
    across = _crossings(u.unsqueeze(1), dx, lines)
    along = _crossings(v.unsqueeze(1), dy, lines)
    rows_at = (v[:, None, None] + across[0] * dy.unsqueeze(-1) + 0.5).floor().long()
    columns_at = (u[:, None, None] + along[0] * dx.unsqueeze(-1) + 0.5).floor().long()
    hit_x = is_wall(bank, maze, rows_at, across[1])
    hit_y = is_wall(bank, maze, along[1], columns_at)
    reach = range_m / bank.cell_m
    nearest_x = torch.where(hit_x, across[0], reach).amin(-1)
    nearest_y = torch.where(hit_y, along[0], reach).amin(-1)
    return torch.minimum(nearest_x, nearest_y).clamp(max=reach) * bank.cell_m


def _crossings(start: Tensor, speed: Tensor, lines: Tensor) -> tuple[Tensor, Tensor]:
    """Distances `(N, R, K)` at which rays cross the grid lines of one axis, and indices of the cells entered."""
    ahead = torch.where(speed < 0, -1.0, 1.0).unsqueeze(-1)
    cell = (start + 0.5).floor().unsqueeze(-1)
    line = cell + ahead * (lines + 0.5)
    time = (line - start.unsqueeze(-1)) * ahead / speed.abs().clamp_min(1e-6).unsqueeze(-1)
    return time, (cell + ahead * (lines + 1)).long()


def occupancy_window(bank: MazeBank, maze: Tensor, xy_m: Tensor, forward: Tensor, radius: int) -> Tensor:
    """Local map `(N, (2 radius + 1)² - 1)`: 1 for wall, 0 for free, on a square grid of points one cell apart.

    The grid is centred at `xy_m (N, 2)`, without the centre itself, and aligned with the unit vector `forward (N, 2)`.
    """
    steps = torch.arange(-radius, radius + 1, device=xy_m.device, dtype=xy_m.dtype)
    ahead, left = (grid.flatten() for grid in torch.meshgrid(steps, steps, indexing="ij"))
    middle = len(ahead) // 2
    ahead, left = (torch.cat((side[:middle], side[middle + 1 :])) for side in (ahead, left))
    u, v = _grid(bank, xy_m)
    cosine, sine = forward[:, :1], forward[:, 1:]
    column = (u.unsqueeze(1) + cosine * ahead - sine * left + 0.5).floor().long()
    row = (v.unsqueeze(1) + sine * ahead + cosine * left + 0.5).floor().long()
    return is_wall(bank, maze, row, column).float()


def inner_blocks(walls: Tensor, merge: bool) -> list[tuple[int, int, int]]:
    """Row, first and last column of the wall blocks inside the border of `(H, W)`; `merge` joins runs along a row."""
    blocks: list[tuple[int, int, int]] = []
    for r, row in enumerate(walls.tolist()[1:-1], 1):
        for c in range(1, len(row) - 1):
            if not row[c]:
                continue
            if merge and blocks and blocks[-1][0] == r and blocks[-1][2] == c - 1:
                blocks[-1] = (r, blocks[-1][1], c)
            else:
                blocks.append((r, c, c))
    return blocks


def wall_boxes(walls: Tensor, cell_m: float, height_m: float, merge: bool) -> tuple[Box, ...]:
    """The boxes of a maze `(H, W)`: four along the border, then the inner blocks."""
    rows, columns = walls.shape
    half_x, half_y = 0.5 * (columns - 2) * cell_m, 0.5 * (rows - 2) * cell_m
    thick, z = 0.5 * BORDER_THICKNESS_M, 0.5 * height_m
    sides = [
        ((thick, half_y + 2 * thick, z), (-half_x - thick, 0.0, z)),
        ((thick, half_y + 2 * thick, z), (half_x + thick, 0.0, z)),
        ((half_x, thick, z), (0.0, -half_y - thick, z)),
        ((half_x, thick, z), (0.0, half_y + thick, z)),
    ]
    for row, first, last in inner_blocks(walls, merge):
        x, y = (0.5 * (first + last) - 0.5 * (columns - 1)) * cell_m, (row - 0.5 * (rows - 1)) * cell_m
        sides.append(((0.5 * (last - first + 1) * cell_m, 0.5 * cell_m, z), (x, y, z)))
    return tuple(Box(f"wall_{i}", half, pos) for i, (half, pos) in enumerate(sides))
