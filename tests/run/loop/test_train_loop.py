"""A training: what it leaves behind, how it stops, and that stopping changes nothing."""

import json
import os
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest
import torch

from isaachrl.errors import CheckpointError, ConfigError, ProcessError
from isaachrl.run.loop.train_loop import TrainLoop
from isaachrl.run.recording.report import write_report
from isaachrl.run.storage.checkpoint import load_checkpoint
from isaachrl.run.storage.metrics import read_metrics
from tests.run import point


def signals(folder):
    """The metrics of a run without its clock."""
    clock = ("wall_s", "perf/samples_per_s")
    return [{k: v for k, v in line.items() if k not in clock} for line in read_metrics(Path(folder) / "metrics.jsonl")]


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Most of these trainings take less time than their report."""
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)


def test_run_leaves_config_metrics_checkpoints_report_products_and_events(launch, monkeypatch):
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", write_report)
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
    with pytest.raises(ConfigError, match=r"max_iterations=2 is the total, but .*type max_iterations=4 or more"):
        launch(resume="run", max_iterations=2)
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


def test_resume_with_another_number_of_environments_is_refused(launch):
    launch(max_iterations=1, run_dir="run")
    with pytest.raises(CheckpointError, match="num_envs=4, not 5.*; leave num_envs= out, or type task=Point check"):
        launch(resume="run", max_iterations=2, num_envs=5)


def test_resume_with_another_seed_is_refused(launch):
    launch(max_iterations=1, run_dir="run")
    with pytest.raises(CheckpointError, match="seed=0, not 5, .*; leave seed= out, or type task=Point checkpoint=run"):
        launch(resume="run", max_iterations=2, seed=5)


def test_a_new_training_does_not_replace_another_one(launch):
    launch(max_iterations=2, run_dir="run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="run_dir=run has a training already; type resume=run"):
        launch(max_iterations=1, run_dir="run")
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


@pytest.fixture
def terminal():
    """SIGHUP as under a terminal, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_numbered_checkpoints_follow_each_fifth_of_the_run(launch):
    assert numbered(launch(max_iterations=40)) == [8, 16, 24, 32, 40]
    assert numbered(launch(max_iterations=11)) == [3, 5, 7, 9, 11]
    assert numbered(launch(max_iterations=3)) == [1, 2, 3]


def test_the_newest_five_numbered_checkpoints_stay(launch):
    launch(max_iterations=10, run_dir="run")
    launch(resume="run", max_iterations=20)
    assert numbered(Path("run")) == [8, 10, 12, 16, 20]


def test_numbered_checkpoints_of_a_part_that_was_given_up_go(launch):
    folder = launch(max_iterations=4, run_dir="run")
    shutil.copy("run/checkpoints/last.pt", "stopped_at_4.pt")
    launch(resume="run", max_iterations=10)
    assert numbered(folder) == [3, 4, 6, 8, 10]
    (folder / "checkpoints" / "8_best.pt").write_bytes(b"mine")
    shutil.copy("stopped_at_4.pt", "run/checkpoints/last.pt")
    launch(resume="run", max_iterations=5)
    assert numbered(folder) == [3, 4, 5]
    assert (folder / "checkpoints" / "8_best.pt").exists()


def test_a_numbered_checkpoint_holds_the_weights_alone(launch):
    launch(max_iterations=5, run_dir="run")
    whole, numbered = (load_checkpoint(Path("run/checkpoints") / name) for name in ("last.pt", "00000005.pt"))
    assert set(numbered.learner_state) == {"net", "counters"}
    assert (numbered.env_state, numbered.random_state, numbered.others) == ({}, {}, [])
    assert (numbered.iteration, numbered.samples, numbered.wall_s) == (5, whole.samples, whole.wall_s)
    assert numbered.config == whole.config
    for name, weight in whole.learner_state["net"].items():
        assert torch.equal(weight, numbered.learner_state["net"][name])


def test_a_numbered_checkpoint_is_evaluated_and_started_from(launch):
    launch(max_iterations=5, run_dir="run")
    shutil.copy("run/checkpoints/last.pt", "whole_at_5.pt")
    launch(resume="run", max_iterations=6)
    paths = ("whole_at_5.pt", "run/checkpoints/00000005.pt")
    summaries = [launch(mode="evaluate", checkpoint=path, episodes=4) for path in paths]
    other = {"never": 0, "checkpoint": "", "typed": {}}  # one metric is NaN, which equals nothing
    assert summaries[0] | other == summaries[1] | other
    started = [launch(checkpoint=path, max_iterations=2, run_dir=f"more{i}") for i, path in enumerate(paths)]
    assert signals(started[0]) == signals(started[1])


