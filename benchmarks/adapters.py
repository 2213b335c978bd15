"""PPO of four libraries on one task, as a figure: `python benchmarks/adapters.py FOLDER [key=value …]`.

With the same hyper-parameters, as far as they have them: rl_games, rsl_rl and skrl as `train=ppo`, `rsl_rl` and `skrl`,
Stable-Baselines3 through its adapter. A library that is not installed is left out. Each writes
`FOLDER/<library>/metrics.jsonl`, all together write `curves.png`. Prints the mean reward of the first and of the last
third of the iterations, as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tasks  # noqa: F401 - registers the tasks
from isaachrl import config
from isaachrl.config import bounded
from isaachrl.envs import Env, StepResult, make
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.errors import ConfigError
from isaachrl.files import write_atomically
from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.learn.registry import learner_entry
from isaachrl.run.compare import compare
from isaachrl.run.config.learners import load_learners
from isaachrl.run.storage.metrics import MetricsFile, read_metrics

SIGNAL = "reward/total"


@dataclass
class Options:
    """The command line.

    Args:
        task: a task with continuous actions.
        num_envs: N.
        iterations: of each library.
        seed: of environments and learners.
        only: libraries, separated by commas.
    """

    task: str = "HumanoidLocation"
    num_envs: int = bounded(32, 2)
    iterations: int = bounded(20, 1)
    seed: int = bounded(0, 0)
    only: str = "rl_games,sb3,rsl_rl,skrl"


def ppo_cfg(options: Options) -> PpoCfg:
    """What all libraries train with, in the names of rl_games' learner."""
    horizon, minibatches = 32, 4
    rows = options.num_envs * horizon // minibatches
    return PpoCfg(options.iterations, horizon, minibatch=rows, gamma=0.97, kl_target=0.0, log_std=-1.0, learn_std=True)


def record(env: Env, folder: Path, horizon: int) -> None:
    """Append the means of every rollout of an environment to the folder's `metrics.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    file, statistics, step, start = MetricsFile(folder / "metrics.jsonl"), EpisodeStatistics(env), env.step, time.time()
    steps = 0

    def recorded(action: torch.Tensor) -> StepResult:
        nonlocal steps
        result = step(action)
        statistics.add(result)
        steps += 1
        if steps % horizon == 0:
            position = {"iteration": steps // horizon, "samples": steps * env.num_envs, "wall_s": time.time() - start}
            file.append(position | statistics.read())
        return result

    env.step = recorded


def train_learner(name: str) -> Callable[[Env, PpoCfg, int], None]:
    """A learner of this project, with the hyper-parameters that it has of `PpoCfg`."""

    def train(env: Env, cfg: PpoCfg, seed: int) -> None:
        entry = learner_entry(name)
        own = entry.cfg_type(**{field.name: getattr(cfg, field.name) for field in fields(entry.cfg_type)})
        learner = entry.build(env, own, seed)
        for _ in range(cfg.max_iterations):
            learner.iterate()

    return train


def train_sb3(env: Env, cfg: PpoCfg, seed: int) -> None:
    """PPO of Stable-Baselines3."""
    from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.vec_env import VecNormalize  # pyright: ignore[reportMissingImports]

    from isaachrl.adapters.sb3 import Sb3VecEnv

    adapter = Sb3VecEnv(env)
    model = PPO(
        "MlpPolicy", VecNormalize(adapter, norm_reward=False), n_steps=cfg.horizon, batch_size=cfg.minibatch,
        n_epochs=cfg.epochs, gamma=cfg.gamma, gae_lambda=cfg.lam, clip_range=cfg.clip, learning_rate=cfg.learning_rate,
        max_grad_norm=cfg.max_grad_norm, device=env.device, seed=seed,
        policy_kwargs={"net_arch": list(cfg.hidden), "activation_fn": nn.ReLU, "log_std_init": cfg.log_std},
    )  # fmt: skip
    adapter.bootstrap_from(model)
    model.learn(cfg.max_iterations * cfg.horizon * env.num_envs)


TRAIN: dict[str, Callable[[Env, PpoCfg, int], None]] = {
    "rl_games": train_learner("ppo"),
    "sb3": train_sb3,
    "rsl_rl": train_learner("rsl_rl"),
    "skrl": train_learner("skrl"),
}


def main(words: list[str]) -> dict[str, Any]:
    """Train with every library and draw the curves."""
    out, options = Path(words[0]), config.build(Options, dict(word.split("=", 1) for word in words[1:]))
    load_learners()
    cfg, trained = ppo_cfg(options), {}
    for name in options.only.split(","):
        env = make(options.task, options.num_envs, seed=options.seed)
        record(env, out / name, cfg.horizon)
        try:
            TRAIN[name](env, cfg, options.seed)
        except ConfigError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        trained[name] = [out / name]
    write_atomically(out / "curves.png", compare(trained, [SIGNAL]))
    third = max(options.iterations // 3, 1)
    means = {}
    for name, (folder,) in trained.items():
        values = [row[SIGNAL] for row in read_metrics(folder / "metrics.jsonl")]
        parts = {"first": values[:third], "last": values[-third:]}
        means[name] = {key: round(sum(part) / len(part), 4) for key, part in parts.items()}
    return {"task": options.task, "num_envs": options.num_envs, "iterations": options.iterations, "reward": means}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
