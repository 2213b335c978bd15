"""The contract of a task: what the scene is, how an episode starts, what is seen, what pays, when it fails."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs.disturbance import DisturbanceCfg
from isaachrl.envs.env import Obs, ObsLayout
from isaachrl.errors import ConfigError
from isaachrl.sim import Scene, Sim


@dataclass
class TaskCfg:
    """What every simulated task can be told.

    Args:
        episode_steps: control steps until an episode is truncated.
        substeps: physics steps a control step.
        timestep_s: length of a physics step.
        nconmax: contacts of the average world that the GPU engine has room for; 0 takes the robot's number.
        njmax: constraint rows of a world that the GPU engine has room for; 0 takes the robot's number.
        reward: weight of each reward term by its name; 0 switches a term off, though it is still logged.
        disturb: pushes, masses, friction and floor that depart from the model; nothing by default.
    """

    episode_steps: int = bounded(300, 0, 10_000_000)
    substeps: int = bounded(4, 0, 1000)
    timestep_s: float = bounded(1.0 / 120.0, 0.0, 0.1)
    nconmax: int = 0
    njmax: int = 0
    reward: dict[str, float] = bounded({}, -1e6, 1e6)
    disturb: DisturbanceCfg = field(default_factory=DisturbanceCfg)

    def __post_init__(self) -> None:
        """Refuse clocks that cannot run, and room for less than nothing."""
        if self.limit_steps < 1 or self.substeps < 1 or not self.timestep_s > 0:
            raise ConfigError(
                f"episode_steps={self.episode_steps}, substeps={self.substeps}, timestep_s={self.timestep_s}:"
                " all three must be positive"
            )
        if self.nconmax < 0 or self.njmax < 0:
            raise ConfigError(f"task.nconmax={self.nconmax}, task.njmax={self.njmax}: type 0 for the robot's numbers")

    @property
    def limit_steps(self) -> int:
        """Control steps until an episode is truncated, where a task has its own choice for some `episode_steps`."""
        return self.episode_steps

    @property
    def step_s(self) -> float:
        """Length of a control step in seconds."""
        return self.substeps * self.timestep_s


Cfg = TypeVar("Cfg", bound=TaskCfg)


class Task(ABC, Generic[Cfg]):
    """One task over all worlds of a simulation. It never steps physics and never counts time: `TaskEnv` does.

    A task is a final class: it inherits from `Task` alone and shares code with others through functions.
    Names become ids once, in `__init__`. Rewards read the simulation's state, never slices of an observation.

    Attributes:
        obs_sizes: size of each observation group that `observe` returns.
        policy_groups: the groups a policy concatenates.
        action_size: width of an action.
        obs_layout: of groups that say more, name, size and unit of each part in order; exports carry it along.
        action_contract: what the numbers of an action do, as plain data; exports carry it along.
        ended: `(N,)` bool, kept by `TaskEnv`: the episode ended earlier in the present step of a level above.
        STATE: names of the attributes (tensors, changed in place or rebound) that must survive a resume.
    """

    STATE: ClassVar[tuple[str, ...]] = ()

    obs_sizes: dict[str, int]
    policy_groups: tuple[str, ...]
    action_size: int

    def __init__(self, cfg: Cfg, sim: Sim, generator: torch.Generator) -> None:
        """Keep the configuration, the worlds and the source of randomness; subclasses resolve names here."""
        self.cfg = cfg
        self.obs_layout: ObsLayout = {}
        self.action_contract: dict[str, Any] = {}
        self.sim = sim
        self.generator = generator
        self.ended = torch.zeros(sim.num_envs, dtype=torch.bool, device=sim.device)

    @classmethod
    @abstractmethod
    def scene(cls, cfg: Any) -> Scene:
        """What stands in each world."""

    @abstractmethod
    def apply(self, action: Tensor) -> None:
        """Turn actions `(N, action_size)` into controls: write `sim.ctrl`."""

    @abstractmethod
    def after_physics(self) -> None:
        """Bring the task's own buffers (histories, distances, targets) up to the new state."""

    @abstractmethod
    def reward_terms(self) -> dict[str, Tensor]:
        """Unweighted reward terms by name, each `(N,)`; the names are those of `cfg.reward`."""

    @abstractmethod
    def terminated(self) -> Tensor:
        """`(N,)` bool: the episode failed or is finished."""

    @abstractmethod
    def reset(self, mask: Tensor) -> None:
        """Start new episodes in the worlds of `mask (N,)`: write their state through `sim.reset` and own buffers.

        Everything is drawn for all worlds and chosen with `torch.where`: no index lists, no host sync.
        """

    @abstractmethod
    def observe(self) -> Obs:
        """The observation groups, each `(N, size)`, as fresh tensors."""

    def observe_within(self) -> Obs:
        """What a frozen skill reads at every control step, where a level above decides less often.

        `observe` is then called only at the end of that level's step. What it adds to this has to describe worlds of
        `ended` as they were when their episode ended. Worth writing for groups that are costly to compute.
        """
        return self.observe()

    def metrics(self) -> dict[str, Tensor]:
        """What the episode so far amounts to, by name, each `(N,)`; read where an episode ends."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the attributes named in `STATE`."""
        return {name: getattr(self, name).clone() for name in self.STATE}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Write back what `state_dict` gave."""
        for name in self.STATE:
            getattr(self, name).copy_(state[name])
