"""What numbered checkpoints hold of each shipped learner, at the sizes it is shipped with."""

import io
from dataclasses import replace
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import OmegaConf

import train
from isaachrl.run.build import build_env, build_learner
from isaachrl.run.commands.export import weights_checkpoint
from isaachrl.run.config import settings
from isaachrl.run.storage.checkpoint import load_checkpoint, save_checkpoint

assert train  # it registers the tasks' configurations with Hydra
CFG = Path(__file__).resolve().parents[2] / "cfg"
MAZES = CFG.parent / "assets" / "skills" / "mazes.pt"
# task, what is typed, most megabytes; the tables of tiles are large
SHIPPED = {
    "skills": ("HumanoidAMP", ["++train.discriminator.demo_windows=8"], 2.0),
    "ppo": ("HumanoidHRLMaze", [], 2.0),
    "goals": ("AntGather", ["train=hiro"], 5.0),
    "td3": ("AntMaze", ["train=td3"], 5.0),
    "sac": ("AntMaze", ["train=sac"], 5.0),
    "hpg": ("TaxiFuel", ["train=hpg"], 2.0),
    "maxq": ("TaxiFuel", ["train=maxq"], 2.0),
    "flat_q": ("TaxiFuel", ["train=flat_q"], 2.0),
    "value_iteration": ("TaxiFuel", ["train=value_iteration"], 2.0),
    "hybrid": ("ShipSteering", ["train=hybrid"], 2.0),
    "flat_pg": ("ShipSteering", ["train=flat_pg"], 5.5),
    "actor_critic": ("ShipSteering", ["train=actor_critic"], 10.5),
    "subgoals": ("FourRooms", ["train=subgoals"], 2.0),
}
NOT_WEIGHTS = (
    "optim",
    "replay",
    "generator",
    "statistics",
    "stack",
    "traces",
    "steps",
    "obs",
    "noise",
    "demo_windows",
    "pool",
)


def compose(task, words):
    """Settings of a training of two environments, as if typed."""
    with hydra.initialize_config_dir(str(CFG), version_base="1.3"):
        values = OmegaConf.to_container(hydra.compose("config", [f"task={task}", *words]), resolve=True)
    typed = {"num_envs": 2, "device": "cpu"}
    return settings.resolve(settings.merge(values, typed), typed)


def tensors(value, name=""):
    """Tensors at any depth by their path."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {path: found for key, entry in entries for path, found in tensors(entry, f"{name}/{key}").items()}


@pytest.mark.parametrize("learner", SHIPPED)
def test_weights_are_small_and_all_that_acting_and_starting_anew_need(learner):
    task, words, megabytes = SHIPPED[learner]
    call = compose(task, words)
    assert call.learner.name == learner
    env = build_env(call, 2, 0)
    one, other = (build_learner(replace(call, run=replace(call.run, seed=seed)), env) for seed in (0, 1))
    file = io.BytesIO()
    torch.save(one.weights(), file)
    assert file.tell() <= megabytes * 1e6
    file.seek(0)
    stored = torch.load(file, weights_only=True)
    whole, weights = tensors(one.state_dict()), tensors(stored)
    assert weights.keys() <= whole.keys()
    extra = [path for path in weights if any(word in part for part in path.split("/") for word in NOT_WEIGHTS)]
    assert [path for path in extra if "obs_norm" not in path] == []
    other.load_weights(stored)
    loaded = tensors(other.weights())
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[path], weights[path]) for path in weights)


def test_a_shipped_policy_of_a_wide_observation_is_at_most_400_kilobytes(tmp_path):
    call = compose("HumanoidTrajectory", [])
    learner = build_learner(call, build_env(call, 2, 0))
    save_checkpoint(weights_checkpoint(replace(call, loaded=load_checkpoint(MAZES)), learner), tmp_path / "policy.pt")
    assert (tmp_path / "policy.pt").stat().st_size <= 400_000
