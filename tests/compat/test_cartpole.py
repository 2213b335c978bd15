"""The task that the check of a GPU trains."""

from pathlib import Path

import pytest
import torch

from isaachrl.compat.isaacgym.settings import SETTINGS

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def returns(monkeypatch):
    """Mean return of the first episodes under a controller of observations `(N, 4)`."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(SETTINGS, "engine", "mujoco")
    from gpu.cartpole import CartPole, CartPoleCfg

    class Cfg(CartPoleCfg):
        class env:
            num_envs = 16

    def returns(control):
        torch.manual_seed(0)
        task = CartPole(Cfg(), None, None, "cpu", True)
        task.reset_idx(torch.arange(16))
        total, going = torch.zeros(16), torch.ones(16, dtype=torch.bool)
        obs = task.worlds.dof.view(16, 4)
        for _ in range(500):
            obs, _, reward, done, _ = task.step(control(obs).unsqueeze(-1))
            total += reward * going
            going &= done == 0
        assert not going.any()
        return total.mean().item()

    return returns


def balance(obs):
    x, v, angle, rate = obs.unbind(-1)
    return (60.0 * -angle - 15.0 * rate + 3.0 * x + 6.0 * v) / 20.0


def test_the_bound_is_within_reach_of_a_linear_controller_and_of_no_other(returns):
    from gpu.cartpole import LEAST_RETURN

    assert returns(balance) > LEAST_RETURN + 20.0
    assert returns(lambda obs: torch.zeros(16)) < 100.0
