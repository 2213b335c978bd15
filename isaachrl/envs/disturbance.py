"""Domain randomization: pushes, masses, friction, an uneven floor; gains of motors, delays of actions, sensor noise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.config import bounded, positive
from isaachrl.envs.env import Obs, ObsLayout
from isaachrl.errors import ConfigError
from isaachrl.maths.shapes import with_axes_of
from isaachrl.sim import Sim

GRAVITY_MPS2 = 9.81
SENSORS = "proprioception"  # the observation group that has sensor noise
# standard deviation at `noise=1`, by the unit of an observation: joint encoders, inertial and velocity estimates as in
# the randomisation that legged robots are usually trained with (Rudin et al. 2022)
NOISE = {"m": 0.01, "rad": 0.01, "unit vectors": 0.02, "m/s": 0.1, "rad/s": 0.2}


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
        gains: stiffness and damping of each motor of each world are scaled by one factor, uniform in `1 - gains` to
            `1 + gains`; of a torque motor, its torque.
        delay_steps: the actions of each world arrive late by a number of control steps, uniform in 0 to this.
        noise: Gaussian noise of the proprioception, drawn anew in each control step; at 1 its standard deviation is
            1 cm, 0.01 rad, 0.02 in unit vectors, 0.1 m/s, 0.2 rad/s.
    """

    push: float = bounded(0.0, 0.0, 10.0)
    push_s: float = positive(0.5, 3600.0)
    push_every_s: float = bounded(4.0, 0.0, 3600.0)
    mass: float = bounded(0.0, 0.0, 0.999)
    friction: float = bounded(0.0, 0.0, 0.999)
    rough_m: float = bounded(0.0, 0.0, 1.0)
    gains: float = bounded(0.0, 0.0, 0.999)
    delay_steps: int = bounded(0, 0, 100)
    noise: float = bounded(0.0, 0.0, 100.0)

    @property
    def active(self) -> bool:
        """Whether there are pushes, differences between worlds, delays or noise."""
        return any(
            value > 0 for value in (self.push, self.mass, self.friction, self.gains, self.delay_steps, self.noise)
        )

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if self.push_s >= self.push_every_s:
            raise ConfigError(f"task.disturb.push_s={self.push_s} must be below push_every_s={self.push_every_s}")


