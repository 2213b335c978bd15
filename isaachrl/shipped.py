"""Where the shipped tasks, configurations and assets are: beside the package in a checkout, inside of it in a wheel."""

import os
import sys
from pathlib import Path

from isaachrl.errors import ConfigError, nearest

_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT = not (_PACKAGE / "cfg").is_dir()
ROOT = _PACKAGE.parent if _IN_CHECKOUT else _PACKAGE
ASSETS, CFG = ROOT / "assets", ROOT / "cfg"
TASKS = "isaachrl.tasks"  # importing it registers them
PROGRAM = "python train.py" if _IN_CHECKOUT else "isaachrl"  # as it is typed
COMMAND = [sys.executable, str(ROOT / "train.py")] if _IN_CHECKOUT else [sys.executable, "-m", "isaachrl"]


def installing(extra: str) -> str:
    """The command that installs an extra, as it is typed."""
    return f'pip install -e ".[{extra}]"' if _IN_CHECKOUT else f'pip install "isaachrl[{extra}]"'


def policies() -> dict[str, Path]:
    """Shipped skills and policies by name."""
    folders = (ASSETS / "skills", ASSETS / "policies")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.pt"))}


def find(name: str | os.PathLike[str], *inside: str) -> Path | None:
    """The file or folder of a name; None if there is none.

    Args:
        name: a path relative to the working folder or to `ROOT` (`assets/skills/mazes.pt`), or the name of a shipped
            skill or policy (`mazes`); the first that exists.
        inside: paths in a folder of that name; with some, only files are found.

    Raises:
        OSError: the path may not be looked at, or is too long.
    """
    text = os.path.expanduser(name)
    for base in (Path(text), ROOT / text):
        for path in (base, *(base / part for part in inside)):
            if path.is_file() or (path.is_dir() and not inside):
                return path
    return None if os.path.exists(text) else policies().get(text.removesuffix(".pt"))


def names_like(name: str) -> str:
    """The end of a message about a name that `find` does not find: which shipped skills and policies there are.

    Raises:
        ConfigError: the installation lacks the shipped files.
    """
    require_assets()
    return nearest(name, policies()) if Path(name).name == name else ""


def require_assets() -> None:
    """Check that the shipped files are there.

    Raises:
        ConfigError: they are not.
    """
    if not ASSETS.is_dir():
        raise ConfigError(
            f"this installation is incomplete, there is no folder {ASSETS}; install isaachrl again: type"
            " pip install --force-reinstall --no-deps isaachrl, or pip install -e . in a complete checkout"
        )
