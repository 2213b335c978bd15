"""The shipped recipes: all of them build, and `paper` is what was published."""

from pathlib import Path

import pytest
import yaml

import tasks
from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.goals import GoalsCfg
from isaachrl.learn.goals.config import Algorithm, Boundary, Correction, Inputs
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
    for recipe_name, recipe in recipes.items():
        built = config.build(GoalsCfg, merged(file, recipe.get("train", {})))
        assert built.meta_periods == [5 if recipe_name == "over_skill" else 10]


@pytest.mark.parametrize("name", ["td3", "sac"])
def test_every_recipe_of_one_level_builds(name):
    file = composed(name)
    assert file.pop("name") == name
    for recipe in file.pop("recipes").values():
        built = config.build(GoalsCfg, merged(file, recipe.get("train", {})))
        assert built.worker.algorithm.value == name and built.periods == []


def test_learner_names_select_correction_and_connection():
    found = {}
    for name in ("hiro", "hrl", "hrl_cg"):
        file = composed(name)
        built = config.build(GoalsCfg, {key: file[key] for key in ("correction", "connection") if key in file})
        found[name] = built.correction.value, built.connection.mode.value
    assert found == {"hiro": ("hiro", "none"), "hrl": ("none", "none"), "hrl_cg": ("none", "paper")}


def test_gather_resamples_no_targets_and_centres_no_reward():
    for name in ("AntGather", "hrl", "hrl_cg"):  # whatever the learner, without asking for it
        values = composed(name)
        built = resolve({"task": {"name": "AntGather"}, "train": values, "device": "cpu"}).learner_cfg
        assert (built.target_resampling, built.centre_reward, built.manager.reward_scale) == (0.0, False, 1.0)
        assert built.manager.batch == 512 and built.n_step.decisions == 1 and built.progress_limit == 0
        assert built.worker.hidden == built.manager.hidden == [256, 256]


def test_the_defaults_are_the_published_ones():
    cfg = GoalsCfg()
    assert (cfg.meta_periods, cfg.goal_size, cfg.replay_steps, cfg.warmup_steps) == ([10], 15, 200_000, 2500)
    assert (cfg.correction, cfg.worker_reward, cfg.boundary) == (
        Correction.hiro, WorkerReward.distance, Boundary.manager,
    )  # fmt: skip
    assert cfg.hide_position and cfg.inputs is Inputs.raw
    off = (cfg.goal_resampling, cfg.target_resampling, cfg.flips.penalty, cfg.flips.reset_steps, cfg.pool_sets)
    assert off == (0, 0, 0, 0, 0) and not (cfg.centre_reward or cfg.stagger or cfg.warmup_uniform)
    for level, scale in ((cfg.worker, 1.0), (cfg.manager, 0.1)):
        assert (level.hidden, level.batch, level.discount, level.policy_delay) == ([300, 300], 100, 0.99, 2)
        assert (level.actor_learning_rate, level.critic_learning_rate, level.target_rate) == (1e-4, 1e-3, 0.005)
        assert level.hiro_details and (level.exploration.low, level.exploration.high) == (1.0, 1.0)
        assert level.critic.target_noise == 0.2
        assert level.reward_scale == scale and level.updates_per_step == 1
    assert cfg.replay_steps // cfg.periods[0] == 20_000, "as many steps as the worker"


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
    assert (cfg.meta_periods, cfg.goal_size, cfg.replay_steps) == ([10], 15, 200_000)
    assert (cfg.warmup_steps, cfg.warmup_uniform, cfg.hide_position) == (10_000, True, False)
    assert cfg.correction is Correction.none and cfg.worker_reward is WorkerReward.distance
    # the stored goal after a period is the old one carried along
    assert cfg.boundary is Boundary.carried
    assert (cfg.manager.reward_scale, cfg.worker.reward_scale) == (reward_scale, 1.0)
    for level in (cfg.worker, cfg.manager):
        assert (level.algorithm.value, level.hidden, level.batch, level.discount) == ("td3", [256, 256], 128, 0.99)
        assert (level.actor_learning_rate, level.critic_learning_rate, level.target_rate) == (3e-4, 3e-4, 0.005)
        assert (level.policy_delay, level.updates_per_step, level.critic.huber) == (2, 1, True)
        assert (level.hiro_details, level.exploration.low, level.exploration.high) == (False, 0.1, 0.1), (
            "of half the range"
        )
        assert level.critic.target_noise == 0.2
        assert not (level.hiro_details or level.critic.layer_norm or level.ema_rate)
    mode = cfg.connection.mode.value
    assert (mode, cfg.connection.weight) == ("paper", weight) if learner == "hrl_cg" else mode == "none"
    off = (cfg.goal_resampling, cfg.flips.penalty, cfg.flips.reset_steps, cfg.pool_sets, cfg.connection.target)
    assert off == (0, 0, 0, 0, None) and not (cfg.centre_reward or cfg.stagger)


@pytest.mark.parametrize("task", ["AntMaze", "AntGather"])
def test_td3_is_that_of_fujimoto_et_al(task):
    cfg = published("td3", task).learner_cfg
    assert cfg.periods == [] and cfg.max_iterations * cfg.steps_per_iteration == 1_000_000
    assert (cfg.warmup_steps, cfg.warmup_uniform, cfg.replay_steps) == (10_000, True, 1_000_000)
    assert cfg.flips.reset_steps == 0
    level = cfg.worker
    assert (level.hidden, level.batch, level.discount, level.policy_delay) == ([400, 300], 100, 0.99, 2)
    assert (level.actor_learning_rate, level.critic_learning_rate, level.target_rate) == (1e-3, 1e-3, 0.005)
    assert (level.hiro_details, level.exploration.low, level.exploration.high) == (False, 0.1, 0.1)
    assert level.critic.target_noise == 0.2
    assert (level.reward_scale, level.updates_per_step, level.critic.huber) == (1.0, 1, False)
    assert not (level.hiro_details or level.small_last_layer or level.critic.layer_norm or level.ema_rate)


