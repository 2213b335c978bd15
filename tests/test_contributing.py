"""The task that CONTRIBUTING.md shows is a task that runs."""

import re
import sys
import types
from pathlib import Path

import torch

from isaachrl.envs import World, task_env

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


def test_example_task_runs(monkeypatch):
    code, registration = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    module = types.ModuleType("tasks.humanoid_stand")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    registered = {}
    names = {"register": lambda *entry: registered.update({entry[0]: entry[1:]}), "task_env": task_env}
    exec(compile(registration, str(PAGE), "exec"), names)

    generator = torch.Generator().manual_seed(0)
    cfg_type, build = registered["HumanoidStand"]
    env = build(cfg_type(episode_steps=3), World(4, "mujoco", torch.device("cpu"), generator))
    results = [env.step(torch.zeros(4, env.action_size)) for _ in range(3)]

    assert set(results[0].terms) == {"upright", "still"}
    assert (results[0].reward > 1.0).all(), "standing still and upright pays 1.1 at most, nearly all of it at first"
    assert results[-1].truncated.all()
