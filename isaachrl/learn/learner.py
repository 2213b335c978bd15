"""The contract of a learner: it turns an environment and a configuration into something trained.

A learner advances by iterations and owns no files: the run's loop asks for one iteration after the other,
logs what it returns, and saves its state. So progress, checkpoints, resuming and Ctrl-C are the same for all.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from isaachrl.envs.env import Env, Obs


class Policy(Protocol):
    """A controller for play and evaluation; it may keep a state per environment (a latent, a timer)."""

    def act(self, obs: Obs) -> Tensor:
        """Action `(N, action_size)` for the present observation."""
        ...

    def restart(self, mask: Tensor) -> None:
        """Forget the state of the environments of `mask (N,)`: new episodes began there."""
        ...


@dataclass(frozen=True)
class Exported:
    """One network to export.

    Args:
        name: the file's stem, such as `low_level`, `high_level`, `fused`.
        module: takes tensors, returns one tensor; normalisers included.
        inputs: example inputs by name, each `(1, size)`.
        output: name of the output.
        contract: what the numbers mean, written beside the network as JSON.
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
        iteration: iterations done.
        samples: environment steps done (of this learner's level), over all environments.
        max_iterations: the budget from the configuration.
        HEADLINE: names of the few signals that tell whether it learns; the progress display shows them.
        DISTRIBUTED: whether several processes can train it together, see `isaachrl.learn.distributed`. `env` then
            holds this process's share of the environments, and `samples` counts those of all.
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

        What did not happen in it is left out. A signal that is not finite is a reason to look at the weights.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Weights, optimisers, normalisers, replay, counters and the present episode state: all but the environment.

        Tensors, numbers, strings, lists and dicts only, so that it loads without pickled code. Its floating-point
        tensors are finite: a training ends that would save others.
        """

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from `state_dict`; the environment's own state has been restored before."""

    @abstractmethod
    def load_weights(self, state: dict[str, Any]) -> None:
        """Take only what acting needs (networks, normalisers) from a `state_dict`; any number of environments."""

    def weights(self) -> dict[str, Any]:
        """What `load_weights` needs, for small files; the whole state where nobody says less.

        Taken by one process alone, without the other ranks.
        """
        return self.state_dict()

    @abstractmethod
    def policy(self) -> Policy:
        """The deterministic controller, for play and evaluation."""

    @abstractmethod
    def exports(self) -> list[Exported]:
        """The networks to export, one a level and, for a hierarchy, the fused one."""

    def evaluate(self) -> dict[str, Any]:
        """Measures of its own that an evaluation reports beside the episodes' means, as plain data."""
        return {}

    def outcome(self) -> dict[str, Any]:
        """What a finished training has found out, as plain data; the command line prints it as its last line."""
        return {}

    def save_products(self, folder: Path) -> None:
        """Write what others build on (a skill file) into the run's folder. Called whenever `last.pt` is written."""