@pytest.mark.parametrize("kind", [KeyError, IndexError, TypeError])
def test_a_run_whose_state_is_another_versions_is_not_resumed_and_says_what_to_type(launch, monkeypatch, kind):
    launch(run_dir="run", max_iterations=1)

    def fails(self, state):
        raise kind("steps")

    monkeypatch.setattr(point.Greedy, "load_state_dict", fails)
    expected = f"does not fit .* .{kind.__name__}: '?steps.*another version .* type checkpoint=run with"
    with pytest.raises(CheckpointError, match=expected):
        launch(resume="run", max_iterations=2)
    launch(checkpoint="run", run_dir="new", max_iterations=1)
    assert load_checkpoint(Path("new")).iteration == 1


def test_a_numbered_checkpoint_is_not_resumed_and_says_what_to_type(launch):
    launch(max_iterations=5, run_dir="run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    source = "run/checkpoints/00000005.pt"
    message = (
        "an exact continuation needs optimisers, replay, environments and random state; type"
        f" resume=run/checkpoints/last.pt to continue that run, or task=Point checkpoint={source} run_dir=NEW for"
    )
    with pytest.raises(CheckpointError, match=message):
        launch(resume=source, max_iterations=6)
    Path("run/checkpoints/last.pt").rename("elsewhere.pt")
    with pytest.raises(CheckpointError, match=f"random state; type task=Point checkpoint={source} run_dir=NEW"):
        launch(resume=source, max_iterations=6)
    Path("elsewhere.pt").rename("run/checkpoints/last.pt")
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


class Clock:
    """Seconds that pass only where a test says so."""

    now = 0.0

    def __call__(self):
        return self.now

    def takes(self, seconds, function=lambda *_: None):
        """The function, after which so much time has passed."""

        def timed(*arguments):
            result = function(*arguments)
            self.now += seconds
            return result

        return timed


@pytest.mark.parametrize(
    ("saving_s", "expected"),
    [
        # at once, after 3 % of the time, after twice the last pause, and at the end of the run
        (2.0, [(1, 10.0), (8, 82.0), (15, 154.0), (22, 226.0), (30, 308.0), (46, 470.0), (70, 712.0)]),
        # 12.5 s are 3 % of 417 s
        (12.5, [(1, 10.0), (43, 442.5), (70, 725.0)]),
    ],
)
def test_last_pt_is_saved_early_and_then_every_few_minutes(launch, monkeypatch, saving_s, expected):
    clock, saved = Clock(), []

    def save(checkpoint, path):
        if path.name == "last.pt":
            saved.append((checkpoint.iteration, clock.now))
            clock.now += saving_s

    monkeypatch.setattr(point.Greedy, "iterate", clock.takes(10.0, point.Greedy.iterate))
    monkeypatch.setattr("isaachrl.run.loop.train_loop.save_checkpoint", save)
    monkeypatch.setattr("isaachrl.run.commands.train.TrainLoop", partial(TrainLoop, clock=clock))
    launch(max_iterations=70)
    assert saved == expected


def test_a_save_comes_as_often_as_was_asked_for_whatever_it_takes(launch, monkeypatch):
    clock, saved = Clock(), []

    def save(checkpoint, path):
        if path.name == "last.pt":
            saved.append(checkpoint.iteration)
            clock.now += 12.5

    monkeypatch.setattr(point.Greedy, "iterate", clock.takes(10.0, point.Greedy.iterate))
    monkeypatch.setattr("isaachrl.run.loop.train_loop.save_checkpoint", save)
    monkeypatch.setattr("isaachrl.run.commands.train.TrainLoop", partial(TrainLoop, clock=clock))
    launch(max_iterations=7, save_every_s=20, run_dir="a")
    assert saved == [2, 4, 6, 7]
    saved.clear()
    launch(max_iterations=3, save_every_s=0, run_dir="b")
    assert saved == [1, 2, 3]
    with pytest.raises(ConfigError, match="save_every_s=-1"):
        launch(max_iterations=3, save_every_s=-1)


def test_the_report_is_drawn_while_training_for_a_hundredth_of_the_time(launch, monkeypatch):
    clock, drawn = Clock(), []

    def draw(*_):
        drawn.append(clock.now)
        clock.now += 1.5

    monkeypatch.setattr(point.Greedy, "iterate", clock.takes(10.0, point.Greedy.iterate))
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", draw)
    monkeypatch.setattr("isaachrl.run.commands.train.TrainLoop", partial(TrainLoop, clock=clock))
    launch(max_iterations=30)
    assert drawn == [60.0, 211.5, 303.0]  # 1.5 s are 1 % of 150 s; and at the end of the run


def test_a_closing_terminal_may_say_so_twice(launch, monkeypatch):
    original = point.Greedy.iterate

    def interrupted(self):
        if self.iteration == 2:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGHUP):
                os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(point.Greedy, "iterate", interrupted)
    launch(max_iterations=5, run_dir="run")
    assert load_checkpoint(Path("run")).iteration == 3


