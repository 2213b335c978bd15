"""Names the packages; everything else about the project is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["isaachrl*", "tasks*"]), "assets", "cfg"],
    py_modules=["train"],
    package_data={"assets": ["**/*"], "cfg": ["**/*"]},
)
