"""Task files of other repositories, unchanged, with random actions: ISAACGYMENVS=PATH, ASE=PATH, LEGGED_GYM=PATH.

They need `gym`, `scipy` and `matplotlib`, and for legged_gym `rsl_rl` 1.0.2 on the path. At the end the SHA-256 of each
file that was run is printed; in reports (`--junitxml`) it is the property `sha256` of a test.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import isaachrl
from isaachrl.isaacgym import register_task
from tests.compat import upstream


def root(variable):
    """The folder of a repository, and the mark that skips tests without it."""
    path = os.environ.get(variable)
    return Path(path or "."), pytest.mark.skipif(not path, reason=f"{variable}=PATH is not set")


GYM_ENVS, needs_gym_envs = root("ISAACGYMENVS")
ASE, needs_ase = root("ASE")
LEGGED, needs_legged = root("LEGGED_GYM")
ASE_TASKS = {
    "HumanoidAMP": ("humanoid.yaml", 223, 28),
    "HumanoidAMPGetup": ("humanoid_ase_sword_shield_getup.yaml", 253, 31),
    "HumanoidHeading": ("humanoid_sword_shield_heading.yaml", 258, 31),
    "HumanoidLocation": ("humanoid_sword_shield_location.yaml", 255, 31),
    "HumanoidReach": ("humanoid_sword_shield_reach.yaml", 256, 31),
    "HumanoidStrike": ("humanoid_sword_shield_strike.yaml", 268, 31),
}


@pytest.fixture
def ran(record_property):
    """Records the file of a task that is run."""

    def record(path):
        record_property("sha256", f"{upstream.sha256(path)}  {'/'.join(Path(path).parts[-3:])}")

    return record


@needs_gym_envs
@pytest.mark.parametrize(
    ("name", "observations", "actions"),
    [("Cartpole", 4, 1), ("Ant", 60, 8), ("Humanoid", 108, 21), ("HumanoidAMP", 105, 28), ("BallBalance", 24, 3),
     ("Quadcopter", 21, 12), ("Anymal", 48, 12), ("AnymalTerrain", 188, 12), ("FrankaCabinet", 23, 9),
     ("AllegroHand", 88, 16), ("FrankaCubeStack", 19, 7), ("ShadowHand", 211, 20), ("Ingenuity", 13, 6),
     ("Trifinger", 41, 9)],
)  # fmt: skip
def test_tasks_of_isaacgymenvs_run(name, observations, actions, tmp_path, monkeypatch, ran):
    monkeypatch.chdir(tmp_path)  # some write an asset into the working folder
    task, path = upstream.gym_envs_task(GYM_ENVS, name, 8)
    ran(path)
    _, obs = upstream.run(task, 20)
    assert obs.shape == (8, observations) and task.num_actions == actions
    assert not task.sim.physics.worlds.num_diverged.any()


@needs_gym_envs
def test_a_clip_set_through_the_api_has_the_key_bodies_of_the_clip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task, _ = upstream.gym_envs_task(GYM_ENVS, "HumanoidAMP", 16)
    ids = torch.arange(16)
    library = task._motion_lib
    motions = library.sample_motions(16)
    *state, key_pos = library.get_motion_state(motions, library.sample_time(motions))
    root_pos, root_rot, dof_pos, root_vel, root_ang_vel, dof_vel = state
    task._set_env_state(ids, root_pos, root_rot, dof_pos, root_vel, root_ang_vel, dof_vel)
    task.gym.set_actor_root_state_tensor(task.sim, task_unwrap(task._root_states))
    task.gym.set_dof_state_tensor(task.sim, task_unwrap(task._dof_state))
    task.gym.refresh_rigid_body_state_tensor(task.sim)
    distance = (task._rigid_body_pos[:, task._key_body_ids] - torch.as_tensor(key_pos)).norm(dim=-1)
    assert distance.mean() < 2e-3
    assert torch.allclose(task._dof_pos, torch.as_tensor(dof_pos).float(), atol=1e-5)


def task_unwrap(tensor):
    from isaacgym import gymtorch

    return gymtorch.unwrap_tensor(tensor.contiguous())


@needs_gym_envs
@pytest.mark.parametrize("clip", ["walk", "run", "dance", "hop", "cartwheel", "backflip"])
def test_clips_that_are_set_reproduce_their_key_bodies(clip, tmp_path, monkeypatch):
    """At the frames of a clip; between them its own interpolation of positions differs from that of rotations."""
    monkeypatch.chdir(tmp_path)
    overrides = (f"task.env.motion_file=amp_humanoid_{clip}.npy",)
    task, _ = upstream.gym_envs_task(GYM_ENVS, "HumanoidAMP", 64, overrides)
    from isaacgym import gymtorch

    motions, ids = task._motion_lib, torch.arange(64, dtype=torch.int32)
    frames = np.linspace(0, motions._motion_num_frames[0] - 1, 64).astype(int)
    times = np.minimum(frames * motions._motion_dt[0], motions._motion_lengths[0])
    *state, key_pos = motions.get_motion_state(np.zeros(64, dtype=int), times)
    task._set_env_state(ids.long(), state[0], state[1], state[2], state[3], state[4], state[5])
    everyone = gymtorch.unwrap_tensor(ids), len(ids)
    task.gym.set_actor_root_state_tensor_indexed(task.sim, gymtorch.unwrap_tensor(task._root_states), *everyone)
    task.gym.set_dof_state_tensor_indexed(task.sim, gymtorch.unwrap_tensor(task._dof_state), *everyone)
    task._refresh_sim_tensors()
    error_m = (task._rigid_body_pos[:, task._key_body_ids] - key_pos).norm(dim=-1)
    assert error_m.mean() < 1e-3 and error_m.max() < 5e-3


@needs_ase
@pytest.mark.parametrize("name", ASE_TASKS)
def test_tasks_of_ase_run(name, ran):
    config, observations, actions = ASE_TASKS[name]
    clip = "amp_humanoid_walk.npy" if actions == 28 else "reallusion_sword_shield/RL_Avatar_Idle_Ready_Motion.npy"
    task, path = upstream.ase_task(ASE, name, 8, config, f"ase/data/motions/{clip}")
    ran(path)
    _, obs = upstream.run(task, 20)
    assert obs.shape == (8, observations) and task.num_actions == actions


@needs_legged
@pytest.mark.parametrize(
    ("name", "terrain"), [("a1", "plane"), ("a1", "heightfield"), ("a1", "trimesh"), ("anymal_c_flat", "plane")]
)
def test_tasks_of_legged_gym_run(name, terrain, ran):
    task, path = upstream.legged_task(LEGGED, name, 8, terrain)
    ran(path)
    _, obs = upstream.run(task, 20)
    assert obs.shape == (8, 48 if "flat" in name else 235)
    if name == "a1":
        assert task.feet_indices.tolist() == [4, 8, 12, 16]
        names = [body for body in task.gym.get_actor_rigid_body_names(task.envs[0], 0) if body.endswith("foot")]
        assert names == ["FL_foot", "FR_foot", "RL_foot", "RR_foot"]


def steps_as_environment(ran, source, **task):
    """Episodes of a task through `isaachrl.make`."""
    ran(Path(source.rpartition(":")[0]))
    env = isaachrl.make(register_task(source, task.get("cfg")), 8, device="cpu", cfg={"task": task})
    obs = env.reset()["obs"]
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        result = env.step(2.0 * torch.rand(8, env.action_size, generator=generator) - 1.0)
        assert torch.isfinite(result.obs["obs"]).all() and not (result.terminated & result.truncated).any()
    assert not torch.equal(obs, result.obs["obs"]) and env.step_s > 0
    return env


@needs_gym_envs
@pytest.mark.parametrize(
    ("name", "resets", "step_s"),
    [("Cartpole", True, 0.0166), ("Ant", True, 0.0166), ("HumanoidAMP", False, 0.0333), ("AllegroHand", True, 0.0333)],
)
def test_tasks_of_isaacgymenvs_are_environments(name, resets, step_s, tmp_path, monkeypatch, ran):
    monkeypatch.chdir(tmp_path)
    upstream.package("isaacgymenvs.tasks", GYM_ENVS / "isaacgymenvs/tasks")  # which imports them all
    env = steps_as_environment(ran, f"{GYM_ENVS}/isaacgymenvs/tasks/{upstream.GYM_MODULES[name]}.py:{name}")
    assert env._resets is resets and env.step_s == pytest.approx(step_s, rel=0.01)


@needs_legged
def test_a_task_of_legged_gym_is_an_environment(ran):
    cfg = f"{LEGGED}/legged_gym/envs/a1/a1_config.py:A1RoughCfg"
    changes = {"terrain": {"mesh_type": "plane", "measure_heights": False}, "env": {"num_observations": 48}}
    env = steps_as_environment(ran, f"{LEGGED}/legged_gym/envs/base/legged_robot.py:LeggedRobot", cfg=cfg, set=changes)
    assert env._resets and env.step_s == pytest.approx(0.02) and env.episode_steps == 1000


@needs_ase
def test_a_task_of_ase_is_an_environment(monkeypatch, ran):
    monkeypatch.chdir(ASE)  # its assets are named from there
    clip = f"{ASE}/ase/data/motions/reallusion_sword_shield/RL_Avatar_Idle_Ready_Motion.npy"
    env = steps_as_environment(
        ran, f"{ASE}/ase/env/tasks/humanoid_heading.py:HumanoidHeading", set={"env": {"motion_file": clip}},
        cfg=f"{ASE}/ase/data/cfg/humanoid_sword_shield_heading.yaml",
    )  # fmt: skip
    assert not env._resets and env.obs_sizes == {"obs": 258}
