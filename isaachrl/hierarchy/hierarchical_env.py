"""One level above another: an environment whose action is a command and whose step is k steps of the one below."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs.env import Env, Obs, StepResult, invalid_actions
from isaachrl.errors import ConfigError, SkillError
from isaachrl.maths.shapes import with_axes_of

CONTROLLER_GROUP = "proprioception"
STYLE_GROUP = "style"


class Controller(Protocol):
    """What this level needs of a skill or of a choice among several.

    Attributes:
        latent_size: d, width of a command.
    """

    latent_size: int

    def project(self, command: Tensor, /) -> Tensor:
        """Latent `(N, d)` that a command `(N, d)` stands for: its direction on the unit sphere, for zeros any."""
        ...

    def act(self, proprioception: Tensor, latent: Tensor, /) -> Tensor:
        """Action `(N, A)` of the level below for its observation `(N, P)` and a latent `(N, d)`."""
        ...

    def style_reward(self, style_window: Tensor, latent: Tensor, /) -> Tensor:
        """How natural the recent motion `(N, W*S)` looks under the latent `(N, d)`: `(N,)`, at least 0."""
        ...


@runtime_checkable
class StatefulController(Controller, Protocol):
    """A controller that keeps tensors `(N, …)`, as attributes, from one control step to the next."""

    def restart(self, mask: Tensor, /) -> None:
        """Forget the state of the worlds of `mask (N,)`: new episodes begin there."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Continue from `state_dict`."""
        ...


@dataclass
class HierarchyCfg:
    """How a level commands the one below.

    Args:
        steps: k, steps of the level below for one command.
        task_weight: weight of the reward of the level below.
        style_weight: weight of the skill's own opinion of the motion; 0 leaves its discriminator alone.
    """

    steps: int = bounded(5, 0, 10_000)
    task_weight: float = 0.9
    style_weight: float = 0.1

    def __post_init__(self) -> None:
        """Refuse windows without a step and negative weights."""
        if self.steps < 1 or self.task_weight < 0 or self.style_weight < 0:
            raise ConfigError(
                f"hierarchy: steps={self.steps}, task_weight={self.task_weight}, style_weight={self.style_weight};"
                " expected at least 1 step and weights of 0 or more"
            )


