"""Runs scripts written for Isaac Gym: `python -m isaachrl.isaacgym SCRIPT ARGUMENTS…`.

From Python: `install`, before the first `import isaacgym`; `register_task` makes an Isaac Gym task one of this project.
"""

import os
import runpy
import sys

from isaachrl.compat.bridge import register_task
from isaachrl.compat.install import install
from isaachrl.errors import ConfigError, IsaacHRLError

__all__ = ["install", "main", "register_task", "start"]


def main(arguments: list[str]) -> None:
    """Run a script with the package installed.

    Raises:
        ConfigError: no script, or it does not exist.
    """
    engine = "auto"
    if arguments and arguments[0].startswith("--engine="):
        engine = arguments.pop(0).removeprefix("--engine=")
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError("type python -m isaachrl.isaacgym [--engine=mujoco|mujoco_warp] SCRIPT ARGUMENTS…")
    script = arguments[0]
    if not os.path.isfile(script):
        raise ConfigError(f"there is no script {script}")
    install(engine)
    sys.argv = list(arguments)
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, run_name="__main__")


def start() -> None:
    """The command: an error of this project is one line."""
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    start()
