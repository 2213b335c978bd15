"""Undoes what `isaachrl.isaacgym.install` does to the process."""

import sys

import pytest

from isaachrl.compat.isaacgym.settings import SETTINGS


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    before = set(sys.modules)
    monkeypatch.setattr(SETTINGS, "engine", "auto")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("isaacgym", "pysdf", "urdfpy", "tkinter"):
            del sys.modules[name]


@pytest.fixture(params=["mujoco", "mujoco_warp"])
def each_engine(request, monkeypatch):
    """Runs a test on the CPU engine and on MuJoCo Warp."""
    pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    monkeypatch.setattr(SETTINGS, "engine", request.param)
