"""Shipped files are found by their names, and their absence is said."""

from pathlib import Path

import pytest

from isaachrl import shipped
from isaachrl.errors import CheckpointError, ConfigError, SkillError
from isaachrl.hierarchy.option_file import skill_path
from isaachrl.hierarchy.skill import Skill
from isaachrl.run.storage.checkpoint import find_checkpoint
from isaachrl.sim import load_robot

MAZES = shipped.ASSETS / "skills" / "mazes.pt"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["mazes", "mazes.pt", "assets/skills/mazes.pt", str(MAZES)])
def test_a_shipped_file_has_several_names(name):
    assert find_checkpoint(Path(name)) == skill_path(name) == MAZES


def test_every_shipped_policy_has_a_name_of_its_own():
    files = [path for folder in ("skills", "policies") for path in (shipped.ASSETS / folder).glob("*.pt")]
    assert sorted(files) == sorted(shipped.policies().values()) and shipped.find("HumanoidLocation") in files
    assert Skill.load("humanoid").latent_size > 0


def test_what_lies_in_the_working_folder_comes_first(tmp_path):
    (tmp_path / "mazes" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="the folder mazes has no checkpoints/last.pt"):
        find_checkpoint(Path("mazes"))
    last = tmp_path / "mazes" / "checkpoints" / "last.pt"
    last.touch()
    assert find_checkpoint(Path("mazes")).resolve() == last


@pytest.mark.parametrize(("find", "error"), [(find_checkpoint, CheckpointError), (skill_path, SkillError)])
def test_an_unknown_name_is_answered_with_the_nearest(find, error):
    with pytest.raises(error, match=r"mzaes.*shipped \w+; did you mean mazes or umaze\? \(valid: HumanoidDodge, "):
        find("mzaes" if find is skill_path else Path("mzaes"))
    with pytest.raises(error, match=r"runs/mazes[^(]*shipped \w+$|runs/mazes.*<time>\).* shipped file$"):
        find("runs/mazes" if find is skill_path else Path("runs/mazes"))


def test_an_installation_without_assets_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "ASSETS", tmp_path / "assets")
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    for find in (lambda: skill_path("humanoid"), lambda: find_checkpoint(Path("mazes")), shipped.require_assets):
        with pytest.raises(ConfigError, match=r"incomplete, there is no folder .*assets; install isaachrl again"):
            find()
    with pytest.raises(ConfigError, match="incomplete"):
        load_robot("centaur")


def test_an_extra_is_installed_in_the_checkout_or_by_name(monkeypatch):
    assert shipped.installing("gpu") == 'pip install -e ".[gpu]"'
    monkeypatch.setattr(shipped, "_IN_CHECKOUT", False)
    assert shipped.installing("gpu") == 'pip install "isaachrl[gpu]"'
