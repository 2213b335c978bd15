"""Domain randomization: pushes, masses, friction, and an uneven floor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.config import bounded, positive
from isaachrl.errors import ConfigError
from isaachrl.maths.shapes import with_axes_of
from isaachrl.sim import Sim

GRAVITY_MPS2 = 9.81


@dataclass
class DisturbanceCfg:
    """Randomization of a task; off by default.

    Args:
        push: largest push on the root body, as a share of the robot's weight. Each push has a random horizontal
            direction and a size drawn uniformly from 0 to this.
        push_s: duration of a push.
        push_every_s: mean time from one push to the next.
        mass: the body masses of each world are scaled by one factor, uniform in `1 - mass` to `1 + mass`.
        friction: the same for the sliding friction of all geoms.
        rough_m: peak-to-peak height of the floor, with a grid of 25 cm; the same floor in every world.
    """

    push: float = bounded(0.0, 0.0, 10.0)
    push_s: float = positive(0.5, 3600.0)
    push_every_s: float = bounded(4.0, 0.0, 3600.0)
    mass: float = bounded(0.0, 0.0, 0.999)
    friction: float = bounded(0.0, 0.0, 0.999)
    rough_m: float = bounded(0.0, 0.0, 1.0)

    @property
    def active(self) -> bool:
        """Whether there are pushes or differences between worlds."""
        return self.push > 0 or self.mass > 0 or self.friction > 0

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if self.push_s >= self.push_every_s:
            raise ConfigError(f"task.disturb.push_s={self.push_s} must be below push_every_s={self.push_every_s}")


class Disturbance:
    """Pushes the robots of N worlds; scales each world's mass and friction once.

    Attributes:
        force_w: `(N, 3)` current push, N.
        scale: factors `(N,)` on `body_mass` (and inertia) and on `geom_friction`, by name.

    Args:
        cfg: ranges.
        sim: the worlds.
        step_s: length of a control step.
        generator: source of randomness.
    """

    def __init__(self, cfg: DisturbanceCfg, sim: Sim, step_s: float, generator: torch.Generator) -> None:
        self._cfg, self._sim, self._generator = cfg, sim, generator
        self._push_steps = max(1, round(cfg.push_s / step_s))
        # a push can only begin after the last one has ended
        self._push_probability = step_s / (cfg.push_every_s - cfg.push_s)
        self._max_force_n = cfg.push * sim.robot.mass_kg * GRAVITY_MPS2
        self.force_w = torch.zeros(sim.num_envs, 3, device=sim.device)
        self._steps_left = torch.zeros(sim.num_envs, dtype=torch.long, device=sim.device)
        self.scale = {"body_mass": self._factor(cfg.mass), "geom_friction": self._factor(cfg.friction)}
        self._vary_models()

    def _factor(self, spread: float) -> Tensor:
        """`(N,)` uniform from `1 - spread` to `1 + spread`."""
        uniform = torch.rand(self._sim.num_envs, generator=self._generator, device=self._sim.device)
        return 1.0 + spread * (2.0 * uniform - 1.0)

    def _vary_models(self) -> None:
        """Write the factors into the worlds' models."""
        if self._cfg.mass > 0:
            bodies = slice(1, 1 + self._sim.robot.num_bodies)  # the robot comes first in the model
            for name in ("body_mass", "body_inertia"):
                field = self._sim.model_field(name)
                field[:, bodies] *= with_axes_of(self.scale["body_mass"].to(field), field)
        if self._cfg.friction > 0:
            field = self._sim.model_field("geom_friction")
            field[..., :1] *= with_axes_of(self.scale["geom_friction"].to(field), field)
        if self._cfg.mass > 0 or self._cfg.friction > 0:
            self._sim.apply_model_fields()

    def before_physics(self) -> None:
        """Begin, continue or end each world's push."""
        if self._cfg.push == 0:
            return
        n, device = self._sim.num_envs, self._sim.device
        uniform = torch.rand(3, n, generator=self._generator, device=device)
        self._steps_left -= 1
        begins = (self._steps_left <= 0) & (uniform[0] < self._push_probability)
        angle = 2.0 * torch.pi * uniform[1]
        force = self._max_force_n * uniform[2] * torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)))
        self._steps_left = torch.where(begins, self._push_steps, self._steps_left)
        force = torch.where(begins.unsqueeze(-1), force.T, self.force_w)
        self.force_w.copy_(force.masked_fill((self._steps_left <= 0).unsqueeze(-1), 0.0))
        self._sim.push(self.force_w)

    def push(self, force_w: Tensor, steps: int) -> None:
        """Push with `force_w (N, 3)`, in N, for that number of steps, instead of a push that was drawn."""
        self.force_w.copy_(force_w)
        self._steps_left.fill_(steps + 1)

    def reset(self, mask: Tensor) -> None:
        """End the pushes in the worlds of `mask (N,)`."""
        self._steps_left = self._steps_left.masked_fill(mask, 0)
        self.force_w.masked_fill_(mask.unsqueeze(-1), 0.0)

    def state_dict(self) -> dict[str, Tensor]:
        """The current pushes. The worlds' factors follow from the seed."""
        return {"force_w": self.force_w.clone(), "left": self._steps_left.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a `state_dict`."""
        self.force_w.copy_(state["force_w"])
        self._steps_left.copy_(state["left"])
