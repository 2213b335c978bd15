"""Updates of the top level, which learns from the task's reward."""

import math
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.statistics import Means
from isaachrl.learn.goals.config import GoalsCfg, NStepCfg
from isaachrl.learn.goals.contract import GoalTask
from isaachrl.learn.goals.experience.places import EpisodePlaces
from isaachrl.learn.goals.experience.replay import SegmentReplay
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.off_policy.actor_critic import Batch

MEAN_RATE = 0.01  # of the running mean of the reward


def decisions_at(cfg: NStepCfg, progress: float) -> int:
    """Number of decisions over which rewards are summed, after a share `progress` of training."""
    return max(1, math.ceil(cfg.decisions * (1.0 - progress / cfg.until)))


class TopUpdate:
    """Updates of a policy without managers, whose segments are single steps. `ManagerUpdate` extends it.

    Args:
        cfg: of the learner.
        levels: the networks.
        replay: the segments to learn from.
        task: gives the reward under resampled targets.
        generator: of the draws.
        places: of all environments, if the replay is linked.

    Attributes:
        mean_reward: running mean of the reward of a whole segment.
        decisions: over which rewards are summed before the bootstrap, see `NStepCfg`.
    """

    def __init__(
        self,
        cfg: GoalsCfg,
        levels: Levels,
        replay: SegmentReplay,
        task: GoalTask,
        generator: torch.Generator,
        places: EpisodePlaces | None = None,
    ) -> None:
        self.cfg, self.levels, self.replay, self.task, self.generator = cfg, levels, replay, task, generator
        self.level, self.places, self.decisions = levels.top, places, cfg.n_step.decisions
        self.means = Means(f"{levels.names[-1]}/")
        self.mean_reward = torch.zeros((), device=generator.device)
        self._mean_known = False
        self._centre = cfg.centre_reward and not getattr(task, "terminates", True)

    def anneal(self, progress: float) -> None:
        """Set `decisions` for a share `progress` in [0, 1] of training."""
        self.decisions = decisions_at(self.cfg.n_step, progress)

    def prepare(self) -> None:
        """Called before the updates that are due at one decision of the level: nothing here."""

    @torch.no_grad()
    def step(self) -> None:
        """One update on a fresh batch."""
        rows, action = self.draw()
        context, resampled = self._contexts(rows)
        batch = self.batch(rows, action, context, resampled)
        with torch.enable_grad():
            self._update(rows, batch)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Segments `(B,)` and the actions in [-1, 1] `(B, A)` to learn with."""
        rows = self.replay.draw_rows(self.level.cfg.batch, self.generator)
        (actions,) = self.replay.take(rows, "actions")
        return rows, actions[:, 0]

    def _update(self, rows: Tensor, batch: Batch) -> None:
        """Update the level on the batch of segments `rows (B,)`."""
        self.level.update(batch, self.means)

    def _contexts(self, rows: Tensor) -> tuple[Tensor, int]:
        """Targets `(B, k)`, and how many of them, the first ones, are resampled."""
        (context,) = self.replay.take(rows, "context")
        count = int(self.cfg.target_resampling * len(rows)) if context.shape[1] else 0
        if count == 0:
            return context, 0
        later = int(self.cfg.future_share * count) if self.places is not None else 0
        drawn = self.task.draw_contexts(count - later, self.generator)
        if self.places is None or later == 0:
            return torch.cat((drawn, context[count:])), count
        env, step = self.replay.take(rows[:later], "env", "step")
        return torch.cat((self.places.later(env, step, self.generator), drawn, context[count:])), count

    def batch(self, rows: Tensor, action: Tensor, context: Tensor, resampled: int = 0) -> Batch:
        """Transitions over whole segments, with actions `(B, A)` and targets `(B, k)`.

        The reward of the first `resampled` rows is recomputed for their targets. A segment of l of c steps is
        discounted by gamma^(l/c). With more than one of `decisions`, the segments that follow count too.
        """
        replay, inputs = self.replay, self.levels.inputs
        total, share, terminal, length = self._segment(rows, context, resampled)
        weight = (length > 0).float()
        mean = (total * weight).sum() / (share * weight).sum().clamp_min(1.0 / replay.sizes.steps)  # of a whole segment
        if self._centre:
            # the first batch initialises the running mean
            self.mean_reward.lerp_(mean, MEAN_RATE if self._mean_known else 1.0)
            self._mean_known = True
            total = total - share * self.mean_reward
        self.means.add(reward=mean)
        discount, last = self.level.cfg.discount**share * (~terminal).float(), rows
        for _ in range(self.decisions - 1):
            (following,) = replay.take(last, "following")
            more, share, terminal, next_length = self._segment(following, context, resampled)
            more = more - share * self.mean_reward if self._centre else more
            exists = following < replay.capacity
            total = total + torch.where(exists, discount * more, 0.0)
            further = self.level.cfg.discount**share * (~terminal).float()
            discount = torch.where(exists, discount * further, discount)
            last, length = torch.where(exists, following, last), torch.where(exists, next_length, length)
        (first,) = replay.take(rows, "states")
        return Batch(
            features=inputs.top(first[:, 0], context),
            action=action,
            reward=total,
            discount=discount,
            next_features=inputs.top(replay.steps_at("states", last, length), context),
            weight=weight,
        )

    def _segment(self, rows: Tensor, context: Tensor, resampled: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of segments `rows (B,)`, each `(B,)`: scaled reward, length in shares of a whole one, terminal, length."""
        replay = self.replay
        reward, length, terminal = replay.take(rows, "rewards", "length", "terminal")
        if resampled > 0:
            (states,) = replay.take(rows[:resampled], "states")
            other = self.task.context_reward(states[:, 1:], context[:resampled].unsqueeze(1))
            reward = torch.cat((other, reward[resampled:]))
        total = self.level.cfg.reward_scale * (reward * replay.valid(rows)).sum(1)
        return total, length.float() / replay.sizes.steps, terminal, length

    def state_dict(self) -> dict[str, Any]:
        """The running mean."""
        return self.weights()

    def load_state_dict(self, state: dict[str, Any], with_replay: bool = True) -> None:
        """Continue from `state_dict`; `with_replay`: the replay is restored too."""
        self.load_weights(state)

    def weights(self) -> dict[str, Any]:
        """The running mean, for `load_weights`."""
        return {"mean_reward": self.mean_reward.clone(), "mean_known": self._mean_known}

    def load_weights(self, state: dict[str, Any]) -> None:
        """Load the running mean, which the critics' values are relative to."""
        self.mean_reward.copy_(state["mean_reward"])
        self._mean_known = state["mean_known"]
