"""A checkpoint is written whole or not at all, and read only if it is one."""

import errno
import os
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from isaachrl.errors import CheckpointError
from isaachrl.run.storage import checkpoint as module
from isaachrl.run.storage.checkpoint import (
    Checkpoint,
    load_checkpoint,
    random_state,
    restore_random_state,
    save_checkpoint,
)  # fmt: skip


def make(iteration=1):
    return Checkpoint(
        task="Point", learner="greedy", iteration=iteration,
        config={"seed": 0, "task": {"name": "Point", "list": [1, 2.5, None]}, "train": {"name": "greedy"}},
        samples=10 * iteration, learner_state={"w": torch.arange(3.0)}, env_state={"t": [1, 2]},
        wall_s=1.5, random_state=random_state(),
    )  # fmt: skip


def test_a_saved_checkpoint_is_read_back(tmp_path):
    save_checkpoint(make(), tmp_path / "checkpoints" / "last.pt")
    for source in (tmp_path, tmp_path / "checkpoints", tmp_path / "checkpoints" / "last.pt"):
        loaded = load_checkpoint(source)
        assert (loaded.task, loaded.iteration, loaded.samples, loaded.wall_s) == ("Point", 1, 10, 1.5)
        assert loaded.config == make().config
        assert torch.equal(loaded.learner_state["w"], torch.arange(3.0))


@pytest.mark.parametrize("function", ["fsync", "replace", "write"])
def test_full_disk_leaves_the_last_good_file_and_nothing_else(tmp_path, monkeypatch, function):
    path = tmp_path / "last.pt"
    save_checkpoint(make(1), path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if function == "write":
        opened = os.fdopen

        def fdopen(*arguments):
            return _Full(opened(*arguments))

        monkeypatch.setattr(os, "fdopen", fdopen)
    else:
        monkeypatch.setattr(os, function, full)
    with pytest.raises(CheckpointError, match="last.pt could not be written .No space left.*is intact.*resume="):
        save_checkpoint(make(2), path)
    with pytest.raises(CheckpointError, match=f"00000002.pt could not be written.*resume={path}"):
        save_checkpoint(make(2), tmp_path / "00000002.pt")
    monkeypatch.undo()
    assert load_checkpoint(path).iteration == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


class _Full:
    """A file on a full disk."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(bytes(data[:10]))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(make(), path)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"not a checkpoint at all", whole[:100] + b"x" * 200):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(path)


def test_files_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"model": {"w": torch.zeros(2)}, "epoch": 3}, path)
    with pytest.raises(CheckpointError, match="written by another program"):
        load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="written by another program"):
        load_checkpoint(path)
    torch.save({"format": "isaachrl.skill", "version": 1}, path)
    with pytest.raises(CheckpointError, match="its format is 'isaachrl.skill'"):
        load_checkpoint(path)


class Bomb:
    """Pickled code."""

    def __reduce__(self):
        return (Path("bomb").write_text, ("boom",))


def test_pickled_code_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": module.FORMAT, "version": 1, "state": Bomb()}, "evil.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("evil.pt", "plain.pt"):
        with pytest.raises(CheckpointError, match="run code"):
            load_checkpoint(Path(name))
    assert not Path("bomb").exists()


def test_newer_version_and_missing_parts_are_refused(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(make(), path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"version": 99}, path)
    with pytest.raises(CheckpointError, match="version 99, this isaachrl reads up to 1"):
        load_checkpoint(path)
    del content["env_state"]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="env_state missing"):
        load_checkpoint(path)


def test_missing_files_say_what_to_give(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file .*nope.pt; give a run's folder"):
        load_checkpoint(tmp_path / "nope.pt")
    with pytest.raises(CheckpointError, match="has no checkpoints/last.pt"):
        load_checkpoint(tmp_path)


def test_an_overlong_path_is_reported():
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        load_checkpoint(Path("a" * 300))


def test_global_random_state_goes_on_where_it_was(tmp_path):
    np.random.standard_normal(3)  # leaves half a pair behind, which is part of the state
    save_checkpoint(make(), tmp_path / "last.pt")
    expected = (torch.rand(3), np.random.standard_normal(3), random.random())
    restore_random_state(load_checkpoint(tmp_path / "last.pt").random_state)
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.standard_normal(3) == expected[1]).all()
    assert random.random() == expected[2]


def content_with(**changes):
    """What a checkpoint's file holds, changed; `...` takes a key out."""
    content = {"format": module.FORMAT, "version": module.VERSION} | vars(make()) | changes
    return {key: value for key, value in content.items() if value is not ...}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"x": value}
    return value


