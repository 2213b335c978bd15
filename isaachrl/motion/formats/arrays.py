"""Numbers in `.npz` and `.csv` files, read without pickles."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isaachrl.errors import ClipError, brief
from isaachrl.motion.clip import check_bytes


def read_npz(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` that hold numbers or text; others are left out, so that nothing is unpickled.

    Raises:
        ClipError: it cannot be read, or is too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            check_bytes(sum(info.file_size for info in members) >> 1)  # AMASS has float64
            arrays: dict[str, NDArray[Any]] = {}
            for info in members:
                with archive.open(info) as file:
                    try:
                        value = np.lib.format.read_array(file, allow_pickle=False)
                    except ValueError:  # an object array
                        continue
                arrays[info.filename.removesuffix(".npy")] = value
    except ClipError as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except Exception as error:
        raise ClipError(f"{path} cannot be read as .npz: {brief(error)}") from error
    return arrays


def read_csv(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names of the columns, if the first row has some, and the numbers `(F, columns)`.

    Raises:
        ClipError: it cannot be read, is too large, or has rows of different lengths.
    """
    path = Path(path)
    try:
        check_bytes(path.stat().st_size >> 2)
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        head = [word.strip() for word in lines[0].split(",")] if lines else []
        named = not all(_is_number(word) for word in head)
        numbers = np.loadtxt(lines[named:], delimiter=",", ndmin=2) if len(lines) > named else np.zeros((0, 0))
    except ClipError as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except (OSError, ValueError) as error:
        raise ClipError(f"{path} cannot be read as a table of numbers (.csv): {brief(error)}") from error
    return tuple(head) if named else (), numbers


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
