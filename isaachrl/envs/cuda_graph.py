"""Steps of an environment without Python in between: recorded once as CUDA graphs, then replayed."""

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
# eager steps before the recording: the engine loads its kernels, and libraries take their memory; the last is watched
WARM_UP = 2


def use_cuda_graph(env: Env, mode: str) -> Env:
    """Let `env.step` replay CUDA graphs where that can be done; the outermost environment of a hierarchy is meant.

    Args:
        env: it is changed, and returned.
        mode: `auto`, or `off` for steps as they are written.

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
    """Why the steps of an environment are not even tried as graphs."""
    if env.device.type != "cuda":
        return f"the device is {env.device}"
    sims = [part for part in env.parts() if isinstance(part, Sim)]
    if not sims:
        return "the environment has no simulation"
    return None if all(sim.CAPTURABLE for sim in sims) else "the engine works on the CPU; type sim=mujoco_warp"


class StepGraph:
    """`env.step`, replayed.

    Whatever a step leaves behind has to stand in tensors that are attributes of the environment's parts, which is
    what `Task.STATE` asks for. A step may bind new tensors to them: a recorded step ends by copying those back.

    A recording that fails is expensive to recover from, so none is begun that is bound to: the last eager step is
    watched for lines that wait for the device, and for changes that a replay would not make.

    Args:
        env: the environment.
        recorder: what records; None makes a `Recorder`.
    """

    def __init__(self, env: Env, recorder: Callable[[], Recorder] | None = None) -> None:
        self._env = env
        self._make = recorder or (lambda: Recorder(env.device, env.generator))
        self._action = torch.zeros(env.num_envs, env.action_size, device=env.device)
        self._steps = 0
        self._recording: Recorder | None = None

    def __call__(self, action: Tensor) -> StepResult:
        """One step; see `Env.step`."""
        if self._env.observed:
            return self._env.step_eagerly(action)
        self._steps += 1
        if self._steps <= WARM_UP:
            return self._watched(action) if self._steps == WARM_UP else self._env.step_eagerly(action)
        self._action.copy_(action)
        if self._recording is None and not self._record():
            return self._env.step_eagerly(action)
        assert self._recording is not None
        self._slots.synchronize()  # steps and resets from outside may have bound other tensors
        self._recording.replay()
        return _copy(self._result)

    def _watched(self, action: Tensor) -> StepResult:
        """An eager step; where it does what no recording could hold, none will be tried."""
        before = Unrecorded(self._env)
        with host_waits(self._env.device) as waits:
            result = self._env.step_eagerly(action)
        if waits:
            self._give_up(f"they wait for the device at {', '.join(dict.fromkeys(waits))}")
        elif changed := before.changed():
            self._give_up(f"they change {', '.join(changed)}, and a replay changes only tensors that are attributes")
        return result

    @torch.no_grad()
    def _record(self) -> bool:
        """Record a step; where that fails, say why and leave everything as it was."""
        self._slots = Slots(self._env.parts())
        recorder = self._make()
        try:
            self._result = recorder.record(self._step)
        except (RuntimeError, RecordError) as error:
            self._slots.put_back()
            self._give_up(f"this task's cannot be recorded ({' '.join(str(error).split())[:200]})")
            return False
        self._recording = recorder
        return True

    def _give_up(self, reason: str) -> None:
        """From here on steps are taken as they are written."""
        log.warning("cuda_graph=auto: steps run eagerly, since %s", reason[:500])
        self._env.step_graph = None

    def _step(self) -> StepResult:
        """What is recorded."""
        result = self._env.step_eagerly(self._action)
        self._slots.synchronize()
        return result


class Slots:
    """The tensors that are attributes of some objects, each the place for what it is bound to later.

    Args:
        parts: the objects.
    """

    def __init__(self, parts: list[object]) -> None:
        self._held = [(p, name, v) for p in parts for name, v in vars(p).items() if isinstance(v, Tensor)]

    def synchronize(self) -> None:
        """Copy what was bound since into the first tensors, and bind those again."""
        changed = [(part, name, held) for part, name, held in self._held if getattr(part, name) is not held]
        values = [getattr(part, name).clone() for part, name, _ in changed]  # one may be the other's first tensor
        for (part, name, held), value in zip(changed, values, strict=True):
            held.copy_(value)
            setattr(part, name, held)

    def put_back(self) -> None:
        """Bind the first tensors again, with the numbers they have."""
        for part, name, held in self._held:
            setattr(part, name, held)


class Unrecorded:
    """What an environment keeps beside tensors that are attributes of its parts: a replay would leave it as it is.

    Numbers, words, NumPy arrays and lists, sets and queues of them are compared by value; of tensors inside lists and
    inner objects it is noticed when others take their places. What changes in the watched step is found, not what
    changes every hundredth step.

    Args:
        env: the environment; its simulation is left out, as an engine for GPUs knows how to be recorded.
    """

    def __init__(self, env: Env) -> None:
        self._env = env
        self._before = self._look()

    def changed(self) -> list[str]:
        """Paths, as `Task.count`, of what has changed since."""
        before, after = self._before, self._look()
        return [path for path in {**before, **after} if not _same(before.get(path), after.get(path))]

    def _look(self) -> dict[str, Any]:
        """Numbers, words and tensors by path."""
        parts = self._env.parts()
        seen = {id(part) for part in (*parts, self._env.step_graph)}
        held = [part for part in parts if not isinstance(part, Sim)]
        return {
            path: value
            for part in held
            for name, inner in vars(part).items()
            if not isinstance(inner, Tensor)
            for path, value in _leaves(f"{type(part).__name__}.{name}", inner, seen)
        }


_NO_STATE = (type, ModuleType, FunctionType, MethodType, torch.Generator)


def _leaves(path: str, value: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Numbers, words, arrays, sets and tensors in a value, by path; what was seen before is not entered again."""
    if value is None or isinstance(value, int | float | complex | str | bytes | np.generic | Tensor):
        yield path, value
        return
    if id(value) in seen or isinstance(value, _NO_STATE):
        return
    seen.add(id(value))
    inner: list[tuple[str, Any]] = []
    if isinstance(value, np.ndarray):
        yield path, (value.shape, value.tobytes())
    elif isinstance(value, AbstractSet):
        yield path, frozenset(value)
    elif isinstance(value, Mapping):
        inner = [(f"{path}[{key!r}]", one) for key, one in value.items()]
    elif isinstance(value, list | tuple | deque):
        inner = [(f"{path}[{i}]", one) for i, one in enumerate(value)]
    else:
        inner = [(f"{path}.{name}", one) for name, one in getattr(value, "__dict__", {}).items()]
    for deeper, one in inner:
        yield from _leaves(deeper, one, seen)


def _same(one: Any, other: Any) -> bool:
    """Whether two leaves are the same tensor, or equal otherwise; nan is itself."""
    if one is other or isinstance(one, Tensor) or isinstance(other, Tensor):
        return one is other
    return one == other or (one != one and other != other)


def _copy(result: StepResult) -> StepResult:
    """The result in memory of its own: the next replay overwrites that of the recording."""

    def all_of(values: Obs) -> Obs:
        return {name: value.clone() for name, value in values.items()}

    return StepResult(
        obs=all_of(result.obs),
        reward=result.reward.clone(),
        terminated=result.terminated.clone(),
        truncated=result.truncated.clone(),
        terminal_obs=all_of(result.terminal_obs),
        terms=all_of(result.terms),
        metrics=all_of(result.metrics),
        discount_steps=result.discount_steps.clone(),
    )
