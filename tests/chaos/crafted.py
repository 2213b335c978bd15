"""Files that are made to run code, to read what they should not, to crash a reader or to fill the memory."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch

SECRET = "chaos-secret-value"
VARIABLE = "CHAOS_SECRET"


class Call:
    """What becomes a call when it is unpickled."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


def code(marker: Path):
    """An object that creates a file when it is unpickled."""
    return Call(os.system, f"touch {marker}")


def executable(folder: Path, marker: Path) -> dict[str, Path]:
    """Files that hold code, by name; the suffix says what reads them."""
    evil = code(marker)
    found = {}

    def add(name, write):
        found[name] = folder / name
        write(found[name])

    for protocol in (0, 2, 4, 5):
        add(f"plain{protocol}.pt", lambda path, p=protocol: path.write_bytes(pickle.dumps(evil, protocol=p)))
    add("zip.pt", lambda path: torch.save(evil, path))
    add("nested.pt", lambda path: torch.save({"format": "isaachrl.checkpoint", "config": [evil]}, path))
    add("legacy.pt", lambda path: torch.save(evil, path, _use_new_zipfile_serialization=False))
    add("script.pt", lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path)))
    add("names.pt", lambda path: _zip_with_names(path, evil))
    add("objects.npy", lambda path: np.save(path, np.array([evil], dtype=object), allow_pickle=True))
    add("dotted.npy", lambda path: _npy(path, b"cos\npath.os.system\n(S'touch " + bytes(marker) + b"'\ntR."))
    add("reduce.npy", lambda path: np.save(path, np.array({"rotation": evil}, dtype=object), allow_pickle=True))
    add("objects.npz", lambda path: np.savez(path, fps=np.array([evil], dtype=object)))
    command = json.dumps(f"touch {marker}")
    add("apply.yaml", lambda path: path.write_text(f"clips: !!python/object/apply:os.system [{command}]\n"))
    return found


def _zip_with_names(path, evil):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escaped/data.pkl", pickle.dumps(evil))
        archive.writestr("../../escaped/version", "3\n")


def _npy(path: Path, pickled: bytes) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickled)


def unsafe_memory(folder: Path) -> dict[str, Path]:
    """Motions whose pickle uses allowed names alone, and makes NumPy read memory that is not the array's."""
    found = {name: folder / f"{name}.npy" for name in ("pointer", "freed", "beyond")}
    # an array of objects around bytes of the file: they are taken for an object's address
    _npy(found["pointer"], b"cnumpy\nndarray\n((t" + _dtype(b"O") + b"C\x08AAAAAAAA" + b"tR.")
    # a view on an array whose memory its own __setstate__ frees afterwards
    array = b"cnumpy\nndarray\n((I0\nt" + _dtype(b"f8") + b"tR" + _array_state(100_000) + b"p0\n0"
    view = b"cnumpy\nndarray\n((t" + _dtype(b"f8") + b"g0\ntRp1\n0"
    _npy(found["freed"], array + view + b"g0\n" + _array_state(1) + b"0g1\n.")
    # an element type whose size grows after the array exists
    array = b"cnumpy\nndarray\n((t" + _dtype(b"V8") + b"p0\nC\x08" + bytes(8) + b"tRp1\n0"
    _npy(found["beyond"], array + b"g0\n(I3\nS'|'\nNNNI1000000000\nI1\nI0\ntb0g1\n.")
    return found


def _dtype(name: bytes) -> bytes:
    """The pickle of an element type."""
    return b"cnumpy\ndtype\n(S'" + name + b"'\nI00\nI01\ntR"


def _array_state(size: int) -> bytes:
    """The pickle of what fills an array anew with so many numbers."""
    content = b"B" + struct.pack("<I", 8 * size) + bytes(8 * size)
    return b"(I1\n(I%d\nt" % size + _dtype(b"f8") + b"I00\n" + content + b"tb"


FIELDS = ("fps", "joint_names", "body_names", "root_pos_w", "root_quat_w", "joint_quat", "loop")


def bomb(path: Path) -> Path:
    """A small file that becomes large when it is read; which one, its name says."""
    {
        "aliases.yaml": _aliases, "deep.yaml": _deep, "zeros.npz": _zeros, "shape.npz": _shape,
        "zeros.pt": _deflated_checkpoint,
    }[path.name](path)  # fmt: skip
    return path


def _aliases(path):
    lines = ["a0: &a0 [walk, walk, walk, walk, walk, walk, walk, walk, walk]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    path.write_text("\n".join([*lines, "clips: *a9"]))


def _deep(path):
    path.write_text("[" * 5000 + "]" * 5000)


def _header(*shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _zeros(path):
    """Half a GiB of zeros in each field."""
    plain = path.with_suffix(".npy")
    with plain.open("wb") as file:
        file.write(_header(2**27))
        file.truncate(len(_header(2**27)) + 2**29)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in FIELDS:
            archive.write(plain, f"{name}.npy")
    plain.unlink()


def _shape(path):
    """A header of 12 TiB, and nothing after it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in FIELDS:
            archive.writestr(f"{name}.npy", _header(2**40, 3))


def _deflated_checkpoint(path: Path) -> None:
    """A checkpoint of a tensor of zeros, 2 GiB, in a zip that is compressed, as PyTorch's own are not."""
    plain = io.BytesIO()
    torch.save({"format": "isaachrl.checkpoint", "version": 1, "x": torch.zeros(4)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in source.namelist():
            with archive.open(name, "w", force_zip64=True) as file:
                if name.endswith("/data/0"):
                    for _ in range(128):
                        file.write(bytes(2**24))
                else:
                    file.write(source.read(name).replace(b"K\x04", b"J\x00\x00\x00\x20"))


# What a field of another type or range may hold.
ODD = {
    "nothing": None, "number": 5, "text": "x", "list": [], "dict": {}, "minus": -5, "true": True, "nan": float("nan"),
    "huge": 10**12, "nested": {"a": {"b": [None]}}, "variable": f"${{oc.env:{VARIABLE}}}", "tensor": torch.zeros(2),
}  # fmt: skip
REMOVED = object()


def altered(content, path, value):
    """A copy of nested dicts in which the entry at a path of keys is another one, or `REMOVED`."""
    if not path:
        return value
    copy = dict(content)
    if value is REMOVED and len(path) == 1:
        copy.pop(path[0])
    else:
        copy[path[0]] = altered(content[path[0]], path[1:], value)
    return copy
