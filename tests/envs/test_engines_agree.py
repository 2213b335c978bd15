"""One policy on both engines: the same episodes, as far as chaos lets them be."""

import pytest
import torch

import isaachrl
import tasks
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv

assert tasks

WORLDS, DECISIONS = 16, 12


def returns(engine):
    """Sum of rewards `(N,)` of the shipped skill that is told to walk for two seconds, and who has fallen."""
    cfg = {"task": {"layout": "corridor"}}
    env = isaachrl.make("HumanoidHRLMaze", WORLDS, sim=engine, device="cpu", seed=3, cfg=cfg)
    assert isinstance(env, HierarchicalEnv)
    walk = env.skill.prototype_of("walk").expand(WORLDS, -1)
    total, over = torch.zeros(WORLDS), torch.zeros(WORLDS, dtype=torch.bool)
    for _ in range(DECISIONS):
        result = env.step(walk)
        total += result.reward.masked_fill(over, 0.0)
        over |= result.done
    return total, over


@pytest.mark.slow
def test_the_same_policy_gets_the_same_return_on_both_engines():
    pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    (ours, over), (theirs, also_over) = returns("mujoco"), returns("mujoco_warp")
    noise = float(ours.std()) / WORLDS**0.5
    assert noise > 0.2  # the starts differ: who faces the goal is paid, who faces a wall is not
    assert abs(float(ours.mean() - theirs.mean())) < 0.5 * noise
    # world by world they begin alike; a foot on an edge, and two of them part
    assert float((ours - theirs).abs().median()) < 0.02
    assert int((over ^ also_over).sum()) <= 1
