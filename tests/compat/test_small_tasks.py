"""Tasks in the style of Isaac Gym's do what their physics says, on both engines."""

import pytest
import torch

import isaachrl.isaacgym
from isaachrl.compat.isaacgym.settings import SETTINGS


@pytest.fixture
def tasks(each_engine):
    isaachrl.isaacgym.install(SETTINGS.engine)
    from tests.compat import small_tasks

    return small_tasks


def test_a_linear_controller_balances_the_pole(tasks, tmp_path):
    torch.manual_seed(0)
    task = tasks.Pole(tmp_path, 2)
    task.reset(torch.arange(2))
    obs = task.step(torch.zeros(2))
    for _ in range(100):
        x, angle, v, rate = obs.unbind(-1)
        obs = task.step(-60.0 * angle - 15.0 * rate + 3.0 * x + 6.0 * v)
    assert obs[:, 1].abs().max() < 0.05
    free = tasks.Pole(tmp_path, 2)
    free.reset(torch.arange(2))
    for _ in range(100):
        obs = free.step(torch.zeros(2))
    assert obs[:, 1].abs().max() > 0.5  # without it the pole falls


def test_a_crawler_moves_by_its_motors_and_resets_where_it_is_told(tasks, tmp_path):
    torch.manual_seed(0)
    task = tasks.Crawler(tmp_path, 6)
    task.reset(torch.arange(6))
    for _ in range(60):
        obs = task.step(2.0 * torch.rand(6, 8) - 1.0)
    assert obs.shape == (6, 44) and torch.isfinite(obs).all()
    assert (task.root[:, :2].norm(dim=-1) > 0.01).all() and (task.root[:, 2] < 0.5).all()
    before = task.root.clone()
    task.reset(torch.tensor([1, 4]))
    task.gym.refresh_actor_root_state_tensor(task.sim)
    assert task.root[[1, 4], 2].tolist() == [0.5, 0.5]
    assert torch.equal(task.root[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    assert task.progress.tolist() == [60, 0, 60, 60, 0, 60]


def test_a_held_plate_catches_the_ball(tasks, tmp_path):
    task = tasks.Tray(tmp_path, 2)
    for _ in range(90):
        state = task.step()
    assert state[:, 1, :3].tolist() == [pytest.approx([0, 0, 0.5], abs=0.02)] * 2
    assert state[:, 2, 2].tolist() == pytest.approx([0.625] * 2, abs=0.02)