def test_sac_is_that_of_haarnoja_et_al():
    cfg = published("sac", "AntMaze").learner_cfg
    assert cfg.periods == [] and cfg.max_iterations * cfg.steps_per_iteration == 3_000_000
    assert (cfg.warmup_steps, cfg.warmup_uniform, cfg.replay_steps) == (1000, True, 1_000_000)
    level = cfg.worker
    assert (level.algorithm.value, level.hidden, level.batch, level.policy_delay) == ("sac", [256, 256], 256, 1)
    assert (level.actor_learning_rate, level.critic_learning_rate, level.entropy.learning_rate) == (3e-4,) * 3
    assert (level.discount, level.target_rate) == (0.99, 0.005)
    assert (level.entropy.temperature, level.reward_scale, level.updates_per_step, level.critic.huber) == (
        1.0,
        1.0,
        1,
        False,
    )
    assert not (level.hiro_details or level.small_last_layer or level.critic.layer_norm or level.ema_rate)


@pytest.mark.parametrize("learner", ["td3", "sac"])
def test_one_level_in_parallel_has_the_warm_up_and_replay_of_the_hierarchies(learner):
    values = {"task": {"name": "AntMaze"}, "device": "cpu", "recipe": "parallel"}
    flat = resolve(values | {"train": composed(learner)})
    levels = resolve(values | {"train": composed("hiro")})
    for key in ("warmup_steps", "warmup_uniform", "target_resampling", "replay_steps"):
        assert getattr(flat.learner_cfg, key) == getattr(levels.learner_cfg, key), key
    assert flat.learner_cfg.flips.reset_steps == levels.learner_cfg.flips.reset_steps
    assert flat.num_envs == levels.num_envs
    assert flat.learner_cfg.max_iterations >= levels.learner_cfg.max_iterations


@pytest.mark.parametrize("task", ["AntMaze", "AntFourRooms", "AntPush", "AntFall"])
@pytest.mark.parametrize("recipe", ["cpu", "gpu"])
@pytest.mark.parametrize("learner", ["hrl", "sac"])
def test_courses_have_the_published_integrator_and_more_than_one_target_that_an_ant_can_get_to(task, recipe, learner):
    cfg = resolve({"task": {"name": task}, "device": "cpu", "recipe": recipe, "train": composed(learner)}).task_cfg
    assert cfg.integrator.value == "rk4"
    assert cfg.free_targets and cfg.wide == (task in ("AntPush", "AntFall"))


def test_courses_whose_way_is_found_late_have_longer_trainings():
    steps = {
        name: resolve({"task": {"name": name}, "device": "cpu", "train": composed("hrl")}).learner_cfg.max_iterations
        for name in ("AntMaze", "AntFourRooms", "AntPush", "AntFall")
    }
    assert steps["AntMaze"] < steps["AntFourRooms"] < steps["AntPush"] == steps["AntFall"]


@pytest.mark.parametrize("learner", ["hiro", "hrl", "hrl_cg"])
def test_managers_over_a_skill_have_one_too(learner):
    chosen = resolve({"task": {"name": "HumanoidHRLMaze"}, "device": "cpu", "train": composed(learner)})
    ants = resolve({"task": {"name": "AntMaze"}, "device": "cpu", "train": composed(learner)})
    cfg = chosen.learner_cfg
    assert cfg.worker.algorithm is Algorithm.sac and cfg.manager.algorithm is Algorithm.td3
    assert (cfg.flips.reset_steps, cfg.flips.penalty, cfg.target_resampling) == (0, 0.0, 0.0)
    assert (cfg.progress_limit, cfg.n_step.decisions) == (0.0, 1) and cfg.worker.hidden == cfg.manager.hidden == [
        256,
        256,
    ]
    assert cfg.worker_symmetry and cfg.hide_position and cfg.correction is ants.learner_cfg.correction
    assert ants.learner_cfg.worker_symmetry and ants.learner_cfg.worker.algorithm is Algorithm.td3


@pytest.mark.parametrize("learner", ["td3", "sac"])
def test_tasks_over_a_skill_have_a_recipe_of_their_own(learner):
    chosen = resolve({"task": {"name": "HumanoidReach"}, "device": "cpu", "train": composed(learner)})
    named = {"task": {"name": "HumanoidReach"}, "device": "cpu", "train": composed(learner), "recipe": "over_skill"}
    assert chosen.learner_cfg == resolve(named).learner_cfg
    ants = resolve({"task": {"name": "AntMaze"}, "device": "cpu", "train": composed(learner)})
    assert (chosen.learner_cfg.worker.reward_scale, ants.learner_cfg.worker.reward_scale) == (1.0, 0.1)
    assert chosen.learner_cfg.flips.reset_steps == 0, "falls end episodes"
    flat = resolve({"task": {"name": "HumanoidReach", "skill": "none"}, "device": "cpu", "train": composed(learner)})
    assert flat.learner_cfg == ants.learner_cfg, "no skill, no commands"
    with pytest.raises(ConfigError, match=r"task.name is missing"):
        resolve({"task": {}, "device": "cpu", "train": composed(learner)})
