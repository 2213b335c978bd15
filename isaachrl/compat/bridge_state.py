"""The state of an Isaac Gym task: what of it can be saved, so that a training goes on with its episodes.

These are positions and velocities in float32, the targets of drives, and attributes of the task that are numbers, or
tensors with a row for each environment, also in dicts. A number that the task was constructed with anew, since its
configuration has changed, stays. What a task keeps elsewhere begins anew. So a continuation is close, but not exact.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_FIELDS = ("qpos", "qvel", "mocap_pos", "mocap_quat")  # of the worlds
_TARGETS = ("position", "velocity")


def save_state(task: Any, constructed: Mapping[str, int | float]) -> dict[str, Any]:
    """A task's state as tensors and numbers; `constructed` are its `numbers` at the end of its constructor."""
    physics = task.sim.physics
    return {
        "worlds": {name: physics.worlds.field(name).clone() for name in _FIELDS},
        "targets": {name: getattr(physics.drives, name).clone() for name in _TARGETS},
        "tensors": {path: tensor.detach().clone() for path, tensor, _, _ in _tensors(task)},
        "numbers": numbers(task),
        "constructed": dict(constructed),
        "steps": task.sim.steps,
    }


def load_state(task: Any, constructed: Mapping[str, int | float], state: Mapping[str, Any]) -> None:
    """Load what `save_state` gave for a task of the same class and size."""
    physics = task.sim.physics
    everywhere = torch.ones((), dtype=torch.bool, device=physics.worlds.device)
    for name, values in state["worlds"].items():
        physics.worlds.write(name, values.to(physics.worlds.device), everywhere)
    physics.worlds.refresh()
    for name, values in state["targets"].items():
        getattr(physics.drives, name).copy_(values)
    stored = state.get("tensors") or {}
    own = [(*found, stored[found[0]]) for found in _tensors(task) if found[0] in stored]
    own = [found for found in own if found[1].shape == found[-1].shape]
    for _, tensor, _, _, values in own:
        if 0 not in tensor.stride():  # an expanded one shares its rows
            tensor.copy_(values)
    for _, tensor, holder, key, values in own:  # of two that share memory now, but did not when they were saved
        if not torch.equal(tensor.cpu(), values.to(tensor.dtype).cpu()):
            holder[key] = values.to(tensor.device, tensor.dtype, copy=True)
    before, own = state.get("constructed") or {}, numbers(task)
    kept = {key for key, value in constructed.items() if before.get(key, value) != value}
    changes = {key: value for key, value in (state.get("numbers") or {}).items() if key in own and key not in kept}
    vars(task).update(changes)
    task.sim.steps = state["steps"]


def _tensors(task: Any) -> Iterator[tuple[str, Tensor, dict[str, Any], str]]:
    """Tensors with a row for each environment: path, tensor, and the dict and key that hold it."""
    n = int(task.num_envs)
    parts = [("", vars(task))] + [(f"{name}/", value) for name, value in vars(task).items() if isinstance(value, dict)]
    for path, holder in parts:
        for key, value in holder.items():
            if isinstance(key, str) and isinstance(value, Tensor) and any(s and s % n == 0 for s in value.shape):
                yield path + key, value, holder, key


def numbers(task: Any) -> dict[str, int | float]:
    """Attributes that are finite numbers."""
    own = {name: value for name, value in vars(task).items() if type(value) in (int, float)}
    return {name: value for name, value in own.items() if abs(value) < 2**53}
