"""Jacobians and mass matrices of actors, in all environments at once."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from isaachrl.compat.isaacgym.properties import as_index
from isaachrl.maths import rotations
from isaachrl.sim.worlds import AssetModel

if TYPE_CHECKING:
    from isaachrl.compat.isaacgym.physics import Physics


class Articulation:
    """One actor with L bodies and D degrees of freedom, of all environments.

    Args:
        physics: the worlds.
        number: of the actor in the environment.
        model: of its asset.
        fixed: whether its base is.
    """

    def __init__(self, physics: "Physics", number: int, model: AssetModel, fixed: bool) -> None:
        self._physics, self._fixed, device = physics, fixed, physics.worlds.device
        bodies, dofs = (
            slice(int(starts[number]), int(starts[number + 1]))
            for starts in (physics.layout.body_start, physics.layout.dof_start)
        )
        self._bodies, self._dofs = bodies, dofs
        self._body, self._tree = physics.body[bodies], physics.layout.tree[bodies.start]
        self._qvel = as_index(physics.layout.dof_qvel[dofs], device)
        self._moves = torch.from_numpy(_moved_bodies(model)).unsqueeze(-1).to(device)

    def _columns(self, twist: Tensor, origin: Tensor) -> Tensor:
        """Velocities `(N, L, k, 6)`, linear and angular, of the bodies' centres of mass due to k motions of a body.

        Args:
            twist: `(N, k, 6)` of each motion the angular velocity, and the linear one at the origin, in world axes.
            origin: `(N, 3)`.
        """
        arm = self._physics.worlds.field("xipos")[:, self._body] - origin.unsqueeze(1)
        turn = twist[:, None, :, :3].expand(-1, arm.shape[1], -1, -1)
        return torch.cat((twist[:, None, :, 3:] + torch.linalg.cross(turn, arm.unsqueeze(2)), turn), -1)

    def _dof_columns(self) -> Tensor:
        """`(N, L, D, 6)` velocities of the bodies due to each degree of freedom at 1 rad/s or m/s."""
        field = self._physics.worlds.field
        return self._moves * self._columns(field("cdof")[:, self._qvel], field("subtree_com")[:, self._tree])

    def jacobian(self) -> Tensor:
        """`(N, L, 6, 6 + D)`, or `(N, L - 1, 6, D)` without the base if it is fixed.

        It maps velocities, of a floating base the linear one of its centre of mass and the angular one, then of the
        degrees of freedom, to linear and angular velocities of the bodies' centres of mass; all in world axes.
        """
        columns = self._dof_columns()
        if self._fixed:
            return columns[:, 1:].transpose(2, 3)
        com = self._physics.worlds.field("xipos")[:, self._body[0]]
        unit = torch.eye(6, device=com.device)[[3, 4, 5, 0, 1, 2]]  # twists have the angular part first
        root = self._columns(unit.expand(len(com), 6, 6), com)
        return torch.cat((root, columns), 2).transpose(2, 3)

    def mass_matrix(self) -> Tensor:
        """`(N, D, D)`: the inertia of the degrees of freedom, with their armature, where the base is held."""
        columns, properties = self._dof_columns(), self._physics.properties
        quat = self._physics.worlds.field("xquat")[:, self._body].unsqueeze(2).expand(*columns.shape[:3], 4)
        move, turn = columns[..., :3], rotations.rotate_inverse(quat, columns[..., 3:])
        mass, inertia = properties.mass[:, self._bodies], properties.inertia[:, self._bodies]
        matrix = torch.einsum("nldi,nl,nlei->nde", move, mass, move)
        matrix = matrix + torch.einsum("nldi,nlij,nlej->nde", turn, inertia, turn)
        return matrix + torch.diag_embed(properties.armature[:, self._dofs])


def _moved_bodies(model: AssetModel) -> np.ndarray:
    """`(L, D)` bool: whether a body moves with a degree of freedom, which is its own or of a body above it."""
    moves = np.zeros((len(model.body_names), len(model.dofs)), bool)
    for body, parent in enumerate(model.body_parents):  # parents come first
        if parent >= 0:
            moves[body] = moves[parent]
        moves[body] |= np.array(model.dof_bodies, int) == body
    return moves
