"""Files are replaced as a whole, also where the system refuses for a moment."""

import os

import pytest

from isaachrl import files
from isaachrl.errors import WriteError


@pytest.fixture
def refusals(monkeypatch):
    """`refusals(n)`: renaming fails so many times, as on Windows while another program reads the older file."""
    monkeypatch.setattr(files, "_PAUSES_S", (0.0, 0.0, 0.0))
    rename, left = os.replace, []

    def replace(source, target):
        if left and left.pop():
            raise PermissionError(13, "Access is denied")
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    return lambda count: left.extend([False, *[True] * count])


def test_on_windows_a_rename_waits_for_a_reader(tmp_path, monkeypatch, refusals):
    monkeypatch.setattr(files, "WINDOWS", True)
    path = tmp_path / "last.pt"
    for count, content in ((0, b"first"), (3, b"second")):
        refusals(count)
        files.write_atomically(path, content)
        assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]
    refusals(4)
    with pytest.raises(WriteError, match=r"last.pt could not be written \(Access is denied\)"):
        files.write_atomically(path, b"third")
    assert path.read_bytes() == b"second" and list(tmp_path.iterdir()) == [path]


def test_elsewhere_a_refused_rename_fails_at_once(tmp_path, monkeypatch, refusals):
    monkeypatch.setattr(files, "WINDOWS", False)
    refusals(1)
    with pytest.raises(WriteError):
        files.write_atomically(tmp_path / "last.pt", b"first")


def test_a_leftover_that_is_in_use_stays(tmp_path, monkeypatch):
    path = tmp_path / ".last.pt.999999999.abcdefgh.tmp"
    path.touch()

    def refuse(self, missing_ok=False):
        raise PermissionError(13, "in use")

    with monkeypatch.context() as patched:
        patched.setattr(type(path), "unlink", refuse)
        files.remove_leftovers(tmp_path)
        assert path.exists()
    files.remove_leftovers(tmp_path)
    assert not path.exists()
