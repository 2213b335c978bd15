"""Replays whole steps of an environment as CUDA graphs."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.errors import ConfigError, RecordError, nearest
from isaachrl.sim import Sim
from isaachrl.sim.cuda_graph import Recorder, host_waits

log = logging.getLogger(__name__)

MODES = ("auto", "off")
WARM_UP = 2  # eager steps first: kernels are loaded, memory is allocated, and the last one is checked


def use_cuda_graph(env: Env, mode: str) -> Env:
    """Make `env.step` replay CUDA graphs where possible.

    Args:
        env: the outermost environment of a hierarchy; it is changed and returned.
        mode: `auto`, or `off` for eager steps.

    Raises:
        ConfigError: another mode.
    """
    if mode not in MODES:
        raise ConfigError(f"cuda_graph={mode} is unknown{nearest(mode, MODES)}")
    reason = _obstacle(env)
    if mode == "auto" and reason is None:
        env.step_graph = StepGraph(env)
    elif mode == "auto" and env.device.type == "cuda":
        log.info("cuda_graph=auto: steps run eagerly, since %s", reason)
    return env


def _obstacle(env: Env) -> str | None:
    """Why steps of this environment cannot be captured; None if they may."""
    if env.device.type != "cuda":
        return f"the device is {env.device}"
    sims = [part for part in env.parts() if isinstance(part, Sim)]
    if not sims:
        return "the environment has no simulation"
    return None if all(sim.worlds.CAPTURABLE for sim in sims) else "the engine works on the CPU; type sim=mujoco_warp"


class StepGraph:
    """A callable that replays `env.step`.

    All state must be in tensors that are attributes of `env.parts()`, as `Task.STATE` requires. A step may rebind them:
    the recorded step ends by copying new tensors into the original ones.

    The last eager step before the recording is checked for synchronizations and for state that a replay would not
    update, because recovering from a failed capture is expensive. If it has any, steps stay eager.

    Args:
        env: the environment.
        recorder: makes a recorder; `Recorder` by default.
    """

    def __init__(self, env: Env, recorder: Callable[[], Recorder] | None = None) -> None:
        self._env = env
        self._make = recorder or (lambda: Recorder(env.device, env.generator))
        self._action = torch.zeros(env.num_envs, env.action_size, device=env.device)
        self._steps = 0
        self._recording: Recorder | None = None

    def __call__(self, action: Tensor) -> StepResult:
        """One step; see `Env.step`."""
        if self._env.has_observer:
            return self._env.step_eagerly(action)
        self._steps += 1
        if self._steps <= WARM_UP:
            return self._checked_step(action) if self._steps == WARM_UP else self._env.step_eagerly(action)
        self._action.copy_(action)
        if self._recording is None and not self._record():
            return self._env.step_eagerly(action)
        assert self._recording is not None
        self._slots.synchronize()  # eager steps and resets may have rebound attributes
        self._recording.replay()
        return _copy(self._result)

    def _checked_step(self, action: Tensor) -> StepResult:
        """An eager step that disables recording if it cannot be captured."""
        before = HostState(self._env)
        with host_waits(self._env.device) as waits:
            result = self._env.step_eagerly(action)
        if waits:
            self._disable(f"they wait for the device at {', '.join(dict.fromkeys(waits))}")
        elif changed := before.changed():
            self._disable(f"they change {', '.join(changed)}, and a replay changes only tensors that are attributes")
        return result

    @torch.no_grad()
    def _record(self) -> bool:
        """Record a step; on failure, restore the attributes and stay eager."""
        self._slots = Slots(self._env.parts())
        recorder = self._make()
        try:
            self._result = recorder.record(self._step)
        except (RuntimeError, RecordError) as error:
            self._slots.restore()
            self._disable(f"this task's cannot be recorded ({' '.join(str(error).split())[:200]})")
            return False
        self._recording = recorder
        return True

    def _disable(self, reason: str) -> None:
        """Stay eager from now on."""
        log.warning("cuda_graph=auto: steps run eagerly, since %s", reason[:500])
        self._env.step_graph = None

    def _step(self) -> StepResult:
        """The recorded function."""
        result = self._env.step_eagerly(self._action)
        self._slots.synchronize()
        return result


class Slots:
    """The tensor attributes of some objects, which may be rebound and copied back.

    Args:
        parts: the objects.
    """

    def __init__(self, parts: list[object]) -> None:
        self._slots = [(p, name, v) for p in parts for name, v in vars(p).items() if isinstance(v, Tensor)]

    def synchronize(self) -> None:
        """Copy rebound attributes into the original tensors, and bind those again."""
        changed = [(part, name, tensor) for part, name, tensor in self._slots if getattr(part, name) is not tensor]
        values = [getattr(part, name).clone() for part, name, _ in changed]  # it may be another's original tensor
        for (part, name, tensor), value in zip(changed, values, strict=True):
            tensor.copy_(value)
            setattr(part, name, tensor)

    def restore(self) -> None:
        """Bind the original tensors again, without copying."""
        for part, name, tensor in self._slots:
            setattr(part, name, tensor)


class HostState:
    """A snapshot of an environment's state outside its tensor attributes, which a replay would not update.

    Numbers, strings, NumPy arrays, and lists, sets and queues of them are compared by value, tensors inside lists and
    nested objects by identity. State that does not change in the checked step is not detected.

    Args:
        env: the environment; its simulation is ignored, since a `CAPTURABLE` engine can be recorded.
    """

    def __init__(self, env: Env) -> None:
        self._env = env
        self._before = self._snapshot()

    def changed(self) -> list[str]:
        """Paths, such as `Task.count`, of values that have changed."""
        before, after = self._before, self._snapshot()
        return [path for path in {**before, **after} if not _same(before.get(path), after.get(path))]

    def _snapshot(self) -> dict[str, Any]:
        """Values and tensors by path."""
        parts = self._env.parts()
        visited = {id(part) for part in (*parts, self._env.step_graph)}
        return {
            path: leaf
            for part in parts
            if not isinstance(part, Sim)
            for name, value in vars(part).items()
            if not isinstance(value, Tensor)
            for path, leaf in _leaves(f"{type(part).__name__}.{name}", value, visited)
        }


_NO_STATE = (type, ModuleType, FunctionType, MethodType, torch.Generator)


def _leaves(path: str, value: Any, visited: set[int]) -> Iterator[tuple[str, Any]]:
    """Numbers, strings, arrays, sets and tensors in a value, by path; objects are visited once."""
    if value is None or isinstance(value, int | float | complex | str | bytes | np.generic | Tensor):
        yield path, value
        return
    if id(value) in visited or isinstance(value, _NO_STATE):
        return
    visited.add(id(value))
    children: list[tuple[str, Any]] = []
    if isinstance(value, np.ndarray):
        yield path, (value.shape, value.tobytes())
    elif isinstance(value, AbstractSet):
        yield path, frozenset(value)
    elif isinstance(value, Mapping):
        children = [(f"{path}[{key!r}]", child) for key, child in value.items()]
    elif isinstance(value, list | tuple | deque):
        children = [(f"{path}[{i}]", child) for i, child in enumerate(value)]
    else:
        children = [(f"{path}.{name}", child) for name, child in getattr(value, "__dict__", {}).items()]
    for child_path, child in children:
        yield from _leaves(child_path, child, visited)


def _same(a: Any, b: Any) -> bool:
    """Whether two leaves are the same tensor or equal values; NaN equals NaN."""
    if a is b or isinstance(a, Tensor) or isinstance(b, Tensor):
        return a is b
    return a == b or (a != a and b != b)


def _copy(result: StepResult) -> StepResult:
    """A copy, since the next replay overwrites the recorded result."""

    def clone(values: Obs) -> Obs:
        return {name: value.clone() for name, value in values.items()}

    return StepResult(
        obs=clone(result.obs),
        reward=result.reward.clone(),
        terminated=result.terminated.clone(),
        truncated=result.truncated.clone(),
        terminal_obs=clone(result.terminal_obs),
        terms=clone(result.terms),
        metrics=clone(result.metrics),
        discount_steps=result.discount_steps.clone(),
    )