class Disturbance:
    """Pushes the robots of N worlds; scales each world's mass, friction and gains once; delays actions, adds noise.

    Attributes:
        force_w: `(N, 3)` current push, N.
        scale: factors `(N,)` on `body_mass` (and inertia) and on `geom_friction`, and `(N, A)` on `gains`, by name.
        delay_steps: `(N,)` control steps by which actions arrive late.
        noise: `(N, P)` present error of the group `SENSORS`; no columns without noise.

    Args:
        cfg: ranges.
        sim: the worlds.
        step_s: length of a control step.
        generator: source of randomness.
        action_size: width of the actions; needed for delays alone.
        layout: of the observations, see `Env.obs_layout`; needed for noise alone.

    Raises:
        ConfigError: noise is asked for, and the task observes no proprioception.
    """

    def __init__(
        self,
        cfg: DisturbanceCfg,
        sim: Sim,
        step_s: float,
        generator: torch.Generator,
        action_size: int = 0,
        layout: ObsLayout | None = None,
    ) -> None:
        self._cfg, self._sim, self._generator = cfg, sim, generator
        self._push_steps = max(1, round(cfg.push_s / step_s))
        # a push can only begin after the last one has ended
        self._push_probability = step_s / (cfg.push_every_s - cfg.push_s)
        self._max_force_n = cfg.push * sim.robot.mass_kg * GRAVITY_MPS2
        self._force_n = torch.tensor(self._max_force_n, device=sim.device)  # on the device: a captured step reads it
        self.force_w = torch.zeros(sim.num_envs, 3, device=sim.device)
        self._steps_left = torch.zeros(sim.num_envs, dtype=torch.long, device=sim.device)
        self.scale = {"body_mass": self._factor(cfg.mass), "geom_friction": self._factor(cfg.friction)}
        # what is drawn from here on is drawn only where it is asked for, so that it leaves other runs as they were
        if cfg.gains > 0:
            self.scale["gains"] = self._factor(cfg.gains, sim.ctrl.shape[1])
        self._vary_models()
        self._prepare_delays(action_size)
        self._deviation = noise_deviation(cfg.noise, layout or {}).to(sim.device)
        self.noise = torch.zeros(sim.num_envs, len(self._deviation), device=sim.device)

    def _prepare_delays(self, action_size: int) -> None:
        """Draw each world's delay; keep the latest actions."""
        n, device, longest = self._sim.num_envs, self._sim.device, self._cfg.delay_steps
        self.delay_steps = torch.zeros(n, dtype=torch.long, device=device)
        if longest > 0:
            self.delay_steps = torch.randint(longest + 1, (n,), generator=self._generator, device=device)
        self._actions = torch.zeros(longest + 1 if longest else 0, n, action_size, device=device)
        self._fresh = torch.ones(n, dtype=torch.bool, device=device)  # no action of the present episode yet
        self._worlds = torch.arange(n, device=device)

    def _factor(self, spread: float, *more: int) -> Tensor:
        """`(N, …)` uniform from `1 - spread` to `1 + spread`."""
        shape = (self._sim.num_envs, *more)
        uniform = torch.rand(shape, generator=self._generator, device=self._sim.device)
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
        if self._cfg.gains > 0:
            # a motor's bias has the same factor as its gain, to the last bit: the engine takes the shorter way round
            # of a ball joint's error only where the two are equal
            for name, columns in (("actuator_gainprm", slice(0, 1)), ("actuator_biasprm", slice(1, 3))):
                field = self._sim.model_field(name)
                field[..., columns] *= self.scale["gains"].to(field).unsqueeze(-1)
        if self._cfg.mass > 0 or self._cfg.friction > 0 or self._cfg.gains > 0:
            self._sim.apply_model_fields()

    def delayed(self, action: Tensor) -> Tensor:
        """The actions `(N, A)` that arrive in a control step in which the policy gives `action (N, A)`.

        At the beginning of an episode, its first action arrives until the second one does.
        """
        if len(self._actions) == 0:
            return action
        kept = torch.cat((action.unsqueeze(0), self._actions[:-1]))
        self._actions.copy_(torch.where(self._fresh[:, None], action, kept))
        self._fresh.fill_(False)
        return self._actions[self.delay_steps, self._worlds]

    def sense(self, obs: Obs) -> Obs:
        """The observation with the present sensor noise."""
        if len(self._deviation) == 0:
            return obs
        return obs | {SENSORS: obs[SENSORS] + self.noise}

    def before_physics(self) -> None:
        """Begin, continue or end each world's push; draw the sensor noise of the step."""
        if self._cfg.push > 0:
            self._renew_pushes()
        if len(self._deviation):
            noise = torch.randn(self.noise.shape, generator=self._generator, device=self._sim.device)
            self.noise.copy_(noise * self._deviation)

    def _renew_pushes(self) -> None:
        """Begin, continue or end each world's push."""
        n, device = self._sim.num_envs, self._sim.device
        uniform = torch.rand(3, n, generator=self._generator, device=device)
        self._steps_left -= 1
        begins = (self._steps_left <= 0) & (uniform[0] < self._push_probability)
        angle = 2.0 * torch.pi * uniform[1]
        force = self._force_n * uniform[2] * torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)))
        self._steps_left = torch.where(begins, self._push_steps, self._steps_left)
        force = torch.where(begins.unsqueeze(-1), force.T, self.force_w)
        self.force_w.copy_(force.masked_fill((self._steps_left <= 0).unsqueeze(-1), 0.0))
        self._sim.push(self.force_w)

    def fade(self, share: float) -> None:
        """Draw pushes of at most this share of `push` from now on. Not a part of `state_dict`."""
        self._force_n.fill_(share * self._max_force_n)

    def push(self, force_w: Tensor, steps: int) -> None:
        """Push with `force_w (N, 3)`, in N, for that number of steps, instead of a push that was drawn."""
        self.force_w.copy_(force_w)
        self._steps_left.fill_(steps + 1)

    def reset(self, mask: Tensor) -> None:
        """End the pushes in the worlds of `mask (N,)`, and forget their actions."""
        self._fresh |= mask
        self._steps_left = self._steps_left.masked_fill(mask, 0)
        self.force_w.masked_fill_(mask.unsqueeze(-1), 0.0)

    def state_dict(self) -> dict[str, Tensor]:
        """The current pushes, actions that have not arrived, and noise. What differs by world follows from the seed."""
        return {name: value.clone() for name, value in self._state().items()}

    def _state(self) -> dict[str, Tensor]:
        state = {"force_w": self.force_w, "left": self._steps_left}
        if self._cfg.delay_steps > 0:
            state |= {"actions": self._actions, "fresh": self._fresh}
        return state | {"noise": self.noise} if len(self._deviation) else state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a `state_dict`."""
        for name, value in self._state().items():
            value.copy_(state[name])


def noise_deviation(noise: float, layout: ObsLayout) -> Tensor:
    """Standard deviation `(P,)` of each entry of the group `SENSORS`, by its unit; no entries for `noise=0`.

    Raises:
        ConfigError: there is no such group.
    """
    if noise == 0:
        return torch.zeros(0)
    if SENSORS not in layout:
        raise ConfigError(
            f"task.disturb.noise={noise:g}: the task does not observe {SENSORS!r}, which is what has noise; type"
            " task.disturb.noise=0"
        )
    parts = [torch.full((size,), NOISE.get(unit.partition(",")[0], 0.0)) for _, size, unit in layout[SENSORS]]
    return noise * torch.cat(parts)
