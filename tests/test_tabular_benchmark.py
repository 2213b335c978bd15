"""The plain loops of the benchmark are the same worlds as ours; its numbers are not judged here."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest
import torch

import isaachrl
import tasks

assert tasks
PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "tabular.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("tabular", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tabular"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_plain_taxi_lives_in_our_world(benchmark):
    env = isaachrl.make("TaxiFuel", num_envs=300, device="cpu", seed=1)
    plain = [benchmark.PlainTaxi(0) for _ in range(300)]
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(12):
        for taxi, state in zip(plain, env.state.tolist(), strict=True):
            taxi.row, taxi.column, taxi.passenger, taxi.destination, taxi.fuel = state
        actions = torch.randint(7, (300,), generator=generator)
        result = env.advance(actions)
        ours = list(zip(result.reward.tolist(), result.done.tolist(), strict=True))
        assert ours == [taxi.step(a) for taxi, a in zip(plain, actions.tolist(), strict=True)]
        for taxi, state, over in zip(plain, env.state.tolist(), result.done.tolist(), strict=True):
            assert over or [taxi.row, taxi.column, taxi.passenger, taxi.destination, taxi.fuel] == state
        seen |= set(ours)
        env.reset_where(result.done)
    assert {(-1.0, False), (-10.0, False), (-21.0, True)} <= seen


def test_the_plain_ship_sails_as_ours(benchmark):
    env = isaachrl.make("ShipSteering", num_envs=200, device="cpu", seed=1)
    plain = [benchmark.PlainShip(0) for _ in range(200)]
    for ship, state in zip(plain, env.state.tolist(), strict=True):
        ship.x, ship.y, ship.heading, ship.rate = state
    alive = torch.ones(200, dtype=torch.bool)
    for i in range(30):
        action = 0.3 * math.sin(i)
        done = env.advance(torch.full((200, 1), action)).terminated
        assert [ship.step(action)[1] for ship, on in zip(plain, alive, strict=True) if on] == done[alive].tolist()
        alive &= ~done
        rows = torch.tensor([[ship.x, ship.y, ship.heading, ship.rate] for ship in plain])
        off = (rows - env.state)[alive]
        off[:, 2] = torch.remainder(off[:, 2] + math.pi, 2 * math.pi) - math.pi
        assert off.abs().max() < 2e-3


def test_one_line_of_json(benchmark, capsys):
    benchmark.main(["num_envs=8", "seconds=0", "clock=cpu"])
    found = json.loads(capsys.readouterr().out)
    assert found["taxi"]["ours_steps_per_s"] > 0 and found["ship"]["ratio"] > 0 and found["clock"] == "cpu"
