"""The task that CONTRIBUTING.md shows is a task that runs."""

import re
import sys
import types
from pathlib import Path

import pytest
import torch

from isaachrl.envs import World, task_env
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.build import hierarchical
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


def blocks():
    """The Python that the page shows: the task, its registration, and its configuration above a skill."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def module(monkeypatch):
    """The example task, as the module that it would be."""
    module = types.ModuleType("tasks.humanoid_stand")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
    exec(compile(blocks()[0], str(PAGE), "exec"), module.__dict__)
    return module


def world():
    return World(4, "mujoco", torch.device("cpu"), torch.Generator().manual_seed(0))


def registered(number, **names):
    """What the registration in block `number` registers."""
    found = {}
    names["register"] = lambda *entry: found.update({entry[0]: entry[1:]})
    exec(compile(blocks()[number], str(PAGE), "exec"), names)
    return found["HumanoidStand"]


def test_example_task_runs(module):
    cfg_type, build = registered(1, task_env=task_env)
    env = build(cfg_type(episode_steps=3), world())
    results = [env.step(torch.zeros(4, env.action_size)) for _ in range(3)]

    parts = env.obs_layout["proprioception"]
    assert sum(size for _, size, _ in parts) == env.obs_sizes["proprioception"]
    assert len(env.action_contract["motors"]) == env.action_size
    assert set(results[0].terms) == {"upright", "still"}
    assert (results[0].reward > 1.0).all(), "standing still and upright pays 1.1 at most, nearly all of it at first"
    assert results[-1].truncated.all()


def test_example_task_takes_a_skill(module):
    exec(compile(blocks()[2], str(PAGE), "exec"), module.__dict__)
    _, build = registered(3, HumanoidStand=module.HumanoidStand, HumanoidStandCfg=module.HumanoidStandCfg)
    env = build(module.HumanoidStandCfg(episode_steps=10), world())
    assert isinstance(env, HierarchicalEnv) and env.action_size == 16 and env.episode_steps == 2
    result = env.step(torch.zeros(4, 16))
    assert (result.terms["upright"] > 0.85).all(), "the mean of a window, weighted 0.9"
    bare = build(module.HumanoidStandCfg(skill="none"), world())
    assert bare.action_size == 28


def test_a_configuration_without_the_keys_of_a_skill_is_refused(module):
    with pytest.raises(ConfigError, match="HumanoidStandCfg has no skill, control, style_frames, hierarchy"):
        hierarchical(module.HumanoidStand)(module.HumanoidStandCfg(), world())
