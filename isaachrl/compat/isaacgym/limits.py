"""Limits of the three axes of ball joints, which MuJoCo has only as a cone: springs that act beyond them."""

from typing import TYPE_CHECKING

import torch

from isaachrl.compat.isaacgym.properties import as_index

if TYPE_CHECKING:
    from isaachrl.compat.isaacgym.physics import Physics

TIME_CONSTANT_S = 0.005


class BallLimits:
    """The limits of all worlds. Where a position would leave its range within a step, a spring pulls it to the limit.

    The spring is critically damped for the inertia of the joint at the start pose, and backward Euler as the drives,
    see `isaachrl.sim.worlds.assemble`.

    Args:
        physics: the worlds.
        dt_s: h, the physics step.
    """

    def __init__(self, physics: "Physics", dt_s: float) -> None:
        self._physics, self._dt_s, layout, device = physics, dt_s, physics.layout, physics.worlds.device
        self._dof, self._qvel = as_index(layout.limit, device), as_index(layout.dof_qvel[layout.limit], device)
        self._actuator = physics.num_dofs + torch.arange(len(layout.limit), device=device)
        inertia = 1.0 / physics.worlds.model.dof_invweight0[layout.dof_qvel[layout.limit]]
        self._inertia = torch.from_numpy(inertia).to(device, torch.float32)

    def apply(self) -> None:
        """Set the springs for the next step."""
        if not len(self._dof):
            return
        physics, worlds = self._physics, self._physics.worlds
        position, velocity = physics.dof_states()[:, self._dof].unbind(-1)
        lower, upper = physics.properties.lower[:, self._dof], physics.properties.upper[:, self._dof]
        ahead = position + self._dt_s * physics.substeps * velocity
        limit = torch.minimum(torch.maximum(ahead, lower), upper)
        inertia = torch.where(limit == ahead, 0.0, self._inertia)
        stiffness = inertia / TIME_CONSTANT_S**2
        implicit = 2.0 * inertia / TIME_CONSTANT_S + self._dt_s * stiffness
        bias, armature = worlds.model_field("actuator_biasprm"), worlds.model_field("dof_armature")
        bias[:, self._actuator, 1], bias[:, self._actuator, 2] = -stiffness.to(bias), -implicit.to(bias)
        own = (physics.properties.armature + physics.drives.armature)[:, self._dof]
        armature[:, self._qvel] = (own + self._dt_s * implicit).to(armature)
        worlds.ctrl[:, self._actuator] = stiffness * limit
