"""Tracking libraries get what a run records: a stand-in for them, and they themselves where they are installed."""

import json
import sys
import types
from importlib.machinery import ModuleSpec

import pytest

from isaachrl.errors import ConfigError
from isaachrl.run.recording import tracking
from isaachrl.run.recording.tracking import Tracker, require
from isaachrl.run.storage.folder import RunFolder
from isaachrl.run.storage.metrics import jsonable


class Library(types.ModuleType):
    """What a tracking library does, as a list of calls; it is its own run."""

    def __init__(self, name):
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self.calls, self.broken = [], False

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args, **kwargs):
            if self.broken:
                raise RuntimeError("the disk is full")
            self.calls.append((name, args, kwargs))
            return {"init": self, "login": False}.get(name, name)

        return call

    def of(self, name):
        return [(args, kwargs) for called, args, kwargs in self.calls if called == name]


@pytest.fixture(params=["wandb", "trackio"])
def library(request, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    library = Library(request.param)
    monkeypatch.setitem(sys.modules, request.param, library)
    return library


@pytest.fixture
def folder(tmp_path):
    """The folder of a run with a report and weights."""
    folder = RunFolder(tmp_path / "Task" / "now")
    folder.checkpoints.mkdir()
    for name in ("report.png", "checkpoints/last.pt", "checkpoints/00000004.pt", "checkpoints/00000010.pt"):
        (folder.path / name).write_bytes(b"0")
    return folder


def test_a_run_is_handed_over(library, folder):
    with Tracker(library.__name__, folder, {"seed": 1}) as tracker:
        tracker.add(64, {"a/b": 0.5})
    ((_, options),) = library.of("init")
    number = (folder.path / "track_id").read_text()
    assert options["name"] == ("Task/now" if library.__name__ == "wandb" else f"Task/now {number}")
    assert options["config"] == {"seed": 1} and options["resume"] == "allow"
    (first, steps), (files, _) = library.of("log")
    assert first == ({"samples": 64, "a/b": 0.5},) and steps == ({} if library.__name__ == "wandb" else {"step": 64})
    assert files == ({"report.png": "Image"},)
    assert library.of("log_artifact")[0][0] == (str(folder.checkpoints / "00000010.pt"),)
    assert library.calls[-1][0] == "finish"


def test_a_resumed_run_is_the_same_at_wandb_and_offline_without_an_account(folder, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setitem(sys.modules, "wandb", library := Library("wandb"))
    for _ in range(2):
        Tracker("wandb", folder, {})
    (_, first), (_, second) = library.of("init")
    assert first["id"] == second["id"] and first["mode"] == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    Tracker("wandb", folder, {})
    assert library.of("init")[-1][1]["mode"] is None, "the library reads the variable itself"


def test_a_library_that_fails_does_not_end_the_training(library, folder, caplog, monkeypatch):
    monkeypatch.setattr(tracking.log, "propagate", True)
    with Tracker(library.__name__, folder, {}) as tracker:
        library.broken = True
        with caplog.at_level("WARNING"):
            tracker.add(1, {})
            tracker.add(2, {})
    assert sum("not tracked any further: the disk is full" in message for message in caplog.messages) == 1


def test_a_library_that_cannot_start_is_answered_with_what_to_type(library, folder):
    library.broken = True
    name = library.__name__
    with pytest.raises(ConfigError, match=rf"track={name} could not start \(the disk is full\)") as failure:
        Tracker(name, folder, {})
    assert ("WANDB_MODE=offline" in str(failure.value)) == (name == "wandb")


def test_two_folders_of_one_name_are_two_runs(library, tmp_path):
    for parent in ("a", "b"):
        Tracker(library.__name__, RunFolder(tmp_path / parent / "sweep" / "0"), {})
    key = "id" if library.__name__ == "wandb" else "name"
    (_, first), (_, second) = library.of("init")
    assert first[key] != second[key]


def test_a_missing_library_is_answered_with_the_extra(monkeypatch):
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'track=trackio needs .*\.\[trackio\]"'):
        require("trackio")
    require("none")


def test_training_is_tracked(library, launch, tmp_path):
    launch(mode="train", track=library.__name__, run_dir=str(tmp_path / "run"), max_iterations=2)
    logged = [args[0] for args, _ in library.of("log")]
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["samples"] for row in logged[:2]] == [row["samples"] for row in metrics]
    assert jsonable(logged[0]).items() <= metrics[0].items()
    assert library.of("init")[0][1]["config"]["track"] == library.__name__


def test_wandb_itself_writes_a_folder(folder, monkeypatch):
    wandb = pytest.importorskip("wandb", reason='Weights & Biases is not installed: pip install -e ".[wandb]"')
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for key in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(key, str(folder.path))
    (folder.path / "report.png").unlink()
    with Tracker("wandb", folder, {"seed": 1}) as tracker:
        tracker.add(64, {"a/b": 0.5})
    wandb.teardown()  # waits for the process that writes
    (written,) = folder.path.glob("wandb/offline-run-*/run-*.wandb")
    assert b"a/b" in written.read_bytes() and b"00000010.pt" in written.read_bytes()


def test_trackio_itself_writes_its_database(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))  # which it reads when it is imported
    trackio = pytest.importorskip("trackio", reason='Trackio is not installed: pip install -e ".[trackio]"')
    (folder.path / "report.png").unlink()
    with Tracker("trackio", folder, {"seed": 1}) as tracker:
        tracker.add(64, {"a/b": 0.5})
    name = f"Task/now {(folder.path / 'track_id').read_text()}"
    assert trackio.SQLiteStorage.get_logs("isaachrl", name)[0]["a/b"] == 0.5
