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
from isaachrl.compat.isaacgym.settings import SETTINGS
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
    parser.add_argument("--film", type=Path, metavar="FILE.mp4", help="film one environment while the script runs")
    parser.add_argument("--film-world", type=int, default=0, metavar="N", help="number of that environment (0)")
    parser.add_argument("--film-start", type=float, default=0.0, metavar="S", help="simulated time of its begin (0)")
    parser.add_argument("--film-seconds", type=float, default=10.0, metavar="S", help="its length (10)")
    parser.add_argument("script", metavar="SCRIPT")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="of the script")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Run a script with the package installed.

    Raises:
        ConfigError: no script, it does not exist, or an option is wrong.
    """
    options = _parser().parse_args(arguments)
    if not os.path.isfile(options.script):
        raise ConfigError(f"there is no script {options.script}")
    install(options.engine)
    sys.argv = [options.script, *options.arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(options.script))
    with _filming(options):
        runpy.run_path(options.script, run_name="__main__")


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
        film.close()


def start() -> None:
    """The command: an error of this project is one line."""
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    start()