SECTIONS = {"task": {"name": "Point"}, "train": {"name": "greedy"}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": -1}, "format version -1"),
        ({"version": True}, "format version True"),
        ({"version": "1"}, "format version '1'"),
        ({"version": 10**40}, "format version a number beyond 64 bits"),
        ({"version": ...}, "format version None"),
        ({"format": 5}, "written by another program"),
        ({"format": torch.ones(2)}, "written by another program"),
        ({"task": None}, "task is None, expected str"),
        ({"task": []}, "task is list, expected str"),
        ({"task": "Other"}, "no section task with the name .Other."),
        ({"learner": 5}, "learner is 5, expected str"),
        ({"config": "x"}, "config is 'x', expected dict"),
        ({"config": None}, "config is None"),
        ({"config": {}}, "no section task with the name 'Point'"),
        ({"config": {1: 2}}, "config is dict, expected dict.str"),
        ({"config": SECTIONS | {"task": []}}, "no section task with"),
        ({"config": SECTIONS | {"train": None}}, "no section train with the name 'greedy'"),
        ({"config": SECTIONS | {"train": {"name": 5}}}, "no section train with the name 'greedy'"),
        ({"config": SECTIONS | {"more": torch.ones(1)}}, "more than nested names"),
        ({"config": SECTIONS | nested(20)}, "more than nested names"),
        ({"iteration": -5}, "iteration is -5, expected 0 or more"),
        ({"iteration": "x"}, "iteration is 'x', expected int"),
        ({"iteration": 10**40}, "iteration is a number beyond 64 bits"),
        ({"samples": 1.5}, "samples is 1.5, expected int"),
        ({"wall_s": "x"}, "wall_s is 'x', expected float"),
        ({"wall_s": float("nan")}, "wall_s is nan, expected float"),
        ({"wall_s": -1.0}, "wall_s is -1.0, expected 0 or more"),
        ({"learner_state": 5}, "learner_state is 5, expected dict"),
        ({"learner_state": None}, "learner_state is None, expected dict"),
        ({"learner_state": ...}, "incomplete: learner_state missing"),
        ({"env_state": [1]}, "env_state is list, expected dict"),
        ({"random_state": torch.ones(1)}, "random_state is Tensor, expected dict"),
        ({"others": 5}, "others is 5, expected list"),
        ({"others": [5]}, "others is list, expected list"),
        ({"others": [{"env_state": {}}]}, "others need learner_state, env_state, random_state"),
    ],
)
def test_checkpoints_of_another_structure_are_refused(changes, said, tmp_path):
    path = tmp_path / "last.pt"
    torch.save(content_with(**changes), path)
    with pytest.raises(CheckpointError, match=f"{path}.*{said}"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [None, 5, "text", [1], torch.ones(2), {}, {"format": "isaachrl.other"}])
def test_a_file_that_holds_something_else_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="is not a checkpoint of isaachrl"):
        load_checkpoint(tmp_path)


def test_a_flipped_bit_of_the_weights_is_noticed(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(make(), path)
    whole = path.read_bytes()
    place = whole.index(make().learner_state["w"].numpy().tobytes()) + 5
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(CheckpointError, match="has changed since it was written; another file of its folder"):
        load_checkpoint(path)
