"""The errors users see. Each message says what was given, what was expected, and what to type."""

import difflib
from collections.abc import Iterable


class IsaacHRLError(Exception):
    """Base of every error the library raises on bad input; `train.py` prints it without a traceback."""


class ConfigError(IsaacHRLError):
    """A task, key or value of the configuration is unknown or out of range."""


class CheckpointError(IsaacHRLError):
    """A checkpoint cannot be read, or belongs to something else."""


class SkillError(IsaacHRLError):
    """A skill file cannot be read, or does not fit the robot or the task."""


class ClipError(IsaacHRLError):
    """A motion clip cannot be read, or does not fit the robot."""


class ReadError(IsaacHRLError):
    """A file of tensors and plain data cannot be read: it is damaged or has another format."""


class WriteError(IsaacHRLError):
    """A file could not be written; an older file of that name is intact."""


class DivergenceError(IsaacHRLError):
    """Weights became nan or infinite in training; they have not been written to any file."""


class ProcessError(IsaacHRLError):
    """Another process of a distributed training has ended prematurely."""


class RenderError(IsaacHRLError):
    """No renderer works on this machine."""


class RecordError(IsaacHRLError):
    """A step contains an operation that cannot be captured into a CUDA graph."""


def brief(text: object, limit: int = 200) -> str:
    """A value or another library's error as part of a message: one printable line of at most `limit` characters."""
    line = " ".join(str(text)[: 4 * limit].split())
    line = line if line.isprintable() else ascii(line)[1:-1]
    return line if len(line) <= limit else line[:limit] + "…"


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean A or B? (valid: …)`, the end of the message about an unknown name."""
    choices = sorted(valid)
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    lowered = {choice.lower(): choice for choice in choices}
    if not close and name.lower() in lowered:
        close = [lowered[name.lower()]]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"; {hint}(valid: {', '.join(choices)})"
