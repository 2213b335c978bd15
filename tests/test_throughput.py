"""The benchmark runs and says what it promises; its numbers are not checked here."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

from isaachrl.errors import ConfigError, SkillError

PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "throughput.py"


@pytest.fixture(scope="module")
def throughput():
    spec = importlib.util.spec_from_file_location("throughput", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(throughput, capsys, *words):
    throughput.main([*words, "num_envs=4", "seconds=0"])
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()  # nothing but one line of JSON
    assert "physics_steps_per_s" in printed.err
    return json.loads(line)


def test_a_flat_task(throughput, capsys):
    result = measure(throughput, capsys, "task=HumanoidAMP")
    assert (result["task"], result["num_envs"], result["skill"], result["blocks"]) == ("HumanoidAMP", 4, "none", 3)
    assert result["physics_steps_per_s"] == pytest.approx(4 * result["bare_control_steps_per_s"], abs=4)
    assert 0.0 < result["ratio"] < math.inf
    assert sorted(result["versions"]) == ["mujoco", "torch"]


def test_a_training_and_the_shares_of_its_phases(throughput, capsys):
    result = measure(throughput, capsys, "loop=none")
    assert (result["loop"], result["skill"]) == ("none", "none")
    assert list(result["phases"]) == ["physics", "observations", "inference", "update"]
    assert all(share >= 0 for share in result["phases"].values())
    assert sum(result["phases"].values()) == pytest.approx(1.0, abs=0.01)
    assert 0.0 < result["ratio"] < math.inf


def test_loop_none_is_refused_for_a_task_on_a_skill(throughput):
    with pytest.raises(ConfigError):
        throughput.main(["task=HumanoidHRLMaze", "loop=none", "num_envs=2"])


@pytest.mark.slow
def test_a_task_above_a_skill_makes_one_if_there_is_none(throughput, capsys, monkeypatch):
    def no_skill(name):
        raise SkillError("none here")

    monkeypatch.setattr(throughput, "skill_path", no_skill)
    result = measure(throughput, capsys, "task=HumanoidHRLMaze")
    assert (result["task"], result["skill"]) == ("HumanoidHRLMaze", "random")
    assert result["env_steps_per_s"] > 0


@pytest.mark.parametrize(
    ("word", "error", "message"),
    [
        ("tusk=HumanoidAMP", ConfigError, "unknown key tusk; did you mean task"),
        ("task=HumanoidAPM", ConfigError, "unknown task 'HumanoidAPM'; did you mean HumanoidAMP"),
        ("num_envs=many", ConfigError, "num_envs"),
    ],
)
def test_misspelt_words_are_refused(throughput, word, error, message):
    with pytest.raises(error, match=message):
        throughput.main([word])


def test_a_skill_that_was_asked_for_must_be_there(throughput):
    with pytest.raises(SkillError, match=r"no skill file nowhere\.pt"):
        throughput.main(["task=HumanoidHRLMaze", "skill=nowhere.pt", "num_envs=2"])
