"""Nothing that stands in a file or on the command line is interpolated: a `$` is a `$`, no environment is read."""

import dataclasses
from types import SimpleNamespace

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.types import RunMode
from omegaconf import OmegaConf

import tasks
from isaachrl.errors import CheckpointError, ConfigError
from isaachrl.run import dispatch as commands
from isaachrl.run import main
from isaachrl.run.config import cli, settings
from isaachrl.run.storage.checkpoint import Checkpoint
from isaachrl.run.storage.folder import RunFolder
from isaachrl.run.storage.skill_file import load_checkpoint_or_skill
from tests.tiny_skill import make_tiny_skill

assert tasks
LEAK = "${oc.env:ISAACHRL_SECRET}"


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("ISAACHRL_SECRET", "hunter2")


def stored(monkeypatch, changes, sim="auto"):
    """Settings of a run that goes on from a checkpoint in which this stands."""
    config = {"task": {"name": "HumanoidHRLMaze"} | changes, "train": {"name": "ppo"}, "sim": sim, "seed": 0}
    loaded = Checkpoint("HumanoidHRLMaze", "ppo", config, 1, 1, {"critic": {}}, {"sim": {}})
    monkeypatch.setattr(settings, "load_checkpoint_or_skill", lambda path: loaded)
    typed = {"resume": "run", "device": "cpu"}
    return settings.resolve({"task": {"name": "HumanoidHRLMaze"}, "train": {"name": "ppo"}} | typed, typed)


@pytest.mark.parametrize("key", ["skill", "start_motion", "rescue"])
def test_strings_in_a_checkpoint_are_literal(monkeypatch, key):
    assert getattr(stored(monkeypatch, {key: LEAK}).task_cfg, key) == LEAK


def test_so_is_its_maze(monkeypatch):
    with pytest.raises(CheckpointError) as caught:
        stored(monkeypatch, {"layout": LEAK})
    assert LEAK in str(caught.value) and "hunter2" not in str(caught.value)


def test_and_its_engine(monkeypatch):
    assert stored(monkeypatch, {}, sim=LEAK).run.sim == LEAK


def test_and_the_motion_of_a_skill_file(tmp_path):
    skill = make_tiny_skill()
    skill.contract = dataclasses.replace(skill.contract, training={"motion": LEAK})
    skill.save(tmp_path / "skill.pt")
    assert load_checkpoint_or_skill(tmp_path / "skill.pt").config["task"]["motion"] == LEAK
    typed = {"checkpoint": str(tmp_path / "skill.pt"), "mode": "evaluate", "device": "cpu"}
    assert settings.resolve(typed, typed).task_cfg.motion == LEAK


@pytest.mark.parametrize("text", [LEAK, "${nope}", "dollar${x}.txt", "${", "$5", "1e3", "ü"])
def test_the_configuration_of_a_run_is_written_as_it_is(tmp_path, text):
    plain = {"task": {"layout": text, "hidden": [1, 2], "rate": 1e-4}, "none": None}
    folder = RunFolder(tmp_path)
    folder.write_config(plain)
    assert yaml.safe_load(folder.config.read_text(encoding="utf-8")) == plain
    given = settings.resolve({"task": {"name": "HumanoidHRLMaze", "skill": text}, "train": {"name": "ppo"}})
    assert given.plain()["task"]["skill"] == text


@pytest.mark.parametrize(
    ("word", "section", "key", "value"),
    [
        ("run_dir=a${nope}$b", None, "run_dir", "a${nope}$b"),
        ("task.layout=dollar${x}.txt", "task", "layout", "dollar${x}.txt"),
        (f"task.motion={LEAK}", "task", "motion", LEAK),
        ("seed=${seed}", None, "seed", "${seed}"),
    ],
)
def test_the_command_line_hands_on_what_was_typed(monkeypatch, word, section, key, value):
    with initialize_config_dir(str(main.CFG), version_base="1.3"):
        composed = compose("config", overrides=cli.hydra_arguments(["task=TaxiFuel", "train=hpg", word], main.CFG))
    handed = []
    monkeypatch.setattr(commands, "run", lambda *arguments: handed.extend(arguments))
    hydra = OmegaConf.create({"mode": RunMode.RUN, "overrides": {"task": [f"++{word}"]}})  # as Hydra itself keeps them
    monkeypatch.setattr(main, "HydraConfig", SimpleNamespace(get=lambda: hydra))
    main.run(composed)
    values, overrides = handed
    assert (values[section] if section else values)[key] == value and overrides == [f"++{word}"]


def test_a_dollar_in_place_of_a_number_says_which_key():
    with pytest.raises(ConfigError, match=r"^seed: Value '\$\{seed\}' of type 'str' could not be converted to Integer"):
        settings.resolve({"task": {"name": "TaxiFuel"}, "train": {"name": "hpg"}, "seed": "${seed}"})
