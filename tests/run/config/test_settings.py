"""Which value wins, and what is said to those who type what cannot be used."""

from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

import tasks  # noqa: F401 - registers what task= selects
from isaachrl.envs import registry
from isaachrl.errors import CheckpointError, ConfigError
from isaachrl.run.config.cli import composition_error, hydra_arguments, typed_values
from isaachrl.run.config.settings import merge, resolve

CFG = Path(__file__).resolve().parents[3] / "cfg"
RECIPES = {
    "cpu": {"num_envs": 32, "max_iterations": 7, "task": {"episode_steps": 5}, "train": {"horizon": 3}},
    "gpu": {"num_envs": 4096},
}


def composed(**typed):
    base = {"task": {"name": "Point"}, "train": {"name": "greedy", "recipes": RECIPES}, "device": "cpu"}
    return merge(base, typed)


def resolved(**typed):
    return resolve(composed(**typed), typed)


def test_defaults_then_recipe_then_what_was_typed():
    assert resolved(recipe="none").learner_cfg.horizon == 4  # the dataclass
    assert resolved().learner_cfg.horizon == 3  # the recipe of the device
    assert resolved(train={"horizon": 9}).learner_cfg.horizon == 9
    plain = resolved()
    assert (plain.num_envs, plain.task_cfg.episode_steps, plain.learner_cfg.max_iterations) == (32, 5, 7)
    typed = resolved(num_envs=2, task={"episode_steps": 6}, max_iterations=1)
    assert (typed.num_envs, typed.task_cfg.episode_steps, typed.learner_cfg.max_iterations) == (2, 6, 1)


def test_yaml_is_weaker_than_the_recipe():
    assert resolve(composed(train={"horizon": 9}), {}).learner_cfg.horizon == 3


def test_another_recipe_by_name():
    assert resolved(recipe="gpu").num_envs == 4096


@pytest.mark.parametrize(
    ("obstacle", "sim", "device", "num_envs"),
    [
        (None, "auto", "cuda:0", 4096),
        ("not installed", "auto", "cpu", 32),  # a GPU that cannot simulate: the recipe is not the GPU's either
        (None, "mujoco", "cpu", 32),
    ],
)
def test_the_recipe_follows_the_device_that_auto_comes_to(
    monkeypatch, automatic_device, obstacle, sim, device, num_envs
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(registry, "gpu_engine_obstacle", lambda: obstacle)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: None)
    settings = resolve(composed(device="auto", sim=sim), {})
    assert (str(settings.device), settings.num_envs) == (device, num_envs)


def test_a_run_stored_with_the_cpu_engine_goes_on_on_the_cpu(monkeypatch, automatic_device, launch):
    launch(max_iterations=1, run_dir="run", sim="mujoco")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(registry, "gpu_engine_obstacle", lambda: None)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: None)
    assert resolve(composed(device="auto", resume="run"), {"resume": "run"}).device == torch.device("cpu")


def test_a_recipe_named_after_the_task_goes_before_the_device():
    values = composed(train={"recipes": RECIPES | {"Point": {"num_envs": 5}}})
    assert resolve(values).num_envs == 5
    assert resolve(merge(values, {"recipe": "cpu"})).num_envs == 32
    values["train"]["recipes"] = RECIPES | {"Lake": {"num_envs": 5}}
    assert resolve(values).num_envs == 32


def test_a_recipe_has_an_overlay_for_each_task():
    own = {
        "cpu": RECIPES["cpu"] | {"tasks": {"Point": {"num_envs": 6, "train": {"horizon": 8}}, "Lake": {"num_envs": 7}}}
    }
    found = resolve(composed(train={"recipes": own}))
    assert (found.num_envs, found.learner_cfg.horizon, found.learner_cfg.max_iterations) == (6, 8, 7)
    assert resolve(composed(train={"recipes": own}), {"num_envs": 2}).num_envs == 2


def test_both_spellings_of_the_budget_beat_the_recipe():
    assert resolved(train={"max_iterations": 5}).learner_cfg.max_iterations == 5
    assert resolved(max_iterations=5).learner_cfg.max_iterations == 5


def test_sizes_of_a_training_are_not_those_of_playing():
    assert resolved(mode="play").run.num_envs is None


def test_shorthand_reaches_the_task():
    settings = resolved(skill="walk.pt")
    assert settings.task_cfg.skill == "walk.pt"
    assert settings.plain()["task"]["skill"] == "walk.pt"


def test_test_means_play():
    assert resolved(test=True).run.mode.value == "play"
    assert resolved(test=True, mode="play").run.mode.value == "play"


def test_two_spellings_that_agree_are_one():
    assert resolved(max_iterations=5, train={"max_iterations": 5}).learner_cfg.max_iterations == 5


