"""Ground from height samples and from meshes of height maps."""

from typing import Any

import numpy as np

from isaachrl.compat.isaacgym.structs import HeightFieldParams, TriangleMeshParams
from isaachrl.compat.isaacgym.vectors import Vec3
from isaachrl.errors import ConfigError
from isaachrl.sim.worlds import HeightMap


def from_samples(samples: Any, params: HeightFieldParams) -> HeightMap:
    """The ground of a height field; see `HeightFieldParams`.

    Raises:
        ConfigError: the number of samples does not fit.
    """
    raw = np.asarray(samples)
    if raw.size != params.nbRows * params.nbColumns:
        raise ConfigError(
            f"add_heightfield: {raw.size} samples came, and nbRows * nbColumns is {params.nbRows * params.nbColumns}"
        )
    _unrotated(params, "add_heightfield")
    heights = raw.reshape(params.nbColumns, params.nbRows) * float(params.vertical_scale)
    spacing = (float(params.column_scale), float(params.row_scale))
    return HeightMap(heights, spacing, params.transform.p.array(), params.static_friction)


def from_mesh(vertices: Any, triangles: Any, params: TriangleMeshParams) -> HeightMap:
    """The ground of a mesh whose vertices are those of a height map, row by row.

    Raises:
        ConfigError: the sizes do not fit.
        NotImplementedError: the mesh is no height map.
    """
    points, faces = (
        np.asarray(vertices, dtype=float).reshape(-1, 3),
        np.asarray(triangles, dtype=np.int64).reshape(-1, 3),
    )
    if len(points) != params.nb_vertices or len(faces) != params.nb_triangles:
        raise ConfigError(
            f"add_triangle_mesh: {len(points)} vertices and {len(faces)} triangles came, and the parameters say"
            f" {params.nb_vertices} and {params.nb_triangles}"
        )
    _unrotated(params, "add_triangle_mesh")
    columns = int(faces[0].max()) - 1
    rows = len(points) // max(columns, 1)
    if columns < 2 or rows < 2 or rows * columns != len(points) or 2 * (rows - 1) * (columns - 1) != len(faces):
        raise NotImplementedError(
            "add_triangle_mesh: the mesh is not one of terrain_utils.convert_heightfield_to_trimesh; only such meshes"
            " are simulated, as height fields"
        )
    grid = points.reshape(rows, columns, 3)
    # vertices at walls are moved sideways by a cell, fewer than half of any row or column
    spacing = tuple(float(np.median(np.diff(np.median(grid[..., axis], axis=1 - axis)))) for axis in (0, 1))
    origin = params.transform.p.array() + np.array([np.median(grid[0, :, 0]), np.median(grid[:, 0, 1]), 0.0])
    return HeightMap(grid[..., 2], (spacing[0], spacing[1]), origin, params.static_friction)


def _unrotated(params: HeightFieldParams | TriangleMeshParams, method: str) -> None:
    """Check that the ground is not turned."""
    turned = params.transform.r.rotate(Vec3(1.0, 2.0, 3.0)) - Vec3(1.0, 2.0, 3.0)
    if turned.length() > 1e-6:
        raise NotImplementedError(f"{method}: a rotated transform")
