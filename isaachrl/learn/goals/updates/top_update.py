"""Updates of the top level, which learns from the task's reward."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.statistics import Means
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import GoalTask
from isaachrl.learn.goals.experience.replay import SegmentReplay
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.off_policy.actor_critic import Batch

MEAN_RATE = 0.01  # of the running mean of the reward


class TopUpdate:
    """Updates of a policy without managers, whose segments are single steps. `ManagerUpdate` extends it.

    Args:
        cfg: of the learner.
        levels: the networks.
        replay: the segments to learn from.
        task: gives the reward under resampled targets.
        generator: of the draws.

    Attributes:
        mean_reward: running mean of the reward of a whole segment.
    """

    def __init__(
        self, cfg: GoalsCfg, levels: Levels, replay: SegmentReplay, task: GoalTask, generator: torch.Generator
    ) -> None:
        self.cfg, self.levels, self.replay, self.task, self.generator = cfg, levels, replay, task, generator
        self.level = levels.top
        self.means = Means(f"{levels.names[-1]}/")
        self.mean_reward = torch.zeros((), device=generator.device)
        self._mean_known = False
        self._centre = cfg.centre_reward and not getattr(task, "terminates", True)

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
        return torch.cat((self.task.draw_contexts(count, self.generator), context[count:])), count

    def batch(self, rows: Tensor, action: Tensor, context: Tensor, resampled: int = 0) -> Batch:
        """Transitions over whole segments, with actions `(B, A)` and targets `(B, k)`.

        The reward of the first `resampled` rows is recomputed for their targets. A segment of l of c steps is
        discounted by gamma^(l/c).
        """
        cfg, replay, inputs = self.level.cfg, self.replay, self.levels.inputs
        states, reward, length, terminal = replay.take(rows, "states", "rewards", "length", "terminal")
        if resampled > 0:
            other = self.task.context_reward(states[:resampled, 1:], context[:resampled].unsqueeze(1))
            reward = torch.cat((other, reward[resampled:]))
        total = cfg.reward_scale * (reward * replay.valid(rows)).sum(1)
        weight = (length > 0).float()
        share = length.float() / replay.sizes.steps
        mean = (total * weight).sum() / (share * weight).sum().clamp_min(1.0 / replay.sizes.steps)  # of a whole segment
        if self._centre:
            # the first batch initialises the running mean
            self.mean_reward.lerp_(mean, MEAN_RATE if self._mean_known else 1.0)
            self._mean_known = True
            total = total - share * self.mean_reward
        self.means.add(reward=mean)
        end = replay.steps_at("states", rows, length)
        return Batch(
            features=inputs.top(states[:, 0], context),
            action=action,
            reward=total,
            discount=cfg.discount**share * (~terminal).float(),
            next_features=inputs.top(end, context),
            weight=weight,
        )

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
