"""What the adapters share: the library that they need, spaces, actions, and the bootstrap of truncated episodes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isaachrl.envs.env import Env, StepResult
from isaachrl.envs.tabular import TabularEnv
from isaachrl.errors import ConfigError
from isaachrl.shipped import installing

Value = Callable[[Tensor], Tensor]


@contextmanager
def imports(extra: str) -> Iterator[None]:
    """Context of the import of an adapter's library.

    Raises:
        ConfigError: it is missing; the message names the extra that installs it.
    """
    try:
        yield
    except ImportError as error:
        command = installing(extra.replace("_", "-"))  # as metadata spell it: an older pip finds no other spelling
        raise ConfigError(f"isaachrl.adapters.{extra} needs {error.name}; type {command}") from error


def spaces(env: Env) -> tuple[Any, Any]:
    """Gymnasium's spaces of one environment's `policy_input` and action.

    A tabular environment has a discrete action; others have limits of -1 and 1, or those of `Env.action_contract`.
    """
    from gymnasium.spaces import Box, Discrete

    observation = Box(-np.inf, np.inf, (env.policy_input_size,), np.float32)
    if isinstance(env, TabularEnv):
        return observation, Discrete(env.action_size)
    limit = env.action_contract.get("limit", 1.0)
    return observation, Box(-limit, limit, (env.action_size,), np.float32)


def action_tensor(env: Env, action: Any) -> Tensor:
    """An array or tensor of actions on the environment's device, in float32 unless they are numbers of actions."""
    tensor = torch.as_tensor(action, device=env.device)
    return tensor.float() if tensor.is_floating_point() else tensor


def last_values(env: Env, result: StepResult, value: Value) -> Tensor:
    """`(N,)` the value of the last observation where an episode was truncated, else 0.

    Args:
        env: the environment.
        result: of its step.
        value: the learner's value function, from `policy_input (N, ·)` to N numbers.
    """
    with torch.no_grad():
        values = value(env.policy_input(result.terminal_obs)).reshape(-1)
    return torch.where(result.truncated, values, 0.0)


def array(tensor: Tensor) -> np.ndarray:
    """A tensor on the host."""
    return tensor.cpu().numpy()
