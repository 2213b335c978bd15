"""Tasks of installed packages and of the user's modules are found; what is wrong with them is said."""

import sys

import pytest

import isaachrl
import isaachrl.tasks
import tasks
from isaachrl import shipped
from isaachrl.envs import discovery, registry
from isaachrl.errors import ConfigError

MODULE = """
from isaachrl.envs import register, task_env
from isaachrl.tasks.ant_course import AntCourse, AntCourseCfg

register("{name}", AntCourseCfg, task_env(AntCourse), course="maze", episode_steps=7)
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """An empty working folder; what is imported and registered does not outlive the test."""
    discovery.discover()
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def module(path, name):
    path.write_text(MODULE.format(name=name), encoding="utf-8")


def package(folder, name, value):
    """An installed package that announces tasks."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[isaachrl.tasks]\n{name} = {value}\n", encoding="utf-8")


def test_the_shipped_tasks_have_two_names_and_are_loaded_once():
    assert isaachrl.tasks is tasks and "HumanoidAMP" in registry.names()
    names = [name for name in sys.modules if name == "tasks" or name.startswith("tasks.")]
    assert len(names) > 20 and all(sys.modules[f"isaachrl.{name}"] is sys.modules[name] for name in names)


def test_a_missing_task_makes_the_shipped_ones_register(monkeypatch):
    calls = []
    monkeypatch.setattr(registry, "discover", lambda: calls.append(1))
    with pytest.raises(ConfigError, match="unknown task 'HumanoidLocatoin'; did you mean HumanoidLocation"):
        registry.entry("HumanoidLocatoin")
    assert calls == [1] and registry.entry("AntMaze") and calls == [1]


def test_modules_of_the_user_are_imported_from_the_working_folder(folder):
    module(folder / "mine_a.py", "MineA")
    (folder / "mine_b").mkdir()
    module(folder / "mine_b" / "inner.py", "MineB")
    discovery.import_tasks(["mine_a", "mine_b.inner"])
    discovery.import_tasks("mine_a")  # once more, as in another process of a sweep
    assert isaachrl.make("MineA", num_envs=2, device="cpu").episode_steps == 7 and registry.entry("MineB")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mine_d",
            r"tasks=mine_d: there is no module .*; did you mean mine_c\? \(valid: broken, mine_c\)",
        ),
        ("nowhere.mine", r"tasks=nowhere.mine: there is no module"),
        ("mine_c.py", r"tasks=mine_c.py is not the name of a module; type it as in an import, tasks=mine_c$"),
        ("./own/mine.py", r"type it as in an import, tasks=own.mine$"),
        ("broken", r"tasks=broken: ModuleNotFoundError: No module named 'not_there' \(.*broken.py, line 2\)"),
        ("mine_c", r"tasks=mine_c: ConfigError: a task named AntMaze is registered already, with .*AntCourseCfg \("),
    ],
)
def test_a_module_that_registers_nothing_is_refused(folder, name, message):
    module(folder / "mine_c.py", "AntMaze")
    (folder / "broken.py").write_text("import os\nimport not_there\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        discovery.import_tasks([name])


def test_installed_packages_announce_tasks_and_a_broken_one_is_left_out(folder, monkeypatch, caplog):
    monkeypatch.syspath_prepend(str(folder))
    package(folder, "announced", "announced_tasks")
    package(folder, "damaged", "damaged_tasks")
    module(folder / "announced_tasks.py", "Announced")
    (folder / "damaged_tasks.py").write_text("1 / 0\n", encoding="utf-8")
    discovery.discover.__wrapped__()
    assert "Announced" in registry.names()
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(
        "the tasks of damaged (damaged_tasks) are left out: ZeroDivisionError: division by zero ("
    )


def test_an_installation_without_tasks_says_so(monkeypatch):
    monkeypatch.setattr(shipped, "TASKS", "isaachrl.nowhere")
    with pytest.raises(ConfigError, match="there are no shipped tasks .*install isaachrl again"):
        discovery.discover.__wrapped__()