class HierarchicalEnv(Env):
    """N environments commanded through a skill.

    A step holds one command for k steps of the inner environment. The reward is the sum over the inner steps
    divided by k: the mean of a whole window, and never more for a shorter life. An episode that ends inside the
    window stops there: its first end decides `terminated`, `truncated`, the terminal observation and the
    metrics; what its body does in the rest of the window counts for nothing. It starts anew at the window's
    end, so that an episode always begins with a decision. `discount_steps` is the share of the window that was
    lived. The inner environment may itself be a `HierarchicalEnv`.

    Attributes:
        observer: called after every inner step, to film what happens between two decisions.

    Args:
        inner: the level below; its observations hold `proprioception` and, for a style reward, `style`.
        skill: the frozen controller.
        cfg: window and weights.

    Raises:
        SkillError: the level below does not show what the skill needs to see.
        ConfigError: a window would be longer than an episode.
    """

    def __init__(self, inner: Env, skill: Controller, cfg: HierarchyCfg | None = None) -> None:
        self.inner, self.skill, self.cfg = inner, skill, cfg or HierarchyCfg()
        for group in (CONTROLLER_GROUP, STYLE_GROUP) if self.cfg.style_weight > 0 else (CONTROLLER_GROUP,):
            if group not in inner.obs_sizes:
                shown = ", ".join(inner.obs_sizes)
                raise SkillError(f"the skill needs the observation group {group!r}; the task shows {shown}")
        if skill.latent_size < 1:
            raise SkillError(
                "the skill takes no commands (train.latents=none), so there is nothing for a high level to decide;"
                " train one with train.latents=motion or ase"
            )
        if self.cfg.steps > inner.episode_steps:
            raise ConfigError(
                f"task.hierarchy.steps={self.cfg.steps}: a window would be longer than an episode, which ends after"
                f" {inner.episode_steps} steps; type task.hierarchy.steps={min(inner.episode_steps, 5)}"
            )
        self.num_envs, self.device, self.generator = inner.num_envs, inner.device, inner.generator
        self.obs_sizes, self.policy_groups = inner.obs_sizes, inner.policy_groups
        self.obs_layout, self.step_s = inner.obs_layout, inner.step_s * self.cfg.steps
        self.action_size = skill.latent_size
        self.episode_steps = -(-inner.episode_steps // self.cfg.steps)
        self.observer: Callable[[], None] | None = None
        self._stateful = skill if isinstance(skill, StatefulController) else None

    def reset_where(self, mask: Tensor) -> Obs:
        """See `Env.reset_where`."""
        if self._stateful is not None:
            self._stateful.restart(mask)
        return self.inner.reset_where(mask)

    def observe(self) -> Obs:
        """See `Env.observe`."""
        return self.inner.observe()

    def observe_within(self) -> Obs:
        """See `Env.observe_within`."""
        return self.inner.observe_within()

    def advance(self, action: Tensor) -> StepResult:
        """See `Env.advance`. The command is clamped to [-1, 1] and projected by the skill."""
        return self._advance(action, self.inner.advance)

    def advance_within(self, action: Tensor) -> StepResult:
        """See `Env.advance_within`."""
        return self._advance(action, self.inner.advance_within)

    @torch.no_grad()
    def _advance(self, action: Tensor, last_step: Callable[[Tensor], StepResult]) -> StepResult:
        """A window; only its last step observes more than the skill needs, if it is to observe that."""
        latent = self.skill.project(action.clamp(-1.0, 1.0))
        # a broken command makes broken actions, whatever the skill would do with its limits: the lowest level answers
        latent = latent.masked_fill(invalid_actions(action).unsqueeze(-1), torch.nan)
        obs, window = self.inner.observe_within(), None
        for left in reversed(range(self.cfg.steps)):
            inner_step = self.inner.advance_within if left else last_step
            result = inner_step(self.skill.act(obs[CONTROLLER_GROUP], latent))
            obs = result.obs
            step = self._weigh(result, latent)
            window = step if window is None else _append(window, step)
            if self.observer is not None:
                self.observer()
        assert window is not None
        share = 1.0 / self.cfg.steps
        window.reward = window.reward * share
        window.terms = {name: term * share for name, term in window.terms.items()}
        window.discount_steps = window.discount_steps * share
        return window

    def _weigh(self, result: StepResult, latent: Tensor) -> StepResult:
        """An inner step with this level's weights and the style term."""
        terms = {name: self.cfg.task_weight * term for name, term in result.terms.items()}
        reward = self.cfg.task_weight * result.reward
        if self.cfg.style_weight > 0:
            style = self.cfg.style_weight * self.skill.style_reward(result.obs[STYLE_GROUP], latent)
            style = torch.where(result.diverged, 0.0, style)  # such a world's window leaps back to the origin
            # several levels may each pay for style: every one shows up under the one name
            terms["style"] = terms["style"] + style if "style" in terms else style
            reward = reward + style
        return StepResult(
            obs=result.terminal_obs,
            reward=reward,
            terminated=result.terminated,
            truncated=result.truncated,
            terminal_obs=result.terminal_obs,
            terms=terms,
            metrics=result.metrics,
            discount_steps=result.discount_steps.expand_as(reward),
        )

    def parts(self) -> list[object]:
        """See `Env.parts`."""
        return [self, *([] if self._stateful is None else [self._stateful]), *self.inner.parts()]

    @property
    def observed(self) -> bool:
        """See `Env.observed`."""
        return self.observer is not None or self.inner.observed

    def check_capacity(self) -> dict[str, int]:
        """See `Env.check_capacity`."""
        return self.inner.check_capacity()

    def make_room(self, shares: Mapping[str, float]) -> None:
        """See `Env.make_room`."""
        self.inner.make_room(shares)

    def state_dict(self) -> dict[str, Any]:
        """See `Env.state_dict`; of this level only a controller may keep anything between two steps."""
        state = self.inner.state_dict()
        return state if self._stateful is None else {"inner": state, "controller": self._stateful.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Env.load_state_dict`."""
        if self._stateful is not None:
            self._stateful.load_state_dict(state["controller"])
            state = state["inner"]
        self.inner.load_state_dict(state)


def _append(window: StepResult, step: StepResult) -> StepResult:
    """The window so far and one more step: episodes that have ended add nothing and keep what they ended with."""
    over = window.done

    def add(total: Tensor, value: Tensor) -> Tensor:
        return total + value.masked_fill(over, 0.0)

    def latch(kept: dict[str, Tensor], new: dict[str, Tensor]) -> dict[str, Tensor]:
        # a group that only the last step observes shows ended worlds as they were at their end
        return {
            name: torch.where(with_axes_of(over, value), kept[name], value) if name in kept else value
            for name, value in new.items()
        }

    obs = latch(window.terminal_obs, step.terminal_obs)
    return StepResult(
        obs=obs,
        reward=add(window.reward, step.reward),
        terminated=torch.where(over, window.terminated, step.terminated),
        truncated=torch.where(over, window.truncated, step.truncated),
        terminal_obs=obs,
        terms={name: add(window.terms[name], term) for name, term in step.terms.items()},
        metrics=latch(window.metrics, step.metrics),
        discount_steps=add(window.discount_steps, step.discount_steps),
    )
