"""Levels that all learn off-policy, on N environments at once: HIRO, HRL without correction, HRL-CG."""

from typing import Any, ClassVar

import torch

from isaachrl.envs.env import Env
from isaachrl.learn.goals.check import Check
from isaachrl.learn.goals.collect import Collector
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import goal_task
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.policy import GoalPolicy, exports
from isaachrl.learn.goals.replay import SegmentReplay, Sizes
from isaachrl.learn.goals.schedule import Schedule, warn_if_nothing_was_learned
from isaachrl.learn.goals.update import ManagerUpdate, PursuerUpdate
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.maths.seeds import Stream, sub_seed


class GoalsLearner(Learner):
    """A manager sets goals every few steps, a worker pursues them; managers may stand one above the other.

    Args:
        env: an environment whose task says what goals are about (see `GoalTask`).
        cfg: its configuration.
        seed: of weights, exploration and draws.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = (
        "check/success_rate",
        "check/return",
        "episode/success_rate",
        "episode/return",
        "acting/metres_per_goal",
        "acting/flipped",
    )

    def __init__(self, env: Env, cfg: GoalsCfg, seed: int) -> None:
        self.env, self.cfg = env, cfg
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = self.steps = 0
        torch.manual_seed(sub_seed(seed, Stream.weights))
        self.generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        self.levels = Levels(env, cfg, self.generator)
        self.replays = self._replays()
        self.replay = self.replays[0]
        self.worker_update, *self.middle_updates = [
            PursuerUpdate(cfg, self.levels, number, replay, self.generator)
            for number, replay in enumerate(self.replays)
        ]
        self.manager_update = ManagerUpdate(cfg, self.levels, self.replays[-1], goal_task(env), self.generator)
        self.collector = Collector(env, cfg, self.levels, self.replays, self.generator)
        self.check = Check(
            env, cfg.check_episodes, seed, lambda where: GoalPolicy(where, cfg, self.levels, shown=False)
        )
        self._learn_from = cfg.warmup_steps
        self._due = [Schedule(level.updates_per_step) for level in cfg.level_cfgs()]

    def _replays(self) -> list[SegmentReplay]:
        """The memories of each manager's segments, of the lowest first. All reach back the same number of steps."""
        env, cfg = self.env, self.cfg
        strides, actions = [1, *cfg.periods[:-1]], [env.action_size, *[cfg.goal_size] * (len(cfg.periods) - 1)]
        replays = []
        for steps, stride, action in zip(cfg.periods, strides, actions, strict=True):
            context = env.obs_sizes.get("context", 0)
            sizes = Sizes(steps, env.obs_sizes["state"], action, cfg.goal_size, context, stride)
            capacity = max(cfg.replay_steps // steps, env.num_envs)
            replays.append(SegmentReplay(capacity, sizes, env.device, self.generator))
        return replays

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.steps_per_iteration * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`: steps of all environments, each followed by the updates that are due."""
        cfg = self.cfg
        progress = self.iteration / cfg.max_iterations
        pretraining = progress < cfg.pretrain_worker_until
        frozen = progress >= cfg.freeze_worker_at
        for level in self.levels.all:
            level.slow_down(progress)
        for _ in range(cfg.steps_per_iteration):
            warm = self.steps >= self._learn_from
            self.collector.uniform_actions = cfg.warmup_uniform and self.steps < cfg.warmup_steps
            self.collector.uniform_goals = self.collector.uniform_actions or pretraining
            self.collector.step()
            self.steps += 1
            if not warm:
                continue
            for _ in range(0 if frozen else self._due[0].updates()):
                self.worker_update.step()
            if not pretraining:
                self._update_managers()
        self.iteration += 1
        self.samples += self.samples_per_iteration
        if self.iteration == cfg.max_iterations:
            warn_if_nothing_was_learned(self.steps, self._learn_from, cfg.steps_per_iteration)
        return self._signals()

    def _update_managers(self) -> None:
        """Updates of the managers whose period is over."""
        for number, update in enumerate(self.middle_updates):
            due = self.steps % self.cfg.periods[number] == 0
            for _ in range(self._due[number + 1].updates() if due else 0):
                update.step()
        if self.steps % self.cfg.periods[-1] == 0:
            self.manager_update.refresh()
            for _ in range(self._due[-1].updates()):
                self.manager_update.step()

    def _signals(self) -> dict[str, float]:
        """What happened in this iteration; every so often a check comes along."""
        signals = self.collector.episodes.read() | self.collector.signals.read()
        for update in (self.worker_update, *self.middle_updates, self.manager_update):
            signals |= update.tally.read()
        if self.cfg.check_every > 0 and self.iteration % self.cfg.check_every == 0:
            signals |= self.check()
        return signals

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return GoalPolicy(self.env, self.cfg, self.levels)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`."""
        return exports(self.env, self.cfg, self.levels)

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        state = {
            "levels": self.levels.state_dict(),
            "collector": self.collector.state_dict(),
            "manager_update": self.manager_update.state_dict(),
            "generator": self.generator.get_state(),
            "due": [due.owed for due in self._due],
            "learn_from": self._learn_from,
            "iteration": self.iteration,
            "samples": self.samples,
            "steps": self.steps,
        }
        if self.cfg.checkpoint_replay:
            state["replay"], *state["higher_replays"] = [replay.state_dict() for replay in self.replays]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`. Without a stored replay, a new one fills up before the next update."""
        self.levels.load_state_dict(state["levels"])
        self.collector.load_state_dict(state["collector"])
        self.iteration, self.samples, self.steps = state["iteration"], state["samples"], state["steps"]
        self._learn_from = state["learn_from"]
        for due, owed in zip(self._due, state["due"], strict=True):
            due.owed = owed
        if "replay" in state:
            stored = [state["replay"], *state.get("higher_replays", [])]
            for replay, own in zip(self.replays, stored, strict=True):
                replay.load_state_dict(own)
        else:
            self._learn_from = self.steps + self.cfg.warmup_steps
        self.manager_update.load_state_dict(state["manager_update"], with_replay="replay" in state)
        self.generator.set_state(state["generator"].cpu())

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        return {
            "levels": self.levels.weights(),
            "manager_update": self.manager_update.weights(),
            "iteration": self.iteration,
            "samples": self.samples,
        }

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        self.levels.load_weights(state["levels"])
        if "manager_update" in state:  # some older files of weights hold the levels alone
            self.manager_update.load_weights(state["manager_update"])
        self.iteration, self.samples = state["iteration"], state["samples"]
