"""Bodies in viser's scene: one batch of meshes for the geoms that look alike, in all worlds."""

from typing import Any

import numpy as np

from isaachrl.sim.geometry import Geometry, Visual
from isaachrl.view.extra import trimesh

ROOT = "/worlds"
PLAIN_M = 400.0  # side of an even floor
FLOOR_RGB, LINE_RGB = (226, 229, 232), (196, 201, 206)
CAMERA_M, OVER_WALLS_M, LOOK_AT_M = (3.2, -3.6, 1.9), (2.2, -2.5, 5.0), (0.0, 0.0, 0.8)  # seen from the followed body


def place_camera(server: Any, scene: Any) -> None:
    """Let pages of a viser server begin with a look at the followed body; from above where the scene has walls."""
    server.initial_camera.position = OVER_WALLS_M if getattr(scene, "boxes", ()) else CAMERA_M
    server.initial_camera.look_at = LOOK_AT_M


class Bodies:
    """The geoms of N worlds.

    Args:
        scene: of a viser server.
        geometry: the geoms of one world.
        worlds: N.

    Attributes:
        root: the frame around everything; move it to follow a body.
    """

    def __init__(self, scene: Any, geometry: Geometry, worlds: int) -> None:
        self._geometry, self._worlds = geometry, worlds
        self.root = scene.add_frame(ROOT, show_axes=False)
        scene.set_up_direction("+z")
        if geometry.floor is None:
            scene.add_grid(
                f"{ROOT}/floor", width=PLAIN_M, height=PLAIN_M, cell_size=1.0, section_size=5.0, cell_color=LINE_RGB,
                section_color=LINE_RGB, plane_color=FLOOR_RGB, plane_opacity=1.0, shadow_opacity=0.3,
                fade_distance=60.0,
            )  # fmt: skip
        else:
            vertices, faces = geometry.floor
            scene.add_mesh_simple(f"{ROOT}/floor", vertices, faces, color=FLOOR_RGB, flat_shading=True, side="double")
        self._handles = [self._add(scene, number, visual) for number, visual in enumerate(geometry.visuals)]

    def _add(self, scene: Any, number: int, visual: Visual) -> Any:
        """A batch of meshes with the looks of `visual`."""
        count = self._worlds * len(visual.rows)
        vertices, faces = shape_mesh(visual)
        return scene.add_batched_meshes_simple(
            f"{ROOT}/{number}_{visual.shape}",
            vertices,
            faces,
            batched_wxyzs=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
            batched_positions=np.zeros((count, 3), np.float32),
            batched_colors=np.array([round(255 * value) for value in visual.rgba[:3]], np.uint8),
            opacity=visual.rgba[3] if visual.rgba[3] < 1 else None,
            flat_shading=visual.shape in ("box", "mesh"),
            lod="off",
        )

    def move(self, qpos: np.ndarray, mocap_pos_w: np.ndarray, offset_m: np.ndarray) -> None:
        """Show the worlds in this state.

        Args:
            qpos: `(N, nq)`.
            mocap_pos_w: `(N, M, 3)`.
            offset_m: `(N, 2)` where to draw each world's origin.
        """
        pos, quat = self._geometry.poses(qpos, mocap_pos_w)
        pos[..., :2] += offset_m[:, None]
        for handle, visual in zip(self._handles, self._geometry.visuals, strict=True):
            handle.batched_positions = pos[:, visual.rows].reshape(-1, 3)
            handle.batched_wxyzs = quat[:, visual.rows].reshape(-1, 4)


def shape_mesh(visual: Visual) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `(V, 3)` and faces `(F, 3)` of a shape in the frame of its geom."""
    if visual.mesh is not None:
        return visual.mesh
    make, size = trimesh().creation, visual.size_m
    if visual.shape == "box":
        mesh = make.box(extents=[2 * side for side in size])
    elif visual.shape == "capsule":
        mesh = make.capsule(radius=size[0], height=2 * size[1], count=[16, 12])
        mesh.apply_translation(-mesh.bounds.mean(axis=0))  # whichever point of it the library puts at the origin
    elif visual.shape == "cylinder":
        mesh = make.cylinder(radius=size[0], height=2 * size[1], sections=24)
    else:
        mesh = make.icosphere(subdivisions=2)
        mesh.apply_scale(size if visual.shape == "ellipsoid" else size[0])
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)


def side_by_side(worlds: int, spacing_m: float) -> np.ndarray:
    """Origins `(N, 2)` of N worlds on a square grid, the first one at the origin."""
    columns = int(np.ceil(np.sqrt(worlds)))
    row, column = np.divmod(np.arange(worlds), columns)
    return spacing_m * np.stack((row, column), axis=1).astype(np.float32)