def test_plain_configuration_writes_every_default_and_enums_by_name():
    plain = resolved().plain()
    assert plain["train"] == {
        "name": "greedy", "max_iterations": 7, "horizon": 3, "learning_rate": 0.1, "size": "small",
    }  # fmt: skip
    assert plain["task"]["name"] == "Point" and plain["mode"] == "train"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"num_envs": 0}, "num_envs=0: expected a number from 1 to 1e.09; leave num_envs out"),
        ({"num_envs": "many"}, "num_envs: .*'many'"),
        ({"nun_envs": 3}, "unknown key nun_envs; did you mean num_envs"),
        ({"horizon": 3}, "unknown key horizon; did you mean train.horizon"),
        ({"lengths": [3]}, "unknown key lengths; did you mean task.lengths"),
        ({"task": {"name": "Pointt"}}, "unknown task 'Pointt'; did you mean Point"),
        ({"task": {"episode_step": 3}}, "unknown key task.episode_step; did you mean episode_steps"),
        ({"train": {"horizonn": 3}}, "unknown key train.horizonn; did you mean horizon"),
        ({"train": {"learning_rate": "fast"}}, "train.learning_rate: .*'fast'"),
        ({"train": {"name": "greedi"}}, "unknown learner 'greedi'; did you mean greedy"),
        ({"mode": "paly"}, "mode: .*'paly'.*train, play, evaluate, card, export"),
        ({"recipe": "cpuu"}, "recipe=cpuu is unknown; did you mean cpu"),
        ({"motion": "walk.npz"}, "motion=walk.npz: the task Point has no key motion; leave motion= out"),
        ({"max_iterations": 0}, "max_iterations=0: expected a number from 1 to"),
        ({"episodes": 0}, "episodes=0"),
        ({"device": "cudaa"}, "device=cudaa cannot be used here.*type device=auto"),
        ({"resume": "a", "checkpoint": "b"}, "resume= and checkpoint= exclude each other"),
        ({"resume": "a", "mode": "play"}, "type checkpoint=a"),
        ({"resume": ""}, "resume= is empty"),
        ({"seed": 2**63}, "seed=9223372036854775808: "),
        (
            {"max_iterations": 2, "train": {"max_iterations": 3}},
            "max_iterations=2 and train.max_iterations=3 are the same",
        ),
        ({"skill": "a", "task": {"skill": "b"}}, "skill=a and task.skill=b are the same setting; type one of them"),
        ({"test": True, "mode": "train"}, "test=true means mode=play, but mode=train was typed too"),
    ],
)
def test_refusals_say_what_to_type(typed, message):
    with pytest.raises(ConfigError, match=message):
        resolved(**typed)


def test_arguments_become_additions_but_groups_stay_and_flags_come_last():
    argv = ["task=HumanoidAMP", "num_envs=4", "train.learning_rate=1e-4", "--multirun", "seed=1,2", "--cfg", "job"]
    assert hydra_arguments([*argv, "hydra.verbose=true", "++x=1", "~y"], CFG) == [
        "task=HumanoidAMP", "++num_envs=4", "++train.learning_rate=1e-4", "++seed=1,2", "hydra.verbose=true", "++x=1",
        "~y", "--multirun", "--cfg", "job",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "runs/A/2024-01-02_03-04-05", "my runs/a=b,(1).pt", "it's", 'say "no"', "[x", "{x: [", "=5", "007", "1e3",
        "true", "a\\", "a\\'b\\\\", "läuft", " ", "comma,a.txt", "glob(*)",
    ],
)  # fmt: skip
def test_any_path_can_be_typed(path):
    for key in (
        "checkpoint",
        "resume",
        "skill",
        "motion",
        "run_dir",
        "task.layout",
        "task.rescue",
        "task.start_motion",
    ):
        (override,) = hydra_arguments([f"{key}={path}"], CFG)
        parsed = OverridesParser.create().parse_override(override)
        assert (parsed.key_or_group, parsed.value()) == (key, path)


def test_quoted_paths_are_kept():
    assert hydra_arguments(["skill='a b'", "motion=null"], CFG) == ["++skill='a b'", "++motion=null"]


def test_several_paths_can_be_swept():
    assert hydra_arguments(["task.layout=~/m.txt"], CFG) == [f"++task.layout='{Path.home()}/m.txt'"]
    assert hydra_arguments(["task.layout=umaze,m.txt"], CFG) == ["++task.layout='umaze,m.txt'"]
    assert hydra_arguments(["--multirun", "task.layout=umaze,m.txt"], CFG) == [
        "++task.layout=umaze,m.txt",
        "--multirun",
    ]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("task=HumanoidAPM", "unknown task 'HumanoidAPM'; did you mean HumanoidAMP"),
        ("train=Humanoid", "unknown train 'Humanoid'"),
        ("train=_goals", "unknown train '_goals'; did you mean subgoals"),
        ("play", "'play' is not a setting; type key=value"),
        ("num-envs=3", "'num-envs' is not the name of a setting"),
    ],
)
def test_malformed_arguments_are_refused_before_hydra(argument, message):
    with pytest.raises(ConfigError, match=message):
        hydra_arguments([argument], CFG)


def test_typed_values_are_picked_from_the_composition():
    values = {"task": {"name": "Point", "a": 1}, "train": {"name": "greedy", "b": {"c": 2}}, "seed": 3, "device": "cpu"}
    overrides = ["task=Point", "++train.b.c=2", "++seed=3", "~x"]
    assert typed_values(values, overrides) == {"task": {"name": "Point"}, "train": {"b": {"c": 2}}, "seed": 3}


