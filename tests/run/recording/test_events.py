"""TensorBoard events: that TensorBoard reads them, and what a full disk does."""

import errno
import io
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from isaachrl.run.recording import events
from isaachrl.run.recording.events import Events
from isaachrl.run.storage.checkpoint import load_checkpoint
from isaachrl.run.storage.metrics import read_metrics


def read(folder):
    found = EventAccumulator(str(folder)).Reload()
    return {name: [(e.step, e.value) for e in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_tensorboard_reads_them_and_forgets_what_a_continuation_does_anew(tmp_path):
    first = Events(tmp_path / "new" / "folder", 0)
    for step in (10, 20, 30):
        first.add(step, {"reward/total": step / 4, "odd": math.nan, "huge": 1e300})
    assert read(tmp_path / "new" / "folder")["reward/total"] == [(10, 2.5), (20, 5.0), (30, 7.5)]  # while it is open
    first.close()
    second = Events(tmp_path / "new" / "folder", 20)
    second.add(30, {"reward/total": 1.0})
    second.close()
    found = read(tmp_path / "new" / "folder")
    assert found["reward/total"] == [(10, 2.5), (30, 1.0)]
    assert found["huge"] == [(10, math.inf)] and math.isnan(found["odd"][0][1])


@pytest.mark.parametrize("refused", ["folder", "write", "flush", "close"])
def test_a_disk_that_refuses_them_costs_the_events_alone_and_is_told_once(launch, monkeypatch, caplog, refused):
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if refused == "folder":
        Path("run").mkdir()
        Path("run/tensorboard").write_text("in the way")
    else:
        monkeypatch.setattr(events.RecordWriter, refused, full)
    launch(max_iterations=3, run_dir="run")
    assert load_checkpoint(Path("run")).iteration == 3
    assert len(read_metrics(Path("run/metrics.jsonl"))) == 3
    told = [message for message in caplog.messages if "TensorBoard" in message]
    assert len(told) == (0 if refused == "close" else 1)


def test_a_full_disk_ends_the_events_with_one_message(caplog):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    writer = Events.__new__(Events)
    writer._writer = events.RecordWriter(io.BufferedWriter(io.FileIO("/dev/full", "w")))
    writer.add(1, {"a": 1.0})
    writer.add(2, {"a": 1.0})
    writer.close()
    assert caplog.messages == [
        "no more TensorBoard events (No space left on device); metrics.jsonl is the whole record"
    ]
