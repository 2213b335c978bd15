"""A high level: an environment whose action is a latent and whose step is k steps of the low level."""

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
    """The low-level policy: a skill, or a choice between skills.

    Attributes:
        latent_size: d.
    """

    latent_size: int

    def project(self, action: Tensor, /) -> Tensor:
        """Latent `(N, d)` of a high-level action `(N, d)`: its direction on the unit sphere."""
        ...

    def act(self, proprioception: Tensor, latent: Tensor, /) -> Tensor:
        """Low-level action `(N, A)` for proprioception `(N, P)` and a latent `(N, d)`."""
        ...

    def style_reward(self, style_window: Tensor, latent: Tensor, /) -> Tensor:
        """Style reward `(N,)`, at least 0, of windows of W style frames `(N, W * S)` under latents `(N, d)`."""
        ...


@runtime_checkable
class StatefulController(Controller, Protocol):
    """A controller with state: tensor attributes `(N, …)`."""

    def restart(self, mask: Tensor, /) -> None:
        """Reset the state where `mask (N,)`, for new episodes."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed for an exact continuation."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Load a `state_dict`."""
        ...


@dataclass
class HierarchyCfg:
    """Step length and reward of a high level.

    Args:
        steps: k, low-level steps per high-level step.
        task_weight: weight of the low-level environment's reward.
        style_weight: weight of the skill's style reward; with 0 the discriminator is not evaluated.
    """

    steps: int = bounded(5, 1, 10_000)
    task_weight: float = bounded(0.9, 0.0)
    style_weight: float = bounded(0.1, 0.0)


