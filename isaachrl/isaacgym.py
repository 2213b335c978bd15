"""Runs scripts written for Isaac Gym: `python -m isaachrl.isaacgym [OPTIONS] SCRIPT ARGUMENTS…`.

From Python: `install`, before the first `import isaacgym`; `register_task` makes an Isaac Gym task one of this project.
"""

import argparse
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from isaachrl.compat.bridge import register_task
from isaachrl.compat.install import install
from isaachrl.compat.isaacgym.messages import keep_logging, log_to_stderr
from isaachrl.compat.isaacgym.settings import SETTINGS
from isaachrl.compat.missing import missing_module
from isaachrl.errors import ConfigError, IsaacHRLError
from isaachrl.sim.worlds import ENGINES

__all__ = ["install", "main", "register_task", "start"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are this project's."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; type python -m isaachrl.isaacgym [OPTIONS] SCRIPT ARGUMENTS…, or --help")


def _parser() -> _Parser:
    """The launcher's options, which stand before the script."""
    parser = _Parser(prog="python -m isaachrl.isaacgym", allow_abbrev=False, description="Runs an Isaac Gym script.")
    parser.add_argument("--engine", default="auto", choices=ENGINES, help="auto: MuJoCo Warp with the GPU pipeline")
    parser.add_argument(
        "--film", type=_film_path, metavar="FILE.mp4", help="film one environment while the script runs"
    )
    parser.add_argument("--film-world", type=int, default=0, metavar="N", help="number of that environment (0)")
    parser.add_argument("--film-start", type=float, default=0.0, metavar="S", help="simulated time of its begin (0)")
    parser.add_argument("--film-seconds", type=float, default=10.0, metavar="S", help="its length (10)")
    parser.add_argument("script", metavar="SCRIPT")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="of the script")
    return parser


def _film_path(text: str) -> Path:
    """The path of a film, which has no other file's name: a script may have taken its place."""
    path = Path(text)
    if path.suffix.lower() != ".mp4" or not path.absolute().parent.is_dir() or path.is_dir():
        raise ConfigError(
            f"--film={text}: a film is an .mp4 file in a folder that exists; type --film FILE.mp4 before the script"
        )
    return path


def main(arguments: Sequence[str]) -> None:
    """Run a script with the package installed.

    Raises:
        ConfigError: no script, it does not exist, it lacks a module, or an option is wrong.
    """
    options = _parser().parse_args(arguments)
    if not os.path.isfile(options.script):
        raise ConfigError(f"there is no script {options.script}")
    install(options.engine)
    sys.argv = [options.script, *options.arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(options.script))
    with _filming(options), _explaining(options.script):
        runpy.run_path(options.script, run_name="__main__")


@contextmanager
def _explaining(script: str) -> Iterator[None]:
    """Context in which a missing module, and what Hydra finds wrong with the script's arguments, is a `ConfigError`."""
    script = os.path.abspath(script)  # Hydra may change the folder
    try:
        yield
    except ModuleNotFoundError as error:
        if f"{error.name}.".startswith("isaachrl."):
            raise
        raise ConfigError(missing_module(error, script)) from error
    except Exception as error:
        if type(error).__module__ != "hydra.errors":
            raise
        causes = [str(part) for part in (error, error.__cause__) if part]
        raise ConfigError(f"{script}: {'; '.join(' '.join(cause.split()) for cause in causes)}") from error


@contextmanager
def _filming(options: argparse.Namespace) -> Iterator[None]:
    """Context in which the film is recorded; it is written however the script ends."""
    if options.film is None:
        yield
        return
    from isaachrl.compat.isaacgym.film import WorldFilm  # only then: the renderer takes a second

    SETTINGS.film = film = WorldFilm(options.film, options.film_world, options.film_start, options.film_seconds)
    try:
        yield
    finally:
        SETTINGS.film = None
        keep_logging()
        film.close()


def start() -> None:
    """The command: an error that can be mended is one line."""
    log_to_stderr()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # a script's Hydra raises errors, and prints nothing
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    start()
