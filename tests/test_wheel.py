"""The wheel holds everything, and nothing outside of the package; what it installs works without a checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LARGEST_BYTES = 9_000_000
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "--no-input"]
MINE = """
import isaachrl, sys
from isaachrl.envs import register
from isaachrl.hierarchy.build import hierarchical
from isaachrl.tasks.humanoid_location import HumanoidLocation, HumanoidLocationCfg

assert "tasks" not in sys.modules and "train" not in sys.modules
print(isaachrl.__file__, sys.modules["isaachrl.tasks"].__file__, file=sys.stderr)
register("Mine", HumanoidLocationCfg, hierarchical(HumanoidLocation), episode_steps=10)
"""

pytestmark = pytest.mark.slow


def pip(*words, cwd):
    subprocess.run([*PIP, *map(str, words)], cwd=cwd, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy, since a build leaves files behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("isaachrl", "tasks", "cfg", "assets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", out, ".", cwd=source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the installed wheel."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--no-compile", "--target", folder, wheel, cwd=folder)
    return folder


@pytest.fixture
def program(installed, tmp_path):
    """`program(*words)`: the installed program in an empty folder; its standard output."""

    def run(*words):
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        env |= {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "isaachrl", "device=cpu", *words]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done

    return run


def test_the_wheel_is_small_and_has_all_files_inside_the_package(wheel):
    assert wheel.stat().st_size <= LARGEST_BYTES
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (scripts,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert {name.split("/")[0].split("-")[0] for name in names} == {"isaachrl"}
    assert "isaachrl = isaachrl.run.main:main" in scripts
    folders = {"tasks": "isaachrl/tasks", "cfg": "isaachrl/cfg", "assets": "isaachrl/assets", "isaachrl": "isaachrl"}
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, inside in folders.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if "dist-info" not in name} == expected - {"isaachrl/tasks.py"}


def test_the_description_links_to_nothing_that_an_index_lacks(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    head, text = metadata.split("\n\n", 1)
    assert "Description-Content-Type: text/markdown" in head
    assert text.startswith("# isaachrl\n") and "ten minutes to a walking" in text and "](" not in text
    assert text.count("```") == (ROOT / "README.md").read_text(encoding="utf-8").count("```")


def test_a_task_of_the_users_own_runs_on_a_shipped_skill(program, installed, tmp_path):
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    keys = ["tasks=mine", "task=Mine", "train=ppo", "skill=humanoid", "policy=random", "episodes=1", "num_envs=1"]
    done = program("mode=evaluate", *keys)
    places = done.stderr.splitlines()[0].split()
    assert [Path(place).resolve().is_relative_to(installed.resolve()) for place in places] == [True, True]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["task"] == "Mine" and result["length_mean"] == 2.0 and result["typed"]["tasks"] == ["mine"]


def test_a_shipped_policy_is_filmed_by_its_name(program, tmp_path):
    program("mode=play", "checkpoint=mazes", "task=HumanoidHRLMaze", "episodes=1", "task.episode_steps=30")
    folder = tmp_path / "runs" / "HumanoidHRLMaze" / "mazes"
    assert (folder / "play.mp4").stat().st_size > 10_000 and (folder / "play.jpg").is_file()
