"""`track=wandb` and `track=trackio`: a run's configuration, signals and files in a tracking library, too."""

import importlib
import importlib.util
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from isaachrl.errors import ConfigError, brief
from isaachrl.files import write_atomically
from isaachrl.run.storage.folder import RunFolder
from isaachrl.shipped import installing

log = logging.getLogger(__name__)

PROJECT = "isaachrl"


def require(library: str) -> None:
    """Check that a tracking library is installed; `none` is no library.

    Raises:
        ConfigError: it is missing; the message names the extra that installs it.
    """
    if library != "none" and importlib.util.find_spec(library) is None:
        raise ConfigError(
            f"track={library} needs the package {library}; type {installing(library)}, or leave track= out"
        )


class Tracker:
    """Context in which a run is tracked; at its end the report, the video and the newest weights are handed over.

    Neither library needs an account: without one, Weights & Biases writes into `wandb/` in the run's folder, which
    `wandb sync` uploads; Trackio writes into a database of its own. A resumed run goes on in both. If the library
    fails later, it is left out with a warning.

    Args:
        library: `wandb` or `trackio`.
        folder: of the run.
        config: of the run.

    Raises:
        ConfigError: the library could not start, such as one with an account but no network.
    """

    def __init__(self, library: str, folder: RunFolder, config: Mapping[str, Any]) -> None:
        self._folder, self._own_steps, self._failed = folder, library == "wandb", False
        try:
            self._library: Any = importlib.import_module(library)
            self._run = self._begin(config)
        except Exception as error:  # foreign code fails in any way
            offline = ", or type WANDB_MODE=offline before the command" if self._own_steps else ""
            raise ConfigError(f"track={library} could not start ({brief(error)}); leave track= out{offline}") from error

    def _begin(self, config: Mapping[str, Any]) -> Any:
        """The library's run."""
        name, number = "/".join(self._folder.path.absolute().parts[-2:]), _run_id(self._folder.path)
        options: dict[str, Any] = {"project": PROJECT, "config": dict(config), "resume": "allow"}
        if not self._own_steps:  # it knows runs by their names, which two folders can share
            return self._library.init(name=f"{name} {number}", **options)
        offline = "WANDB_MODE" not in os.environ and not self._library.login(prompt=False)
        options |= {"id": number, "dir": str(self._folder.path), "mode": "offline" if offline else None}
        options["settings"] = self._library.Settings(console="off")  # leaves the standard output alone
        run = self._library.init(name=name, **options)
        run.define_metric("*", step_metric="samples")  # its own steps cannot go back, as those of a resumed run can
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._attempt(self._hand_over)
        self._attempt(self._library.finish)

    def add(self, samples: int, signals: Mapping[str, float]) -> None:
        """Record the signals of an iteration."""
        if not self._failed:
            step = {} if self._own_steps else {"step": samples}
            self._attempt(lambda: self._run.log({"samples": samples, **signals}, **step))

    def _hand_over(self) -> None:
        """Record the files that the run has."""
        path, media = self._folder.path, {"report.png": self._library.Image, "play.mp4": self._library.Video}
        found = {name: kind(str(path / name)) for name, kind in media.items() if (path / name).is_file()}
        if found:
            self._run.log(found)
        weights = sorted(self._folder.checkpoints.glob("[0-9]*.pt"))
        if weights:
            self._run.log_artifact(str(weights[-1]), name="weights", type="model")

    def _attempt(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as error:  # whatever a library raises must not end a training
            if not self._failed:
                log.warning("the run is not tracked any further: %s", error)
            self._failed = True


def _run_id(folder: Path) -> str:
    """What tells the run from others of its name, the same in all processes that work on it."""
    path = folder / "track_id"
    if not path.exists():
        write_atomically(path, uuid.uuid4().hex[:12].encode())
    return path.read_text(encoding="utf-8")
