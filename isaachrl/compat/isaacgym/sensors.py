"""Force sensors: the net force and torque on a body, inertial forces included, so that a body at rest reads 0."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from isaachrl.compat.isaacgym.objects import Sim
from isaachrl.maths import rotations

if TYPE_CHECKING:
    from isaachrl.compat.isaacgym.physics import Physics


class ForceSensors:
    """The force sensors of all environments. A reading is the change of momentum over a step, divided by its duration.

    Args:
        physics: whose bodies carry the sensors.
        sim: whose assets have the sensors.

    Attributes:
        count: S, sensors of an environment.
        values: `(N, S, 6)` force and torque at the sensor, in its axes or those of the world.
    """

    def __init__(self, physics: "Physics", sim: Sim) -> None:
        self._physics, self._dt_s = physics, sim.params.dt
        rows = []
        for actor, start in zip(sim.envs[0].actors, physics.layout.body_start, strict=False):
            for body, pose, props in actor.asset.sensors:
                rows.append((int(start) + body, pose.p.array(), pose.r.wxyz(), props.use_world_frame))
        device = physics.worlds.device
        self.count = len(rows)
        self._body = torch.tensor([row[0] for row in rows], dtype=torch.long, device=device)
        self._pos, self._quat = (
            torch.tensor([row[i].tolist() for row in rows], device=device).view(-1, width)
            for i, width in ((1, 3), (2, 4))
        )
        self._world = torch.tensor([row[3] for row in rows], dtype=torch.bool, device=device).unsqueeze(-1)
        self.values = torch.zeros(physics.num_envs, self.count, 6, device=device)
        self._before = (self.values[..., :3], self.values[..., 3:])

    def _momenta(self) -> tuple[Tensor, Tensor]:
        """Momentum and angular momentum of the sensors' bodies."""
        linear, angular = self._physics.com_velocity(self._body)
        mass = self._physics.properties.mass.index_select(1, self._body).unsqueeze(-1)
        return mass * linear, self._physics.angular_momentum(self._body, angular)

    def before(self) -> None:
        """Call before a step."""
        if self.count:
            self._before = self._momenta()

    def after(self) -> None:
        """Call after a step: computes `values`."""
        if not self.count:
            return
        force, torque = ((now - then) / self._dt_s for now, then in zip(self._momenta(), self._before, strict=True))
        columns, body = self._physics.columns, self._physics.body[self._body]
        quat = columns("xquat", body)
        point = columns("xpos", body) + rotations.rotate(quat, self._pos.expand(quat.shape[0], -1, -1))
        torque = torque + torch.linalg.cross(columns("xipos", body) - point, force)
        axes = rotations.multiply(quat, self._quat.expand_as(quat))
        local = [torch.where(self._world, v, rotations.rotate_inverse(axes, v)) for v in (force, torque)]
        self.values.copy_(torch.cat(local, -1))
