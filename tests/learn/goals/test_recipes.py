"""The shipped settings: every recipe builds, and `paper` is what was published."""

from pathlib import Path

import pytest
import yaml

import tasks
from isaachrl import config
from isaachrl.learn.goals import FlatCfg, FlatSacCfg, GoalsCfg
from isaachrl.learn.goals.config import Boundary, Correction, Inputs
from isaachrl.learn.goals.goals import WorkerReward
from isaachrl.run.config.settings import resolve

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


def published(learner, task):
    """What `train=LEARNER recipe=paper task=TASK` comes to."""
    values = {"task": {"name": task}, "train": composed(learner), "device": "cpu", "recipe": "paper"}
    return resolve(values)


@pytest.mark.parametrize("learner", ["hiro", "hrl", "hrl_cg", "td3", "sac"])
def test_published_agents_are_alone_and_under_the_published_integrator(learner):
    settings = published(learner, "AntMaze")
    assert settings.num_envs == 1 and settings.task_cfg.integrator.value == "rk4"
    cfg = settings.learner_cfg
    assert cfg.inputs is Inputs.raw and cfg.precision.value == "float32" and cfg.target_resampling == 0


def test_hiro_is_the_publications():
    assert published("hiro", "AntMaze").learner_cfg == published("hiro", "AntGather").learner_cfg == GoalsCfg()


@pytest.mark.parametrize("learner", ["hrl", "hrl_cg"])
@pytest.mark.parametrize(
    ("task", "steps", "reward_scale", "weight"),
    [("AntMaze", 3_000_000, 0.1, 0.005), ("AntGather", 1_000_000, 10, 0.01)],
)
def test_hrl_and_hrl_cg_are_those_of_kreidieh_et_al(learner, task, steps, reward_scale, weight):
    cfg = published(learner, task).learner_cfg
    assert cfg.max_iterations * cfg.steps_per_iteration == steps
    assert (cfg.meta_period, cfg.goal_size, cfg.replay_steps) == (10, 15, 200_000)
    assert (cfg.warmup_steps, cfg.warmup_uniform, cfg.hide_position) == (10_000, True, False)
    assert cfg.correction is Correction.none and cfg.worker_reward is WorkerReward.distance
    # the stored goal after a period is the old one carried along
    assert cfg.boundary is Boundary.carried
    assert (cfg.manager.reward_scale, cfg.worker.reward_scale) == (reward_scale, 1.0)
    for level in (cfg.worker, cfg.manager):
        assert (level.algorithm.value, level.hidden, level.batch, level.discount) == ("td3", [256, 256], 128, 0.99)
        assert (level.actor_learning_rate, level.critic_learning_rate, level.target_rate) == (3e-4, 3e-4, 0.005)
        assert (level.policy_delay, level.updates_per_step, level.huber) == (2, 1, True)
        assert (level.noise_raw, level.noise_low, level.noise_high) == (False, 0.1, 0.1), "of half the range"
        assert (level.target_noise, level.target_noise_clip, level.clip_target_action) == (0.2, 0.5, True)
        assert not (level.action_again or level.layer_norm or level.average_rate)
    mode = cfg.connection.mode.value
    assert (mode, cfg.connection.weight) == ("paper", weight) if learner == "hrl_cg" else mode == "none"
    off = (cfg.goal_resampling, cfg.flip_penalty, cfg.flip_reset_steps, cfg.pool_sets, cfg.connection.target)
    assert off == (0, 0, 0, 0, None) and not (cfg.centre_reward or cfg.stagger)


@pytest.mark.parametrize("task", ["AntMaze", "AntGather"])
def test_td3_is_that_of_fujimoto_et_al(task):
    cfg = published("td3", task).learner_cfg
    assert cfg == FlatCfg() and cfg.max_iterations * cfg.steps_per_iteration == 1_000_000
    assert (cfg.warmup_steps, cfg.warmup_uniform, cfg.replay_steps) == (10_000, True, 1_000_000)
    assert cfg.flip_reset_steps == 0
    level = cfg.policy
    assert (level.hidden, level.batch, level.discount, level.policy_delay) == ([400, 300], 100, 0.99, 2)
    assert (level.actor_learning_rate, level.critic_learning_rate, level.target_rate) == (1e-3, 1e-3, 0.005)
    assert (level.noise_raw, level.noise_low, level.noise_high) == (False, 0.1, 0.1)
    assert (level.target_noise, level.target_noise_clip, level.clip_target_action) == (0.2, 0.5, True)
    assert (level.reward_scale, level.updates_per_step, level.huber) == (1.0, 1, False)
    assert not (level.action_again or level.small_last_layer or level.layer_norm or level.average_rate)


def test_sac_is_that_of_haarnoja_et_al():
    cfg = published("sac", "AntMaze").learner_cfg
    assert cfg == FlatSacCfg() and cfg.max_iterations * cfg.steps_per_iteration == 3_000_000
    assert (cfg.warmup_steps, cfg.warmup_uniform, cfg.replay_steps) == (1000, True, 1_000_000)
    level = cfg.policy
    assert (level.algorithm.value, level.hidden, level.batch, level.policy_delay) == ("sac", [256, 256], 256, 1)
    assert (level.actor_learning_rate, level.critic_learning_rate, level.temperature_learning_rate) == (3e-4,) * 3
    assert (level.discount, level.target_rate, level.target_entropy) == (0.99, 0.005, None)
    assert (level.temperature, level.reward_scale, level.updates_per_step, level.huber) == (1.0, 1.0, 1, False)
    assert not (level.action_again or level.small_last_layer or level.layer_norm or level.average_rate)


@pytest.mark.parametrize("learner", ["td3", "sac"])
def test_the_flat_baselines_are_not_worse_off_in_parallel_than_the_hierarchies(learner):
    values = {"task": {"name": "AntMaze"}, "device": "cpu", "recipe": "parallel"}
    flat = resolve(values | {"train": composed(learner)})
    levels = resolve(values | {"train": composed("hiro")})
    for key in ("warmup_steps", "warmup_uniform", "flip_reset_steps", "target_resampling", "replay_steps"):
        assert getattr(flat.learner_cfg, key) == getattr(levels.learner_cfg, key), key
    assert (flat.num_envs, flat.learner_cfg.max_iterations) == (levels.num_envs, levels.learner_cfg.max_iterations)
