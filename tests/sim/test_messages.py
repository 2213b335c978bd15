"""Warnings of MuJoCo's are lines of the log, one of a kind, and leave no file behind."""

import pytest
import torch

from isaachrl.sim import Scene, make_sim, messages


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(messages, "_LOGGED", set())
    monkeypatch.setattr(messages.log, "warning", lambda text, *values: lines.append(text % values))
    return lines


def test_worlds_that_break_are_said_once_and_leave_no_file(logged, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sim = make_sim(Scene(), 4, "mujoco", torch.device("cpu"))
    for _ in range(2):
        sim.worlds._arrays["qvel"][:] = 1e13
        sim.step(1)
    assert sim.num_diverged.tolist() == [2, 2, 2, 2]
    assert len(logged) == 1 and logged[0].startswith("MuJoCo: Nan, Inf or huge value in QVEL at DOF 0")
    assert list(tmp_path.iterdir()) == []


def test_every_kind_of_warning_is_said(logged):
    for text in ("contact buffer of 10 is full", "contact buffer of 20 is full", "inertia"):
        messages.warn(text)
    assert [line.partition(" (")[0] for line in logged] == ["MuJoCo: contact buffer of 10 is full", "MuJoCo: inertia"]
