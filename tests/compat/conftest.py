"""Undoes what `isaachrl.isaacgym.install` does to the process."""

import sys

import pytest

from isaachrl.compat import bridge
from isaachrl.compat.isaacgym.settings import SETTINGS
from isaachrl.envs import registry


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    before = set(sys.modules)
    monkeypatch.setattr(SETTINGS, "engine", "auto")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(registry, "_ENTRIES", {**registry._ENTRIES})
    monkeypatch.setattr(bridge, "_SOURCES", {})
    monkeypatch.setattr(bridge, "_CLASSES", {})
    yield
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("isaacgym", "pysdf", "urdfpy", "tkinter", "ray"):
            del sys.modules[name]


@pytest.fixture(params=["mujoco", "mujoco_warp"])
def each_engine(request, monkeypatch):
    """Runs a test on the CPU engine and on MuJoCo Warp."""
    if request.param == "mujoco_warp":
        pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    monkeypatch.setattr(SETTINGS, "engine", request.param)


def pytest_terminal_summary(terminalreporter):
    """Say which files of other repositories were run."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]
    for line in sorted({value for name, value in properties if name == "sha256"}):
        terminalreporter.write_line(f"sha256 {line}")
