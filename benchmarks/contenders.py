"""One contender of `bench.py`, in a process of its own: each library has its own interpreter, threads and memory.

    python benchmarks/contenders.py NAME NUM_ENVS FOLDER

Prints a line of JSON with the contender's facts, or with `missing` if its library cannot be imported. Then, for each
number of seconds on a line of the standard input, it works that long and prints what it did. Only the standard library
and NumPy are imported at the top: an interpreter that has nothing but mjbatch runs this file, too.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np

MODEL, STATES = "humanoid.xml", "states.npz"  # of the folder: the humanoid of this project, and start states
ACTION_STD = 0.05  # of random joint targets around the mean pose
RESTART_STEPS = 30  # control steps after which an engine without resets starts again: later, bodies have fallen
GYMNASIUM_ENVS_PER_CORE = 8
WARP_WORLDS = 64  # enough on the CPU, where it uses one core and steps one world after another
RK4 = 4  # evaluations of the dynamics in a physics step of this integrator; of all others 1
GYMNASIUM_TASKS = {"Humanoid-v5": 0.003, "Ant-v5": 0.01}  # length of a physics step, s
GYMNASIUM_SUBSTEPS = 5


@dataclass(frozen=True)
class Work:
    """Something to measure.

    Args:
        facts: what the table shows of it: `worlds`, `motors`, `senses`, `substeps`, `timestep_s`, `evaluations` (of the
            dynamics in a physics step), `version`.
        work: does a little, and returns the number of control steps over all worlds.
        processor_s: processor time so far, of all its processes.
    """

    facts: dict[str, Any]
    work: Callable[[], int]
    processor_s: Callable[[], float] = field(default=time.process_time)


def environment(task: str, num_envs: int, folder: Path, **cfg: Any) -> Work:
    """Steps of a task of this project, with random actions."""
    env = make_env(task, num_envs, cfg)
    import torch

    env.reset()
    generator = torch.Generator().manual_seed(1)
    mean = getattr(env.task, "mean_action", lambda: torch.zeros(env.action_size))()
    shape, std = (num_envs, env.action_size), ACTION_STD if hasattr(env.task, "mean_action") else 0.5

    def step() -> int:
        with torch.no_grad():
            env.step(mean + std * torch.randn(shape, generator=generator))
        return num_envs

    return Work(own_facts(env), step)


def make_env(task: str, num_envs: int, cfg: dict[str, Any], sim: str = "mujoco") -> Any:
    """An environment of this project on the CPU, with these keys of the task."""
    import isaachrl  # before PyTorch: it chooses how PyTorch's threads wait
    import tasks  # noqa: F401 - importing them registers them

    return isaachrl.make(task, num_envs=num_envs, sim=sim, device="cpu", cfg={"task": cfg})


def own_facts(env: Any) -> dict[str, Any]:
    """The facts of a simulated task of this project."""
    substeps = env.task.cfg.substeps
    return {
        "worlds": env.num_envs, "motors": env.action_size, "senses": env.policy_input_size, "substeps": substeps,
        "timestep_s": env.step_s / substeps, "evaluations": RK4 if env.sim.scene.integrator.value == "rk4" else 1,
        "version": released("mujoco"),
    }  # fmt: skip


def released(package: str) -> str:
    """Name and version of a package."""
    return f"{package} {version(package)}"


def gymnasium_facts(name: str, spaces: Any, num_envs: int, package: str) -> dict[str, Any]:
    """The facts of a task of Gymnasium's, in that library or another."""
    return {
        "worlds": num_envs, "motors": spaces.action_space.shape[-1], "senses": spaces.observation_space.shape[-1],
        "substeps": GYMNASIUM_SUBSTEPS, "timestep_s": GYMNASIUM_TASKS[name], "evaluations": RK4,
        "version": released(package),
    }  # fmt: skip


def uniform_steps(env: Any, space: Any, num_envs: int) -> Callable[[], int]:
    """A function that takes a step with actions drawn evenly from their range."""
    random, shape = np.random.default_rng(0), (num_envs, *space.shape[-1:])

    def step() -> int:
        env.step(random.uniform(space.low, space.high, shape).astype(space.dtype))
        return num_envs

    return step


def envpool(name: str, num_envs: int, folder: Path) -> Work:
    """Steps of an environment of EnvPool."""
    env = importlib.import_module("envpool").make_gymnasium(name, num_envs=num_envs)
    env.reset()
    return Work(gymnasium_facts(name, env, num_envs, "envpool"), uniform_steps(env, env.action_space, num_envs))


def gymnasium(name: str, num_envs: int, folder: Path) -> Work:
    """Steps of Gymnasium's vector environment, a process for each world."""
    gym, psutil = importlib.import_module("gymnasium"), importlib.import_module("psutil")
    count = min(num_envs, GYMNASIUM_ENVS_PER_CORE * (os.cpu_count() or 1))
    env = gym.make_vec(name, num_envs=count, vectorization_mode="async")
    env.reset()
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]

    def processor_s() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    facts = gymnasium_facts(name, env, count, "gymnasium")
    return Work(facts, uniform_steps(env, env.single_action_space, count), processor_s)


