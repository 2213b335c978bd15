"""`train=rsl_rl` and `train=skrl` through the commands: train, resume, evaluate, play, export."""

import json
from pathlib import Path

import pytest

import tasks
from isaachrl.run import dispatch
from isaachrl.run.commands import export
from isaachrl.run.config import settings
from isaachrl.run.config.learners import load_learners
from tests.tiny_skill import make_tiny_skill

assert tasks
EXTRAS = {"rsl_rl": "rsl-rl", "skrl": "skrl"}


@pytest.fixture(params=EXTRAS)
def run(request, monkeypatch):
    """Runs a command with the learner of a library."""
    pytest.importorskip(request.param, reason=f'not installed: pip install -e ".[{EXTRAS[request.param]}]"')
    monkeypatch.setattr(settings, "load_learners", load_learners)

    def run(task, **typed):
        train = {"name": request.param, "horizon": 4, "hidden": [8], "minibatch": 8}
        values = settings.merge({"num_envs": 4, "device": "cpu", "task": task, "train": train}, typed)
        return dispatch.dispatch(settings.resolve(values, values))

    return run


@pytest.fixture
def no_report(monkeypatch):
    """No report is drawn, which takes longer than such a run."""
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)


def metrics(folder):
    lines = [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith(("wall_s", "perf/"))} for line in lines]


def test_a_resumed_run_is_the_run_that_was_not_stopped(run, no_report):
    task = {"name": "TaxiFuel"}
    run(task, max_iterations=2, run_dir="run")
    run(task, max_iterations=4, resume="run")
    run(task, max_iterations=4, run_dir="straight")
    assert metrics("run") == metrics("straight") and [row["iteration"] for row in metrics("run")] == [1, 2, 3, 4]


def test_a_policy_over_a_skill_is_evaluated_played_and_exported(run, no_report, monkeypatch):
    make_tiny_skill().save(Path("tiny.pt"))
    task = {"name": "HumanoidLocation", "skill": "tiny.pt", "episode_steps": 10, "start_motion": "stand"}
    run(task, max_iterations=2, run_dir="run")
    assert all(Path("run", name).exists() for name in ("config.yaml", "metrics.jsonl", "checkpoints/last.pt"))
    assert run(task, mode="evaluate", checkpoint="run", episodes=4)["iteration"] == 2
    assert run(task, mode="play", checkpoint="run", episodes=4, video=False)["episodes"] == 4
    written = []
    monkeypatch.setattr(export, "export_network", lambda network, folder: written.append(network.name) or {})
    run(task, mode="export", checkpoint="run")
    assert written == ["high_level", "low_level", "fused", "motor_torques"]
    means = [
        run(task, mode="evaluate", checkpoint=one, episodes=4)["return_mean"]
        for one in ("run", "run/export/weights.pt")
    ]
    assert means[0] == means[1]


def test_its_network_is_a_plain_one_that_export_writes(run, no_report):
    pytest.importorskip("onnxruntime", reason='not installed: pip install -e ".[export]"')
    run({"name": "TaxiFuel"}, max_iterations=1, run_dir="run")
    differences = run({"name": "TaxiFuel"}, mode="export", checkpoint="run")
    assert set(differences) == {"policy.pt", "policy.onnx"} and max(differences.values()) <= export.TOLERANCE
