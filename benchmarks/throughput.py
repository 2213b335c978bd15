"""Speed of an environment relative to the bare engine, measured in one run so that drifts of the machine cancel.

    python benchmarks/throughput.py task=HumanoidAMP num_envs=1024 [sim=…] [seconds=20] [skill=PATH] [threads=N]
                                    [loop=none|ase|motion]

Blocks of about half a second of `env.step` alternate with blocks of the bare engine, which has the same compiled model,
number of worlds and threads, and repeats the physics steps of the environment's block from the same states with the
same controls (on a GPU, where replayed graphs do not expose controls, always with the last ones). `ratio` is the median
over pairs of blocks. Actions are normal with a standard deviation of 0.05 around the mean pose of the motions or, above
a skill, random latents. Without a skill file it uses an untrained skill of the default sizes, which takes the same
time.

`loop=` measures the training of a skill with that kind of latents and the recipe of the device: a block is then some
iterations, `env_steps_per_s` counts samples, and `phases` are shares of the time (on the CPU): `physics`, the rest of
the environment's step (`observations`: also style, rewards, resets), `inference` (the networks that act, and writing
the rollout) and `update`. One JSON line goes to standard output, a table to standard error. `bench.py` compares with
other libraries.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import torch
from omegaconf import OmegaConf
from torch import Tensor

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.envs import Env, TaskEnv
from isaachrl.envs.registry import entry
from isaachrl.errors import ConfigError, IsaacHRLError
from isaachrl.hierarchy.build import NO_SKILL, skill_path
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.learn.skills import SkillsCfg, SkillsLearner
from isaachrl.run.build import build_env, build_learner
from isaachrl.run.config.settings import resolve
from isaachrl.sim.bare import bare_engine
from isaachrl.sim.worlds import CpuWorlds

ACTION_STD = 0.05
BLOCK_S = 0.5
BLOCK_CONTROL_STEPS = 30  # in longer blocks bodies of the bare engine, which has no resets, have fallen
SETTLE_STEPS = 10
RANDOM = "random"
TRAIN_FILES = Path(__file__).resolve().parents[1] / "cfg" / "train"
PHASES = ("physics", "observations", "inference", "update")


@dataclass
class Options:
    """The command line.

    Args:
        task: registered name.
        num_envs: N.
        sim: engine.
        seconds: length of the measurement.
        skill: skill file of a hierarchical task; empty: the task's own or, without that, a random one.
        threads: threads of PyTorch; 0: its default.
        loop: kind of latents of the training to measure; empty: measures the environment.
    """

    task: str = "HumanoidAMP"
    num_envs: int = 1024
    sim: str = "auto"
    seconds: float = 20.0
    skill: str = ""
    threads: int = 0
    loop: str = ""


@dataclass(frozen=True)
class Pair:
    """Control steps of all worlds per second in two neighbouring blocks.

    Args:
        env: of the environment, or samples of the training.
        bare: of the bare engine.
    """

    env: float
    bare: float


def make_env(options: Options, folder: str) -> tuple[Env, str]:
    """The environment, and its skill: a path, `random`, or `none`."""
    cfg_type = entry(options.task).cfg_type
    if not hasattr(cfg_type, "skill"):
        return isaachrl.make(options.task, num_envs=options.num_envs, sim=options.sim), NO_SKILL
    skill = options.skill or str(entry(options.task).configure({}).skill)
    name = skill
    try:
        skill_path(skill)
    except IsaacHRLError:
        if options.skill:
            raise
        skill, name = random_skill(folder), RANDOM
    cfg = {"task": {"skill": skill}}
    return isaachrl.make(options.task, num_envs=options.num_envs, sim=options.sim, cfg=cfg), name


def random_skill(folder: str) -> str:
    """Write an untrained skill of the default sizes, whose action is the mean pose for every latent."""
    env = isaachrl.make("HumanoidAMP", num_envs=1)
    path = Path(folder) / "skill.pt"
    cfg = config.build(SkillsCfg, {"discriminator": {"demo_windows": 16}})  # few demonstrations, full sizes
    SkillsLearner(env, cfg, seed=0).skill.save(path)
    return str(path)


def innermost(env: Env) -> TaskEnv:
    """The environment that steps the physics.

    Raises:
        ConfigError: there is none.
    """
    while isinstance(env, HierarchicalEnv):
        env = env.inner
    if not isinstance(env, TaskEnv):
        raise ConfigError("this benchmark measures simulated tasks")
    return env


def control_steps(env: Env) -> int:
    """Control steps that one step of the environment takes in every world."""
    return env.cfg.steps * control_steps(env.inner) if isinstance(env, HierarchicalEnv) else 1


def wait(device: torch.device) -> None:
    """Synchronize a GPU before the clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def make_learner(options: Options) -> SkillsLearner:
    """A learner of skills with the recipe of the device, and its environment.

    Raises:
        ConfigError: the task does not train a skill.
    """
    path = TRAIN_FILES / f"{options.task}.yaml"
    train = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
    composed = {"task": {"name": options.task}, "train": train, "sim": options.sim}
    typed = {"num_envs": options.num_envs, "train": {"latents": options.loop}}
    settings = resolve(composed, typed)
    learner = build_learner(settings, build_env(settings, settings.num_envs, seed=0))
    if not isinstance(learner, SkillsLearner):
        raise ConfigError(f"loop={options.loop} measures the training of a skill; type task=HumanoidAMP")
    return learner


