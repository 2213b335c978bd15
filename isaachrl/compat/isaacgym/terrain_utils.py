"""Height maps of terrains, as int16 samples in units of `vertical_scale`."""

import numpy as np

__all__ = [
    "SubTerrain", "convert_heightfield_to_trimesh", "discrete_obstacles_terrain", "pyramid_sloped_terrain",
    "pyramid_stairs_terrain", "random_uniform_terrain", "sloped_terrain", "stairs_terrain", "stepping_stones_terrain",
    "wave_terrain",
]  # fmt: skip


class SubTerrain:
    """A flat piece of terrain, for the functions below to change.

    Args:
        terrain_name: a name.
        width, length: samples along x and y.
        vertical_scale: m of one unit of height.
        horizontal_scale: m between samples.
    """

    def __init__(
        self, terrain_name: str = "terrain", width: int = 256, length: int = 256, vertical_scale: float = 1.0,
        horizontal_scale: float = 1.0,
    ) -> None:  # fmt: skip
        self.terrain_name, self.width, self.length = terrain_name, width, length
        self.vertical_scale, self.horizontal_scale = vertical_scale, horizontal_scale
        self.height_field_raw = np.zeros((width, length), dtype=np.int16)

    def units(self, height_m: float) -> int:
        """A height in units."""
        return int(height_m / self.vertical_scale)

    def samples(self, length_m: float) -> int:
        """A length in samples."""
        return int(length_m / self.horizontal_scale)

    def middle(self, size_m: float) -> tuple[slice, slice]:
        """The samples of a square around the middle."""
        half = self.samples(size_m / 2)
        x, y = self.width // 2, self.length // 2
        return slice(x - half, x + half), slice(y - half, y + half)


def random_uniform_terrain(
    terrain: SubTerrain, min_height: float, max_height: float, step: float = 1.0,
    downsampled_scale: float | None = None,
) -> SubTerrain:  # fmt: skip
    """Add random heights, multiples of `step`, on a grid of `downsampled_scale`, linear in between; all in m."""
    coarse = downsampled_scale or terrain.horizontal_scale
    levels = np.arange(terrain.units(min_height), terrain.units(max_height) + 1, max(terrain.units(step), 1))
    size = [max(int(n * terrain.horizontal_scale / coarse), 2) for n in (terrain.width, terrain.length)]
    heights = np.random.choice(levels, size).astype(float)
    for axis, n in enumerate((terrain.width, terrain.length)):
        at = np.linspace(0, size[axis] - 1, n)
        low = np.minimum(at.astype(int), size[axis] - 2)
        share = (at - low).reshape([-1, 1] if axis == 0 else [1, -1])
        heights = (1 - share) * heights.take(low, axis) + share * heights.take(low + 1, axis)
    terrain.height_field_raw += np.rint(heights).astype(np.int16)
    return terrain


def sloped_terrain(terrain: SubTerrain, slope: float = 1.0) -> SubTerrain:
    """Add a plane that rises along x."""
    rise = np.arange(terrain.width) * slope * terrain.horizontal_scale / terrain.vertical_scale
    terrain.height_field_raw += rise.astype(np.int16)[:, None]
    return terrain


