"""The examples of CONTRIBUTING.md run: a task, a learner, a test and a robot."""

import ast
import re
import sys
import types
from pathlib import Path

import pytest
import torch

from isaachrl.envs import World, task_env
from isaachrl.envs import registry as tasks
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.build import hierarchical
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.learn import registry

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


LOCATION, LOCATION_ENTRY, OWN, TASK, TASK_ENTRY, LEARNER, TEST, ROBOT = range(8)  # the blocks of Python, in order


def blocks():
    """The Python of the page."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(number, names):
    """Run one block in a namespace."""
    exec(compile(blocks()[number], str(PAGE), "exec"), names)


def imported(monkeypatch, name, number):
    """A block as the module that it would be; dataclasses look their module up."""
    module = types.ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    monkeypatch.setitem(sys.modules, name, module)
    run(number, module.__dict__)
    return module


@pytest.fixture
def module(monkeypatch):
    """The module of the example task."""
    return imported(monkeypatch, "tasks.humanoid_stand", TASK)


@pytest.fixture
def evolution(monkeypatch):
    """The module of the example learner; its registration does not outlive the test."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    return imported(monkeypatch, "isaachrl.learn.evolution", LEARNER)


def world():
    return World(4, "mujoco", torch.device("cpu"), torch.Generator().manual_seed(0))


def registered(number, **names):
    """What the registration in block `number` registers."""
    found = {}
    names |= {"__package__": "tasks", "register": lambda *entry: found.update({entry[0]: entry[1:]})}
    run(number, names)
    return next(iter(found.values()))


def test_example_task_runs(module):
    cfg_type, build = registered(TASK_ENTRY, task_env=task_env)
    env = build(cfg_type(episode_steps=3), world())
    results = [env.step(torch.zeros(4, env.action_size)) for _ in range(3)]

    parts = env.obs_layout["proprioception"]
    assert sum(size for _, size, _ in parts) == env.obs_sizes["proprioception"]
    assert len(env.action_contract["motors"]) == env.action_size
    assert set(results[0].terms) == {"upright", "still"}
    assert (results[0].reward > 1.0).all(), "at most 1.1, nearly all of it while standing still and upright"
    assert results[-1].truncated.all()


def test_example_on_a_skill_is_the_shipped_task_in_sixty_lines():
    text = blocks()[LOCATION]
    assert text == (PAGE.parent / "tasks" / "humanoid_location.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)]
    left_out = {line for text in docstrings for line in range(text.lineno, text.end_lineno + 1)}
    lines = [line for line, code in enumerate(text.splitlines(), 1) if code.strip() and line not in left_out]
    assert len(lines) <= 60


def test_example_on_a_skill_is_registered_so():
    cfg_type, build = registered(LOCATION_ENTRY)
    env = build(cfg_type(episode_steps=10), world())
    assert isinstance(env, HierarchicalEnv) and env.action_size == 16 and env.episode_steps == 2
    assert build(cfg_type(skill="none"), world()).action_size == 28


def test_example_of_a_task_of_ones_own_is_registered(monkeypatch):
    monkeypatch.setattr(tasks, "_ENTRIES", dict(tasks._ENTRIES))
    run(OWN, {})
    assert tasks.entry("Near").configure({}).distance_m == 3.0


def test_a_configuration_without_the_keys_of_a_skill_is_refused(module):
    with pytest.raises(ConfigError, match="HumanoidStandCfg has no skill, control, style_frames, hierarchy"):
        hierarchical(module.HumanoidStand)(module.HumanoidStandCfg(), world())


def test_example_learner_learns_and_continues_exactly(evolution, module):
    entry = registry.learner_entry("evolution")

    def built():
        env = task_env(module.HumanoidStand)(module.HumanoidStandCfg(episode_steps=3), world())
        return entry.build(env, evolution.EvolutionCfg(horizon=2), 0)

    learner = built()
    signals = learner.iterate()
    assert set(signals) == set(learner.HEADLINE) and learner.samples == learner.samples_per_iteration == 8
    assert learner.actor.weight.abs().max() > 0
    state, env_state = learner.state_dict(), learner.env.state_dict()
    learner.iterate()

    other = built()
    other.env.load_state_dict(env_state)
    other.load_state_dict(state)
    other.iterate()
    assert torch.equal(other.actor.weight, learner.actor.weight) and other.iteration == 2

    obs = learner.env.observe()
    (network,) = learner.exports()
    exported = network.module(network.inputs["policy_input"]).clamp(-1, 1)
    torch.testing.assert_close(exported, learner.policy().act(obs)[:1])


def test_example_test_passes_and_can_fail(evolution):
    names = {}
    run(TEST, names)
    check = names["test_direction_points_to_the_better_perturbation"]
    check()
    right = evolution.search_direction
    names["search_direction"] = lambda noise, returns: -right(noise, returns)
    with pytest.raises(AssertionError):
        check()


def test_example_robot_is_read(capsys):
    names = {}
    run(ROBOT, names)
    assert names["robot"].num_dofs == 8 and "torso" in capsys.readouterr().out
