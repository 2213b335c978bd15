"""A file of tensors is read only as it was written: whatever else is refused, in the project's own words."""

import io
import os
import pickle
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from isaachrl.errors import ReadError
from isaachrl.tensor_file import read_tensors, write_tensors

CONTENT = {"w": torch.arange(100.0), "n": 3, "names": ["a", None], "nested": {"scale": torch.tensor(2.0)}}


@pytest.fixture
def path(tmp_path):
    write_tensors(CONTENT, tmp_path / "file.pt")
    return tmp_path / "file.pt"


def old_file(path):
    """As earlier versions wrote it."""
    torch.save(CONTENT, path)
    return path


def refused(path, match):
    with pytest.raises(ReadError, match=match) as error:
        read_tensors(path)
    assert not any(word in str(error.value) for word in ("weights_only", "torch.load", "arbitrary"))


def archive(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in entries.items():
            file.writestr(name, data)


def test_written_files_are_read_by_us_and_by_torch_load(path):
    for read in (read_tensors(path), torch.load(path, weights_only=True)):
        assert torch.equal(read["w"], CONTENT["w"]) and torch.equal(read["nested"]["scale"], torch.tensor(2.0))
        assert (read["n"], read["names"]) == (3, ["a", None])
    assert zipfile.ZipFile(path).testzip() is None


def test_every_flipped_byte_is_noticed(path):
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for i, byte in enumerate(whole):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << i % 8]), i)
            refused(path, "damaged")
            os.pwrite(file.fileno(), bytes([byte]), i)
    read_tensors(path)


def test_truncated_repeated_moved_or_overwritten_data_is_detected(path):
    whole, draw = path.read_bytes(), random.Random(0)
    for i in range(100):
        a, b = sorted(draw.sample(range(1, len(whole)), 2))
        changed = [
            whole[:a] + whole[b:],
            whole[:b] + whole[a:],
            whole[a:b] + whole[:a] + whole[b:],
            whole[:a] + draw.randbytes(b - a) + whole[b:],
            whole[:a],
        ][i % 5]
        path.write_bytes(changed)
        refused(path, "damaged")


def test_pages_in_another_order_are_noticed(tmp_path):
    path, pages = tmp_path / "file.pt", [bytes([i]) * 4096 for i in range(16)]
    write_tensors({"w": torch.frombuffer(bytearray(b"".join(pages)), dtype=torch.uint8)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + whole[12288:16384] + whole[8192:12288] + whole[16384:])
    refused(path, "its content has changed since it was written")


def test_files_of_earlier_versions_are_read_and_checked_by_their_own_sums(tmp_path):
    path = old_file(tmp_path / "old.pt")
    assert torch.equal(read_tensors(path)["w"], CONTENT["w"])
    whole = path.read_bytes()
    middle = whole.index(CONTENT["w"].numpy().tobytes()[100:200]) + 50
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    assert not torch.equal(torch.load(path, weights_only=True)["w"], CONTENT["w"])  # PyTorch does not notice
    refused(path, "its content has changed since it was written")


def test_archives_larger_unpacked_than_packed_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("unpacked"))
    path = tmp_path / "bomb.pt"
    archive(path, {"archive/data.pkl": bytes(10**6), "archive/version": "3"}, zipfile.ZIP_DEFLATED)
    refused(path, "compressed, and would unpack to more")
    archive(path, {"archive/data.pkl": pickle.dumps({}), "archive/data/0": bytes(50_000), "archive/version": "3"})
    whole = path.read_bytes()  # a table of contents that names the same bytes many times over
    table, end = whole.index(b"PK\1\2"), whole.rindex(b"PK\5\6")
    many = whole[table:end] * 8
    tail = bytearray(whole[end:])
    tail[8:12] = (24).to_bytes(2, "little") * 2
    tail[12:16] = len(many).to_bytes(4, "little")
    path.write_bytes(whole[:table] + many + tail)
    refused(path, "would unpack to more than its size")


def test_files_of_other_kinds_are_refused_unopened(tmp_path, monkeypatch):
    path = tmp_path / "file.pt"
    for content in (b"", b"no", b"root:x:0:0:root:/root:/bin/bash\n" * 9, pickle.dumps(CONTENT["names"] * 20)):
        path.write_bytes(content)
        refused(path, "it is not an archive of tensors; other files are not opened, since they can run code")
    torch.save(CONTENT, path, _use_new_zipfile_serialization=False)
    refused(path, "it is not an archive of tensors")
    with tarfile.open(path, "w") as file:
        file.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    refused(path, "it is not an archive of tensors")
    archive(path, {"fps.npy": b"x" * 100})
    refused(path, "more than tensors and plain data")
    torch.save({"code": _Code()}, path)
    refused(path, "more than tensors and plain data, and could run code")
    refused(tmp_path, "cannot be read: Is a directory")
    refused(tmp_path / "none.pt", "cannot be read: No such file")
    monkeypatch.setattr(Path, "open", _forbidden)
    refused(path, "cannot be read: Permission denied")


class _Code:
    """Pickled code."""

    def __reduce__(self):
        return (os.getcwd, ())


def _forbidden(*_, **__):
    raise PermissionError(13, os.strerror(13))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_network_is_called_so(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 1), torch.zeros(1, 2)), str(tmp_path / "net.pt"))
    with pytest.raises(ReadError, match="is a TorchScript network.*give the weights.pt beside it") as error:
        read_tensors(tmp_path / "net.pt")
    assert "damaged" not in str(error.value)


def test_tuples_that_nest_too_deeply_are_refused(path, tmp_path):
    """PyTorch's reader takes them for keys, and hashing a tuple a million deep overflows the C stack."""
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    (name,) = (name for name in entries if name.endswith("data.pkl"))
    archive(tmp_path / "deep.pt", entries | {name: b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns."})
    refused(tmp_path / "deep.pt", "nests tuples too deeply")
    archive(tmp_path / "shallow.pt", entries | {name: b"\x80\x02})" + b"\x85" * 100 + b"Ns."})
    assert len(read_tensors(tmp_path / "shallow.pt")) == 1
    twice = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))  # 2^60 tuples for a hash
    archive(tmp_path / "wide.pt", entries | {name: b"\x80\x02)q\0" + twice + b"}h%cK\1s." % 60})
    refused(tmp_path / "wide.pt", "nests tuples too deeply")


def test_many_numbers_and_tuples_beside_each_other_are_read(tmp_path):
    content = {"pairs": [(i, str(i)) for i in range(60_000)], "numbers": [116] * 60_000, "keys": {(1, (2, 3)): 4}}
    write_tensors(content, tmp_path / "file.pt")
    assert read_tensors(tmp_path / "file.pt") == content


def test_words_in_another_order_within_a_page_are_noticed(tmp_path):
    path = tmp_path / "file.pt"
    write_tensors({"w": torch.arange(4096, dtype=torch.float64)}, path)
    data = bytearray(path.read_bytes())
    at = data.index(torch.arange(4096, dtype=torch.float64).numpy().tobytes())
    at = (at // 4096 + 1) * 4096
    data[at : at + 8], data[at + 8 : at + 16] = data[at + 8 : at + 16], data[at : at + 8]
    path.write_bytes(data)
    refused(path, "its content has changed")