def pyramid_sloped_terrain(terrain: SubTerrain, slope: float = 1.0, platform_size: float = 1.0) -> SubTerrain:
    """Add a pyramid whose sides have this slope in the middle of an edge, with a flat top of a size in m."""
    x, y = (1.0 - np.abs(np.linspace(-1, 1, n)) for n in (terrain.width, terrain.length))
    top = slope * terrain.horizontal_scale / terrain.vertical_scale * terrain.width / 2
    heights = top * np.outer(x, y)
    half = terrain.samples(platform_size / 2)
    edge = heights[max(terrain.width // 2 - half, 0), max(terrain.length // 2 - half, 0)]
    heights = np.clip(heights, min(edge, 0), max(edge, 0))
    terrain.height_field_raw += heights.astype(np.int16)
    return terrain


def discrete_obstacles_terrain(
    terrain: SubTerrain, max_height: float, min_size: float, max_size: float, num_rects: int,
    platform_size: float = 1.0,
) -> SubTerrain:  # fmt: skip
    """Set rectangles of random sizes to one of four heights, up and down; the middle stays flat; all in m."""
    top = terrain.units(max_height)
    levels = [-top, -top // 2, top // 2, top]
    sizes = range(terrain.samples(min_size), max(terrain.samples(max_size), terrain.samples(min_size) + 1), 4)
    for _ in range(num_rects):
        width, length = np.random.choice(sizes, 2)
        x = np.random.randint(0, max(terrain.width - width, 1))
        y = np.random.randint(0, max(terrain.length - length, 1))
        terrain.height_field_raw[x : x + width, y : y + length] = np.random.choice(levels)
    terrain.height_field_raw[terrain.middle(platform_size)] = 0
    return terrain


def wave_terrain(terrain: SubTerrain, num_waves: int = 1, amplitude: float = 1.0) -> SubTerrain:
    """Add waves along x and y of an amplitude in m, from crest to trough."""
    half = 0.5 * terrain.units(amplitude)
    x, y = (2 * np.pi * num_waves * np.arange(n) / n for n in (terrain.width, terrain.length))
    terrain.height_field_raw += (half * (np.cos(y)[None, :] + np.sin(x)[:, None])).astype(np.int16)
    return terrain


def stairs_terrain(terrain: SubTerrain, step_width: float, step_height: float) -> SubTerrain:
    """Add stairs along x; in m."""
    width, height = max(terrain.samples(step_width), 1), terrain.units(step_height)
    terrain.height_field_raw += ((np.arange(terrain.width) // width + 1) * height).astype(np.int16)[:, None]
    return terrain


def pyramid_stairs_terrain(
    terrain: SubTerrain, step_width: float, step_height: float, platform_size: float = 1.0
) -> SubTerrain:
    """Set concentric stairs towards a platform in the middle; in m."""
    width, height, platform = (
        max(terrain.samples(step_width), 1),
        terrain.units(step_height),
        terrain.samples(platform_size),
    )
    margin, level = width, height
    while terrain.width - 2 * margin > platform and terrain.length - 2 * margin > platform:
        terrain.height_field_raw[margin : terrain.width - margin, margin : terrain.length - margin] = level
        margin, level = margin + width, level + height
    return terrain


def stepping_stones_terrain(
    terrain: SubTerrain, stone_size: float, stone_distance: float, max_height: float, platform_size: float = 1.0,
    depth: float = -10.0,
) -> SubTerrain:  # fmt: skip
    """Set square stones of random heights in a pit, with a flat middle; all in m."""
    size, gap, top = max(terrain.samples(stone_size), 1), terrain.samples(stone_distance), terrain.units(max_height)
    levels = np.arange(-top - 1, max(top, 1), 1)
    terrain.height_field_raw[:] = terrain.units(depth)
    for row, x in enumerate(range(0, terrain.width, size + gap)):
        shift = np.random.randint(0, size + gap) if row else 0
        for y in range(-shift, terrain.length, size + gap):
            terrain.height_field_raw[x : x + size, max(y, 0) : max(y + size, 0)] = np.random.choice(levels)
    terrain.height_field_raw[terrain.middle(platform_size)] = 0
    return terrain


def convert_heightfield_to_trimesh(
    height_field_raw: np.ndarray, horizontal_scale: float, vertical_scale: float, slope_threshold: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A height map as a mesh: vertices `(V, 3)` float32 in m, row by row, and triangles `(T, 3)` uint32.

    At slopes above the threshold the upper or lower vertex is moved sideways by a cell, which makes a wall.
    """
    rows, columns = height_field_raw.shape
    x, y = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    x, y = x * horizontal_scale, y * horizontal_scale
    if slope_threshold is not None:
        limit = slope_threshold * horizontal_scale / vertical_scale
        heights = height_field_raw.astype(float)
        x = x + horizontal_scale * _moves(heights, limit)
        y = y + horizontal_scale * _moves(heights.T, limit).T
    vertices = np.stack([x, y, height_field_raw * vertical_scale], -1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    quads = [corner, corner + columns + 1, corner + 1], [corner, corner + columns, corner + columns + 1]
    triangles = np.stack([np.stack(quad, -1) for quad in quads], 1).reshape(-1, 3).astype(np.uint32)
    return vertices, triangles


def _moves(heights: np.ndarray, limit: float) -> np.ndarray:
    """Cells that vertices are moved along the first axis: a lower one towards a neighbour that is much higher."""
    moves = np.zeros(heights.shape)
    steep = np.diff(heights, axis=0)
    moves[:-1] += steep > limit
    moves[1:] -= steep < -limit
    return moves
