"""The task interface: scene, reset, observations, rewards and termination."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from isaachrl.config import bounded, positive
from isaachrl.envs.disturbance import DisturbanceCfg
from isaachrl.envs.env import Obs, ObsLayout, StepResult
from isaachrl.errors import ConfigError
from isaachrl.sim import Scene, Sim


@dataclass
class TaskCfg:
    """Configuration that all simulated tasks share.

    Args:
        episode_steps: control steps until an episode is truncated.
        substeps: physics steps per control step.
        timestep_s: length of a physics step.
        nconmax: contact capacity per world of the GPU engine; 0 for the robot's default.
        njmax: constraint row capacity per world of the GPU engine; 0 for the robot's default.
        reward: weight of each reward term by name; terms of weight 0 are still logged.
        disturb: randomization of pushes, masses, friction and floor; off by default.
    """

    episode_steps: int = bounded(300, 0, 10_000_000)
    substeps: int = bounded(4, 1, 1000)
    timestep_s: float = positive(1.0 / 120.0, 0.1)
    nconmax: int = bounded(0, 0)
    njmax: int = bounded(0, 0)
    reward: dict[str, float] = bounded({}, -1e6, 1e6)
    disturb: DisturbanceCfg = field(default_factory=DisturbanceCfg)

    def __post_init__(self) -> None:
        """Validate the length of an episode, which a task may compute."""
        if self.limit_steps < 1:
            raise ConfigError(f"task.episode_steps={self.episode_steps} must be positive")

    @property
    def limit_steps(self) -> int:
        """Control steps until an episode is truncated; tasks may compute it if `episode_steps` is 0."""
        return self.episode_steps

    @property
    def step_s(self) -> float:
        """Length of a control step in seconds."""
        return self.substeps * self.timestep_s


Cfg = TypeVar("Cfg", bound=TaskCfg)


class Task(ABC, Generic[Cfg]):
    """One task in all worlds of a simulation. `TaskEnv` steps physics and counts time.

    Tasks inherit from `Task` only and share code as functions. Resolve names to indices in `__init__`. Compute rewards
    from the simulation's state, not from observations.

    Attributes:
        obs_sizes: size of each observation group that `observe` returns.
        policy_groups: the groups that form the policy's input.
        action_size: width of an action.
        obs_layout, action_contract: see `Env`; stored in exported policies.
        ended: `(N,)` bool, set by `TaskEnv`: the episode has ended within the present high-level step.
        STATE: names of the tensor attributes (updated in place or rebound) that `state_dict` stores.
    """

    STATE: ClassVar[tuple[str, ...]] = ()

    obs_sizes: dict[str, int]
    policy_groups: tuple[str, ...]
    action_size: int

    def __init__(self, cfg: Cfg, sim: Sim, generator: torch.Generator) -> None:
        self.cfg, self.sim, self.generator = cfg, sim, generator
        self.obs_layout: ObsLayout = {}
        self.action_contract: dict[str, Any] = {}
        self.ended = torch.zeros(sim.num_envs, dtype=torch.bool, device=sim.device)

    @classmethod
    @abstractmethod
    def scene(cls, cfg: Any) -> Scene:
        """The content of each world."""

    @abstractmethod
    def apply(self, action: Tensor) -> None:
        """Write `sim.ctrl` for actions `(N, action_size)`."""

    @abstractmethod
    def after_physics(self) -> None:
        """Update the task's buffers (histories, distances, targets) after the physics steps."""

    @abstractmethod
    def reward_terms(self) -> dict[str, Tensor]:
        """Unweighted reward terms by name, each `(N,)`; the names are those of `cfg.reward`."""

    @abstractmethod
    def terminated(self) -> Tensor:
        """`(N,)` bool: the episode failed or reached its goal."""

    @abstractmethod
    def reset(self, mask: Tensor) -> None:
        """Start new episodes in the worlds of `mask (N,)`: call `sim.reset` and reset the task's buffers.

        Draw random numbers for all worlds and select with `torch.where`, to avoid a host sync.
        """

    @abstractmethod
    def observe(self) -> Obs:
        """The observation groups, each `(N, size)`, as new tensors."""

    def observe_within(self) -> Obs:
        """The groups that a frozen skill reads at every control step, within a step of a high level.

        `observe` is then called only at the end of the high-level step. Its other groups must be those at the end of
        the episode in worlds of `ended`. Override it if these groups are costly.
        """
        return self.observe()

    def after_reward(self, terms: Mapping[str, Tensor]) -> None:
        """Called after rewards and ends of a step, before its observation: keep statistics, draw new targets.

        Args:
            terms: the unweighted reward terms of the step.
        """

    def metrics(self) -> dict[str, Tensor]:
        """Statistics of the episode by name, each `(N,)`; read where an episode ends."""
        return {}

    def evaluate(self, step: Callable[[], StepResult]) -> dict[str, Any]:
        """Results of `mode=evaluate` beside means over episodes, as plain data; the episodes are over by then.

        Args:
            step: lets the policy act in all worlds for a control step, without resets.
        """
        return {}

    def controls(self) -> dict[str, tuple[float, float]]:
        """What a user may set in a viewer, such as the place of the target: lowest and highest value by name."""
        return {}

    def steer(self, values: Mapping[str, float]) -> None:
        """Set the target of all worlds to the user's values, named as in `controls`; called before every step."""

    def page(self) -> tuple[Scene, dict[str, Any]]:
        """The scene of the page of an exported policy, and plain data that its observation needs beside the state."""
        return self.sim.scene, {}

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the attributes named in `STATE`."""
        return {name: getattr(self, name).clone() for name in self.STATE}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a `state_dict`."""
        for name in self.STATE:
            getattr(self, name).copy_(state[name])