def engine(module: str, num_envs: int, folder: Path, **options: Any) -> Work:
    """Physics alone: a batch of MuJoCo worlds, of `mujoco.batch` or of mjbatch, which have the same interface."""
    batches, mujoco = importlib.import_module(module), importlib.import_module("mujoco")
    states = np.load(folder / STATES)
    model = mujoco.MjModel.from_xml_path(str(folder / MODEL))
    batch = batches.Batch(model, num_envs, **options)
    bound = {name: batch.bind(name) for name in ("qpos", "qvel", "ctrl")}
    random, substeps = np.random.default_rng(0), int(states["substeps"])

    def steps() -> int:
        for name in ("qpos", "qvel"):
            bound[name][:] = states[name]
        for _ in range(RESTART_STEPS):
            bound["ctrl"][:] = random.normal(0.0, ACTION_STD, bound["ctrl"].shape)
            batch.step(None, substeps)
        return RESTART_STEPS * num_envs

    facts = {
        "worlds": num_envs, "motors": model.nu, "senses": 0, "substeps": substeps, "timestep_s": model.opt.timestep,
        "evaluations": 1, "version": released("mjbatch" if module == "mjbatch" else "mujoco"),
    }  # fmt: skip
    return Work(facts, steps)


def warp(num_envs: int, folder: Path) -> Work:
    """Physics alone: MuJoCo Warp, on the CPU."""
    importlib.import_module("mujoco_warp")
    count = min(num_envs, WARP_WORLDS)
    env = make_env("HumanoidAMP", count, {}, sim="mujoco_warp")
    env.reset()
    import torch

    from isaachrl.sim.bare import bare_engine

    bare, substeps = bare_engine(env.sim), env.task.cfg.substeps
    generator, shape = torch.Generator().manual_seed(1), (count, env.action_size)
    steps = 0

    def step() -> int:
        nonlocal steps
        if steps % RESTART_STEPS == 0:
            bare.follow()
        steps += 1
        bare.step(ACTION_STD * torch.randn(shape, generator=generator), substeps)
        return count

    return Work(own_facts(env) | {"senses": 0, "version": released("mujoco-warp")}, step)


def ppo(task: str, num_envs: int, folder: Path, **cfg: Any) -> Work:
    """PPO of this project on one of its tasks, or on one of EnvPool's."""
    from isaachrl.learn.ppo.config import PpoCfg
    from isaachrl.learn.ppo.learner import PpoLearner

    if task in GYMNASIUM_TASKS:
        from envpool_env import EnvPoolEnv

        env: Any = EnvPoolEnv(task, num_envs)
        facts = gymnasium_facts(task, env.pool, num_envs, "envpool")
    else:
        env = make_env(task, num_envs, cfg)
        facts = own_facts(env)
    learner = PpoLearner(env, PpoCfg(horizon=8, minibatch=2 * num_envs), seed=0)
    return Work(facts, partial(iterate, learner))


def amp(num_envs: int, folder: Path) -> Work:
    """Training of a skill by this project, as `task=HumanoidAMP` does it."""
    import throughput

    learner = throughput.make_learner(throughput.Options(num_envs=num_envs, sim="mujoco", loop="motion"))
    return Work(own_facts(learner.env), partial(iterate, learner))


def iterate(learner: Any) -> int:
    """One iteration; returns its samples."""
    learner.iterate()
    return learner.samples_per_iteration


BUILD: dict[str, Callable[[int, Path], Work]] = {
    "humanoid": partial(environment, "HumanoidAMP"),
    "humanoid_envpool": partial(envpool, "Humanoid-v5"),
    "humanoid_gymnasium": partial(gymnasium, "Humanoid-v5"),
    "ant": partial(environment, "AntMaze"),
    "ant_rk4": partial(environment, "AntMaze", integrator="rk4"),
    "ant_envpool": partial(envpool, "Ant-v5"),
    "ant_gymnasium": partial(gymnasium, "Ant-v5"),
    "mujoco": partial(engine, "mujoco.batch", persistent=True),
    "mjbatch": partial(engine, "mjbatch"),
    "warp": warp,
    "ppo_humanoid": partial(ppo, "HumanoidLocation", skill="none"),
    "ppo_humanoid_envpool": partial(ppo, "Humanoid-v5"),
    "amp": amp,
    "ppo_ant": partial(ppo, "AntMaze"),
    "ppo_ant_envpool": partial(ppo, "Ant-v5"),
}


def measure(work: Work, seconds: float) -> dict[str, float]:
    """Work for some seconds, at least once: control steps, seconds, and processor time."""
    steps, start, processor = 0, time.perf_counter(), work.processor_s()
    while steps == 0 or time.perf_counter() - start < seconds:
        steps += work.work()
    return {"steps": steps, "wall_s": time.perf_counter() - start, "processor_s": work.processor_s() - processor}


def serve(name: str, num_envs: int, folder: Path, requests: TextIO, answers: TextIO) -> None:
    """Build a contender, then measure it for as long as each line asks; see the top of the file."""

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        work = BUILD[name](num_envs, folder)
    except ImportError as error:
        answer({"missing": str(error)})
        return
    measure(work, 0.0)  # what is made at the first step
    answer(work.facts)
    for line in requests:
        answer(measure(work, float(line)))


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print, too
    serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.stdin, own)
