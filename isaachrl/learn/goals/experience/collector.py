"""Acting with all levels in N environments, and storing the segments."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs, StepResult
from isaachrl.envs.statistics import EpisodeStatistics, Means
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import context_of, goal_task
from isaachrl.learn.goals.experience.places import EpisodePlaces
from isaachrl.learn.goals.experience.replay import SegmentReplay
from isaachrl.learn.goals.experience.segments import OpenSegments
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.off_policy.exploration import Exploration

NEVER = 2**40


class Collector:
    """Steps the environments; stores a segment and sets a new goal wherever a period is over or an episode ended.

    A period begins at different steps in different environments. A policy without managers has segments of one step and
    no goals.

    Args:
        env: the environment.
        cfg: of the learner.
        levels: the networks.
        replays: for the segments of each manager, from the lowest up.
        generator: of the exploration.
        places: gets the places of all steps, if targets are drawn from them.

    Attributes:
        obs: the present observation.
        segments: those in progress, of the lowest manager first.
        uniform: actions and goals are uniformly random.
        first_end: `(N,)` steps until the first episode is cut short, see `GoalsCfg.stagger`; negative afterwards.
    """

    def __init__(
        self,
        env: Env,
        cfg: GoalsCfg,
        levels: Levels,
        replays: list[SegmentReplay],
        generator: torch.Generator,
        places: EpisodePlaces | None = None,
    ) -> None:
        self.env, self.cfg, self.levels, self.generator, self.places = env, cfg, levels, generator, places
        self.task = goal_task(env)
        n, device = env.num_envs, env.device
        limits = [levels.action_limits] + [levels.goal_limits] * (len(levels.all) - 1)
        pairs = zip(levels.all, limits, strict=True)
        self.explorations = [Exploration(level.cfg, bounds, n, generator) for level, bounds in pairs]
        self.segments = [OpenSegments(n, replay) for replay in replays]
        self.numbers = torch.arange(n, device=device)
        self.all_envs = torch.ones(n, dtype=torch.bool, device=device)
        self.steps_on_back = torch.zeros(n, dtype=torch.long, device=device)
        self.first_end = self._first_ends()
        self.obs = env.observe()
        self.episodes, self.means = EpisodeStatistics(env), Means("acting/")
        self.uniform = cfg.warmup_uniform
        self._set_goals([self.all_envs] * len(replays))

    def _first_ends(self) -> Tensor:
        """`(N,)` steps after which the first episodes are cut short, so that not all environments end at once."""
        never = torch.full_like(self.steps_on_back, NEVER)
        if self.levels.flat:
            return never
        period = self.cfg.periods[-1]
        most = max(self.env.episode_steps // period, 1)
        periods = torch.randint(1, most + 1, (self.env.num_envs,), generator=self.generator, device=self.env.device)
        return periods * period if self.cfg.stagger else never

    @torch.no_grad()
    def step(self) -> None:
        """Step all environments once."""
        result, flipped = self._advance(self._act())
        self.steps_on_back = torch.where(flipped, self.steps_on_back + 1, 0)
        self.first_end = self.first_end - 1
        # cut short by the learner: bootstrapped, like a time limit
        reset_steps = self.cfg.flips.reset_steps
        too_long = self.segments[0].full & (self.steps_on_back >= reset_steps) & (reset_steps > 0)
        cut = too_long | (self.first_end == 0)
        ended = result.done | cut
        self.steps_on_back = self.steps_on_back.masked_fill(ended, 0)
        self.episodes.add(result, ended)
        self._reset(result, cut)
        self._store(result, ended)
        if self.places is not None:
            self.places.add(result.terminal_obs["state"], ended)

    def _act(self) -> Tensor:
        """The worker's action `(N, A)` with exploration."""
        goal_or_context = context_of(self.obs) if self.levels.flat else self.segments[0].goal
        action = self.levels.sample_action(0, self.obs["state"], goal_or_context, self.generator)
        noisy = self.explorations[0](action, self.all_envs)
        return self.explorations[0].uniform() if self.uniform else noisy

    def _advance(self, action: Tensor) -> tuple[StepResult, Tensor]:
        """Step the environments and extend the segments; the result, and a mask `(N,)` of bodies on their back.

        A policy without managers takes whole steps, resets included, which a CUDA graph can replay.
        """
        state = self.obs["state"]
        if self.levels.flat:
            result = self.env.step(action)
            flipped = self.task.flipped() & ~result.done  # where done, it is of the next episode
        else:
            result = self.env.advance(action)
            flipped = self.task.flipped()
        # a segment stores the actions of the level below its manager: the worker's, or a manager's goals in [-1, 1]
        goals = [segments.goal_at_start / self.levels.goal_limits for segments in self.segments[:-1]]
        for segments, action_below in zip(self.segments, [action, *goals], strict=True):
            segments.add(action_below, result.reward, flipped, state, result.terminal_obs["state"])
        lowest, size = self.segments[0], self.task.position_size
        self.means.add(flipped=flipped.float().mean())
        if not self.levels.flat:
            moved = lowest.states[:, -1, :size] - lowest.states[:, 0, :size]
            self.means.count("metres_per_goal", moved.norm(dim=-1), lowest.full)
        return result, flipped

    def _reset(self, result: StepResult, cut: Tensor) -> None:
        """Reset the environments whose episode ended, and those in the mask `cut (N,)`."""
        if not self.levels.flat:
            self.obs = self.env.reset_where(result.done | cut)
        else:  # `Env.step` has reset the ended ones; without managers, `cut` can be true only for bodies on their back
            self.obs = self.env.reset_where(cut) if self.cfg.flips.reset_steps > 0 else result.obs

    def _store(self, result: StepResult, ended: Tensor) -> None:
        """Store the segments that are over, and begin new ones."""
        over = [segments.full | ended for segments in self.segments]
        fields = [segments.snapshot() for segments in self.segments]
        old_goals = [
            segments.goal for segments in self.segments
        ]  # the goal transition has made these relative to the state after this step
        for exploration in self.explorations:
            exploration.restart(ended)
        self._set_goals(over)
        context, finite = context_of(result.terminal_obs), ~result.diverged
        for number, segments in enumerate(self.segments):
            # after the end of an episode the new goal belongs to the next one
            next_goal = torch.where(ended.unsqueeze(1), old_goals[number], segments.goal)
            last = {"next_goal": next_goal, "context": context, "terminal": result.terminated}
            if self.places is not None and segments.replay.sizes.linked:
                last |= {"env": self.numbers, "step": self.places.written.expand_as(self.numbers)}
            segments.replay.push(over[number] & finite, ended, **fields[number], **last)

    def _set_goals(self, masks: list[Tensor]) -> None:
        """Begin segments at the present observation, from the top level down, where each manager's mask `(N,)` says."""
        state, goal_or_context = self.obs["state"], context_of(self.obs)
        if self.levels.flat:
            self.segments[0].begin(masks[0], state, state[:, :0])
            return
        for number in reversed(range(len(masks))):
            segments, exploration = self.segments[number], self.explorations[number + 1]
            unit_goal = self.levels.sample_action(number + 1, state, goal_or_context, self.generator)
            noisy = exploration(unit_goal, masks[number])
            unit_goal = exploration.uniform() if self.uniform else noisy
            segments.begin(masks[number], state, unit_goal * self.levels.goal_limits)
            goal_or_context = segments.goal

    def state_dict(self) -> dict[str, Any]:
        """The present observation, segments in progress, exploration and episodes."""
        return {
            "steps_on_back": self.steps_on_back.clone(),
            "first_end": self.first_end.clone(),
            "explorations": [exploration.state_dict() for exploration in self.explorations],
            "segments": [segments.state_dict() for segments in self.segments],
            "obs": {name: values.clone() for name, values in self.obs.items()},
            "episodes": self.episodes.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        device = self.env.device
        self.steps_on_back = state["steps_on_back"].to(device, copy=True)
        self.first_end = state["first_end"].to(device, copy=True)
        for exploration, stored in zip(self.explorations, state["explorations"], strict=True):
            exploration.load_state_dict(stored)
        for segments, stored in zip(self.segments, state["segments"], strict=True):
            segments.load_state_dict(stored)
        self.obs: Obs = {name: values.to(device, copy=True) for name, values in state["obs"].items()}
        self.episodes.load_state_dict(state["episodes"])
