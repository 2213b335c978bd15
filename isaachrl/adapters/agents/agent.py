"""What a learner needs of an agent of another library, and random numbers for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from isaachrl.envs.env import StepResult

OnStep = Callable[[StepResult], None]


class Agent(Protocol):
    """An agent with its environment.

    Attributes:
        networks: with their normalisers.
        optimizer: of the networks.
    """

    networks: nn.ModuleDict
    optimizer: torch.optim.Optimizer

    def learn(self) -> dict[str, float]:
        """Collect one rollout and learn from it; signals by name."""
        ...

    def mean(self) -> nn.Module:
        """A copy of the mean of the policy, from `policy_input (n, ·)` to `(n, A)`, with its normaliser."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What an exact continuation needs besides networks, optimizer and environment."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        ...


class LibraryRandom:
    """Random numbers for a library that draws from PyTorch's global generators: states of these that only it uses.

    Args:
        seed: of the states.
        device: whose generator is used besides the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._gpus = [device] if device.type == "cuda" else []
        devices = [torch.device("cpu"), *self._gpus]
        self._states = [torch.Generator(one).manual_seed(seed).get_state() for one in devices]

    @contextmanager
    def active(self) -> Iterator[None]:
        """Context in which the global generators continue from these states; afterwards they are as before."""
        with torch.random.fork_rng(self._gpus):
            torch.set_rng_state(self._states[0])
            for gpu, state in zip(self._gpus, self._states[1:], strict=True):
                torch.cuda.set_rng_state(state, gpu)
            yield
            self._states = [torch.get_rng_state(), *(torch.cuda.get_rng_state(gpu) for gpu in self._gpus)]

    def state_dict(self) -> dict[str, list[Tensor]]:
        """The present states."""
        return {"states": self._states}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Continue from `state_dict`; a GPU's numbers only if there was one."""
        stored = [one.cpu() for one in state["states"]]
        self._states = (stored + self._states[len(stored) :])[: len(self._states)]
