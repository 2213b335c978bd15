"""Names the packages; everything else about the project is in pyproject.toml.

A wheel has all of them inside the package `isaachrl`; an editable installation leaves the folders where they are.
"""

import re
import sys
from pathlib import Path
from typing import Any

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

INSIDE = ("tasks", "cfg", "assets")


class Build(build_py):
    """Leaves out `isaachrl/tasks.py`, which stands for the folder `tasks` in a checkout."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """See `build_py`."""
        modules = super().find_package_modules(package, package_dir)
        return [found for found in modules if found[:2] != ("isaachrl", "tasks")]


def description() -> str:
    """The README without pictures and links that are files of the repository, which a package index does not have."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^]]*\]\((?!https:)[^)]*\)\n*", "", text)
    return re.sub(r"\[([^]]*)\]\((?!https:)[^)]*\)", r"\1", text)


readme: dict[str, Any] = {"long_description": description(), "long_description_content_type": "text/markdown"}
library, tasks = find_packages(include=["isaachrl*"]), find_packages(include=["tasks*"])
if "editable_wheel" in sys.argv:
    setup(packages=library + tasks, **readme)
else:
    setup(
        packages=[*library, *(f"isaachrl.{name}" for name in tasks), "isaachrl.cfg", "isaachrl.assets"],
        package_dir={f"isaachrl.{name}": name for name in INSIDE},
        package_data={
            "isaachrl.cfg": ["**/*"],
            "isaachrl.assets": ["**/*"],
            "isaachrl.run.commands": ["page_files/*"],
        },  # fmt: skip
        cmdclass={"build_py": Build},
        **readme,
    )
