"""PPO of four libraries on one task, as a figure: `python benchmarks/adapters.py FOLDER [key=value …]`.

rl_games trains through `isaachrl.learn.ppo`, the others through `isaachrl.adapters`, with the same hyper-parameters as
far as they have them. A library that is not installed is left out. Each writes `FOLDER/<library>/metrics.jsonl`, all
together write `curves.png`. Prints the mean reward of the first and of the last third of the iterations, as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
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
from isaachrl.run.compare import compare
from isaachrl.run.storage.metrics import MetricsFile, read_metrics

SIGNAL = "reward/total"
MINIBATCHES = 4


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
    horizon = 32
    rows = options.num_envs * horizon // MINIBATCHES
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


def train_rl_games(env: Env, cfg: PpoCfg, seed: int) -> None:
    """The project's own learner."""
    from isaachrl.learn.ppo.learner import PpoLearner

    learner = PpoLearner(env, cfg, seed)
    for _ in range(cfg.max_iterations):
        learner.iterate()


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


def train_rsl_rl(env: Env, cfg: PpoCfg, seed: int) -> None:
    """PPO of rsl_rl."""
    from rsl_rl.runners import OnPolicyRunner  # pyright: ignore[reportMissingImports]

    from isaachrl.adapters.rsl_rl import RslRlVecEnv

    torch.manual_seed(seed)
    network = {
        "class_name": "MLPModel",
        "hidden_dims": list(cfg.hidden),
        "activation": "relu",
        "obs_normalization": True,
    }
    std = {"class_name": "GaussianDistribution", "init_std": float(torch.tensor(cfg.log_std).exp())}
    algorithm = {
        "class_name": "PPO", "num_learning_epochs": cfg.epochs, "num_mini_batches": MINIBATCHES, "gamma": cfg.gamma,
        "lam": cfg.lam, "clip_param": cfg.clip, "learning_rate": cfg.learning_rate, "schedule": "fixed",
        "entropy_coef": cfg.entropy_weight, "max_grad_norm": cfg.max_grad_norm,
    }  # fmt: skip
    adapter = RslRlVecEnv(env)
    settings = {
        "num_steps_per_env": cfg.horizon, "save_interval": cfg.max_iterations, "algorithm": algorithm,
        "obs_groups": {"actor": ["policy"], "critic": ["policy"]}, "critic": network,
        "actor": network | {"distribution_cfg": std},
    }  # fmt: skip
    runner = OnPolicyRunner(adapter, settings, device=str(env.device))
    adapter.bootstrap_from(runner)
    runner.learn(cfg.max_iterations)


def train_skrl(env: Env, cfg: PpoCfg, seed: int) -> None:
    """PPO of skrl."""
    from skrl.agents.torch.ppo import PPO, PPO_CFG  # pyright: ignore[reportMissingImports]
    from skrl.memories.torch import RandomMemory  # pyright: ignore[reportMissingImports]
    from skrl.resources.preprocessors.torch import RunningStandardScaler  # pyright: ignore[reportMissingImports]
    from skrl.trainers.torch import SequentialTrainer  # pyright: ignore[reportMissingImports]
    from skrl.utils import set_seed  # pyright: ignore[reportMissingImports]
    from skrl.utils.model_instantiators.torch import (  # pyright: ignore[reportMissingImports]
        deterministic_model,
        gaussian_model,
    )

    from isaachrl.adapters.skrl import SkrlEnv

    set_seed(seed)
    adapter = SkrlEnv(env)
    spaces: dict[str, Any] = {"observation_space": adapter.observation_space, "action_space": adapter.action_space}
    spaces["device"] = env.device
    layers = {"name": "net", "input": "OBSERVATIONS", "layers": list(cfg.hidden), "activations": "relu"}
    gaussian = gaussian_model(**spaces, network=[layers], output="ACTIONS", initial_log_std=cfg.log_std)
    critic = deterministic_model(**spaces, network=[layers], output="ONE")
    settings = PPO_CFG(
        rollouts=cfg.horizon, learning_epochs=cfg.epochs, mini_batches=MINIBATCHES, discount_factor=cfg.gamma,
        learning_rate=cfg.learning_rate, grad_norm_clip=cfg.max_grad_norm, ratio_clip=cfg.clip,
        value_loss_scale=cfg.value_weight, observation_preprocessor=RunningStandardScaler,
        observation_preprocessor_kwargs={"size": adapter.observation_space, "device": env.device},
    )  # fmt: skip
    settings.experiment.write_interval = settings.experiment.checkpoint_interval = 0
    memory = RandomMemory(memory_size=cfg.horizon, num_envs=env.num_envs, device=env.device)
    models: dict[str, Any] = {"policy": gaussian, "value": critic}
    agent = PPO(models=models, memory=memory, cfg=settings, **spaces)
    adapter.bootstrap_from(agent)
    run = {"timesteps": cfg.max_iterations * cfg.horizon, "headless": True, "disable_progressbar": True}
    SequentialTrainer(env=adapter, agents=agent, cfg=run).train()


TRAIN: dict[str, Callable[[Env, PpoCfg, int], None]] = {
    "rl_games": train_rl_games, "sb3": train_sb3, "rsl_rl": train_rsl_rl, "skrl": train_skrl,
}  # fmt: skip


def main(words: list[str]) -> dict[str, Any]:
    """Train with every library and draw the curves."""
    out, options = Path(words[0]), config.build(Options, dict(word.split("=", 1) for word in words[1:]))
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
