"""The errors users see: each says what came, what was expected, and what to type."""

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
    """A file of tensors and plain data cannot be read: it is damaged, or of another kind."""


class WriteError(IsaacHRLError):
    """A file could not be written; an older one of that name is intact."""


class DivergenceError(IsaacHRLError):
    """What a training has learned is no longer finite; nothing of that has been written."""


class ProcessError(IsaacHRLError):
    """Another process of a training by several has ended before its time."""


class RenderError(IsaacHRLError):
    """No renderer works on this machine."""


class RecordError(IsaacHRLError):
    """A step does something that no CUDA graph can hold; it can only be taken as it is written."""


def brief(text: object, limit: int = 200) -> str:
    """Another library's error, or a value, as a part of a message: one line, printable, cut off where it is long."""
    line = " ".join(str(text)[: 4 * limit].split())
    line = line if line.isprintable() else ascii(line)[1:-1]
    return line if len(line) <= limit else line[:limit] + "…"


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return `; did you mean A or B? (valid: …)` for an unknown name, for the end of an error message."""
    choices = sorted(valid)
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    lowered = {choice.lower(): choice for choice in choices}
    if not close and name.lower() in lowered:
        close = [lowered[name.lower()]]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"; {hint}(valid: {', '.join(choices)})"
