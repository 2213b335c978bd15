"""Files of tensors and plain data: archives of `torch.save` with a digest that is checked before loading.

Checkpoints and skills are such files. The digest is in the comment of the zip archive, so that `torch.load` and
every zip tool can read them.
"""

import hashlib
import io
import mmap
import os
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from isaachrl.errors import ReadError
from isaachrl.files import write_atomically

_MARK, _DIGITS = b"isaachrl:", 64  # the comment: the mark and the digest in hexadecimal
_COMMENT = len(_MARK) + _DIGITS
_END, _END_SIZE = b"PK\5\6", 22  # the record at the end of an archive without a comment
_PAGE = 4096
_MAX_TUPLES = 50_000  # in one tuple: hashing 100,000 nested ones still works with a stack of 8 MiB; our files have 3
_CHANGED = "its content has changed since it was written"
_NO_ARCHIVE = "it is not an archive of tensors; other files are not opened, since they can run code"


def write_tensors(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors, numbers, strings, lists and dicts into one file, atomically.

    Raises:
        WriteError: it could not be written; an older file of that name is intact.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    buffer.seek(-2, os.SEEK_END)  # the last field of the archive: the length of the comment
    buffer.write(_COMMENT.to_bytes(2, "little") + _MARK)
    buffer.write(_digest(buffer.getbuffer()))
    write_atomically(path, buffer.getbuffer())


def read_tensors(path: Path) -> Any:
    """The content of a file of `write_tensors`, or of an earlier version without a digest. It cannot run code.

    Raises:
        ReadError: it cannot be opened, is damaged, contains other objects, or would unpack to more than its size.
    """
    try:
        with path.open("rb") as file:
            _check(file, path)
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except ReadError:
        raise
    except OSError as error:
        raise ReadError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:
        # PyTorch's own message advises to load it with code execution enabled
        raise _damaged(path, "it contains more than tensors and plain data, and could run code") from error


def _check(file: BinaryIO, path: Path) -> None:
    """Raise if the digest does not match, or if the archive would unpack to more than its size."""
    size = os.fstat(file.fileno()).st_size
    if size < _END_SIZE:
        raise _damaged(path, _NO_ARCHIVE)
    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    has_digest = data[-_COMMENT:-_DIGITS] == _MARK
    if has_digest and _digest(data[:-_DIGITS]) != data[-_DIGITS:]:
        raise _damaged(path, _CHANGED)
    if not has_digest and (data[-_END_SIZE : -_END_SIZE + len(_END)] != _END or any(data[-2:])):
        raise _damaged(path, "its end is missing" if data[:2] == _END[:2] else _NO_ARCHIVE)
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except Exception as error:
        raise _damaged(path, "its table of contents is broken") from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise ReadError(
            f"{path} is a TorchScript network, which mode=export writes for other programs; give the weights.pt"
            " beside it, or the checkpoint it was exported from"
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or sum(e.file_size for e in entries) > size:
        raise _damaged(path, "it is compressed, and would unpack to more than its size")
    if not has_digest and not _sums_match(archive):
        raise _damaged(path, _CHANGED)
    for entry in entries:
        if entry.filename.endswith("/data.pkl") and _nests_deeply(archive.read(entry)):
            raise _damaged(path, "it nests tuples too deeply")


def _nests_deeply(pickled: bytes) -> bool:
    """Whether hashing a tuple of a pickle would visit more than `_MAX_TUPLES` tuples.

    That overflows the C stack or, if a tuple contains another one twice, at many levels, never ends.
    """
    stack: list[int] = []  # of each object: 0, or for a tuple the number of tuples that its hash visits
    marks: list[int] = []
    memo: dict[Any, int] = {}
    for opcode, arg, _ in pickletools.genops(pickled):
        name, before = opcode.name, opcode.stack_before
        if name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[arg] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[arg])
        else:
            start = marks.pop() if pickletools.markobject in before else len(stack) - len(before)
            visited = 1 + sum(stack[start:]) if name.startswith("TUPLE") else 0
            if visited > _MAX_TUPLES:
                return True
            if pickletools.markobject in before:
                start -= before.index(pickletools.markobject)
            del stack[start:]
            stack += [visited] * len(opcode.stack_after)
    return False


def _sums_match(archive: zipfile.ZipFile) -> bool:
    """Whether every entry has the CRC-32 that the archive lists."""
    try:
        return archive.testzip() is None
    except Exception:  # a broken header
        return False


def _damaged(path: Path, reason: str) -> ReadError:
    return ReadError(f"{path} is damaged, or not a file of isaachrl: {reason}")


def _digest(data: memoryview) -> bytes:
    """SHA-256 of sums of 64-bit words, and of the bytes after the last whole page.

    The words stand in a table with a row for each page, and every row and every column is summed: any flipped bit
    changes two sums, misplaced pages and words change their order. Hashing every byte would take longer than
    `torch.load` (65 ms for 125 MB): SHA-256 takes 70 ms, or 330 ms on processors without instructions for it.
    """
    pages = len(data) // _PAGE
    words = np.frombuffer(data, "<u8", pages * _PAGE // 8).reshape(pages, _PAGE // 8)
    sums = b"".join(words.sum(axis, dtype=np.uint64).astype("<u8").tobytes() for axis in (0, 1))
    return hashlib.sha256(sums + bytes(data[pages * _PAGE :])).hexdigest().encode()
