"""Checkpoints: a file of plain data and tensors that is written whole or not at all, and checked when read."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isaachrl.errors import CheckpointError, ReadError, WriteError
from isaachrl.schema import described, is_plain, mismatch
from isaachrl.tensor_file import read_tensors, write_tensors

FORMAT = "isaachrl.checkpoint"
VERSION = 1
LAST = "last.pt"
_OWN_STATE = ("learner_state", "env_state", "random_state")  # what each process of a training has of its own


@dataclass
class Checkpoint:
    """A run between two iterations.

    Args:
        task: name of the task.
        learner: name of the learner.
        config: the whole resolved configuration as nested dicts.
        iteration: iterations done.
        samples: environment steps done.
        learner_state: `Learner.state_dict()`.
        env_state: `Env.state_dict()`.
        wall_s: seconds of training so far.
        random_state: of the global generators, see `random_state`.
        others: of a training by several processes, what each but the first has of its own: learner_state,
            env_state and random_state.

    Raises:
        CheckpointError: a field is of another type, or out of its range.
    """

    task: str
    learner: str
    config: dict[str, Any]
    iteration: int
    samples: int
    learner_state: dict[str, Any]
    env_state: dict[str, Any]
    wall_s: float = 0.0
    random_state: dict[str, Any] = field(default_factory=dict)
    others: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if wrong := mismatch(Checkpoint, vars(self)) or self._out_of_range():
            raise CheckpointError(f"the content of the checkpoint is not valid: {wrong}")

    def _out_of_range(self) -> str:
        """Which field has a value that no checkpoint can have, in words."""
        for name in ("iteration", "samples", "wall_s"):
            if getattr(self, name) < 0:
                return f"{name} is {getattr(self, name)}, expected 0 or more"
        return "" if all(set(one) >= set(_OWN_STATE) for one in self.others) else f"others need {', '.join(_OWN_STATE)}"

    def require_config(self) -> None:
        """Refuse a configuration from which nothing can be built.

        Raises:
            CheckpointError: it is no plain data, or has no section of the task or the learner.
        """
        if not is_plain(self.config):
            raise CheckpointError("its config holds more than nested names, numbers and strings")
        for key, name in (("task", self.task), ("train", self.learner)):
            section = self.config.get(key)
            if not isinstance(section, dict) or section.get("name") != name:
                raise CheckpointError(f"its config has no section {key} with the name {name!r}")

    def require(self, task: str | None, learner: str | None) -> None:
        """Refuse to serve another task or learner than these; None accepts any.

        Raises:
            CheckpointError: it belongs to another one.
        """
        if task is not None and task != self.task:
            raise CheckpointError(
                f"the checkpoint was made by task={self.task}, and task={task} was asked for; leave task= out, or give"
                f" a checkpoint of {task}"
            )
        if learner is not None and learner != self.learner:
            raise CheckpointError(
                f"the checkpoint was made by the learner {self.learner!r}, and the learner {learner!r} was asked for;"
                f" leave train= out or give a checkpoint of {learner!r}"
            )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint; a file of the same name is replaced only when the new one is safe on the disk.

    Raises:
        CheckpointError: it could not be written, as on a full disk; an older file of that name is intact.
    """
    content = {"format": FORMAT, "version": VERSION} | {key: getattr(checkpoint, key) for key in field_names()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(content, path)
    except (OSError, WriteError) as error:
        last = path.with_name(LAST)
        kept = f"; the one saved before is intact, continue from it with resume={last}" if last.exists() else ""
        raise CheckpointError(f"the checkpoint could not be written: {error}{kept}") from error


def field_names() -> tuple[str, ...]:
    """Names of the fields of a checkpoint, in the order of the file."""
    return tuple(Checkpoint.__dataclass_fields__)


def load_checkpoint(source: Path) -> Checkpoint:
    """Read a checkpoint. No code in it is ever run.

    Args:
        source: the file, or the folder of a run (its last checkpoint is taken).

    Raises:
        CheckpointError: there is none, it is damaged, of another program or of a newer version of this one.
    """
    path = find_checkpoint(source)
    return checked(read_content(path), path)


def read_content(path: Path) -> Any:
    """What a file of tensors and plain data holds.

    Raises:
        CheckpointError: it holds something else, or is damaged.
    """
    try:
        return read_tensors(path)
    except ReadError as error:
        raise CheckpointError(f"{error}; give another checkpoint, such as an older one of its folder") from error


def find_checkpoint(source: Path) -> Path:
    """The checkpoint file that a path means: itself, or the last one of a run's folder.

    Raises:
        CheckpointError: there is none.
    """
    if source.is_file():
        return source
    for candidate in (source / "checkpoints" / LAST, source / LAST):
        if candidate.is_file():
            return candidate
    if source.is_dir():
        raise CheckpointError(f"the folder {source} holds no checkpoints/{LAST}; give a run's folder or a .pt file")
    raise CheckpointError(
        f"there is no file {source}; give a run's folder (runs/<task>/<time>) or one of its checkpoints"
    )


def checked(content: Any, path: Path) -> Checkpoint:
    """The checkpoint that a file's content is.

    Raises:
        CheckpointError: it is none, is incomplete, or of a newer version of this program.
    """
    found = content.get("format") if isinstance(content, dict) else None
    if not isinstance(found, str) or found != FORMAT:
        what = f"its format is {described(found)}" if isinstance(found, str) else "it was written by another program"
        raise CheckpointError(
            f"{path} is no checkpoint of isaachrl: {what}; give a .pt file of runs/<task>/<time>/checkpoints"
        )
    version = content.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise CheckpointError(
            f"{path} has format version {described(version)}, and this isaachrl reads up to {VERSION}; install the"
            " version that wrote it"
        )
    fields: dict[str, Any] = {"others": []} | content  # there was a time without others
    missing = [key for key in field_names() if key not in fields]
    if missing:
        raise CheckpointError(f"{path} is incomplete: {', '.join(missing)} missing; take an older one of its folder")
    try:
        checkpoint = Checkpoint(**{key: fields[key] for key in field_names()})
        checkpoint.require_config()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}; take an older one of its folder") from error
    return checkpoint


def random_state() -> dict[str, Any]:
    """State of the global generators of PyTorch, NumPy and Python, as tensors and numbers."""
    name, keys, *rest = np.random.get_state()
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": [version, list(internal), gauss],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue the global generators from `random_state`; a GPU that is not here is left out."""
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), int(position), int(has_gauss), float(cached)))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
