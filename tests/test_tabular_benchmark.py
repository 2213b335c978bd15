"""The plain loops of the benchmark are the same tasks as ours; its speeds are not tested."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
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


def test_the_plain_taxi_matches_the_tabular_task(benchmark):
    env = isaachrl.make("TaxiFuel", num_envs=300, device="cpu", seed=1)
    plain = [benchmark.PlainTaxi(0) for _ in range(300)]
    generator = torch.Generator().manual_seed(0)
    outcomes = set()
    for _ in range(12):
        for taxi, state in zip(plain, env.state.tolist(), strict=True):
            taxi.row, taxi.column, taxi.passenger, taxi.destination, taxi.fuel = state
        actions = torch.randint(7, (300,), generator=generator)
        result = env.advance(actions)
        ours = list(zip(result.reward.tolist(), result.done.tolist(), strict=True))
        last = list(result.obs["state"].numpy())
        for taxi, a, mine, seen_last in zip(plain, actions.tolist(), ours, last, strict=True):
            _, reward, terminated, truncated, info = taxi.step(a)
            assert (reward, terminated) == mine and not truncated
            assert np.allclose(info["terminal_obs"], seen_last) and sum(info["terms"].values()) == reward
        for taxi, state, over in zip(plain, env.state.tolist(), result.done.tolist(), strict=True):
            assert over or [taxi.row, taxi.column, taxi.passenger, taxi.destination, taxi.fuel] == state
        outcomes |= set(ours)
        env.reset_where(result.done)
    assert {(-1.0, False), (-10.0, False), (-21.0, True)} <= outcomes


def test_the_plain_ship_matches_the_task(benchmark):
    env = isaachrl.make("ShipSteering", num_envs=200, device="cpu", seed=1)
    plain = [benchmark.PlainShip(0) for _ in range(200)]
    for ship, state in zip(plain, env.state.tolist(), strict=True):
        ship.x, ship.y, ship.heading, ship.rate = state
    alive = torch.ones(200, dtype=torch.bool)
    for i in range(30):
        action = 0.3 * math.sin(i)
        result = env.advance(torch.full((200, 1), action))
        done, obs = result.terminated, result.obs["ship"].numpy()
        for ship, on, over, last in zip(plain, alive.tolist(), done.tolist(), obs, strict=True):
            if on:
                _, reward, terminated, _, info = ship.step(action)
                assert (reward, terminated) == (-1.0, over)
                assert np.allclose(info["terminal_obs"], last, atol=1e-3)
        alive &= ~done
        rows = torch.tensor([[ship.x, ship.y, ship.heading, ship.rate] for ship in plain])
        off = (rows - env.state)[alive]
        off[:, 2] = torch.remainder(off[:, 2] + math.pi, 2 * math.pi) - math.pi
        assert off.abs().max() < 2e-3


def test_one_line_of_json(benchmark, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "BLOCK_S", 0.01)
    benchmark.main(["num_envs=8", "seconds=0", "clock=cpu"])
    found = json.loads(capsys.readouterr().out)
    assert found["taxi"]["ours_steps_per_s"] > 0 and found["ship"]["ratio"] > 0 and found["clock"] == "cpu"


def test_plain_worlds_end_by_time_and_begin_anew(benchmark):
    taxi, ship = benchmark.PlainTaxi(0), benchmark.PlainShip(0)
    for world, steps, width in ((taxi, 100, 20), (ship, 1000, 5)):
        assert world.observe().shape == (width,) and world.reset().dtype == np.float32
        ends = []
        for _ in range(steps):
            if world is taxi:
                world.fuel = 9  # it never runs dry
            else:
                world.x, world.y = 700.0, 700.0
            obs, _, terminated, truncated, info = world.step(0)
            ends.append((terminated, truncated))
        assert ends[:-1] == [(False, False)] * (steps - 1) and ends[-1] == (False, True)
        assert world.steps == 0 and not np.array_equal(obs, info["terminal_obs"])


def test_plain_worlds_report_how_an_episode_ended(benchmark):
    taxi, ship = benchmark.PlainTaxi(0), benchmark.PlainShip(0)
    taxi.row, taxi.column, taxi.passenger, taxi.destination, taxi.fuel = 0, 4, 4, 1, 0
    _, reward, terminated, _, info = taxi.step(5)
    assert (reward, terminated, info["metrics"]) == (19.0, True, {"success_rate": 1.0, "dry_rate": 0.0})
    taxi.row, taxi.column, taxi.passenger, taxi.destination, taxi.fuel = 2, 2, 1, 0, 0
    _, reward, terminated, _, info = taxi.step(4)
    assert (reward, terminated, info["metrics"]) == (-30.0, True, {"success_rate": 0.0, "dry_rate": 1.0})
    ship.x, ship.y, ship.heading, ship.rate = 400.0, 399.5, math.pi / 2, 0.0
    _, _, terminated, _, info = ship.step(0.0)
    assert terminated and info["metrics"] == {"success_rate": 1.0, "out_rate": 0.0}
    ship.x, ship.y, ship.heading, ship.rate = 999.5, 700.0, 0.0, 0.0
    _, _, terminated, _, info = ship.step(0.0)
    assert terminated and info["metrics"] == {"success_rate": 0.0, "out_rate": 1.0}


def test_bare_worlds_keep_only_state_and_reward(benchmark):
    for kind in (benchmark.BareTaxi, benchmark.BareShip):
        world = kind(0)
        assert len(world.step(0)) == 2 and not hasattr(world, "observe")
