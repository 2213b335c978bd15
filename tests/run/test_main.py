"""The program composes tasks and YAML files of the user's own."""

import re
import sys

import pytest

import isaachrl
from isaachrl.envs import registry
from isaachrl.run import main
from isaachrl.run.config import learners, settings

MINE = """
from isaachrl.envs import register, task_env
from isaachrl.tasks.ant_course import AntCourse, AntCourseCfg

register("OwnMaze", AntCourseCfg, task_env(AntCourse), course="maze", episode_steps=7)
"""


def test_tasks_and_yaml_of_the_user(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(settings, "load_learners", learners.load_learners)
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_maze.py").write_text(MINE, encoding="utf-8")
    for name, text in {"train/OwnMaze": "name: sac", "task/Longer": "{name: OwnMaze, episode_steps: 9}"}.items():
        path = tmp_path / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")

    def keys(*words):
        monkeypatch.setattr(sys, "argv", ["isaachrl", "tasks=own_maze", "--config-dir", "own", *words, "help=true"])
        main.main()
        return capsys.readouterr().out

    shown = keys("task=OwnMaze")
    assert "# the task OwnMaze\ntask.episode_steps=7\n" in shown and "# the learner sac\n" in shown
    assert "task.episode_steps=9\n" in keys("task=Longer", "train=td3")
    for text, said in {
        "{name: sac": r"this file is not valid YAML: .*OwnMaze.yaml.*, line 1",
        "gamma: 0.9": r"train.name is missing: type train=NAME, or, in a file of your own, the line name: ppo",
    }.items():
        (tmp_path / "own" / "train" / "OwnMaze.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["isaachrl", "tasks=own_maze", "--config-dir", "own", "task=OwnMaze"])
        with pytest.raises(SystemExit) as stop:
            main.main()
        assert stop.value.code == 2 and re.search(said, capsys.readouterr().err)


def test_the_version_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["isaachrl", "--version"])
    main.main()
    assert capsys.readouterr().out == f"isaachrl {isaachrl.__version__}\n"
