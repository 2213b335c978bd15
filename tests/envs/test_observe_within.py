"""What a high level alone reads is observed at its decisions; ended episodes as they were at their end."""

import pytest
import torch

import tasks
from isaachrl.envs import registry
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv

assert tasks


def innermost(env):
    while isinstance(env, HierarchicalEnv):
        env = env.inner
    return env


@pytest.mark.parametrize("rescue", ["none", "assets/skills/rising.pt"])
def test_a_window_shows_what_observing_every_step_shows(on_cpu_engine, monkeypatch, rescue):
    env, plain = (
        on_cpu_engine("HumanoidHRLMaze", num_envs=16, episode_steps=17, rescue=rescue, guide=True) for _ in range(2)
    )
    task_type, ends = type(innermost(env).task), 0
    within = task_type.observe_within
    for step in range(8):
        if step == 2:  # one of the worlds falls in the middle of a window
            for built in (env, plain):
                innermost(built).sim.push(torch.eye(16)[:, :1] * torch.tensor([900.0, 0.0, 0.0]))
        action = 2 * torch.rand(16, env.action_size) - 1
        result = env.step(action)
        with monkeypatch.context() as patch:
            patch.setattr(task_type, "observe_within", lambda task: within(task) | {"task": task.observe_task()})
            expected = plain.step(action)
        ends += int(result.done.sum())
        assert torch.equal(result.done, expected.done)
        for group in expected.obs:
            assert torch.equal(result.obs[group], expected.obs[group]), group
            assert torch.equal(result.terminal_obs[group], expected.terminal_obs[group]), group
            assert result.obs[group].data_ptr() != result.terminal_obs[group].data_ptr()
    assert ends > 16, "every episode is cut by time in the middle of a window"


def test_the_map_is_observed_once_before_and_once_after_resets(on_cpu_engine, monkeypatch):
    env = on_cpu_engine("HumanoidHRLMaze", num_envs=6)
    seen, task_type = [], type(innermost(env).task)
    sight = task_type.observe_task
    monkeypatch.setattr(task_type, "observe_task", lambda task: seen.append(1) or sight(task))
    env.step(torch.zeros(6, env.action_size))
    assert env.cfg.steps == 5 and len(seen) == 2


@pytest.mark.parametrize("name", registry.names())
def test_observe_within_returns_a_subset_of_the_observation(on_cpu_engine, name):
    env = on_cpu_engine(name, num_envs=2)
    whole, within = env.observe(), env.observe_within()
    assert set(within) == set(whole) - ({"task"} if name == "HumanoidHRLMaze" else set())
    result = env.advance_within(torch.zeros(2, env.action_size))
    assert set(result.obs) == set(result.terminal_obs) == set(within)
    for group, values in within.items():
        assert torch.equal(values, whole[group])


def test_ended_worlds_are_marked_until_they_are_reset(on_cpu_engine):
    env = innermost(on_cpu_engine("HumanoidAMP", num_envs=3))
    env.progress[1] = env.episode_steps - 1
    done = env.advance_within(torch.zeros(3, env.action_size)).done
    assert done.tolist() == [False, True, False] == env.task.ended.tolist()
    env.advance(torch.zeros(3, env.action_size))
    assert env.task.ended[1] and env.state_dict()["ended"][1]
    env.reset_where(done)
    assert not env.task.ended[1]
