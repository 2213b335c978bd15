"""The layout of a run's folder."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from isaachrl.errors import ConfigError, IsaacHRLError, WriteError
from isaachrl.files import remove_leftovers, write_atomically

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some network file systems have none


class RunFolder:
    """The folder of a run and the paths in it.

    Args:
        path: the folder; created if it does not exist.

    Raises:
        IsaacHRLError: the folder cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.config = path / CONFIG
        self.metrics = path / "metrics.jsonl"
        self.report = path / "report.png"
        self.events = path / "tensorboard"
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IsaacHRLError(f"the folder {path} cannot be created ({error}); type run_dir=FOLDER") from error

    @staticmethod
    def fresh(task: str, root: Path = Path("runs")) -> "RunFolder":
        """A new folder `runs/<task>/<time>`, numbered if another run started in the same second."""
        stem = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        for number in range(1, 1000):
            path = root / task / (stem if number == 1 else f"{stem}_{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise IsaacHRLError(f"the folder {path} cannot be created ({error}); type run_dir=FOLDER") from error
            return RunFolder(path)
        raise IsaacHRLError(f"too many runs were started at {stem} under {root / task}; type run_dir=FOLDER")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context with a lock against other trainings; the system releases it if the process is killed.

        Raises:
            ConfigError: another training has the lock.
            WriteError: the folder is not writable.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(
                f"another training is writing into {self.path}; wait until it ends, stop it, or type another run_dir"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise WriteError(
                    f"{self.path} cannot be written to ({error.strerror or error}); type run_dir=FOLDER"
                ) from error
            log.warning("%s has no locks (%s): start no second training there", self.path, error.strerror)
        try:
            yield
        finally:
            lock.release()

    def remove_leftovers(self) -> None:
        """Remove the temporary files of a killed training."""
        for folder in (self.path, self.checkpoints):
            remove_leftovers(folder)

    def write_config(self, plain: dict[str, Any]) -> None:
        """Write the resolved configuration as YAML."""
        write_atomically(self.config, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())
