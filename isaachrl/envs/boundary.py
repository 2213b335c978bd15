"""Checks of arguments of the public API: types, shapes and devices, without a host sync."""

import os
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from isaachrl.errors import CheckpointError, ConfigError
from isaachrl.maths.seeds import LARGEST_SEED
from isaachrl.schema import state_mismatch

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "name": ((str,), "the name of a task, such as 'HumanoidAMP'"),
    "source": ((str, os.PathLike), "the path of a run, a checkpoint or a skill file"),
    "num_envs": ((Integral,), "a whole number, such as 1"),
    "sim": ((str,), "the name of an engine, such as 'auto'"),
    "device": ((str, torch.device), "the name of a device, such as 'auto' or 'cpu'"),
    "seed": ((Integral,), f"a whole number from 0 to {LARGEST_SEED}, such as 0"),
    "cuda_graph": ((str,), "'auto' or 'off'"),
    "cfg": ((Mapping, type(None)), "sections with keys and values, such as {'task': {'episode_steps': 600}}"),
}


def check_call(function: str, **arguments: Any) -> None:
    """Check the types of arguments of a public function, by their names.

    Raises:
        ConfigError: names the first wrong one.
    """
    for name, value in arguments.items():
        kinds, expected = _KINDS[name]
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if not fits or (name == "seed" and not 0 <= value <= LARGEST_SEED):
            raise ConfigError(f"{function}({name}={value!r}): expected {expected}")


def check_tensor(value: object, what: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Check that `value` is a dense tensor of this shape and dtype on this device.

    Raises:
        ConfigError: it is not; `what` names it in the message.
    """
    if isinstance(value, Tensor) and value.layout is torch.strided and value.shape == shape and value.dtype is dtype:
        on = value.device
        if on.type == device.type and (device.index is None or on.index == device.index):
            return
    expected = f"a tensor of {_name(dtype)} and shape {shape} on {device}"
    advice = f"type torch.as_tensor(…, dtype={dtype}, device={str(device)!r}), one row for each environment"
    if isinstance(value, Tensor) and value.dtype is dtype and value.shape != shape:
        same_rows = value.shape[:-1] == shape[:-1] and value.dim() == len(shape)
        advice = f"{shape[-1]} columns" if same_rows and len(shape) > 1 else "one row for each environment"
        if value.shape == (*shape, 1):
            advice = "type .squeeze(-1)"
    raise ConfigError(f"{what} is {_described(value)}; expected {expected}: {advice}")


def _described(value: object) -> str:
    """A value for a message: dtype, shape and device of a tensor, else its type."""
    if not isinstance(value, Tensor):
        return f"of type {type(value).__name__}"
    layout = "" if value.layout is torch.strided else f"sparse ({value.layout}) "
    return f"a {layout}tensor of {_name(value.dtype)} and shape {tuple(value.shape)} on {value.device}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_obs(obs: object, sizes: Mapping[str, int], needed: tuple[str, ...], rows: int, device: torch.device) -> None:
    """Check the observations that a policy acts on.

    On the CPU, where it costs no host sync, nan and infinity are errors too.

    Args:
        obs: the observations, by group.
        sizes: width of each group.
        needed: the groups that the policy needs.
        rows: N.
        device: of the environment.

    Raises:
        ConfigError: a group is missing, or is not `(N, size)` float32.
    """
    if not isinstance(obs, Mapping):
        raise ConfigError(f"the observation is {_described(obs)}; expected tensors by group: {', '.join(needed)}")
    for group in needed:
        if group not in obs:
            raise ConfigError(f"the observation has no group {group!r}; it needs {', '.join(needed)}")
        what = f"the group {group!r} of the observation"
        check_tensor(obs[group], what, (rows, sizes[group]), torch.float32, device)
        if device.type == "cpu" and not bool(obs[group].isfinite().all()):
            broken = (~obs[group].isfinite()).any(-1).nonzero()[:, 0].tolist()
            raise ConfigError(f"{what} is not finite in environments {broken[:8]}; reset these, or fix the sensor")


def check_state(state: object, own: Mapping[str, Any]) -> None:
    """Check that a stored state has the parts and shapes of an environment's present state.

    Args:
        state: the stored state.
        own: the present state of the environment.

    Raises:
        CheckpointError: names the first part that does not fit.
    """
    if problem := state_mismatch(own, state, "state", same_keys=True):
        raise CheckpointError(
            f"the state of the environment does not fit: {problem}; load one of the same task, engine and number of"
            " environments"
        )
