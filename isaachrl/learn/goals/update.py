"""What each level learns from: rows of the replay, with goals and targets replaced as the configuration says."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from isaachrl.learn.goals.actor_critic import Batch
from isaachrl.learn.goals.config import Boundary, Correction, GoalsCfg
from isaachrl.learn.goals.connected import Connection, Multiplier, connected_gradient_loss, worker_success
from isaachrl.learn.goals.contract import GoalTask
from isaachrl.learn.goals.goals import feudal_goal, goal_transition, relabel, worker_reward
from isaachrl.learn.goals.hindsight import GOALS_PER_STEP, hindsight_action, later_step, reached
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.replay import RelabelledPool, SegmentReplay
from isaachrl.learn.goals.tally import Tally
from isaachrl.maths.seeds import Stream, sub_seed

MEAN_RATE = 0.01  # of the running mean of the manager's reward


class PursuerUpdate:
    """Updates of a level that pursues goals: the worker, or a manager that has another above it.

    Args:
        cfg: of the learner.
        levels: the networks.
        number: of the level, counted from the worker up.
        replay: where the segments of the manager above it are.
        generator: of the draws.
    """

    def __init__(
        self, cfg: GoalsCfg, levels: Levels, number: int, replay: SegmentReplay, generator: torch.Generator
    ) -> None:
        self.cfg, self.levels, self.number, self.replay, self.generator = cfg, levels, number, replay, generator
        self.level = levels.all[number]
        self.tally = Tally(f"{levels.names[number]}/")

    def step(self) -> None:
        """One update on a fresh batch."""
        self.level.update(self.batch(), self.tally)

    @torch.no_grad()
    def batch(self) -> Batch:
        """Rows drawn uniformly over the decisions of all segments. The last of a segment may be cut short."""
        cfg, replay, stride = self.cfg, self.replay, self.replay.sizes.stride
        rows = replay.draw_rows(self.level.cfg.batch)
        decision = torch.randint(replay.sizes.decisions, rows.shape, generator=self.generator, device=rows.device)
        goal, length, next_goal, terminal = replay.take(rows, "goal", "length", "next_goal", "terminal")
        begin = decision * stride
        end = torch.minimum(begin + stride, length)
        first = replay.steps_at("states", rows, torch.zeros_like(begin))
        state, after = replay.steps_at("states", rows, begin), replay.steps_at("states", rows, end)
        goal = goal_transition(first, goal, state)
        goal, renewed = self._renewed(goal)
        if cfg.hindsight:
            goal, renewed = self._in_hindsight(goal, renewed, rows, state, begin)
        following = goal_transition(state, goal, after)
        last = end == length
        if cfg.boundary is Boundary.manager:
            following = torch.where((last & ~renewed).unsqueeze(1), next_goal, following)
        reward = worker_reward(cfg.worker_reward, state, goal, after, self.levels.limits)
        reward, over = self.level.cfg.reward_scale * reward, last & terminal
        if cfg.flip_penalty > 0 and self.number == 0:
            flipped = replay.steps_at("flipped", rows, begin)
            reward, over = reward - cfg.flip_penalty * flipped, over | flipped
        weight = (begin < length).float()
        share = (end - begin).clamp_min(0) / stride
        self.tally.add(reward=(reward * weight).sum() / weight.sum().clamp_min(1.0))
        return Batch(
            features=self.levels.features(self.number, state, goal),
            action=replay.steps_at("actions", rows, decision),
            reward=reward,
            discount=self.level.cfg.discount**share * (~over).float(),
            next_features=self.levels.features(self.number, after, following),
            weight=weight,
        )

    def _renewed(self, goal: Tensor) -> tuple[Tensor, Tensor]:
        """Goals `(B, d)` of which a share is drawn anew, and which ones were `(B,)`."""
        count = int(self.cfg.goal_resampling * len(goal))
        renewed = torch.arange(len(goal), device=goal.device) < count
        if count == 0:
            return goal, renewed
        drawn = 2.0 * torch.rand(goal.shape, generator=self.generator, device=goal.device) - 1.0
        return torch.where(renewed.unsqueeze(1), drawn * self.levels.limits, goal), renewed

    def _in_hindsight(
        self, goal: Tensor, renewed: Tensor, rows: Tensor, state: Tensor, begin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Goals `(B, d)`, a share of those that are left replaced by where the segment led to later; and which ones."""
        (length,) = self.replay.take(rows, "length")
        share = torch.rand(begin.shape, generator=self.generator, device=begin.device)
        later = self.replay.steps_at("states", rows, later_step(begin, length, share))
        # rows are drawn independently, so that every fourth one is as good as any fourth
        order = torch.arange(len(rows), device=rows.device)
        chosen = (order % (GOALS_PER_STEP + 1) > 0) & ~renewed
        size = goal.shape[1]
        return torch.where(chosen.unsqueeze(1), later[:, :size] - state[:, :size], goal), renewed | chosen


