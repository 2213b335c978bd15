"""A training: what it leaves behind, how it stops, and that stopping changes nothing."""

import json
import math
import os
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from isaachrl.errors import CheckpointError, ConfigError
from isaachrl.run.checkpoint import load_checkpoint
from isaachrl.run.metrics import read_metrics
from isaachrl.run.train_loop import TrainLoop
from tests.run import point


def signals(folder):
    """The metrics of a run without its clock."""
    clock = ("wall_s", "perf/samples_per_s")
    return [{k: v for k, v in line.items() if k not in clock} for line in read_metrics(Path(folder) / "metrics.jsonl")]


def test_run_leaves_config_metrics_checkpoints_report_products_and_events(launch):
    folder = launch(max_iterations=4)
    assert folder.parent == Path("runs/Point")
    assert "horizon: 4" in (folder / "config.yaml").read_text()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert [line["samples"] for line in lines] == [16, 32, 48, 64]  # 4 environments x 4 steps an iteration
    assert lines[0]["loss/odd"] is None  # JSON has no nan
    assert lines[0]["wall_s"] > 0
    assert (folder / "product.txt").read_text() == "4"
    assert list((folder / "tensorboard").glob("events*"))
    assert load_checkpoint(folder).iteration == 4
    assert (folder / "report.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_stopped_and_continued_equals_uninterrupted(launch):
    whole = launch(max_iterations=6, run_dir="whole")
    launch(max_iterations=3, run_dir="parts")
    torch.rand(7)  # whatever else uses the global generator in between
    parts = launch(resume="parts", max_iterations=6)
    assert parts == Path("parts")
    assert signals(whole) == signals(parts)
    a, b = load_checkpoint(whole), load_checkpoint(parts)
    assert a.iteration == b.iteration == 6
    for name, weight in a.learner_state["net"].items():
        assert torch.equal(weight, b.learner_state["net"][name])
    assert torch.equal(a.env_state["pos"], b.env_state["pos"])


def test_resume_cuts_what_came_after_the_checkpoint(launch):
    launch(max_iterations=3, run_dir="run")
    with open("run/metrics.jsonl", "a") as file:
        file.write('{"iteration": 4, "samples": 64, "wall_s": 9.0, "reward/mean": 123.0}\n{"iteration": 5, "sam')
    launch(resume="run", max_iterations=4)
    lines = signals("run")
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert lines[-1]["reward/mean"] != 123.0


def test_resume_takes_over_the_configuration_of_the_run(launch):
    launch(max_iterations=2, run_dir="run", num_envs=3, train={"horizon": 2})
    launch(resume="run/checkpoints/last.pt", max_iterations=3, num_envs=3)
    assert signals("run")[-1]["samples"] == 3 * 3 * 2


def test_a_total_below_what_is_done_is_refused_before_anything_is_written(launch):
    launch(max_iterations=3, run_dir="run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"max_iterations=2 is the total, and 3 .*type max_iterations=4 or more"):
        launch(resume="run", max_iterations=2)
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


def test_resume_with_another_number_of_environments_is_refused(launch):
    launch(max_iterations=1, run_dir="run")
    with pytest.raises(CheckpointError, match="num_envs=4.*not 5; leave num_envs= out"):
        launch(resume="run", max_iterations=2, num_envs=5)


def test_resume_with_another_seed_is_refused(launch):
    launch(max_iterations=1, run_dir="run")
    with pytest.raises(CheckpointError, match="seed=0, from which its worlds were drawn, not 5; leave seed= out"):
        launch(resume="run", max_iterations=2, seed=5)


def test_a_new_training_does_not_replace_another_one(launch):
    launch(max_iterations=2, run_dir="run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="run_dir=run holds a training already; type resume=run"):
        launch(max_iterations=1, run_dir="run")
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_at_an_iteration_boundary_and_resume_goes_on_exactly(launch, monkeypatch, number):
    whole = launch(max_iterations=5, run_dir="whole")
    original = point.Greedy.iterate

    def interrupted(self):
        if self.iteration == 2:
            os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(point.Greedy, "iterate", interrupted)
    launch(max_iterations=5, run_dir="parts")
    assert load_checkpoint(Path("parts")).iteration == 3  # the iteration under way was finished
    monkeypatch.setattr(point.Greedy, "iterate", original)
    assert signals(launch(resume="parts")) == signals(whole)


def numbered(folder):
    return [int(path.stem) for path in sorted((folder / "checkpoints").glob("0*.pt"))]


@pytest.fixture
def saved_always(monkeypatch):
    """A checkpoint after every iteration, as in a long training."""
    monkeypatch.setattr("isaachrl.run.train.TrainLoop", partial(TrainLoop, checkpoint_every_s=0.0))
    monkeypatch.setattr("isaachrl.run.train_loop.SAVING_SHARE", math.inf)


def test_five_numbered_checkpoints_are_kept_evenly_over_the_run(launch, saved_always):
    folder = launch(max_iterations=40)
    assert numbered(folder) == [8, 16, 24, 32, 40]
    assert [load_checkpoint(folder / f"checkpoints/{n:08d}.pt").iteration for n in (8, 40)] == [8, 40]


def test_numbered_checkpoints_of_a_part_that_was_given_up_go(launch, saved_always):
    folder = launch(max_iterations=10)
    assert numbered(folder) == [2, 4, 6, 8, 10]
    (folder / "checkpoints" / "8_best.pt").write_bytes(b"mine")
    launch(resume=str(folder / "checkpoints/00000004.pt"), max_iterations=11)
    assert numbered(folder) == [2, 4, 6, 8, 10]
    assert load_checkpoint(folder / "checkpoints/00000006.pt").iteration == 6
    assert (folder / "checkpoints" / "8_best.pt").exists()


def test_checkpoint_in_training_gives_the_weights_and_nothing_else(launch):
    launch(max_iterations=3, run_dir="first")
    launch(checkpoint="first", max_iterations=1, run_dir="second", train={"learning_rate": 1e-9})
    first, second = load_checkpoint(Path("first")), load_checkpoint(Path("second"))
    assert second.iteration == 1
    torch.testing.assert_close(first.learner_state["net"], second.learner_state["net"], atol=1e-6, rtol=0)
