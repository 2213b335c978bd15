"""The shipped settings: every recipe builds, and `paper` is what was published."""

from pathlib import Path

import pytest
import yaml

import tasks
from isaachrl import config
from isaachrl.learn.goals import FlatCfg, FlatSacCfg, GoalsCfg
from isaachrl.learn.goals.config import Boundary, Correction, Inputs
from isaachrl.learn.goals.goals import WorkerReward
from isaachrl.run.settings import resolve

assert tasks
CFG = Path(__file__).resolve().parents[3] / "cfg" / "train"


def composed(name):
    """A file of `cfg/train/` over the ones it is based on."""
    own = yaml.safe_load((CFG / f"{name}.yaml").read_text())
    result = {}
    for part in own.pop("defaults", ["_self_"]):
        result = merged(result, own if part == "_self_" else composed(part))
    return result


def merged(base, over):
    return base | {
        key: merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in over.items()
    }


LEARNERS = ["hiro", "hrl", "hrl_cg", "AntMaze", "AntPush", "AntFall", "AntFourRooms", "AntGather"]


@pytest.mark.parametrize("name", LEARNERS)
def test_every_recipe_of_the_two_levels_builds(name):
    file = composed(name)
    assert file.pop("name") == "goals"
    recipes = file.pop("recipes")
    assert {"cpu", "gpu", "paper", "parallel", "AntGather"} <= set(recipes)
    for recipe in recipes.values():
        built = config.build(GoalsCfg, merged(file, recipe.get("train", {})))
        assert built.warmup_steps >= built.meta_period


@pytest.mark.parametrize(("name", "kind"), [("td3", FlatCfg), ("sac", FlatSacCfg)])
def test_the_flat_baselines_build(name, kind):
    file = composed(name)
    assert file["name"] == name
    for recipe in file["recipes"].values():
        assert config.build(kind, recipe.get("train", {})).policy.algorithm.value == name


def test_the_names_say_which_correction_and_which_connection():
    found = {}
    for name in ("hiro", "hrl", "hrl_cg"):
        file = composed(name)
        built = config.build(GoalsCfg, {key: file[key] for key in ("correction", "connection") if key in file})
        found[name] = built.correction.value, built.connection.mode.value
    assert found == {"hiro": ("hiro", "none"), "hrl": ("none", "none"), "hrl_cg": ("none", "paper")}


def test_gather_draws_no_targets_and_centres_nothing():
    for name in ("AntGather", "hrl", "hrl_cg"):  # whatever the learner, without asking for it
        values = composed(name)
        built = resolve({"task": {"name": "AntGather"}, "train": values, "device": "cpu"}).learner_cfg
        assert (built.target_resampling, built.centre_reward, built.manager.reward_scale) == (0.0, False, 1.0)
        assert built.manager.batch == 512, "the rest is the parallel recipe"


def test_the_defaults_are_the_published_ones():
    cfg = GoalsCfg()
    assert (cfg.meta_period, cfg.goal_size, cfg.replay_steps, cfg.warmup_steps) == (10, 15, 200_000, 2500)
    assert (cfg.correction, cfg.worker_reward, cfg.boundary) == (
        Correction.hiro, WorkerReward.distance, Boundary.manager,
    )  # fmt: skip
    assert cfg.hide_position and cfg.inputs is Inputs.raw
    off = (cfg.goal_resampling, cfg.target_resampling, cfg.flip_penalty, cfg.flip_reset_steps, cfg.pool_sets)
    assert off == (0, 0, 0, 0, 0) and not (cfg.centre_reward or cfg.stagger or cfg.warmup_uniform)
    for level, scale in ((cfg.worker, 1.0), (cfg.manager, 0.1)):
        assert (level.hidden, level.batch, level.discount, level.policy_delay) == ([300, 300], 100, 0.99, 2)
        assert (level.actor_learning_rate, level.critic_learning_rate, level.target_rate) == (1e-4, 1e-3, 0.005)
        assert level.noise_raw and (level.noise_low, level.noise_high) == (1.0, 1.0)
        assert (level.target_noise, level.target_noise_clip, level.clip_target_action) == (0.2, 0.5, False)
        assert level.reward_scale == scale and level.updates_per_step == 1 and level.action_again
    assert cfg.replay_steps // cfg.meta_period == 20_000, "a manager remembers as many steps as its worker"
