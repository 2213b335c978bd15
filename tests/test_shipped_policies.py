"""The policies in `assets/policies/` are small, fit their skill, and do their task for a few seconds."""

from pathlib import Path

import pytest

import isaachrl
import tasks
from isaachrl.run.rollout import run_episodes

assert tasks
FILES = sorted(Path("assets/policies").glob("*.pt"))
# control steps of an episode here, and the least score of one
BOUNDS = {
    "HumanoidDodge": (360, 0.3),
    "HumanoidDribble": (360, 0.38),
    "HumanoidLocation": (120, 0.4),
    "HumanoidPush": (360, 0.3),
    "HumanoidSteering": (120, 0.7),
    "HumanoidTopple": (360, 0.3),
    "HumanoidTracking": (120, 1.5),
    "HumanoidTrajectory": (120, 0.85),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_policy_file_is_small_and_named_as_its_task(path):
    assert path.stat().st_size <= (550_000 if path.stem == "HumanoidTracking" else 400_000)
    assert sum(file.stat().st_size for file in FILES) <= 6_000_000
    env, policy = isaachrl.load(path, num_envs=2, sim="mujoco", device="cpu")
    assert env.name == path.stem
    assert policy.act(env.reset()).shape == (2, env.action_size)


@pytest.mark.learn
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_policies_do_their_task(path, seed, reached):
    """Score of a control step in the first seconds of 32 episodes; `docs/results/suite.md` has whole ones. Where a task
    has no score, its reward.

    Ten seeds: Dodge 0.40 to 0.54, Dribble 0.48 to 0.52, Location 0.47 to 0.60, Push 0.40 to 0.51, Steering 0.78 to
    0.86, Topple 0.39 to 0.43, Tracking 1.72 to 1.95, Trajectory 0.92 to 0.97; the bounds leave a margin of
    0.05 and more.
    """
    steps, least = BOUNDS[path.stem]
    env, policy = isaachrl.load(path, 32, "mujoco", "cpu", seed, cfg={"task": {"episode_steps": steps}})
    summary = run_episodes(env, policy, 1).summary()
    reached(summary.get("score", summary["return_mean"]) / steps, least)