class ManagerUpdate:
    """Updates of the top manager: corrected goals, targets drawn anew, and the worker's success in its loss.

    Args:
        cfg: of the learner.
        levels: the networks.
        replay: where its segments are.
        task: tells the reward under other targets.
        generator: of the draws.

    Attributes:
        mean_reward: running mean of the reward of a whole segment.
    """

    def __init__(
        self, cfg: GoalsCfg, levels: Levels, replay: SegmentReplay, task: GoalTask, generator: torch.Generator
    ) -> None:
        self.cfg, self.levels, self.replay, self.task, self.generator = cfg, levels, replay, task, generator
        device = generator.device
        self.tally = Tally("manager/")
        self.mean_reward = torch.zeros((), device=device)
        self._mean_known = False
        self._centre = cfg.centre_reward and not getattr(task, "terminates", True)
        # a generator of its own: whether there is a connection must not change any other draw
        self.own_generator = torch.Generator(device=device).manual_seed(
            sub_seed(generator.initial_seed(), Stream.learner)
        )
        self.pool: RelabelledPool | None = None
        if cfg.pool_sets > 0:
            self.pool = RelabelledPool(cfg.pool_sets, cfg.manager.batch, cfg.goal_size, replay)
        self.multiplier: Multiplier | None = None
        if cfg.connection.target is not None and cfg.connection.mode is not Connection.none:
            self.multiplier = Multiplier(cfg.connection.target, cfg.manager.actor_learning_rate).to(device)

    def refresh(self) -> None:
        """Correct one batch for the pool, if there is one; called once each meta step."""
        if self.pool is not None:
            rows = self.replay.draw_rows(self.cfg.manager.batch)
            self.pool.put(rows, self.corrected(rows))

    @torch.no_grad()
    def step(self) -> None:
        """One update."""
        rows, goal = self._rows()
        context, drawn = self._contexts(rows)
        batch = self.batch(rows, goal, context, drawn)
        steps, extra = None, None
        if self.cfg.connection.mode is not Connection.none:
            steps = _WorkerSteps(self.cfg, self.levels, self.replay, rows, self.own_generator)
            extra = partial(self._connected, steps, batch.weight)
        with torch.enable_grad():
            self.levels.manager.update(batch, self.tally, extra)
        if steps is not None and self.multiplier is not None:
            proposal = self.levels.manager.draw(batch.features, self.own_generator)
            self.multiplier.update(_mean(steps.success(proposal), batch.weight))

    def _connected(self, steps: "_WorkerSteps", weight: Tensor, proposal: Tensor) -> Tensor:
        """The second part `(B,)` of the manager's loss, of its present actions `(B, d)`."""
        loss = steps.loss(proposal)
        self.tally.add(worker_success=_mean(-loss.detach(), weight))
        if self.multiplier is None:
            return self.cfg.connection.weight * loss
        self.tally.add(connection_weight=self.multiplier.weight)
        return self.multiplier.weight * loss

    def _rows(self) -> tuple[Tensor, Tensor]:
        """Segments `(B,)` and the goals `(B, d)` that they are learned with."""
        if self.pool is not None:
            return self.pool.draw(self.cfg.manager.batch, self.generator)
        rows = self.replay.draw_rows(self.cfg.manager.batch)
        return rows, self.corrected(rows)

    @torch.no_grad()
    def corrected(self, rows: Tensor) -> Tensor:
        """Goals `(B, d)` of segments `(B,)` after the correction."""
        states, actions, goal, length = self.replay.take(rows, "states", "actions", "goal", "length")
        if self.cfg.correction is Correction.none:
            return goal
        end, limits = self.replay.steps_at("states", rows, length), self.levels.limits
        if self.cfg.correction is Correction.fun:
            return feudal_goal((end - states[:, 0])[:, : len(limits)], limits, self.generator)
        valid = self.replay.valid(rows)
        # actions and the actor's are shares of the range: their half range is 1
        chosen, which = relabel(
            states[:, :-1], actions, end, goal, self.levels.act, 1.0, limits, self.generator, valid
        )  # fmt: skip
        kept, change = (which == 9).float().mean(), (which == 8).float().mean()
        self.tally.add(kept_goals=kept, changes_as_goals=change)
        return chosen

    def _contexts(self, rows: Tensor) -> tuple[Tensor, int]:
        """Targets `(B, k)`, and how many of them, the first ones, are drawn anew."""
        (context,) = self.replay.take(rows, "context")
        count = int(self.cfg.target_resampling * len(rows)) if context.shape[1] else 0
        if count == 0:
            return context, 0
        return torch.cat((self.task.draw_contexts(count, self.generator), context[count:])), count

    def batch(self, rows: Tensor, goal: Tensor, context: Tensor, drawn: int = 0) -> Batch:
        """Tuples of the manager: whole segments with their goals `(B, d)` and targets `(B, k)`.

        The first `drawn` targets are others than those acted for, and so is the reward there.

        A segment of l of c steps counts l/c of a step in the discount.
        """
        cfg, replay, views = self.cfg, self.replay, self.levels.views
        states, reward, length, terminal = replay.take(rows, "states", "rewards", "length", "terminal")
        if drawn > 0:
            other = self.task.context_reward(states[:drawn, 1:], context[:drawn].unsqueeze(1))
            reward = torch.cat((other, reward[drawn:]))
        total = cfg.manager.reward_scale * (reward * replay.valid(rows)).sum(1)
        weight = (length > 0).float()
        share = length.float() / replay.sizes.steps
        mean = (total * weight).sum() / (share * weight).sum().clamp_min(1.0 / replay.sizes.steps)  # of a whole segment
        if self._centre:
            # the first batch sets the mean, later ones move it
            self.mean_reward.lerp_(mean, MEAN_RATE if self._mean_known else 1.0)
            self._mean_known = True
            total = total - share * self.mean_reward
        self.tally.add(reward=mean)
        end = replay.steps_at("states", rows, length)
        action = self.levels.to_proposal(goal, states[:, 0])
        if cfg.hindsight:
            change = end[:, : goal.shape[1]] - states[:, 0, : goal.shape[1]]
            action, fine, times = self._in_hindsight(rows, action, self.levels.to_proposal(change, states[:, 0]))
            total, weight = total - fine, weight * times
        return Batch(
            features=views.manager(states[:, 0], context),
            action=action,
            reward=total,
            discount=cfg.manager.discount**share * (~terminal).float(),
            next_features=views.manager(end, context),
            weight=weight,
        )

    def _in_hindsight(self, rows: Tensor, action: Tensor, came: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Actions `(B, d)` as they are learned with after `came (B, d)`, fines `(B,)`, how often each row counts.

        Both are in [-1, 1] where they are within the goal's range: so it is the same for changes and for places.
        A missed test stands for two transitions, its fine and its hindsight action: a coin says which of them is
        learned from, and it counts twice. Segments cut short are no tests.
        """
        cfg, ones = self.cfg, torch.ones_like(self.levels.limits)
        tested, length = self.replay.take(rows, "tested", "length")
        tested = tested & (length == self.replay.sizes.steps)
        missed = tested & ~reached(action, came, ones, cfg.subgoal_tolerance)
        coin = torch.rand(length.shape, generator=self.generator, device=rows.device) < 0.5
        fined = missed & coin
        fine = cfg.manager.reward_scale * cfg.subgoal_penalty * length * fined
        taken = hindsight_action(action, came, ones, cfg.subgoal_tolerance)
        self.tally.count("missed_tests", missed.float(), tested)
        return torch.where(fined.unsqueeze(1), action, taken), fine, 1.0 + missed

    def state_dict(self) -> dict[str, Any]:
        """Pool, running mean, own generator, multiplier."""
        state: dict[str, Any] = self.weights() | {"generator": self.own_generator.get_state()}
        if self.pool is not None:
            state["pool"] = self.pool.state_dict()
        if self.multiplier is not None:
            state["multiplier"] = self.multiplier.state_dict()
            state["multiplier_optimizer"] = self.multiplier.optimizer.state_dict()
            state["multiplier_updates"] = self.multiplier.updates
        return state

    def load_state_dict(self, state: dict[str, Any], with_replay: bool = True) -> None:
        """Continue from `state_dict`; goals that the pool found for segments are of use only along with the replay."""
        self.load_weights(state)
        self.own_generator.set_state(state["generator"].cpu())
        if self.pool is not None and with_replay:
            self.pool.load_state_dict(state["pool"])
        if self.multiplier is not None:
            self.multiplier.load_state_dict(state["multiplier"])
            self.multiplier.optimizer.load_state_dict(state["multiplier_optimizer"])
            self.multiplier.updates = state["multiplier_updates"]

    def weights(self) -> dict[str, Any]:
        """What `load_weights` needs."""
        return {"mean_reward": self.mean_reward.clone(), "mean_known": self._mean_known}

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the running mean alone: the critics' values are measured from it."""
        self.mean_reward.copy_(state["mean_reward"])
        # older files do not say; there a mean that was never moved is 0
        self._mean_known = state.get("mean_known", bool(self.mean_reward != 0))


class _WorkerSteps:
    """One step of the worker in each of the manager's tuples, drawn uniformly, and how well it does there.

    Args:
        cfg: of the learner.
        levels: the networks.
        replay: where the segments are.
        rows: `(B,)` segments.
        generator: of the draws.
    """

    def __init__(
        self, cfg: GoalsCfg, levels: Levels, replay: SegmentReplay, rows: Tensor, generator: torch.Generator
    ) -> None:
        self._cfg, self._levels, self._generator = cfg, levels, generator
        (length,) = replay.take(rows, "length")
        share = torch.rand(length.shape, generator=generator, device=rows.device)
        step = torch.minimum((share * length).long(), (length - 1).clamp_min(0))
        self._first = replay.steps_at("states", rows, torch.zeros_like(step))
        self._state, self._after = (replay.steps_at("states", rows, step + more) for more in (0, 1))
        self._action = replay.steps_at("actions", rows, step)

    def success(self, proposal: Tensor) -> Tensor:
        """The worker's success `(B,)` under the manager's actions `(B, d)`."""
        return worker_success(*self._arguments(proposal))

    def loss(self, proposal: Tensor) -> Tensor:
        """Minus that, a loss `(B,)` whose gradient reaches the manager alone."""
        return connected_gradient_loss(*self._arguments(proposal))

    def _arguments(self, proposal: Tensor) -> tuple[Any, ...]:
        levels = self._levels
        goal = goal_transition(self._first, levels.to_goal(proposal, self._first), self._state)
        step = (self._state, self._action, self._after)
        return self._cfg.connection.mode, goal, *step, self._act, levels.value, self._reward

    def _act(self, state: Tensor, goal: Tensor) -> Tensor:
        return self._levels.draw(0, state, goal, self._generator)

    def _reward(self, state: Tensor, goal: Tensor, after: Tensor) -> Tensor:
        cfg = self._cfg
        return cfg.worker.reward_scale * worker_reward(cfg.worker_reward, state, goal, after, self._levels.limits)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1.0)
