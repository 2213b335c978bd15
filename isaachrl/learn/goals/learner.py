"""The learner of HIRO (Nachum et al. 2018), of HRL and HRL-CG (Kreidieh et al. 2020), and of flat TD3 and SAC."""

from typing import Any, ClassVar

import torch

from isaachrl.envs.env import Env
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import goal_task
from isaachrl.learn.goals.evaluator import Evaluator
from isaachrl.learn.goals.experience.collector import Collector
from isaachrl.learn.goals.experience.places import EpisodePlaces
from isaachrl.learn.goals.experience.replay import SegmentReplay, Sizes
from isaachrl.learn.goals.exports import exports
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.policy import GoalPolicy
from isaachrl.learn.goals.state_env import with_state
from isaachrl.learn.goals.updates.beside import beside
from isaachrl.learn.goals.updates.manager_update import ManagerUpdate
from isaachrl.learn.goals.updates.top_update import TopUpdate
from isaachrl.learn.goals.updates.trainer import LevelTrainer, Schedule, warn_if_untrained
from isaachrl.learn.goals.updates.worker_update import WorkerUpdate
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.maths.seeds import Stream, sub_seed


class GoalsLearner(Learner):
    """Levels that learn off-policy: a worker that acts, and managers that set goals.

    Args:
        env: an environment whose task is a `GoalTask`, or another one (`state_env`).
        cfg: the learner's configuration.
        seed: of weights, exploration and draws.

    Attributes:
        levels: the networks.
        collector: acts and stores segments.
        replays: `replays[i]` holds the segments of the manager at level i + 1 (the worker is level 0); without
            managers, a single replay holds single steps.
        places: that environments reached, if targets of the top level need what followed a segment.
        trainers: of all levels, from the worker up.
        top_update: the update of the top level, which the last trainer runs.
        steps: taken by every environment.
        generator, worker_generator: of all draws; of the worker's updates, the same one but with two threads.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = (
        "eval/success_rate",
        "eval/return",
        "episode/success_rate",
        "episode/return",
        "acting/metres_per_goal",
        "acting/flipped",
    )

    def __init__(self, env: Env, cfg: GoalsCfg, seed: int) -> None:
        env = with_state(env, flat=not cfg.meta_periods)
        self.env, self.cfg = env, cfg
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = self.steps = 0
        torch.manual_seed(sub_seed(seed, Stream.weights))
        self.generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        self.worker_generator = self._worker_generator()
        self.levels = Levels(env, cfg, self.generator, self.worker_generator)
        self.replays = self._replays()
        self.places = self._places() if cfg.linked else None
        make_top = TopUpdate if self.levels.flat else ManagerUpdate
        self.top_update = make_top(cfg, self.levels, self.replays[-1], goal_task(env), self.generator, self.places)
        self.trainers = self._trainers()
        self.collector = Collector(env, cfg, self.levels, self.replays, self.generator, self.places)
        self.evaluator = Evaluator(
            env, cfg.eval_episodes, seed, lambda twin: GoalPolicy(twin, cfg, self.levels, show_goal=False)
        )
        self._update_after = cfg.warmup_steps  # steps; later if a resumed run has to fill a new replay first

    def _worker_generator(self) -> torch.Generator:
        """The generator of the worker's updates: another one if they have a thread of their own."""
        device = self.env.device
        if self.cfg.threads == 1 or device.type != "cpu":
            return self.generator
        return torch.Generator(device=device).manual_seed(sub_seed(self.generator.initial_seed(), Stream.weights))

    @property
    def _two_threads(self) -> bool:
        return self.worker_generator is not self.generator

    def _replays(self) -> list[SegmentReplay]:
        """A replay for the segments of each manager, or one for single steps. All hold the same number of steps."""
        env, cfg = self.env, self.cfg
        periods, goal_size = (cfg.periods, cfg.goal_size) if cfg.periods else ([1], 0)
        # a segment contains the actions of the level below its manager, which are `stride` steps apart
        strides, action_sizes = [1, *periods[:-1]], [env.action_size, *[goal_size] * (len(periods) - 1)]
        replays = []
        for steps, stride, action_size in zip(periods, strides, action_sizes, strict=True):
            context = env.obs_sizes.get("context", 0)
            linked = cfg.linked and steps == periods[-1]
            sizes = Sizes(steps, env.obs_sizes["state"], action_size, goal_size, context, stride, linked)
            capacity = max(cfg.replay_steps // steps, env.num_envs)
            replays.append(SegmentReplay(capacity, sizes, env.device, cfg.recent_share))
        return replays

    def _places(self) -> EpisodePlaces:
        """The places of the steps that the replay holds, and of a segment more."""
        env, replay = self.env, self.replays[-1]
        steps = (replay.capacity // env.num_envs + 2) * replay.sizes.steps
        return EpisodePlaces(steps, env.num_envs, replay.sizes.context, env.episode_steps, env.device)

    def _trainers(self) -> list[LevelTrainer]:
        """The trainers: a lower level learns from the segments of the manager above it, the top level from its own."""
        cfg, levels = self.cfg, self.levels
        lower = range(len(levels.all) - 1)
        generators = [self.worker_generator, *[self.generator] * len(lower)]
        updates = [WorkerUpdate(cfg, levels, number, self.replays[number], generators[number]) for number in lower]
        schedules = [Schedule(level.cfg.updates_per_step) for level in levels.all]
        decision_steps = [1, *cfg.periods]  # environment steps per decision of each level
        return list(map(LevelTrainer, [*updates, self.top_update], schedules, decision_steps))

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.steps_per_iteration * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`: steps of all environments, each followed by the updates that are due."""
        cfg = self.cfg
        for level in self.levels.all:
            level.anneal_learning_rates(self.iteration / cfg.max_iterations)
        self.top_update.anneal(self.iteration / cfg.max_iterations)
        count = cfg.periods[0] if self._two_threads else cfg.steps_per_iteration
        for _ in range(cfg.steps_per_iteration // count):
            self.levels.refresh()
            if self._two_threads and self.steps >= self._update_after:
                self._steps_beside_the_worker(count)
            else:
                self._steps(count, self.trainers)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        if self.iteration == cfg.max_iterations:
            warn_if_untrained(self.steps, self._update_after, cfg.steps_per_iteration)
        return self._signals()

    def _steps(self, count: int, trainers: list[LevelTrainer]) -> None:
        """Steps of all environments, each followed by the updates that are due."""
        for _ in range(count):
            update_due = self.steps >= self._update_after
            self.collector.uniform = self.cfg.warmup_uniform and self.steps < self.cfg.warmup_steps
            self.collector.step()
            self.steps += 1
            for trainer in trainers if update_due else ():
                trainer.train(self.steps)

    def _steps_beside_the_worker(self, count: int) -> None:
        """The same, with the worker's updates on a second thread; what is stored meanwhile can be drawn afterwards."""
        worker, *others = self.trainers
        steps, replay = range(self.steps + 1, self.steps + count + 1), self.replays[0]

        def update_worker() -> None:
            for number in steps:
                worker.train(number)

        replay.hold()
        with beside(update_worker):
            self._steps(count, others)
        replay.release()

    def _signals(self) -> dict[str, float]:
        """Signals of this iteration, and of an evaluation if one is due."""
        signals = self.collector.episodes.read() | self.collector.means.read()
        for trainer in self.trainers:
            signals |= trainer.update.means.read()
        if self.cfg.eval_every > 0 and self.iteration % self.cfg.eval_every == 0:
            signals |= self.evaluator()
        return signals

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return GoalPolicy(self.env, self.cfg, self.levels)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`."""
        return exports(self.env, self.cfg, self.levels)

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        state: dict[str, Any] = {
            "levels": self.levels.state_dict(),
            "collector": self.collector.state_dict(),
            "top_update": self.top_update.state_dict(),
            "generator": self.generator.get_state(),
            "schedules": [trainer.schedule.remainder for trainer in self.trainers],
            "learn_from": self._update_after,
            "iteration": self.iteration,
            "samples": self.samples,
            "steps": self.steps,
        }
        if self._two_threads:
            state["worker_generator"] = self.worker_generator.get_state()
        if self.cfg.checkpoint_replay:
            state["replays"] = [replay.state_dict() for replay in self.replays]
            state |= {} if self.places is None else {"places": self.places.state_dict()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`. Without a stored replay, a new one fills up before the next update.

        Raises:
            ValueError: the layout is that of an older version.
        """
        _check_layout(state)
        self.levels.load_state_dict(state["levels"])
        self.collector.load_state_dict(state["collector"])
        self.iteration, self.samples, self.steps = state["iteration"], state["samples"], state["steps"]
        self._update_after = state["learn_from"]
        for trainer, remainder in zip(self.trainers, state["schedules"], strict=True):
            trainer.schedule.remainder = remainder
        with_replay = "replays" in state
        if with_replay:
            for replay, stored in zip(self.replays, state["replays"], strict=True):
                replay.load_state_dict(stored)
            if self.places is not None:
                self.places.load_state_dict(state["places"])
        else:
            self._update_after = self.steps + self.cfg.warmup_steps
        # a manager's update may hold row numbers of its replay (`RelabelledPool`): invalid without the stored replay
        self.top_update.load_state_dict(state["top_update"], with_replay)
        self.generator.set_state(state["generator"].cpu())
        if self._two_threads:
            self.worker_generator.set_state(state["worker_generator"].cpu())

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        return {
            "levels": self.levels.weights(),
            "top_update": self.top_update.weights(),
            "iteration": self.iteration,
            "samples": self.samples,
        }

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`.

        Raises:
            ValueError: the layout is that of an older version.
        """
        _check_layout(state)
        self.levels.load_weights(state["levels"])
        self.top_update.load_weights(state["top_update"])
        self.iteration, self.samples = state["iteration"], state["samples"]


def _check_layout(state: dict[str, Any]) -> None:
    """Raise a ValueError if a state was written before levels had the present names."""
    if "top_update" not in state:
        raise ValueError(
            "an older version of this learner wrote it, with other names; use it with that version, or train again"
        )
