"""Files of tensors and plain data: archives of `torch.save` that carry a digest and are checked before they are read.

Checkpoints and skills are such files. The digest stands in the comment of the zip archive, so that `torch.load` and
every zip tool still read them.
"""

import hashlib
import io
import mmap
import os
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
_MAX_TUPLES = 50_000  # hashing tuples 100,000 deep still works with a stack of 8 MiB; files of ours have some thousands
_CHANGED = "its content is not what was written"
_NO_ARCHIVE = "it is no archive of tensors; other files are not opened, since they can run code"


def write_tensors(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors, numbers, strings, lists and dicts into one file, atomically.

    Raises:
        WriteError: it could not be written; an older file of that name is intact.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    buffer.seek(-2, os.SEEK_END)  # the length of the comment, the last field of the archive
    buffer.write(_COMMENT.to_bytes(2, "little") + _MARK)
    buffer.write(_digest(buffer.getbuffer()))
    write_atomically(path, buffer.getbuffer())


def read_tensors(path: Path) -> Any:
    """What a file of `write_tensors` holds, or one of an earlier version, which has no digest. No code in it is run.

    Raises:
        ReadError: it cannot be opened, is damaged, holds something else, or would take more memory than its own size.
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
        # not in PyTorch's words, which advise to run whatever code the file holds
        raise _refused(path, "it holds more than tensors and plain data, and could run code") from error


def _check(file: BinaryIO, path: Path) -> None:
    """Refuse an archive whose bytes are not those that were written, and one that unpacks to more than its size."""
    size = os.fstat(file.fileno()).st_size
    if size < _END_SIZE:
        raise _refused(path, _NO_ARCHIVE)
    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    signed = data[-_COMMENT:-_DIGITS] == _MARK
    if signed and _digest(data[:-_DIGITS]) != data[-_DIGITS:]:
        raise _refused(path, _CHANGED)
    if not signed and (data[-_END_SIZE : -_END_SIZE + len(_END)] != _END or any(data[-2:])):
        raise _refused(path, "its end is missing" if data[:2] == _END[:2] else _NO_ARCHIVE)
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except Exception as error:
        raise _refused(path, "its table of contents is broken") from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise ReadError(
            f"{path} is a network in TorchScript, as mode=export writes it for other programs; give the weights.pt"
            " beside it, or the checkpoint that it was made of"
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or sum(e.file_size for e in entries) > size:
        raise _refused(path, "it is compressed, and would unpack to more than its own size")
    if not signed and not _sums_match(archive):
        raise _refused(path, _CHANGED)
    for entry in entries:
        if entry.filename.endswith("/data.pkl") and _may_nest_deeply(archive.read(entry)):
            raise _refused(path, "it nests tuples too deeply")


def _may_nest_deeply(pickled: bytes) -> bool:
    """Whether a pickle has so many bytes that could make tuples that hashing one of them may exhaust the C stack.

    The bytes are opcodes or parts of names: their number bounds the depth from above, without reading the pickle.
    """
    return sum(map(pickled.count, (b"\x85", b"\x86", b"\x87", b"t"))) > _MAX_TUPLES


def _sums_match(archive: zipfile.ZipFile) -> bool:
    """Whether the content of every entry has the CRC-32 that the archive states."""
    try:
        return archive.testzip() is None
    except Exception:  # of a header that is broken itself
        return False


def _refused(path: Path, why: str) -> ReadError:
    return ReadError(f"{path} is damaged, or no file of isaachrl: {why}")


def _digest(data: memoryview) -> bytes:
    """SHA-256 of the sums of the 64-bit words of every page, and of what is left behind the last whole page.

    Any flipped bit changes a sum, and misplaced pages change their order. To hash every byte would cost more time
    than reading the tensors does: for 125 MB SHA-256 takes 70 ms, or 330 on processors without instructions for it,
    CRC-32 30 ms, `torch.load` 65 ms, and this 5 ms.
    """
    pages = len(data) // _PAGE
    words = np.frombuffer(data, "<u8", pages * _PAGE // 8).reshape(pages, _PAGE // 8)
    sums = words.sum(1, dtype=np.uint64).astype("<u8").tobytes()
    return hashlib.sha256(sums + bytes(data[pages * _PAGE :])).hexdigest().encode()
