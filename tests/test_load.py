"""What was trained, from Python."""

from pathlib import Path

import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import CheckpointError, ConfigError

assert tasks
SKILLS = Path("assets/skills").resolve()


def walked(layout: str | None, steps: int = 30) -> torch.Tensor:
    cfg = {"task": {"layout": layout}} if layout else None
    env, policy = isaachrl.load(SKILLS / "mazes.pt", num_envs=3, device="cpu", seed=5, cfg=cfg)
    obs, total = env.observe(), torch.zeros(3)
    for _ in range(steps):
        result = env.step(policy.act(obs))
        policy.restart(result.done)
        obs, total = result.obs, total + result.terms["progress"]
    return total


def test_a_shipped_high_level_walks_towards_its_goal_in_any_layout():
    assert walked("large").mean() > 3.0
    assert torch.equal(walked(None, 2), walked(None, 2))


def test_a_skill_file_is_a_policy_too():
    env, policy = isaachrl.load(SKILLS / "humanoid.pt", num_envs=2, device="cpu")
    assert policy.act(env.observe()).shape == (2, env.action_size) == (2, 28)


def test_unreadable_sources_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file"):
        isaachrl.load(tmp_path / "nothing")
    with pytest.raises(ConfigError, match=r"unknown key task.layuot; did you mean layout"):
        isaachrl.load(SKILLS / "umaze.pt", cfg={"task": {"layuot": "large"}})
    with pytest.raises(CheckpointError, match="use the task and network sizes it was trained with"):
        isaachrl.load(SKILLS / "umaze.pt", cfg={"task": {"guide": True}})


def test_actions_of_another_shape_are_refused():
    env = isaachrl.make("HumanoidAMP", num_envs=2, device="cpu")
    with pytest.raises(ConfigError, match=r"shape \(2, 1\) on cpu; expected a tensor of float32 and shape \(2, 28\)"):
        env.step(torch.zeros(2, 1))