def chooser(env: Env) -> Callable[[], Tensor]:
    """A function that draws the next action of all environments."""
    mean = torch.zeros(env.action_size, device=env.device)
    if isinstance(env, TaskEnv):
        mean = getattr(env.task, "mean_action", lambda: mean)()
    std = ACTION_STD if isinstance(env, TaskEnv) else 1.0
    generator = torch.Generator(device=env.device).manual_seed(1)
    shape = (env.num_envs, env.action_size)
    return lambda: mean + std * torch.randn(shape, generator=generator, device=env.device)


class Stepping:
    """Measures steps of an environment.

    Attributes:
        unit: control steps per step.

    Args:
        env: the environment, possibly of several levels.
    """

    def __init__(self, env: Env) -> None:
        self.env, self.unit = env, control_steps(env)
        self._act = chooser(env)

    def prepare(self, segments: int) -> Callable[[], None]:
        """A function that takes so many steps."""
        actions = [self._act() for _ in range(segments)]

        def work() -> None:
            with torch.no_grad():
                for action in actions:
                    self.env.step(action)

        return work

    def phases(self) -> dict[str, float]:
        """Empty: the phases of steps are not measured."""
        return {}


class Training:
    """Measures iterations of a learner, and the time of each phase.

    Attributes:
        unit: control steps per iteration.

    Args:
        learner: the learner.
    """

    def __init__(self, learner: SkillsLearner) -> None:
        self.env, self.unit, self._iterate = learner.env, learner.cfg.horizon, learner.iterate
        self._seconds = {"iterate": 0.0, "step": 0.0, "physics": 0.0, "update": 0.0}
        self._timed(learner, "_learn", "update")
        self._timed(learner.env, "step", "step")
        self._timed(innermost(learner.env).sim, "step", "physics")

    def _timed(self, owner: object, name: str, phase: str) -> None:
        """Sum up the time that a method takes."""
        method = getattr(owner, name)

        def timed(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = method(*arguments)
            self._seconds[phase] += time.perf_counter() - start
            return result

        setattr(owner, name, timed)

    def prepare(self, segments: int) -> Callable[[], None]:
        """A function that runs so many iterations."""

        def work() -> None:
            start = time.perf_counter()
            for _ in range(segments):
                self._iterate()
            self._seconds["iterate"] += time.perf_counter() - start

        return work

    def phases(self) -> dict[str, float]:
        """Share of each phase in the time of all iterations; empty on a GPU, which works asynchronously."""
        if self.env.device.type != "cpu":
            return {}
        total, step, physics, update = (self._seconds[name] for name in ("iterate", "step", "physics", "update"))
        seconds = (physics, step - physics, total - step - update, update)
        return {name: round(value / total, 3) for name, value in zip(PHASES, seconds, strict=True)}


class Duel:
    """Compares an environment with its bare engine.

    Args:
        work: steps or iterations.
    """

    def __init__(self, work: Stepping | Training) -> None:
        self.work, self.env, self.inner = work, work.env, innermost(work.env)
        self.bare = bare_engine(self.inner.sim)
        self._ctrl: list[Tensor] = []
        apply = self.inner.task.apply

        def recorded(action: Tensor) -> None:
            apply(action)
            self._ctrl.append(self.inner.sim.ctrl.clone())

        setattr(self.inner.task, "apply", recorded)  # noqa: B010 - copying the controls takes far less than 1 %

    def block(self, segments: int) -> Pair:
        """Time some segments of work, then the same physics on the bare engine."""
        self.bare.follow()
        self._ctrl.clear()
        work = self.work.prepare(segments)
        wait(self.env.device)
        start = time.perf_counter()
        work()
        wait(self.env.device)
        env_s = time.perf_counter() - start
        if self.env.step_graph is not None:
            self._ctrl[:] = [self.inner.sim.ctrl.clone()] * (segments * self.work.unit)
        substeps = self.inner.task.cfg.substeps
        start = time.perf_counter()
        for ctrl in self._ctrl:
            self.bare.step(ctrl, substeps)
        wait(self.env.device)
        bare_s = time.perf_counter() - start
        taken = len(self._ctrl) * self.env.num_envs
        return Pair(taken / env_s, taken / bare_s)

    def run(self, seconds: float) -> list[Pair]:
        """Pairs of blocks until the time is over, at least three."""
        self.block(max(1, SETTLE_STEPS // self.work.unit))
        start = time.perf_counter()
        self.block(1)
        segments = round(2 * BLOCK_S / (time.perf_counter() - start))
        segments = max(1, min(segments, BLOCK_CONTROL_STEPS // self.work.unit))
        end = time.perf_counter() + seconds
        pairs: list[Pair] = []
        while len(pairs) < 3 or time.perf_counter() < end:
            pairs.append(self.block(segments))
        return pairs


def summary(options: Options, duel: Duel, pairs: Sequence[Pair], skill: str) -> dict[str, Any]:
    """The result."""
    worlds, task = duel.inner.sim.worlds, duel.inner.task
    warp = worlds.ENGINE == "mujoco_warp"
    ratios = sorted(pair.env / pair.bare for pair in pairs)
    quarter = len(ratios) // 4
    bare = statistics.median(pair.bare for pair in pairs)
    return {
        "task": options.task,
        "loop": options.loop,
        "num_envs": options.num_envs,
        "device": str(worlds.device),
        "engine": worlds.ENGINE,
        "graph": duel.env.step_graph is not None,
        "versions": {name: version(name) for name in ("torch", "mujoco", *(["mujoco-warp"] if warp else []))},
        "cores": os.cpu_count(),
        "engine_threads": worlds.num_threads if isinstance(worlds, CpuWorlds) else 0,
        "torch_threads": torch.get_num_threads(),
        "skill": skill,
        "substeps": task.cfg.substeps,
        "physics_steps_per_s": round(bare * task.cfg.substeps),
        "bare_control_steps_per_s": round(bare),
        "env_steps_per_s": round(statistics.median(pair.env for pair in pairs)),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_quartiles": [round(ratios[quarter], 4), round(ratios[-1 - quarter], 4)],
        "phases": duel.work.phases(),
        "blocks": len(pairs),
    }


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    words = {key: value for key, _, value in (word.partition("=") for word in arguments)}
    options = config.build(Options, words)
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        if options.loop:
            work, skill = Training(make_learner(options)), NO_SKILL
        else:
            env, skill = make_env(options, folder)
            work = Stepping(env)
        duel = Duel(work)
        pairs = duel.run(options.seconds)
    result = summary(options, duel, pairs, skill)
    for name, value in (asdict(options) | result).items():
        print(f"{name:>26}  {value}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
