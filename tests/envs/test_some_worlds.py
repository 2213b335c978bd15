"""After a reset only the worlds that began anew are looked at, and what is shown is the same to the last bit."""

import pytest
import torch

import tasks
from isaachrl.envs import registry
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.sim import MujocoSim, SomeWorlds

assert tasks
TASKS = ["HumanoidAMP", "HumanoidRise", "HumanoidHRLMaze"]


def innermost(env):
    while isinstance(env, HierarchicalEnv):
        env = env.inner
    return env


def shaken(build, name, num_envs=24):
    """An environment whose worlds are all in different states."""
    env = build(name, num_envs=num_envs)
    for _ in range(3):
        env.step(2 * torch.rand(num_envs, env.action_size) - 1)
    return env


def test_rows_are_those_of_the_mask(on_cpu_engine):
    sim = on_cpu_engine("HumanoidAMP", num_envs=4).sim
    assert sim.rows_of(torch.tensor([False, True, False, True])).tolist() == [1, 3]
    assert sim.rows_of(torch.zeros(4, dtype=torch.bool)).tolist() == []


def test_an_engine_for_gpus_does_not_tell_rows(on_warp):
    sim = on_warp("HumanoidAMP", num_envs=2).sim
    assert sim.rows_of(torch.ones(2, dtype=torch.bool)) is None


def test_some_worlds_hold_the_chosen_rows(on_cpu_engine):
    sim = shaken(on_cpu_engine, "HumanoidAMP", 5).sim
    some = SomeWorlds(sim, torch.tensor([4, 1]))
    assert some.num_envs == 2 and some.robot is sim.robot
    assert torch.equal(some.body_linvel_w, sim.body_linvel_w[[4, 1]])
    assert some.qpos is some.qpos  # picked out once
    some.qpos.fill_(7.0)
    assert not (sim.qpos == 7.0).any()


@pytest.mark.parametrize("name", ["step", "rays", "num_envs_of_the_moon"])
def test_some_worlds_can_only_be_read(on_cpu_engine, name):
    some = SomeWorlds(on_cpu_engine("HumanoidAMP", num_envs=2).sim, torch.tensor([0]))
    with pytest.raises(AttributeError, match=name):
        getattr(some, name)


@pytest.mark.parametrize("name", registry.names())
def test_a_task_that_promises_it_observes_each_world_by_itself(on_cpu_engine, name):
    task = getattr(innermost(on_cpu_engine(name, num_envs=1)), "task", None)
    assert (name in TASKS) == (task is not None and task.OBSERVES_BY_WORLD)
    if name not in TASKS:
        return
    task = innermost(shaken(on_cpu_engine, name)).task
    whole = task.observe()
    for rows in (torch.tensor([5]), torch.tensor([0, 3, 23]), torch.arange(24).flip(0)):
        for group, seen in task.part(rows).observe().items():
            assert torch.equal(seen, whole[group][rows]), group


@pytest.mark.parametrize("name", TASKS)
def test_steps_show_what_a_look_at_all_worlds_shows(on_cpu_engine, monkeypatch, name):
    env, plain = (on_cpu_engine(name, num_envs=16, episode_steps=7) for _ in range(2))
    looked_at = []
    part = type(innermost(env).task).part
    monkeypatch.setattr(
        type(innermost(env).task), "part", lambda task, rows: looked_at.append(len(rows)) or part(task, rows)
    )
    ends = []
    for _ in range(12):
        action = 2 * torch.rand(16, env.action_size) - 1
        result = env.step(action)
        with monkeypatch.context() as patch:
            patch.setattr(MujocoSim, "rows_of", lambda sim, mask: None)
            expected = plain.step(action)
        ends.append(int(result.done.sum()))
        for group in expected.obs:
            assert torch.equal(result.obs[group], expected.obs[group]), group
            assert torch.equal(result.terminal_obs[group], expected.terminal_obs[group]), group
            assert result.obs[group].data_ptr() != result.terminal_obs[group].data_ptr()
    assert 0 in ends and max(ends) > 0
    assert set(looked_at) >= {end for end in ends if end}


def test_the_map_is_seen_at_decisions_alone(on_cpu_engine, monkeypatch):
    env = on_cpu_engine("HumanoidHRLMaze", num_envs=6)
    seen, task_type = [], type(innermost(env).task)
    sight = task_type._sight
    monkeypatch.setattr(task_type, "_sight", lambda task: seen.append(task.sim.num_envs) or sight(task))
    monkeypatch.setattr(task_type, "terminated", lambda task: torch.zeros(6, dtype=torch.bool))  # nobody falls
    result = env.step(torch.zeros(6, env.action_size))
    assert env.cfg.steps == 5 and seen == [6]
    assert not result.done.any()
    seen.clear()
    env.inner.progress[2] = env.inner.episode_steps - 3  # this one ends in the middle of the next
    result = env.step(torch.zeros(6, env.action_size))
    assert result.truncated.tolist() == [False, False, True, False, False, False]
    assert seen == [1, 1, 6, 1]  # its end and the step after it, the decision of all, its new beginning
    assert result.terminal_obs["task"][2].any()


def test_groups_that_were_left_out_are_zero_where_the_episode_goes_on(on_cpu_engine):
    env = innermost(on_cpu_engine("HumanoidHRLMaze", num_envs=3))
    env.progress[1] = env.episode_steps - 1
    obs = env.advance_within(torch.zeros(3, env.action_size), ("proprioception",)).obs
    whole = env.observe()
    assert torch.equal(obs["proprioception"], whole["proprioception"])
    for group in ("task", "style"):
        assert torch.equal(obs[group][1], whole[group][1])
        assert not obs[group][[0, 2]].any() and whole[group][[0, 2]].any()


def test_an_environment_that_gains_nothing_shows_everything(on_cpu_engine):
    env = on_cpu_engine("AntMaze", num_envs=2)
    assert env.observe_groups(("state",)).keys() == env.observe().keys()
    assert env.advance_within(torch.zeros(2, env.action_size), ("state",)).obs.keys() == env.obs_sizes.keys()
