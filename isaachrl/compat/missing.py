"""What to type if a script lacks a module."""

import os
import sys
import traceback
from pathlib import Path

from isaachrl.compat.install import MODULES


def missing_module(error: ModuleNotFoundError, script: str) -> str:
    """Which module is missing, for which script, and how to make it importable.

    Args:
        error: of the import.
        script: path of the script that was run.
    """
    name = error.name or str(error)
    package = name.partition(".")[0]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    place = f" (imported by {frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    what = f"{script} needs the module {name}{place}"
    if package == "isaacgym":
        return f"{what}, and isaacgym has these here: {', '.join(MODULES)}"
    file = getattr(sys.modules.get(package), "__file__", None)
    if file and package != name:
        how = f'type pip install "{package}==VERSION" with the version that the script needs'
        return f"{what}, which the {package} in {os.path.dirname(file)} does not have; {how}"
    folder = next((folder for folder in Path(script).resolve().parents if _holds(folder, package)), None)
    if folder is None:
        how = f"type pip install {package}, or for a repository at PATH pip install --no-deps -e PATH"
        return f"{what}, which is not installed; {how}, or PYTHONPATH=PATH before the command"
    can_be_installed = any((folder / file).is_file() for file in ("setup.py", "pyproject.toml"))
    install = f"pip install --no-deps -e {folder}, or " if can_be_installed else ""
    return f"{what}, which is in {folder}; type {install}PYTHONPATH={folder} before the command"


def _holds(folder: Path, package: str) -> bool:
    """Whether a folder has a package or a module of that name."""
    return (folder / f"{package}.py").is_file() or any((folder / package).glob("*.py"))
