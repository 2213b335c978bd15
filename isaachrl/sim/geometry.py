"""The visible geoms of a scene and their poses, for viewers: without OpenGL, and whichever engine simulates."""

from dataclasses import dataclass

import mujoco
import numpy as np
import torch

from isaachrl.maths import rotations
from isaachrl.sim.compiler import Source, model_of
from isaachrl.sim.robot_spec import HIDDEN_GROUP

_SHAPES = {
    mujoco.mjtGeom.mjGEOM_SPHERE: "sphere",
    mujoco.mjtGeom.mjGEOM_CAPSULE: "capsule",
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: "ellipsoid",
    mujoco.mjtGeom.mjGEOM_CYLINDER: "cylinder",
    mujoco.mjtGeom.mjGEOM_BOX: "box",
    mujoco.mjtGeom.mjGEOM_MESH: "mesh",
}


@dataclass(frozen=True)
class Visual:
    """Geoms that look alike.

    Args:
        shape: `sphere`, `capsule`, `ellipsoid`, `cylinder`, `box` or `mesh`.
        size_m: `(3,)` in MuJoCo's convention for that shape.
        rgba: colour.
        rows: of these geoms in `Geometry.poses`.
        mesh: vertices `(V, 3)`, m, and faces `(F, 3)` of a mesh.
    """

    shape: str
    size_m: tuple[float, ...]
    rgba: tuple[float, ...]
    rows: list[int]
    mesh: tuple[np.ndarray, np.ndarray] | None = None


class Geometry:
    """The visible geoms of a scene, except for its floor.

    Attributes:
        visuals: the geoms, grouped by looks.
        floor: vertices and faces of a rough floor; None for an even one.
    """

    def __init__(self, scene: Source) -> None:
        self._model = model_of(scene)
        self._data = mujoco.MjData(self._model)
        model = self._model
        drawn = [g for g in range(model.ngeom) if self._is_drawn(g)]
        self._geoms = np.array(drawn, int)
        groups: dict[tuple[object, ...], list[int]] = {}
        for row, geom in enumerate(drawn):
            key = (int(model.geom_type[geom]), *model.geom_size[geom], *self._rgba(geom), int(model.geom_dataid[geom]))
            groups.setdefault(key, []).append(row)
        self.visuals = [self._visual(rows) for rows in groups.values()]
        self.floor = _height_field(model) if model.nhfield else None
        self._quat_b = torch.tensor(model.geom_quat[self._geoms], dtype=torch.float32)

    def poses(self, qpos: np.ndarray, mocap_pos_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions `(N, G, 3)`, m, and orientations `(N, G, 4)` of the geoms in N worlds.

        Args:
            qpos: `(N, nq)`, see `Sim`.
            mocap_pos_w: `(N, M, 3)`.
        """
        worlds, bodies = len(qpos), self._model.geom_bodyid[self._geoms]
        pos = np.empty((worlds, len(bodies), 3), np.float32)
        quat = np.empty((worlds, len(bodies), 4), np.float32)
        for world in range(worlds):
            self._data.qpos[:] = qpos[world]
            self._data.mocap_pos[:] = mocap_pos_w[world]
            mujoco.mj_kinematics(self._model, self._data)
            pos[world], quat[world] = self._data.geom_xpos[self._geoms], self._data.xquat[bodies]
        return pos, rotations.multiply(torch.from_numpy(quat), self._quat_b).numpy()

    def _is_drawn(self, geom: int) -> bool:
        """Whether MuJoCo's viewers would draw a geom, and it is no floor."""
        visible = self._model.geom_group[geom] < HIDDEN_GROUP and self._rgba(geom)[3] > 0
        return bool(visible) and int(self._model.geom_type[geom]) in [int(shape) for shape in _SHAPES]

    def _rgba(self, geom: int) -> tuple[float, ...]:
        """Colour of a geom, or of its material."""
        material = int(self._model.geom_matid[geom])
        rgba = self._model.mat_rgba[material] if material >= 0 else self._model.geom_rgba[geom]
        return tuple(float(value) for value in rgba)

    def _visual(self, rows: list[int]) -> Visual:
        geom = int(self._geoms[rows[0]])
        shape = _SHAPES[mujoco.mjtGeom(int(self._model.geom_type[geom]))]
        size = tuple(float(value) for value in self._model.geom_size[geom])
        mesh = _mesh(self._model, int(self._model.geom_dataid[geom])) if shape == "mesh" else None
        return Visual(shape, size, self._rgba(geom), rows, mesh)


def _mesh(model: mujoco.MjModel, mesh: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a mesh."""
    vertex, face = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh]
    vertices = model.mesh_vert[vertex : vertex + model.mesh_vertnum[mesh]]
    return vertices.copy(), model.mesh_face[face : face + model.mesh_facenum[mesh]].copy()


def _height_field(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of the model's height field, the floor."""
    rows, columns = int(model.hfield_nrow[0]), int(model.hfield_ncol[0])
    half_x, half_y, height, _ = model.hfield_size[0]
    geom = int(np.flatnonzero(model.geom_type == int(mujoco.mjtGeom.mjGEOM_HFIELD))[0])
    x, y = np.meshgrid(np.linspace(-half_x, half_x, columns), np.linspace(-half_y, half_y, rows))
    z = height * model.hfield_data[: rows * columns] + model.geom_pos[geom, 2]
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    faces = np.concatenate((corner + [0, 1, columns + 1], corner + [0, columns + 1, columns]))
    return np.column_stack((x.ravel(), y.ravel(), z)).astype(np.float32), faces
