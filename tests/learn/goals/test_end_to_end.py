"""Through the commands: train, resume, evaluate on the points, play; and the wrong things typed."""

import json
from pathlib import Path

import pytest
import torch

import tasks
from isaachrl.errors import ConfigError
from isaachrl.run import dispatch as commands
from isaachrl.run.config import settings
from isaachrl.run.storage.checkpoint import load_checkpoint
from tests.learn.goals.plane import SMALL

assert tasks
SHORT = SMALL | {"eval_every": 2, "eval_episodes": 3}


@pytest.fixture
def launch(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "isaachrl.run.loop.train_loop.write_report", lambda *_: None
    )  # a plot takes longer than all the rest
    torch.set_num_threads(1)

    def launch(task="AntMaze", learner="goals", train=SHORT, **typed):
        section = {"name": task, "episode_steps": 20} | typed.pop("task", {})
        values = {"num_envs": 3, "device": "cpu", "run_dir": "run", **typed}
        base = {"task": section, "train": {"name": learner, **train}}
        if "checkpoint" in values or "resume" in values:
            base = {"task": {"name": task}, "train": {"name": learner}}
        return commands.dispatch(settings.resolve(settings.merge(base, values), values))

    return launch


def test_train_resume_evaluate_and_play(launch, capsys):
    folder = launch(max_iterations=2)
    first = load_checkpoint(folder)
    assert first.iteration == 2 and first.learner == "goals"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert "eval/success_at_0_16" in lines[1] and "eval/success_rate" not in lines[0]
    assert "worker/critic_loss" in lines[-1] and "manager/kept_goals" in lines[-1]
    launch(resume="run", max_iterations=3)
    assert load_checkpoint(Path("run")).iteration == 3
    summary = launch(mode="evaluate", checkpoint="run", episodes=3)
    points = {name: value for name, value in summary.items() if name.startswith("success_at_")}
    assert sorted(points) == ["success_at_0_16", "success_at_16_0", "success_at_16_16"]
    assert summary["episodes"] == 3 and all(value in (0.0, 1.0) for value in points.values())
    played = launch(mode="play", checkpoint="run", episodes=1, video=False)
    assert played["length_mean"] == 20
    capsys.readouterr()


@pytest.mark.parametrize("task", ["AntPush", "AntFall", "AntFourRooms", "AntGather"])
def test_every_course_trains(launch, task):
    folder = launch(task, train=SHORT | {"correction": "none", "connection": {"mode": "paper"}}, max_iterations=3)
    assert load_checkpoint(folder).iteration == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"meta_periods": [2, 2]},
        {"worker": SMALL["worker"] | {"algorithm": "sac"}, "manager": SMALL["manager"] | {"algorithm": "sac"}},
    ],
)
def test_other_levels_train_resume_and_evaluate(launch, changes):
    launch(train=SHORT | {"correction": "none"} | changes, max_iterations=3)
    launch(resume="run", max_iterations=4)
    assert load_checkpoint(Path("run")).iteration == 4
    summary = launch(mode="evaluate", checkpoint="run", episodes=3)
    assert summary["episodes"] == 3 and "success_at_16_0" in summary


@pytest.mark.parametrize("learner", ["td3", "sac"])
def test_the_flat_baselines_train(launch, learner):
    train = {"steps_per_iteration": 8, "warmup_steps": 8, "replay_steps": 400, "eval_every": 2, "eval_episodes": 3}
    train |= {"meta_periods": [], "correction": "none"}
    level = {"algorithm": learner, "hidden": [16], "batch": 16}
    folder = launch(learner=learner, train=train | {"worker": level}, max_iterations=3)
    assert load_checkpoint(folder).learner == learner


def test_a_task_without_goals_says_which_have_some(launch):
    with pytest.raises(
        ConfigError, match=r"what the task's goals can be about, and it has no bodies; type task=AntMaze"
    ):
        launch("TaxiFuel", max_iterations=1)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"train": SHORT | {"meta_periods": [0]}}, r"meta_periods=0"),
        ({"train": SHORT | {"goal_size": 31}}, "goal of 31 entries"),
        ({"recipe": "magic"}, "recipe=magic is unknown"),
        ({"train": SHORT | {"corection": "hiro"}}, "did you mean correction"),
    ],
)
def test_wrong_keys_and_values_are_named(launch, typed, message):
    with pytest.raises(ConfigError, match=message):
        launch(max_iterations=1, **typed)
