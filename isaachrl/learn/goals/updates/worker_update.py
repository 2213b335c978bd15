"""Updates of the levels that follow goals."""

import torch
from torch import Tensor

from isaachrl.envs.statistics import Means
from isaachrl.learn.goals.config import Boundary, GoalsCfg
from isaachrl.learn.goals.experience.replay import SegmentReplay
from isaachrl.learn.goals.goals import goal_transition, worker_reward
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.off_policy.actor_critic import Batch, weighted_mean


class WorkerUpdate:
    """Updates of a goal-conditioned level: the worker, or a middle manager.

    Args:
        cfg: of the learner.
        levels: the networks.
        number: of the level, counted from the worker up.
        replay: segments of the goals that it follows.
        generator: of the draws.
    """

    def __init__(
        self, cfg: GoalsCfg, levels: Levels, number: int, replay: SegmentReplay, generator: torch.Generator
    ) -> None:
        self.cfg, self.levels, self.number, self.replay, self.generator = cfg, levels, number, replay, generator
        self.level = levels.all[number]
        self.means = Means(f"{levels.names[number]}/")

    def prepare(self) -> None:
        """See `TopUpdate.prepare`: nothing here."""

    def step(self) -> None:
        """One update on a fresh batch."""
        self.level.update(self.batch(), self.means)

    @torch.no_grad()
    def batch(self) -> Batch:
        """Transitions drawn uniformly over the decisions of all segments; a segment's last one may be cut short."""
        cfg, replay, stride = self.cfg, self.replay, self.replay.sizes.stride
        rows = replay.draw_rows(self.level.cfg.batch, self.generator)
        decision = torch.randint(replay.sizes.decisions, rows.shape, generator=self.generator, device=rows.device)
        goal, length, next_goal, terminal = replay.take(rows, "goal", "length", "next_goal", "terminal")
        begin = decision * stride
        end = torch.minimum(begin + stride, length)
        first = replay.steps_at("states", rows, torch.zeros_like(begin))
        state, after = replay.steps_at("states", rows, begin), replay.steps_at("states", rows, end)
        goal = goal_transition(first, goal, state)
        goal, resampled = self._resample(goal)
        following = goal_transition(state, goal, after)
        last = end == length
        if cfg.boundary is Boundary.manager:
            following = torch.where((last & ~resampled).unsqueeze(1), next_goal, following)
        limit = cfg.most_progress * stride
        reward = self.level.cfg.reward_scale * worker_reward(cfg.worker_reward, state, goal, after, limit)
        ends = last & terminal
        if cfg.flips.penalty > 0 and self.number == 0:
            flipped = replay.steps_at("flipped", rows, begin)
            reward, ends = reward - cfg.flips.penalty * flipped, ends | flipped
        weight = (begin < length).float()
        share = (end - begin).clamp_min(0) / stride
        self.means.add(reward=weighted_mean(reward, weight))
        symmetry = self.levels.symmetries[self.number]
        state, goal, change = symmetry.canonical(state, goal)
        after, following, _ = symmetry.canonical(after, following)
        return Batch(
            features=self.levels.features(self.number, state, goal),
            action=symmetry.to_canonical(replay.steps_at("actions", rows, decision), change),
            reward=reward,
            discount=self.level.cfg.discount**share * (~ends).float(),
            next_features=self.levels.features(self.number, after, following),
            weight=weight,
        )

    def _resample(self, goal: Tensor) -> tuple[Tensor, Tensor]:
        """Goals `(B, d)` of which the first ones are resampled, and a mask `(B,)` of those."""
        count = int(self.cfg.goal_resampling * len(goal))
        resampled = torch.arange(len(goal), device=goal.device) < count
        if count == 0:
            return goal, resampled
        unit_goal = 2.0 * torch.rand(goal.shape, generator=self.generator, device=goal.device) - 1.0
        return torch.where(resampled.unsqueeze(1), unit_goal * self.levels.goal_limits, goal), resampled
