"""Checkpoints: files of plain data and tensors, written atomically and validated when read."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isaachrl import shipped
from isaachrl.errors import CheckpointError, ReadError, WriteError
from isaachrl.schema import described, is_plain, mismatch
from isaachrl.tensor_file import read_tensors, write_tensors

FORMAT = "isaachrl.checkpoint"
VERSION = 1
LAST = "last.pt"
_RANK_STATE = ("learner_state", "env_state", "random_state")  # the state of each rank


@dataclass
class Checkpoint:
    """The state of a run between two iterations.

    Args:
        task: name of the task.
        learner: name of the learner.
        config: the whole resolved configuration as nested dicts.
        iteration: number of finished iterations.
        samples: number of environment steps.
        learner_state: `Learner.state_dict()`.
        env_state: `Env.state_dict()`.
        wall_s: seconds of training so far.
        random_state: of the global generators, see `random_state`.
        others: learner_state, env_state and random_state of each further rank of a distributed training.
        skill: `Skill.digest` of the skill that the policy commands; empty without one, or in files of earlier versions.
        actions: `Env.action_contract`; empty in files of earlier versions.

    Raises:
        CheckpointError: a field has another type, or is out of range.
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
    skill: str = ""
    actions: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if problem := mismatch(Checkpoint, vars(self)) or self._out_of_range():
            raise CheckpointError(f"the content of the checkpoint is not valid: {problem}")

    def _out_of_range(self) -> str:
        """A message about a field that is out of range; empty if none is."""
        for name in ("iteration", "samples", "wall_s"):
            if getattr(self, name) < 0:
                return f"{name} is {getattr(self, name)}, expected 0 or more"
        complete = all(set(state) >= set(_RANK_STATE) for state in self.others)
        return "" if complete else f"others need {', '.join(_RANK_STATE)}"

    def require_config(self) -> None:
        """Check that the configuration can be used.

        Raises:
            CheckpointError: it is not plain data, or has no section of the task or the learner.
        """
        if not is_plain(self.config):
            raise CheckpointError("its config has more than nested names, numbers and strings")
        for key, name in (("task", self.task), ("train", self.learner)):
            section = self.config.get(key)
            if not isinstance(section, dict) or section.get("name") != name:
                raise CheckpointError(f"its config has no section {key} with the name {name!r}")

    def require(self, task: str | None, learner: str | None) -> None:
        """Check the task and the learner; None accepts any.

        Raises:
            CheckpointError: the checkpoint has another one.
        """
        if task is not None and task != self.task:
            raise CheckpointError(
                f"the checkpoint is of task={self.task}, not of task={task}; leave task= out, or give a checkpoint of"
                f" {task}"
            )
        if learner is not None and learner != self.learner:
            raise CheckpointError(
                f"the checkpoint is of the learner {self.learner!r}, not of {learner!r}; leave train= out, or give a"
                f" checkpoint of {learner!r}"
            )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically.

    Raises:
        CheckpointError: it could not be written (a full disk); an older file of that name is intact.
    """
    content = {"format": FORMAT, "version": VERSION} | {key: getattr(checkpoint, key) for key in field_names()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(content, path)
    except (OSError, WriteError) as error:
        last = path.with_name(LAST)
        advice = f"; the previous one is intact, continue from it with resume={last}" if last.exists() else ""
        raise CheckpointError(f"the checkpoint could not be written: {error}{advice}") from error


def field_names() -> tuple[str, ...]:
    """Names of the fields of a checkpoint, in the order of the file."""
    return tuple(Checkpoint.__dataclass_fields__)


def load_checkpoint(source: Path) -> Checkpoint:
    """Read a checkpoint. Code in the file is never run.

    Args:
        source: the file, or the folder of a run for its last checkpoint.

    Raises:
        CheckpointError: it does not exist, is damaged, of another program or of a newer version of this one.
    """
    path = find_checkpoint(source)
    return parse_checkpoint(read_content(path), path)


def read_content(path: Path) -> Any:
    """The content of a file of tensors and plain data.

    Raises:
        CheckpointError: it has other content, or is damaged.
    """
    try:
        return read_tensors(path)
    except ReadError as error:
        raise CheckpointError(
            f"{error}; another file of its folder can start a new training: type task=NAME checkpoint=FILE run_dir=NEW"
        ) from error


def find_checkpoint(source: Path) -> Path:
    """The file itself, or the last checkpoint of a run's folder; see `shipped.find`.

    Raises:
        CheckpointError: it does not exist, or may not be looked at.
    """
    try:
        if found := shipped.find(source, f"checkpoints/{LAST}", LAST):
            return found
        is_folder = source.is_dir()
    except OSError as error:
        raise CheckpointError(f"{source} cannot be read: {error.strerror or error}") from error
    if is_folder:
        raise CheckpointError(f"the folder {source} has no checkpoints/{LAST}; give a run's folder or a .pt file")
    raise CheckpointError(
        f"there is no file {source}; give a run's folder (runs/<task>/<time>), one of its checkpoints, or the name of a"
        f" shipped file{shipped.names_like(str(source))}"
    )


def parse_checkpoint(content: Any, path: Path) -> Checkpoint:
    """The content of a file as a checkpoint.

    Raises:
        CheckpointError: it has another format, is incomplete, or of a newer version of this program.
    """
    found = content.get("format") if isinstance(content, dict) else None
    if not isinstance(found, str) or found != FORMAT:
        reason = f"its format is {described(found)}" if isinstance(found, str) else "it was written by another program"
        raise CheckpointError(
            f"{path} is not a checkpoint of isaachrl: {reason}; give a .pt file of runs/<task>/<time>/checkpoints"
        )
    version = content.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise CheckpointError(
            f"{path} has format version {described(version)}, this isaachrl reads up to {VERSION}; install the version"
            " that wrote it"
        )
    fields: dict[str, Any] = {"others": [], "skill": "", "actions": {}} | content  # files of earlier versions lack them
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
    """Restore the global generators from `random_state`; those of GPUs only if their number is the same."""
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), int(position), int(has_gauss), float(cached)))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
