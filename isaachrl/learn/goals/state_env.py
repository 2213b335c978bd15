"""Environments that know nothing of goals, as the learners of this package see them: a state, and a place in it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.envs.env import Env, Obs, StepResult, has_bodies, innermost
from isaachrl.learn.goals.contract import PLANAR_SIZE
from isaachrl.maths import rotations
from isaachrl.sim import Sim

GOAL_LIMIT_M = 3.0  # half range of the manager's goals
SCALES = {"m/s": 1.0, "rad/s": 4.0}  # typical sizes of observations, by the begin of their unit; of others 1


class HeadingSymmetry(nn.Module):
    """Goals are turned into the heading frame, in which observations and actions are: a `Symmetry`.

    The heading, in the third and fourth entries of a state, becomes 0. What else tells directions in the world, such as
    `task.observe_position` of the maze, stays, so that such states are not merged.
    """

    def canonical(self, state: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """States, goals, and a change that leaves actions as they are."""
        cos, sin = state[..., 2], state[..., 3]
        ahead, left = cos * goal[..., 0] + sin * goal[..., 1], cos * goal[..., 1] - sin * goal[..., 0]
        heading = torch.stack((torch.ones_like(cos), torch.zeros_like(cos)), -1)
        return torch.cat((state[..., :2], heading, state[..., 4:]), -1), torch.stack((ahead, left), -1), cos

    def to_canonical(self, action: Tensor, change: Tensor) -> Tensor:
        """The action itself."""
        return action

    def from_canonical(self, action: Tensor, change: Tensor) -> Tensor:
        """The action itself."""
        return action


class StateEnv(Env):
    """An environment whose observation group `state` is what its policies observe, for `GoalTask`.

    For learners with a manager, four entries come first: the place of the body's root on the floor in m, which goals
    are about, and cosine and sine of its heading, since goals are in the world frame. The networks do not see the place
    (with `inputs=scaled`), so that a policy for one place holds at another. There are no targets: the reward is the
    environment's own, and the task's observations say where to get to.

    Within the step of a high level, a body runs on after the end of its episode; its place is that at the end of the
    step.

    Attributes:
        inner: the environment.
        task: this object, as `GoalTask`.

    Args:
        inner: the environment.
        places: put place and heading first; for bodies alone.
    """

    terminates = True

    def __init__(self, inner: Env, places: bool) -> None:
        self.inner, self.places, self.task = inner, places, self
        self.name, self.num_envs, self.device, self.generator = (
            inner.name,
            inner.num_envs,
            inner.device,
            inner.generator,
        )
        self.action_size, self.action_contract = inner.action_size, inner.action_contract
        self.step_s, self.episode_steps = inner.step_s, inner.episode_steps
        self.position_size = PLANAR_SIZE if places else 0
        parts = [("root_xy_w", 2, "m"), ("heading", 2, "cosine and sine")] if places else []
        for group in inner.policy_groups:
            parts += inner.obs_layout.get(group, [(group, inner.obs_sizes[group], "")])
        self.obs_layout = {"state": parts}
        self.obs_sizes = {"state": sum(size for _, size, _ in parts)}
        self.policy_groups = ("state",)
        scales = [torch.full((size,), _scale(unit)) for _, size, unit in parts]
        self.state_scale = torch.cat(scales).to(inner.device)
        self.state_scale[: self.position_size] = torch.inf
        self.action_limits = torch.ones(inner.action_size, device=inner.device)
        self.goal_limits = torch.full((PLANAR_SIZE,), GOAL_LIMIT_M, device=inner.device)
        self.context_scale = 1.0
        self.symmetry = HeadingSymmetry()

    def flipped(self) -> Tensor:
        """`(N,)` bool: never, since falls end episodes."""
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def _seen(self, obs: Obs) -> Obs:
        """The state, of an observation of the inner environment."""
        state = self.inner.policy_input(obs)
        if not self.places:
            return {"state": state}
        bottom: Any = innermost(self.inner)
        sim: Sim = bottom.sim
        heading = torch.stack(rotations.heading_cos_sin(sim.root_quat_w), dim=1)
        return {"state": torch.cat((sim.root_pos_w[:, :2], heading, state), dim=1)}

    def _of(self, result: StepResult) -> StepResult:
        """A result with states."""
        terminal = self._seen(result.terminal_obs)
        same = result.obs is result.terminal_obs
        result.obs, result.terminal_obs = terminal if same else self._seen(result.obs), terminal
        return result

    def step(self, action: Tensor) -> StepResult:
        """See `Env.step`; one level takes the inner environment's, which may be a CUDA graph."""
        return super().step(action) if self.places else self._of(self.inner.step(action))

    def advance(self, action: Tensor) -> StepResult:
        """See `Env.advance`."""
        return self._of(self.inner.advance(action))

    def reset_where(self, mask: Tensor) -> Obs:
        """See `Env.reset_where`."""
        return self._seen(self.inner.reset_where(mask))

    def stagger(self, generator: torch.Generator, multiple: int = 1) -> None:
        """See `Env.stagger`."""
        self.inner.stagger(generator, multiple)

    def observe(self) -> Obs:
        """See `Env.observe`."""
        return self._seen(self.inner.observe())

    def parts(self) -> list[object]:
        """See `Env.parts`."""
        return self.inner.parts()

    @property
    def has_observer(self) -> bool:
        """See `Env.has_observer`."""
        return self.inner.has_observer

    def check_capacity(self) -> dict[str, int]:
        """See `Env.check_capacity`."""
        return self.inner.check_capacity()

    def make_room(self, shares: Mapping[str, float]) -> None:
        """See `Env.make_room`."""
        self.inner.make_room(shares)

    def evaluation_twin(self, num_envs: int, seed: int) -> "StateEnv":
        """A second environment with the configuration for evaluations."""
        source: Any = self.inner
        return StateEnv(source.evaluation_twin(num_envs, seed), self.places)

    def state_dict(self) -> dict[str, Any]:
        """See `Env.state_dict`."""
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Env.load_state_dict`."""
        self.inner.load_state_dict(state)


def _scale(unit: str) -> float:
    """Typical size of an observation in a unit such as `rad/s, heading frame`."""
    return SCALES.get(unit.split(",")[0], 1.0)


def with_state(env: Env, flat: bool) -> Env:
    """The environment itself if it observes a `state`, or has no bodies; else a `StateEnv`.

    Args:
        env: the environment.
        flat: there is no manager that sets goals.
    """
    bottom = innermost(env)
    if "state" in env.obs_sizes or not (has_bodies(bottom) and hasattr(bottom, "evaluation_twin")):
        return env
    return StateEnv(env, places=not flat)
