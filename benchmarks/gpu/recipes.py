"""Learners with the shipped recipes, built as by `train.py`."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from gpu.options import Options
from isaachrl.config import merge
from isaachrl.envs.registry import choose_device
from isaachrl.learn.learner import Learner
from isaachrl.run.build import build_env, build_learner, seed_everything
from isaachrl.run.config.settings import resolve

CFG = Path(__file__).resolve().parents[2] / "cfg" / "train"
# reductions in a dry run, except of networks
DRY: dict[str, dict[str, Any]] = {
    "HumanoidAMP": {"horizon": 4, "discriminator": {"demo_windows": 16}},
    "HumanoidHRLMaze": {"horizon": 2},
}


def train_file(task: str) -> dict[str, Any]:
    """`cfg/train/<task>.yaml`."""
    values = OmegaConf.to_container(OmegaConf.load(CFG / f"{task}.yaml"))
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def recipe_names(task: str) -> list[str]:
    """The recipes of a task for a GPU; `paper` is last."""
    return [name for name in ("gpu", "paper") if name in train_file(task).get("recipes", {})]


def make_learner(options: Options, task: str, recipe: str, typed: dict[str, Any] | None = None) -> Learner:
    """A learner on `num_envs` environments.

    Args:
        options: device and N.
        task: registered name.
        recipe: of its YAML file.
        typed: further values of the command line, nested.
    """
    device: torch.device = choose_device(options.device)
    composed = {"task": {"name": task}, "train": train_file(task), "sim": "mujoco_warp", "device": str(device)}
    dry = {"train": DRY[task]} if device.type == "cpu" else {}
    own = {"num_envs": options.num_envs, "recipe": recipe}
    settings = resolve(merge(composed, own), merge(merge(dry, own), typed or {}))
    seed_everything(settings.run.seed)
    return build_learner(settings, build_env(settings, settings.num_envs, settings.run.seed))
