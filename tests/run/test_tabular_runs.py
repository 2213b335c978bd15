"""Tasks without bodies through the commands: train, resume, evaluate, play, graph, export."""

import json
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch

import tasks
from isaachrl.errors import CheckpointError, ConfigError, RenderError
from isaachrl.run import dispatch as commands
from isaachrl.run.commands import export
from isaachrl.run.config import settings
from isaachrl.run.config.learners import load_learners
from isaachrl.run.recording.paintings import PictureRecorder, renders_itself
from isaachrl.run.storage.checkpoint import load_checkpoint, save_checkpoint
from tests.run.point import Point, PointCfg
from tests.small_mdp import corridor

assert tasks
RUNS = {
    "hpg": ("TaxiFuel", {"horizon": 4}),
    "maxq": ("TaxiFuel", {"horizon": 4}),
    "flat_q": ("TaxiFuel", {"horizon": 4}),
    "hybrid": ("ShipSteering", {"horizon": 8}),
    "flat_pg": ("ShipSteering", {"horizon": 8}),
    "actor_critic": ("ShipSteering", {"horizon": 8}),
    "subgoals": ("FourRooms", {"horizon": 8, "hidden": [8]}),
    "ppo": ("TaxiFuel", {"horizon": 8, "hidden": [8], "minibatch": 32}),
}


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    monkeypatch.setattr(settings, "load_learners", load_learners)


@pytest.fixture
def run():
    def run(task, learner, train=None, steps=None, **typed):
        values = settings.merge({"num_envs": 4, "device": "cpu", "run_dir": "run"}, typed)
        values["task"] = {"name": task} | ({"episode_steps": steps} if steps else {})
        values["train"] = {"name": learner} | (train or {})
        return commands.dispatch(settings.resolve(values, values))

    return run


@pytest.mark.parametrize("learner", RUNS)
def test_train_resume_and_evaluate(run, learner):
    task, train = RUNS[learner]
    run(task, learner, train, max_iterations=2)
    run(task, learner, train, max_iterations=4, resume="run")
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert Path("run/report.png").exists()
    summary = run(task, learner, mode="evaluate", checkpoint="run", episodes=4, steps=30)
    assert summary["episodes"] == 4 and 0 < summary["length_mean"] <= 30 and "success_rate" in summary
    assert json.loads(Path("run/evaluate.json").read_text())["iteration"] == 4


@pytest.mark.parametrize(
    ("learner", "train", "missing"),
    [("hpg", {}, "open"), ("hpg", {"natural": False}, "policies"), ("hybrid", {}, "traces")],
)
def test_a_run_that_lacks_what_is_kept_today_is_not_resumed_and_gives_its_weights(
    run, monkeypatch, learner, train, missing
):
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)
    task, more = RUNS[learner]
    run(task, learner, more | train, max_iterations=1)
    stored = load_checkpoint(Path("run"))
    state = stored.learner_state
    holder = state["algorithm"]
    holder.pop(missing)
    save_checkpoint(stored, Path("run/checkpoints/last.pt"))
    with pytest.raises(CheckpointError, match=f"but not '{missing}': it was written by another version"):
        run(task, learner, more | train, max_iterations=2, resume="run")
    run(task, learner, more | train, max_iterations=1, checkpoint="run", run_dir="new")
    assert load_checkpoint(Path("new")).iteration == 1


def test_a_checkpoint_ignores_yaml_of_another_task_or_learner(run):
    run("TaxiFuel", "value_iteration", num_envs=1)
    yaml = {"task": {"name": "TaxiFuel"}, "train": {"name": "maxq", "learning_rate": 1.0}}
    typed = {"mode": "evaluate", "checkpoint": "run", "episodes": 4, "device": "cpu", "run_dir": "again"}
    found = settings.resolve(settings.merge(yaml, typed), {"task": {"name": "TaxiFuel"}} | typed)
    assert found.learner.name == "value_iteration" and found.learner_cfg.max_iterations == 200
    assert commands.dispatch(found)["success_rate"] == 1.0
    film = yaml | {"task": {"name": "ShipSteering", "size_m": 900.0}, "mode": "play", "checkpoint": "run"}
    assert settings.resolve(film, {"mode": "play", "checkpoint": "run"}).task.name == "TaxiFuel"


def test_value_iteration_prints_what_is_best(run, capsys):
    run("TaxiFuel", "value_iteration", num_envs=1)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["mean_return"] == pytest.approx(3.5441667) and found["mean_length"] == pytest.approx(16.4558333)
    assert found["reward_per_step"] == pytest.approx(3.5441667 / 16.4558333)
    assert found["random"]["mean_return"] < -50 and found["starts"] == 2400
    assert found["hierarchical"]["mean_return"] == pytest.approx(found["mean_return"])
    assert found["recursive"]["mean_return"] == pytest.approx(found["mean_return"])
    assert json.loads(Path("run/outcome.json").read_text()) == found


@pytest.mark.parametrize(
    ("task", "learner"), [("TaxiFuel", "maxq"), ("ShipSteering", "hybrid"), ("FourRooms", "subgoals")]
)
def test_play_paints_a_video(run, task, learner):
    run(task, learner, RUNS[learner][1], max_iterations=1)
    summary = run(task, learner, mode="play", checkpoint="run", num_envs=1, episodes=1, steps=20)
    frames = iio.imread(summary["video"])
    assert len(frames) >= summary["length_mean"] + 1 and frames.shape[1] % 2 == 0  # the start, and every step


@pytest.mark.parametrize(("task", "line"), [("TaxiFuel", "  Refuel"), ("ShipSteering", "  NorthEast")])
def test_the_graph_is_printed_and_drawn(run, capsys, task, line):
    run(task, "maxq", mode="task_graph")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Root" and any(text.startswith(line) for text in lines)
    assert iio.imread("run/task_graph.png").shape[1] > 500


def test_a_task_without_a_graph_has_none_to_print(run):
    with pytest.raises(ConfigError, match="declares no task graph"):
        run("FourRooms", "subgoals", mode="task_graph")


@pytest.mark.parametrize(
    ("task", "learner", "names", "others"),
    [
        ("TaxiFuel", "flat_q", {"policy"}, set()),
        ("ShipSteering", "hybrid", {"root", "ends"}, {"view", "straight", "diagonal"}),  # each takes a second
        ("ShipSteering", "hybrid", {"view", "straight", "diagonal"}, {"root", "ends"}),
    ],
)
def test_export(run, monkeypatch, task, learner, names, others):
    """Networks of these names are exported and compared; what else there is, another case exports."""
    pytest.importorskip("onnxruntime")
    write, left = export.export_network, set()

    def some(exported, folder):
        if exported.name in names:
            return write(exported, folder)
        left.add(exported.name)
        return {}

    monkeypatch.setattr(export, "export_network", some)
    run(task, learner, RUNS[learner][1], max_iterations=1)
    differences = run(task, learner, mode="export", checkpoint="run")
    assert set(differences) == {f"{name}.{form}" for name in names for form in ("pt", "onnx")} and left == others
    assert max(differences.values()) < 1e-4


def test_only_environments_with_a_picture_are_filmed(tmp_path):
    assert not renders_itself(
        Point(PointCfg(), settings.registry.World(1, "auto", torch.device("cpu"), torch.Generator()))
    )
    env = corridor(1)
    assert not renders_itself(env)
    env.mdp = replace(env.mdp, picture=lambda track: iio.np.zeros((33, 32, 3), dtype="uint8"))
    assert renders_itself(env)
    with pytest.raises(RenderError, match="even"):
        PictureRecorder(env, tmp_path / "x.mp4", 10)
