"""Impulses on walking bodies: the forces, what becomes of each body, and the impulse that most of them bear."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.maths import rotations
from isaachrl.sim import Sim

DIRECTIONS = {"from the back": 0.0, "from the right": 90.0, "from the front": 180.0, "from the left": -90.0}  # degrees
PUSH_STEPS = 3  # control steps, a tenth of a second
AVERAGE_S = 0.5  # time constant of the mean velocity
LIKE_OTHERS_MPS = 0.3
BORNE = 0.8


def j80(impulses: Sequence[float], success: Sequence[float]) -> float | None:
    """The impulse above which the success first falls below 80 %, linear between the tested ones; None if never.

    0 if the first impulse above 0 fails and the success without an impulse is below 80 % too.
    """
    for i in range(1, len(success)):
        low, high = success[i], success[i - 1]
        if low < BORNE:
            share = (high - BORNE) / (high - low) if high >= BORNE else 0.0
            return impulses[i - 1] + share * (impulses[i] - impulses[i - 1])
    return None


def velocity_h(sim: Sim) -> Tensor:
    """Velocity `(N, 2)` of the root ahead and to the left, m/s."""
    cosine, sine = rotations.heading_cos_sin(sim.root_quat_w)
    x, y = sim.root_linvel_w[:, 0], sim.root_linvel_w[:, 1]
    return torch.stack((cosine * x + sine * y, cosine * y - sine * x), dim=-1)


@dataclass
class Impulses:
    """Impulses on the roots of N bodies.

    Args:
        angle_rad: `(N,)` direction, from the body's heading to the left.
        force_n: `(N,)` force.
        begin: `(N,)` first control step.
        steps: control steps that the force lasts: a number, or `(N,)`.
    """

    angle_rad: Tensor
    force_n: Tensor
    begin: Tensor
    steps: Tensor | int = PUSH_STEPS

    def force_w(self, step: int, yaw_rad: Tensor) -> Tensor:
        """Forces `(N, 3)` in a control step, N, on bodies with headings `yaw_rad (N,)`."""
        pushed = (step >= self.begin) & (step < self.begin + self.steps)
        angle, force = self.angle_rad + yaw_rad, (self.force_n * pushed).unsqueeze(1)
        return functional.pad(force * torch.stack((angle.cos(), angle.sin()), dim=-1), (0, 1))


@dataclass
class Outcome:
    """Results by direction, impulse and body.

    Args:
        success: `(D, J, B)` bool.
        recovery_s: `(D, J, B)` s; nan without success, and for bodies still unlike the others at the end.
        change_h: `(D, J, B, 2)` change of the velocity during the impulse, m/s, heading frame.
    """

    success: Tensor
    recovery_s: Tensor
    change_h: Tensor


class Watch:
    """What happens to N bodies in the control steps `0 … steps - 1` from the start of their impulse on.

    Attributes:
        fell: `(N,)` bool, was below a height limit.
        fallen: `(N,)` bool, had not recovered in the last step.
        odd_steps: `(N,)` steps until the body was like the others for good.
        change_h: `(N, 2)` change of the velocity during the impulse, m/s.
    """

    def __init__(self, n: int, steps: int, device: torch.device) -> None:
        self.steps = steps
        self.fell, self.fallen = torch.zeros(2, n, dtype=torch.bool, device=device).unbind()
        self.odd_steps = torch.zeros(n, dtype=torch.long, device=device)
        self._before_h, self.change_h = torch.zeros(2, n, 2, device=device).unbind()

    def update(self, after: Tensor, low: Tensor, fallen: Tensor, odd: Tensor, velocity_h: Tensor) -> None:
        """Take in the control step `after (N,)`, counted from the start of the impulse on.

        Args:
            after: long; below 0 before the impulse.
            low, fallen, odd: `(N,)` bool: below a height limit; fallen and not yet recovered; unlike the others.
            velocity_h: `(N, 2)` m/s.
        """
        watched = (after >= 0) & (after < self.steps)
        self.fell = self.fell | (low & watched)
        self.fallen = torch.where(watched, fallen, self.fallen)
        self.odd_steps = torch.where(watched & odd, after + 1, self.odd_steps)
        self._before_h = torch.where((after < 0).unsqueeze(1), velocity_h, self._before_h)
        self.change_h = torch.where((after == PUSH_STEPS - 1).unsqueeze(1), velocity_h - self._before_h, self.change_h)

    def outcome(self, shape: tuple[int, int, int], step_s: float, has_rescue: bool) -> Outcome:
        """The results, of `step_s` seconds per control step."""
        success = (self.fallen if has_rescue else self.fell).logical_not()
        recovered = success & (self.odd_steps < self.steps)
        recovery_s = torch.where(recovered, self.odd_steps * step_s, torch.nan)
        return Outcome(success.view(shape), recovery_s.view(shape), self.change_h.view(*shape, 2))


def unlike_others(mean_h: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """`(N,)` bool: the mean velocity `(N, 2)` is not that of the bodies without an impulse, which have J = 0."""
    others_h = mean_h.view(*shape, 2)[:, 0].mean((0, 1))
    return (mean_h - others_h).norm(dim=-1) > LIKE_OTHERS_MPS