def test_a_training_under_nohup_outlives_its_terminal(launch, monkeypatch):
    original = point.Greedy.iterate

    def interrupted(self):
        os.kill(os.getpid(), signal.SIGHUP)
        return original(self)

    monkeypatch.setattr(point.Greedy, "iterate", interrupted)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        launch(max_iterations=3, run_dir="run")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert load_checkpoint(Path("run")).iteration == 3


def test_temporary_files_of_killed_processes_are_removed_at_the_start(launch):
    launch(max_iterations=1, run_dir="run")
    killed = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    leftovers = [Path(f"run/.skill.pt.{killed}.x0_9z8y7.tmp"), Path(f"run/checkpoints/.last.pt.{killed}.abcd_123.tmp")]
    others = [Path("run/notes.tmp"), Path("run/checkpoints/.mine.tmp"), Path("run/.skill.pt")]
    if Path("/proc/self").exists():
        others.append(Path(f"run/.play.json.{os.getpid()}.x0_9z8y7.tmp"))  # its writer lives
    for path in (*leftovers, *others):
        path.write_bytes(b"half")
    launch(resume="run", max_iterations=2)
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in others)


def test_checkpoint_in_training_gives_the_weights_and_nothing_else(launch):
    launch(max_iterations=3, run_dir="first")
    launch(checkpoint="first", max_iterations=1, run_dir="second", train={"learning_rate": 1e-9})
    first, second = load_checkpoint(Path("first")), load_checkpoint(Path("second"))
    assert second.iteration == 1
    torch.testing.assert_close(first.learner_state["net"], second.learner_state["net"], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("part", "place", "value"),
    [
        ("learner_state", ["net"], 5),
        ("learner_state", ["net"], None),
        ("learner_state", ["net"], ...),
        ("learner_state", ["net", "0.weight"], torch.zeros(1, 7)),
        ("learner_state", ["net", "0.weight"], torch.zeros(1, 2, dtype=torch.complex64)),
        ("learner_state", ["net", "0.weight"], ...),
        ("learner_state", ["obs", "place"], torch.zeros(9, 2)),
        ("learner_state", ["obs", "place"], "x"),
        ("learner_state", ["optimizer"], {}),
        ("learner_state", ["optimizer", "param_groups"], 5),
        ("learner_state", ["optimizer", "param_groups", 0, "lr"], "x"),
        ("learner_state", ["counters"], [None, None]),
        ("learner_state", ["counters"], [7, 7]),
        ("env_state", ["pos"], torch.zeros(5)),
        ("env_state", ["pos"], torch.zeros(4, 1)),
        ("env_state", ["time"], torch.zeros(4)),
        ("env_state", ["generator"], torch.zeros(3, dtype=torch.uint8)),
        ("env_state", ["generator"], ...),
        ("random_state", ["numpy"], 5),
        ("random_state", ["torch"], None),
        ("random_state", ["python"], [3, [1], None]),
        ("random_state", ["python"], ...),
    ],
)
def test_a_state_of_another_structure_is_refused_before_anything_is_trained(launch, part, place, value):
    launch(max_iterations=1, run_dir="run")
    path = Path("run/checkpoints/last.pt")
    content = torch.load(path, weights_only=True)
    *outer, last = place
    inner = content[part]
    for key in outer:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="the state in the checkpoint does not fit"):
        launch(resume="run", max_iterations=2)
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("text", ["[gloo/transport/tcp/pair.cc:553] Connection closed by peer", "out of memory"])
def test_when_another_process_is_gone_the_last_save_is_named_and_other_errors_stay_what_they_are(
    launch, monkeypatch, text
):
    original = point.Greedy.iterate

    def iterate(self):
        if self.iteration == 3:
            raise RuntimeError(text)
        return original(self)

    monkeypatch.setattr(point.Greedy, "iterate", iterate)
    lost = "gloo" in text
    left = r"iteration 3; run/checkpoints/last.pt is intact, .* resume=run/checkpoints/last.pt" if lost else text
    with pytest.raises(ProcessError if lost else RuntimeError, match=left):
        launch(max_iterations=5, run_dir="run", save_every_s=0)
    assert load_checkpoint(Path("run")).iteration == 3
    if lost:
        with pytest.raises(ProcessError, match="iteration 3; nothing had been saved yet"):
            launch(max_iterations=50, run_dir="new", save_every_s=1e9)