class HierarchicalEnv(Env):
    """N environments controlled through a skill.

    A step applies one latent for k steps of the inner environment. Its reward is the sum over the inner steps divided
    by k. When an episode ends within a step, the inner environment runs on without a reset, and may report further
    ends: only the first one counts. It determines `terminated`, `truncated`, the terminal observation and the metrics;
    later inner steps are ignored, and `discount_steps` is the fraction of the step up to the end. The next episode
    starts with the next high-level step. The inner environment may itself be a `HierarchicalEnv`.

    Attributes:
        observer: called after every inner step, for videos.

    Args:
        inner: the low-level environment; observes `proprioception` and, for a style reward, `style`.
        skill: the frozen controller.
        cfg: step length and weights.

    Raises:
        SkillError: the low-level environment lacks an observation group, or the skill takes no latents.
        ConfigError: a high-level step would be longer than an episode.
    """

    def __init__(self, inner: Env, skill: Controller, cfg: HierarchyCfg | None = None) -> None:
        self.inner, self.skill, self.cfg = inner, skill, cfg or HierarchyCfg()
        # an `OptionController` reads further groups, and its choices have names
        self._groups = getattr(skill, "groups", (CONTROLLER_GROUP,))
        self.action_contract = getattr(skill, "action_contract", {})
        for group in (*self._groups, STYLE_GROUP) if self.cfg.style_weight > 0 else self._groups:
            if group not in inner.obs_sizes:
                groups = ", ".join(inner.obs_sizes)
                raise SkillError(f"the skill needs the observation group {group!r}; the task has {groups}")
        if skill.latent_size < 1:
            raise SkillError(
                "the skill takes no latents (train.latents=none), so there is nothing for a high level to decide;"
                " train one with train.latents=motion or ase"
            )
        if self.cfg.steps > inner.episode_steps:
            raise ConfigError(
                f"task.hierarchy.steps={self.cfg.steps}: must not be longer than an episode, which ends after"
                f" {inner.episode_steps} steps; type task.hierarchy.steps={min(inner.episode_steps, 5)}"
            )
        self.num_envs, self.device, self.generator = inner.num_envs, inner.device, inner.generator
        self.obs_sizes, self.policy_groups = inner.obs_sizes, inner.policy_groups
        self.obs_layout, self.step_s = inner.obs_layout, inner.step_s * self.cfg.steps
        self.action_size = skill.latent_size
        self.episode_steps = -(-inner.episode_steps // self.cfg.steps)
        self.observer: Callable[[], None] | None = None
        # a `Skill` is not a `StatefulController`, since it has no `restart`
        self._stateful = skill if isinstance(skill, StatefulController) else None

    def reset_where(self, mask: Tensor) -> Obs:
        """See `Env.reset_where`."""
        if self._stateful is not None:
            self._stateful.restart(mask)
        return self.inner.reset_where(mask)

    def stagger(self, generator: torch.Generator, multiple: int = 1) -> None:
        """See `Env.stagger`."""
        self.inner.stagger(generator, multiple * self.cfg.steps)

    def observe(self) -> Obs:
        """See `Env.observe`."""
        return self.inner.observe()

    def observe_within(self) -> Obs:
        """See `Env.observe_within`."""
        return self.inner.observe_within()

    def advance(self, action: Tensor) -> StepResult:
        """See `Env.advance`. The action is clamped to [-1, 1] and projected to a latent by the skill."""
        return self._advance(action, self.inner.advance)

    def advance_within(self, action: Tensor) -> StepResult:
        """See `Env.advance_within`."""
        return self._advance(action, self.inner.advance_within)

    @torch.no_grad()
    def _advance(self, action: Tensor, advance_last: Callable[[Tensor], StepResult]) -> StepResult:
        """One high-level step: k - 1 times `advance_within`, then `advance_last`."""
        latent = self.skill.project(action.clamp(-1.0, 1.0))
        # pass invalid actions on as NaN, for the lowest level to handle
        latent = latent.masked_fill(invalid_actions(action).unsqueeze(-1), torch.nan)
        obs, total = self.inner.observe_within(), None
        for steps_left in reversed(range(self.cfg.steps)):
            advance = self.inner.advance_within if steps_left else advance_last
            result = advance(self.skill.act(self._read(obs), latent))
            obs = result.obs
            step = self._weighted(result, latent)
            total = step if total is None else _accumulate(total, step)
            if self.observer is not None:
                self.observer()
        assert total is not None
        share = 1.0 / self.cfg.steps
        total.reward = total.reward * share
        total.terms = {name: term * share for name, term in total.terms.items()}
        total.discount_steps = total.discount_steps * share
        return total

    def _read(self, obs: Obs) -> Tensor:
        """The controller's groups, concatenated."""
        groups = [obs[group] for group in self._groups]
        return groups[0] if len(groups) == 1 else torch.cat(groups, dim=-1)

    def _weighted(self, result: StepResult, latent: Tensor) -> StepResult:
        """An inner `advance` with this level's weights and style reward; its `obs` and `terminal_obs` are equal."""
        terms = {name: self.cfg.task_weight * term for name, term in result.terms.items()}
        reward = self.cfg.task_weight * result.reward
        if self.cfg.style_weight > 0:
            style = self.cfg.style_weight * self.skill.style_reward(result.obs[STYLE_GROUP], latent)
            style = torch.where(result.diverged, 0.0, style)  # the motion window of a diverged world is not continuous
            # an inner `HierarchicalEnv` may have a style term, too
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

    def evaluation_twin(self, num_envs: int, seed: int) -> "HierarchicalEnv":
        """A second environment of the same task and controller with the configuration for evaluations."""
        source: Any = self.inner
        controller: Any = self.skill  # a stateful one has tensors of these environments
        skill = self.skill if self._stateful is None else controller.twin(num_envs)
        return HierarchicalEnv(source.evaluation_twin(num_envs, seed), skill, self.cfg)

    def parts(self) -> list[object]:
        """See `Env.parts`."""
        return [self, *([] if self._stateful is None else [self._stateful]), *self.inner.parts()]

    @property
    def has_observer(self) -> bool:
        """See `Env.has_observer`."""
        return self.observer is not None or self.inner.has_observer

    def check_capacity(self) -> dict[str, int]:
        """See `Env.check_capacity`."""
        return self.inner.check_capacity()

    def make_room(self, shares: Mapping[str, float]) -> None:
        """See `Env.make_room`."""
        self.inner.make_room(shares)

    def state_dict(self) -> dict[str, Any]:
        """See `Env.state_dict`."""
        state = self.inner.state_dict()
        return state if self._stateful is None else {"inner": state, "controller": self._stateful.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Env.load_state_dict`."""
        if self._stateful is not None:
            self._stateful.load_state_dict(state["controller"])
            state = state["inner"]
        self.inner.load_state_dict(state)


def _accumulate(total: StepResult, step: StepResult) -> StepResult:
    """Add one inner step; environments whose episode has already ended keep their result."""
    done = total.done

    def add(so_far: Tensor, value: Tensor) -> Tensor:
        return so_far + value.masked_fill(done, 0.0)

    def latch(kept: dict[str, Tensor], new: dict[str, Tensor]) -> dict[str, Tensor]:
        # `kept` lacks the groups that only the last inner step observes. For an episode that ended earlier, the task
        # observes these as they were at its end (see `Task.observe_within`), so `new` is correct for that episode, too
        return {
            name: torch.where(with_axes_of(done, value), kept[name], value) if name in kept else value
            for name, value in new.items()
        }

    obs = latch(total.terminal_obs, step.terminal_obs)
    return StepResult(
        obs=obs,
        reward=add(total.reward, step.reward),
        terminated=torch.where(done, total.terminated, step.terminated),
        truncated=torch.where(done, total.truncated, step.truncated),
        terminal_obs=obs,
        terms={name: add(total.terms[name], term) for name, term in step.terms.items()},
        metrics=latch(total.metrics, step.metrics),
        discount_steps=add(total.discount_steps, step.discount_steps),
    )
