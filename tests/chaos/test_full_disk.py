"""A disk that is full at every place where a run writes: a message, no traceback, and the older file intact.

Where it may, a test mounts a disk of its own of a few MiB. Elsewhere a limit of the size of files stands for it, with
which writes fail just as late, in the middle of a file.
"""

import errno
import os
import resource
import subprocess

import pytest

from tests.chaos import child, faults, state

pytestmark = pytest.mark.chaos(quick=2)

SIZE_MIB = 64


class Disk:
    """A folder that can be filled, and given room again."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "chaos", str(path)]
        try:
            self.mounted = subprocess.run(command, capture_output=True).returncode == 0
        except FileNotFoundError:
            self.mounted = False
        self._filler = path / "filler"

    def fill(self, run=None, room=0):
        """Leave so many bytes of room, on the disk, or for each file of a running process."""
        if not self.mounted:
            if run is not None:
                _, hard = resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE)
                resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (room, hard))
            return
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                assert error.errno == errno.ENOSPC
        if room:
            os.truncate(self._filler, self._filler.stat().st_size - room)

    def limits(self, room=0):
        """What a process is given that meets the full disk from its start."""
        return {} if self.mounted else {"file_size": room}

    def empty(self):
        """Make room."""
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path):
    """A small disk."""
    disk = Disk(tmp_path / "disk")
    yield disk
    if disk.mounted:
        subprocess.run(["umount", "-l", str(disk.path)], check=True)


@pytest.fixture
def trained(disk, tiny, tmp_path):
    """`trained(task)`: a run of two iterations on the disk."""

    def train(task):
        folder = disk.path / "run"
        code, output = child.finished(tmp_path / "cwd", f"{tiny[task]} max_iterations=2 run_dir={folder}")
        assert code == 0, output
        return folder

    return train


def refused(code, output):
    wrong = state.refusal(code, output)
    assert not wrong, wrong
    assert "Errno" not in output.splitlines()[-1], "the system's message, not ours"


def goes_on(folder, tmp_path):
    """After making room, the run is whole and can be resumed."""
    last = state.saved(folder)
    code, output = child.finished(tmp_path / "cwd", f"resume={folder} max_iterations={last + 2}")
    assert code == 0, output
    assert not state.whole(folder)
    assert len(state.iterations(folder)) == state.saved(folder) == last + 2


@pytest.mark.parametrize("task", ["TaxiFuel", "HumanoidAMP"])
def test_in_a_save(task, disk, trained, tmp_path, tally):
    folder = trained(task)
    last = (folder / "checkpoints" / "last.pt").stat().st_size
    run = child.train(tmp_path / "cwd", f"resume={folder} save_every_s=0 max_iterations=1000000")
    assert run.until(lambda: len(state.iterations(folder)) >= 4), run.output
    disk.fill(run, room=last // 2)  # for metrics, not for a checkpoint
    refused(run.ended(), run.output)
    assert state.saved(folder) >= 2
    assert not state.leftovers(folder)
    disk.empty()
    goes_on(folder, tmp_path)


@pytest.mark.parametrize("task", ["TaxiFuel", "AntMaze"])
def test_between_two_saves(task, disk, trained, tmp_path, tally):
    folder = trained(task)
    run = child.train(tmp_path / "cwd", f"resume={folder} max_iterations=1000000")
    assert run.until(lambda: len(state.iterations(folder)) >= 4), run.output
    disk.fill(run)
    refused(run.ended(), run.output)
    assert state.saved(folder) >= 2
    assert not state.leftovers(folder)
    disk.empty()
    goes_on(folder, tmp_path)


def test_from_the_start(disk, tiny, tmp_path, tally):
    disk.fill()
    arguments = f"{tiny['TaxiFuel']} max_iterations=2 run_dir={disk.path / 'run'}"
    refused(*child.finished(tmp_path / "cwd", arguments, **disk.limits()))
    disk.empty()
    code, output = child.finished(tmp_path / "cwd", arguments)
    assert code == 0, output
    assert not state.whole(disk.path / "run")


def test_at_the_end(disk, tiny, tmp_path, tally):
    folder = disk.path / "run"
    disk.fill(room=2**18)  # for all but a checkpoint
    arguments = f"{tiny['TaxiFuel']} max_iterations=3 run_dir={folder}"
    refused(*child.finished(tmp_path / "cwd", arguments, **disk.limits(room=2**18)))
    assert state.saved(folder) is None
    assert not state.leftovers(folder)


def test_met_by_the_events_alone(tiny, tmp_path, tally):
    folder = tmp_path / "run"
    arguments = f"{tiny['TaxiFuel']} max_iterations=30 run_dir={folder}"
    code, output = child.finished(tmp_path / "cwd", arguments, fault=faults.events_on_a_full_disk)
    assert code == 0 or not state.refusal(code, output), output
    assert "Traceback" not in output
    assert not state.whole(folder)
    assert state.saved(folder) == len(state.iterations(folder)), "what was recorded is saved"


@pytest.mark.parametrize("mode", ["evaluate", "export", "play"])
def test_by_other_commands(mode, disk, trained, tmp_path, tally):
    folder = trained("TaxiFuel")
    before = (folder / "checkpoints" / "last.pt").read_bytes()
    disk.fill()
    arguments = f"mode={mode} checkpoint={folder} episodes=2 num_envs=2 video=false"
    refused(*child.finished(tmp_path / "cwd", arguments, **disk.limits()))
    assert not state.leftovers(folder)
    assert (folder / "checkpoints" / "last.pt").read_bytes() == before
    disk.empty()
    code, output = child.finished(tmp_path / "cwd", arguments)
    assert code == 0, output
