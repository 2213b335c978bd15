"""What the ship's calls lead to, against sailing them, and the best root over them."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

import isaachrl
from isaachrl.learn.task_graph.continuous.frames import SubtaskFrames

PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "ship_calls.py"
EAST, NORTH, NORTH_WEST, WEST = 0, 2, 3, 4


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("ship_calls", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ship_calls"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def calls(script):
    return script.Calls(script.by_hand)


@pytest.fixture(scope="module")
def root(script, calls):
    return script.Root(calls, positions=20, headings=8, sweeps=8)


def outcome(calls, place, heading_deg, task):
    state = torch.tensor([[*place, math.radians(heading_deg), 0.0]])
    return calls(state, torch.tensor([task]))


def test_calls_by_hand(calls):
    on = outcome(calls, (500.0, 700.0), 0.0, EAST)  # 90 m of 1.8 m each
    assert 50 <= on.steps.item() <= 51 and not on.over.item() and on.reward.item() == -on.steps.item()
    assert_close(on.after[0, :2], torch.tensor([590.0, 700.0]), atol=3.0, rtol=0.0)
    through = outcome(calls, (400.0, 330.0), 90.0, NORTH)  # 70 m to the gate
    assert 39 <= through.steps.item() <= 40 and through.passed.item() and not through.lost.item()
    assert through.reward.item() == 100.0 - through.steps.item()
    away = outcome(calls, (30.0, 700.0), 180.0, WEST)  # 30 m to the edge
    assert 17 <= away.steps.item() <= 18 and away.lost.item() and not away.passed.item()
    assert away.reward.item() == -500.0 - away.steps.item()


def test_a_call_leads_where_sailing_it_does(script, calls):
    """From a heading and a turn rate that were sailed, in a direction that is turned."""
    heading, rate = calls.headings[torch.tensor([3, 40, 71])], calls.rates[torch.tensor([1, 4, 8])]
    start = torch.stack((torch.full((3,), 600.0), torch.full((3,), 600.0), heading, rate), dim=-1)
    env = isaachrl.make("ShipSteering", num_envs=3, device="cpu")
    frames, task = SubtaskFrames(env.task_graph, env.device), torch.full((3,), NORTH_WEST)
    kind, steps, last = frames.kind[task], torch.zeros(3), start.clone()
    env.state = start.clone()
    running = torch.ones(3, dtype=torch.bool)
    for _ in range(150):
        env.advance(script.by_hand(kind, frames(task, start, env.state)).unsqueeze(-1))
        last = torch.where(running.unsqueeze(-1), env.state, last)
        steps = steps + running
        running = running & ~frames.ends(kind, frames(task, start, env.state))[0]
    found = calls(start, task)
    assert not running.any() and found.steps.tolist() == steps.tolist()
    assert_close(found.after, last, atol=1e-2, rtol=0.0)


def test_every_call_arrives(calls):
    found = calls.summary()
    assert found["straight"]["arrived"] == found["diagonal"]["arrived"] == 1.0
    assert 50.0 < found["straight"]["steps"] < 75.0 < found["diagonal"]["steps"] < 100.0


def test_the_first_true_one_of_each_row(script):
    flags = torch.tensor([[False, True, True], [False, False, False], [True, False, False]])
    assert script._first(flags).tolist() == [2, 4, 1]


def test_values_are_linear_between_the_points_of_the_grid(script, root):
    other = object.__new__(script.Root)
    other.positions, other.headings, other._unit_m = root.positions, root.headings, root._unit_m
    column = torch.arange(20.0).view(20, 1, 1)
    other.values = (column + 10.0 * column.view(1, 20, 1)).expand(20, 20, 8)
    states = torch.tensor([[525.0, 25.0, 3.1, 0.0], [512.5, 75.0, -3.1, 0.0], [0.0, 500.0, 0.0, 0.0]])
    # points lie at 25, 75, …: column 10 at 525; beyond the first it stays
    assert_close(other.value(states), torch.tensor([10.0, 9.75 + 10.0, 95.0]), atol=0.02, rtol=0.0)


def test_the_best_root_steers_through_the_gate(root):
    below, beside = [400.0, 330.0, math.pi / 2, 0.0], [250.0, 700.0, 0.0, 0.0]
    assert root.best(torch.tensor([below]))[0].item() == NORTH
    assert 0 < root.value(torch.tensor([below])).item() < 70.0 and root.value(torch.tensor([beside])).item() < 0.0
    found = root.play(300)
    assert found["success_rate"] > 0.9 and 3.0 < found["calls"] < 5.5


def test_one_line_of_json(script, capsys, monkeypatch):
    monkeypatch.setattr(script.Root.__init__, "__defaults__", (6, 4, 2))
    monkeypatch.setattr(script.Root.play, "__defaults__", (50,))
    script.main(["train=true", "num_envs=8", "max_iterations=1"])
    found = json.loads(capsys.readouterr().out)
    assert found["train"] and {"straight", "diagonal", "success_rate", "steps_to_goal", "calls"} <= set(found)
