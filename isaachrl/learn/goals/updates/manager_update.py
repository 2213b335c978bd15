"""Updates of the top manager: off-policy correction and the connected gradient."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from isaachrl.learn.goals.config import Connection, Correction, GoalsCfg
from isaachrl.learn.goals.contract import GoalTask
from isaachrl.learn.goals.experience.places import EpisodePlaces
from isaachrl.learn.goals.experience.replay import RelabelledPool, SegmentReplay
from isaachrl.learn.goals.goals import CANDIDATE_CHANGE, CANDIDATE_ORIGINAL, relabel
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.off_policy.actor_critic import Batch, weighted_mean
from isaachrl.learn.goals.updates.connected import Multiplier, WorkerSteps
from isaachrl.learn.goals.updates.top_update import TopUpdate
from isaachrl.maths.seeds import Stream, sub_seed


class ManagerUpdate(TopUpdate):
    """Updates of the top manager, whose action is the goal of a segment.

    Args:
        cfg, levels, replay, task, generator, places: see `TopUpdate`.

    Attributes:
        pool: batches with corrected goals, if `pool_sets` are kept.
        multiplier: the learned weight of the connected gradient, if it has a target.
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
        super().__init__(cfg, levels, replay, task, generator, places)
        device = generator.device
        # a generator of its own, so that the connection changes no other draw
        self.own_generator = torch.Generator(device=device).manual_seed(
            sub_seed(generator.initial_seed(), Stream.learner)
        )
        self.pool: RelabelledPool | None = None
        if cfg.pool_sets > 0:
            self.pool = RelabelledPool(cfg.pool_sets, cfg.manager.batch, cfg.goal_size, replay)
        self.multiplier: Multiplier | None = None
        if cfg.connection.target is not None and cfg.connection.mode is not Connection.none:
            self.multiplier = Multiplier(cfg.connection.target, cfg.manager.actor_learning_rate).to(device)

    def prepare(self) -> None:
        """Correct one batch for the pool, once each meta step."""
        if self.pool is not None:
            rows = self.replay.draw_rows(self.cfg.manager.batch, self.generator)
            self.pool.put(rows, self.corrected(rows))

    def draw(self) -> tuple[Tensor, Tensor]:
        """Segments `(B,)` and their corrected goals as actions in [-1, 1] `(B, d)`."""
        if self.pool is not None:
            rows, goal = self.pool.draw(self.cfg.manager.batch, self.generator)
        else:
            rows = self.replay.draw_rows(self.cfg.manager.batch, self.generator)
            goal = self.corrected(rows)
        return rows, goal / self.levels.goal_limits

    @torch.no_grad()
    def corrected(self, rows: Tensor) -> Tensor:
        """Goals `(B, d)` of segments `rows (B,)` after the off-policy correction."""
        states, actions, goal, length = self.replay.take(rows, "states", "actions", "goal", "length")
        if self.cfg.correction is Correction.none:
            return goal
        end, valid = self.replay.steps_at("states", rows, length), self.replay.valid(rows)
        limits, unit_scale = self.levels.goal_limits, 1.0  # actions are in [-1, 1]
        worker = partial(self.levels.mean_action, 0)
        chosen, candidate = relabel(
            states[:, :-1], actions, end, goal, worker, unit_scale, limits, self.generator, valid
        )
        self.means.add(
            kept_goals=(candidate == CANDIDATE_ORIGINAL).float().mean(),
            changes_as_goals=(candidate == CANDIDATE_CHANGE).float().mean(),
        )
        return chosen

    def _update(self, rows: Tensor, batch: Batch) -> None:
        """Update the manager and, if there is one, the multiplier."""
        if self.cfg.connection.mode is Connection.none:
            return super()._update(rows, batch)
        steps = WorkerSteps(self.cfg, self.levels, self.replay, rows, self.own_generator)
        weight = self.cfg.connection.weight if self.multiplier is None else self.multiplier.weight

        def auxiliary_loss(unit_goal: Tensor) -> Tensor:
            loss = steps.loss(unit_goal)
            self.means.add(worker_success=weighted_mean(-loss.detach(), batch.weight))
            return weight * loss

        self.level.update(batch, self.means, auxiliary_loss)
        if self.multiplier is not None:
            with torch.no_grad():
                success = steps.success(self.level.sample_action(batch.features, self.own_generator))
            self.multiplier.update(weighted_mean(success, batch.weight))
            self.means.add(connection_weight=self.multiplier.weight)

    def state_dict(self) -> dict[str, Any]:
        """Running mean, own generator, pool and multiplier."""
        state: dict[str, Any] = super().state_dict() | {"generator": self.own_generator.get_state()}
        if self.pool is not None:
            state["pool"] = self.pool.state_dict()
        if self.multiplier is not None:
            state["multiplier"] = self.multiplier.state_dict()
            state["multiplier_optimizer"] = self.multiplier.optimizer.state_dict()
            state["multiplier_updates"] = self.multiplier.updates
        return state

    def load_state_dict(self, state: dict[str, Any], with_replay: bool = True) -> None:
        """See `TopUpdate.load_state_dict`. Without the replay the pool starts empty, as its segments are lost."""
        super().load_state_dict(state)
        self.own_generator.set_state(state["generator"].cpu())
        if self.pool is not None and with_replay:
            self.pool.load_state_dict(state["pool"])
        if self.multiplier is not None:
            self.multiplier.load_state_dict(state["multiplier"])
            self.multiplier.optimizer.load_state_dict(state["multiplier_optimizer"])
            self.multiplier.updates = state["multiplier_updates"]
