"""A run's folder: one training at a time, however the one before has ended."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isaachrl.errors import CheckpointError, ConfigError, WriteError
from isaachrl.run.storage.folder import RunFolder
from tests.run import point

HOLD = """
import sys
from pathlib import Path
from filelock import FileLock
lock = FileLock(Path(sys.argv[1]) / ".lock")
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `run`."""
    Path("run").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_two_trainings_do_not_write_into_one_folder_and_a_killed_one_leaves_no_lock(launch, other):
    with pytest.raises(ConfigError, match="another training is writing into run; wait .* another run_dir"):
        launch(max_iterations=1, run_dir="run")
    assert [path.name for path in Path("run").iterdir()] == [".lock"]
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    launch(max_iterations=1, run_dir="run")
    assert Path("run/checkpoints/last.pt").exists()


def test_a_run_under_way_is_not_resumed_and_frees_its_folder_when_it_fails(launch, monkeypatch):
    original, message = point.Greedy.iterate, []

    def iterate(self):
        if self.iteration == 2:
            with pytest.raises(ConfigError, match="another training is writing into run") as caught:
                launch(resume="run", max_iterations=9)
            message.append(caught.value)
            raise ValueError("ends")
        return original(self)

    monkeypatch.setattr(point.Greedy, "iterate", iterate)
    with pytest.raises(ValueError, match="ends"):
        launch(max_iterations=5, run_dir="run", save_every_s=0)
    assert message
    monkeypatch.setattr(point.Greedy, "iterate", original)
    launch(resume="run", max_iterations=3)


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    folder = RunFolder(tmp_path / "run")
    (folder.path / ".lock").mkdir()
    with pytest.raises(WriteError, match="run cannot be written to .* type run_dir=FOLDER"), folder.locked():
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_obstacle(number, launch, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("isaachrl.run.storage.folder.FileLock.acquire", refuse)
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)
    with caplog.at_level("WARNING", "isaachrl"):
        launch(max_iterations=1, run_dir="run")
    assert Path("run/checkpoints/last.pt").exists()
    assert "run has no locks" in caplog.text


def test_a_file_that_another_training_wrote_meanwhile_is_not_continued_from(launch, monkeypatch):
    """As when a run is resumed while it still finishes its last iteration."""
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)
    launch(max_iterations=2, run_dir="run")
    locked = RunFolder.locked

    def locked_later(folder):
        os.utime("run/checkpoints/last.pt")
        return locked(folder)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "locked", locked_later)
        with pytest.raises(CheckpointError, match="written by another training .* type the same command again"):
            launch(resume="run", max_iterations=3)
    launch(resume="run", max_iterations=3)
