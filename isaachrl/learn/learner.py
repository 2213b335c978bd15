"""The interface of a learner.

A learner runs one iteration at a time and owns no files: the training loop calls `iterate`, logs the signals that it
returns, and saves its state. So progress, checkpoints, resuming and Ctrl-C work alike for all learners.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from isaachrl.envs.env import Env, Obs


class Policy(Protocol):
    """A controller for play and evaluation. It may have a state per environment (a latent, a timer)."""

    def act(self, obs: Obs) -> Tensor:
        """Action `(N, action_size)` for the present observation."""
        ...

    def restart(self, mask: Tensor) -> None:
        """Reset the state of the environments of `mask (N,)`, where new episodes began."""
        ...


@dataclass(frozen=True)
class Exported:
    """One network to export.

    Args:
        name: stem of the file, such as `low_level`, `high_level`, `fused`.
        module: takes tensors, returns one tensor; includes the normalisers.
        inputs: example inputs by name, each `(1, size)`.
        output: name of the output.
        contract: the meaning of inputs and output, written beside the network as JSON.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    output: str
    contract: dict[str, Any]


class Learner(ABC):
    """One learning method on one environment.

    Attributes:
        env: the environment it learns on.
        iteration: number of finished iterations.
        samples: number of environment steps (of this learner's level), over all environments.
        max_iterations: length of the training.
        HEADLINE: names of the signals in the progress display.
        DISTRIBUTED: whether several processes can train it together, see `isaachrl.learn.distributed`. `env` then
            has this process's share of the environments, and `samples` counts those of all processes.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = ()
    DISTRIBUTED: ClassVar[bool] = False

    env: Env
    iteration: int
    samples: int
    max_iterations: int

    @property
    @abstractmethod
    def samples_per_iteration(self) -> int:
        """Environment steps of one iteration, over all environments."""

    @abstractmethod
    def iterate(self) -> dict[str, float]:
        """Collect one rollout and learn from it; return the signals of this iteration by name (`group/name`).

        Signals without a value in this iteration are left out. One that is not finite makes the loop check the weights.
        In a distributed training all ranks return the same (`collectives.mean_signals`), since that check communicates.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Weights, optimisers, normalisers, replay buffer, counters and episode state; not the environment.

        Tensors, numbers, strings, lists and dicts only, so that it loads without pickled code. Its floating-point
        tensors must be finite: the loop ends a training instead of saving others. Types and shapes must be those
        of a new learner's state, for a continuation; only a tensor without rows may get some.
        """

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from `state_dict`; the environment has been restored before."""

    @abstractmethod
    def load_weights(self, state: dict[str, Any]) -> None:
        """Load only what acting needs (networks, normalisers) from a `state_dict` of any number of environments."""

    def start_from(self, state: dict[str, Any]) -> None:
        """Begin a new training with the weights of another; by default those that `load_weights` takes."""
        self.load_weights(state)

    def weights(self) -> dict[str, Any]:
        """What `load_weights` needs, for small files; by default the whole state.

        Must not communicate with other ranks.
        """
        return self.state_dict()

    def policy_weights(self) -> dict[str, Any]:
        """What `load_weights` needs for acting alone, for files to share; by default `weights`."""
        return self.weights()

    @abstractmethod
    def policy(self) -> Policy:
        """The deterministic controller, for play and evaluation."""

    @abstractmethod
    def exports(self) -> list[Exported]:
        """The networks to export: one for each level, and the fused one of a hierarchy."""

    def evaluate(self) -> dict[str, Any]:
        """Further measures that `mode=evaluate` reports beside the means of episodes, as plain data."""
        return {}

    def outcome(self) -> dict[str, Any]:
        """Results of a finished training, as plain data; printed as the last line of the command."""
        return {}

    def save_products(self, folder: Path) -> None:
        """Write further files (such as a skill) into the run's folder. Called whenever `last.pt` is written."""
