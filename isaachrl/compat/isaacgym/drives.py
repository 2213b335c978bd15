"""Drives: gains, limits and modes of all degrees of freedom, and the controls that follow from targets."""

import torch
from torch import Tensor

from isaachrl.compat.isaacgym.enums import DofDriveMode
from isaachrl.sim.worlds import Worlds
from isaachrl.sim.worlds.assemble import UNLIMITED


class Drives:
    """The drives of N worlds with D degrees of freedom each.

    A drive has stiffness and damping towards its targets: position in DOF_MODE_POS, velocity in DOF_MODE_VEL, 0
    otherwise. In DOF_MODE_EFFORT efforts act in the next step only.

    Args:
        worlds: whose controls are set; the first actuators are those of the degrees of freedom.
        count: D.
        dt_s: the physics step.

    Attributes:
        position, velocity, effort: `(N, D)` targets.
        armature: `(N, D)` what the drives add to the armature of the degrees of freedom, see `assemble`.
    """

    def __init__(self, worlds: Worlds, count: int, dt_s: float) -> None:
        self._worlds, self._dt_s = worlds, dt_s
        shape = (worlds.num_worlds, count)
        self.position, self.velocity, self.effort = (torch.zeros(shape, device=worlds.device) for _ in range(3))
        self.armature = torch.zeros(shape, device=worlds.device)
        self._gains = torch.zeros(3, *shape, device=worlds.device)  # of position, velocity and effort in the control

    def set_properties(self, mode: Tensor, stiffness: Tensor, damping: Tensor, effort: Tensor) -> None:
        """Set what the drives are: `(N, D)` each."""
        kinds = (DofDriveMode.DOF_MODE_POS, DofDriveMode.DOF_MODE_VEL, DofDriveMode.DOF_MODE_EFFORT)
        on = torch.stack([mode == int(kind) for kind in kinds])
        self._gains.copy_(torch.stack((stiffness, damping, torch.ones_like(damping))) * on)
        implicit = damping + self._dt_s * stiffness
        self.armature.copy_(self._dt_s * implicit)
        if mode.shape[1]:
            drives = slice(0, mode.shape[1])
            bias = self._worlds.model_field("actuator_biasprm")[:, drives]
            bias[..., 1], bias[..., 2] = -stiffness.to(bias.dtype), -implicit.to(bias.dtype)
            limit = torch.where(effort > 0, effort, UNLIMITED).clamp_max(UNLIMITED)
            self._worlds.model_field("actuator_forcerange")[:, drives].copy_(torch.stack((-limit, limit), -1))

    def apply(self) -> None:
        """Write the controls of the next step."""
        targets = torch.stack((self.position, self.velocity, self.effort))
        self._worlds.ctrl[:, : targets.shape[2]] = (self._gains * targets).sum(0)

    def clear_effort(self) -> None:
        """Forget the efforts, which act in one step."""
        self.effort.zero_()
