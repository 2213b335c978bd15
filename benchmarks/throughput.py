"""How much of the engine's speed reaches the learner, measured in one run so that the machine's mood cancels.

    python benchmarks/throughput.py task=HumanoidAMP num_envs=1024 [sim=…] [seconds=20] [skill=PATH] [threads=N]

Blocks of about half a second of `env.step` alternate with blocks of the bare engine: the same compiled model, as
many worlds, the same threads, and from the very states that the environment's block began with the very controls
that it applied, physics step for physics step (on a GPU, where steps are replayed as graphs and no controls can be
noted in between, with the last of them throughout). `ratio` is the median over pairs of blocks. Episodes start as the
task starts them; actions are normal with a standard deviation of 0.05 around the mean pose of the motions, or, above
a skill, commands in all directions. Without a skill file a random one of the default sizes is made: it costs the same.
One JSON line goes to standard output, a table for people to standard error.
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
from torch import Tensor

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.envs import Env, TaskEnv
from isaachrl.envs.registry import entry
from isaachrl.errors import ConfigError, IsaacHRLError
from isaachrl.hierarchy.build import NO_SKILL, skill_path
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.learn.skills import SkillsCfg, SkillsLearner
from isaachrl.sim import MujocoSim
from isaachrl.sim.bare import bare_engine

ACTION_STD = 0.05
BLOCK_S = 0.5
BLOCK_CONTROL_STEPS = 30  # longer, and bodies lie on the floor that the environment has put back on their feet
SETTLE_STEPS = 10
RANDOM = "random"


@dataclass
class Options:
    """What can be typed.

    Args:
        task: registered name.
        num_envs: N.
        sim: engine.
        seconds: length of the measurement.
        skill: skill file of a hierarchical task; empty takes the task's own or, without that, a random one.
        threads: threads of PyTorch; 0 leaves them as they are.
    """

    task: str = "HumanoidAMP"
    num_envs: int = 1024
    sim: str = "auto"
    seconds: float = 20.0
    skill: str = ""
    threads: int = 0


@dataclass(frozen=True)
class Pair:
    """Control steps of all worlds per second in two neighbouring blocks.

    Args:
        env: of the environment.
        bare: of the bare engine.
    """

    env: float
    bare: float


def make_env(options: Options, folder: str) -> tuple[Env, str]:
    """The environment, and the skill that drives it: a path, `random`, or `none`."""
    cfg_type = entry(options.task).cfg_type
    if not hasattr(cfg_type, "skill"):
        return isaachrl.make(options.task, num_envs=options.num_envs, sim=options.sim), NO_SKILL
    skill = options.skill or str(cfg_type().skill)
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
    """Write an untrained skill of the default sizes, which asks for the mean pose whatever the command."""
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
    """Let a GPU finish before the clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def chooser(env: Env) -> Callable[[], Tensor]:
    """A function that draws the next action of all environments."""
    mean = torch.zeros(env.action_size, device=env.device)
    if isinstance(env, TaskEnv):
        mean = getattr(env.task, "mean_action", lambda: mean)()
    std = ACTION_STD if isinstance(env, TaskEnv) else 1.0
    generator = torch.Generator(device=env.device).manual_seed(1)
    shape = (env.num_envs, env.action_size)
    return lambda: mean + std * torch.randn(shape, generator=generator, device=env.device)


class Duel:
    """An environment against its bare engine.

    Args:
        env: the environment, possibly of several levels.
    """

    def __init__(self, env: Env) -> None:
        self.env, self.inner = env, innermost(env)
        self.bare = bare_engine(self.inner.sim)
        self.act = chooser(env)
        self._ctrl: list[Tensor] = []
        apply = self.inner.task.apply

        def recorded(action: Tensor) -> None:
            apply(action)
            self._ctrl.append(self.inner.sim.ctrl.clone())

        setattr(self.inner.task, "apply", recorded)  # noqa: B010 - one copy of the controls, far below a percent

    def block(self, steps: int) -> Pair:
        """Take `steps` steps of the environment, then the same physics without it."""
        self.bare.follow()
        self._ctrl.clear()
        actions = [self.act() for _ in range(steps)]
        wait(self.env.device)
        start = time.perf_counter()
        for action in actions:
            self.env.step(action)
        wait(self.env.device)
        env_s = time.perf_counter() - start
        if self.env.step_graph is not None:
            self._ctrl[:] = [self.inner.sim.ctrl.clone()] * (steps * control_steps(self.env))
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
        self.block(SETTLE_STEPS)
        start = time.perf_counter()
        self.block(1)
        steps = round(2 * BLOCK_S / (time.perf_counter() - start))
        steps = max(1, min(steps, BLOCK_CONTROL_STEPS // len(self._ctrl)))
        end = time.perf_counter() + seconds
        pairs: list[Pair] = []
        while len(pairs) < 3 or time.perf_counter() < end:
            pairs.append(self.block(steps))
        return pairs


def summary(options: Options, duel: Duel, pairs: Sequence[Pair], skill: str) -> dict[str, Any]:
    """What is printed."""
    sim, task = duel.inner.sim, duel.inner.task
    warp = not isinstance(sim, MujocoSim)
    ratios = sorted(pair.env / pair.bare for pair in pairs)
    quarter = len(ratios) // 4
    bare = statistics.median(pair.bare for pair in pairs)
    return {
        "task": options.task,
        "num_envs": options.num_envs,
        "device": str(sim.device),
        "engine": "mujoco_warp" if warp else "mujoco",
        "graph": duel.env.step_graph is not None,
        "versions": {name: version(name) for name in ("torch", "mujoco", *(["mujoco-warp"] if warp else []))},
        "cores": os.cpu_count(),
        "engine_threads": 0 if warp else sim.num_threads,
        "torch_threads": torch.get_num_threads(),
        "skill": skill,
        "substeps": task.cfg.substeps,
        "physics_steps_per_s": round(bare * task.cfg.substeps),
        "bare_control_steps_per_s": round(bare),
        "env_steps_per_s": round(statistics.median(pair.env for pair in pairs)),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_quartiles": [round(ratios[quarter], 4), round(ratios[-1 - quarter], 4)],
        "blocks": len(pairs),
    }


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    words = {key: value for key, _, value in (word.partition("=") for word in arguments)}
    options = config.build(Options, words)
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        env, skill = make_env(options, folder)
        duel = Duel(env)
        result = summary(options, duel, duel.run(options.seconds), skill)
    for name, value in (asdict(options) | result).items():
        print(f"{name:>26}  {value}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