def test_checkpoint_brings_its_task_and_configuration(launch):
    launch(max_iterations=1, run_dir="run", task={"episode_steps": 6}, train={"horizon": 2}, seed=5)
    base = {"task": {"name": "Point2"}, "train": {"name": "lazy", "recipes": RECIPES}}
    typed = {"mode": "evaluate", "checkpoint": "run", "task": {"skill": "other"}}
    settings = resolve(merge(base, typed), typed)
    assert (settings.task.name, settings.learner.name) == ("Point", "greedy")
    assert (settings.task_cfg.episode_steps, settings.task_cfg.skill, settings.learner_cfg.horizon) == (6, "other", 2)


def test_recipes_of_other_tasks_are_not_offered(launch):
    recipes = RECIPES | {"Point": {"num_envs": 2}, "Point2": {"num_envs": 3}}
    with pytest.raises(
        ConfigError, match=r"recipe=pont is unknown; did you mean Point or none\? \(valid: Point, auto, cpu"
    ):
        launch(recipe="pont", train={"recipes": recipes})


def test_checkpoint_of_another_task_or_learner_is_refused(launch):
    launch(max_iterations=1, run_dir="run")
    with pytest.raises(CheckpointError, match="task=Point, not of task=Point2; leave task= out"):
        launch(mode="evaluate", checkpoint="run", task={"name": "Point2"})
    with pytest.raises(CheckpointError, match="'greedy'.*'lazy'"):
        launch(mode="evaluate", checkpoint="run", train={"name": "lazy"})


@pytest.mark.parametrize(
    "state", [{}, {"net": 5}, {"net": None}, {"net": {}}, {"net": {"0.weight": torch.zeros(1, 7)}}]
)
def test_weights_of_another_size_or_structure_are_refused(launch, state):
    launch(max_iterations=1, run_dir="run")
    content = torch.load("run/checkpoints/last.pt", weights_only=True)
    torch.save(content | {"learner_state": state}, "other.pt")
    for typed in ({"mode": "evaluate"}, {"mode": "export"}, {"mode": "play", "video": False}, {"run_dir": "new"}):
        with pytest.raises(CheckpointError, match="do not fit the present configuration"):
            launch(checkpoint="other.pt", **typed)


def test_a_checkpoint_that_does_not_say_its_engine_is_read(launch):
    launch(max_iterations=1, run_dir="run")
    content = torch.load("run/checkpoints/last.pt", weights_only=True)
    del content["config"]["sim"]
    torch.save(content, "other.pt")
    assert launch(mode="evaluate", checkpoint="other.pt", episodes=1)["episodes"] == 1


def test_renamed_keys_and_modes_are_answered_with_their_new_names():
    with pytest.raises(ConfigError, match="graph is called cuda_graph now"):
        resolve({"task": {"name": "Point"}, "train": {"name": "greedy"}, "graph": "off"})
    with pytest.raises(ConfigError, match="mode=graph is called mode=task_graph now"):
        resolve({"task": {"name": "Point"}, "train": {"name": "greedy"}, "mode": "graph"})


@pytest.mark.parametrize("changes", [{"old_key": 1}, {"horizon": "many"}])
def test_a_checkpoint_with_keys_of_an_earlier_version_says_so(launch, changes):
    launch(run_dir="run", max_iterations=1)
    content = torch.load("run/checkpoints/last.pt", weights_only=True)
    content["config"]["train"] |= changes
    torch.save(content, "old.pt")
    with pytest.raises(CheckpointError, match=r"written by an earlier version of isaachrl.*train\.(old_key|horizon)"):
        launch(mode="evaluate", checkpoint="old.pt")
    launch(run_dir="new", max_iterations=1, checkpoint="run")  # of a file that is valid, what was typed is wrong
    with pytest.raises(ConfigError, match=r"unknown key train\.old_key"):
        launch(mode="evaluate", checkpoint="new", train={"old_key": 1})


def test_a_new_training_from_a_checkpoint_of_another_task_says_what_to_type(launch):
    launch(run_dir="run", max_iterations=1)
    values = {"task": {"name": "Point2"}, "train": {"name": "greedy"}, "checkpoint": "run", "device": "cpu"}
    with pytest.raises(CheckpointError, match="run is of task=Point; .* type task=Point checkpoint=run"):
        resolve(values, {"checkpoint": "run"})


@pytest.mark.parametrize(
    ("plugin", "extra"),
    [("sweeper/optuna", "optuna"), ("launcher/joblib", "sweeps"), ("launcher/submitit_slurm", "sweeps")],
)
def test_a_plugin_of_hydra_that_is_not_installed_names_its_extra(plugin, extra):
    error = composition_error(
        ValueError(f"In 'hydra/config': Could not find 'hydra/{plugin}'\n\nAvailable options: basic")
    )
    assert f"'hydra/{plugin}'); type pip install -e \".[{extra}]\"" in str(error)
