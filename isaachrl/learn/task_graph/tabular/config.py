"""Configurations of the tabular learners on task graphs."""

from dataclasses import dataclass
from typing import ClassVar

from isaachrl.config import bounded, positive
from isaachrl.errors import ConfigError


@dataclass
class TabularCfg:
    """Common to the learners on a tabular task graph.

    Args:
        max_iterations: iterations.
        horizon: primitive steps of every environment per iteration.
        abstraction: state abstraction: subtasks observe only the columns of the state that the graph declares for them.
    """

    max_iterations: int = bounded(300, 1)
    horizon: int = bounded(32, 1, 10_000)
    abstraction: bool = True


@dataclass
class HpgCfg(TabularCfg):
    """Hierarchical policy gradient (Ghavamzadeh and Mahadevan 2003).

    `natural=false baseline=false normalize=false entropy=0 entropy_end=0` is the algorithm of the paper. On the taxi,
    with `learning_rate=0.001` and one seed, it delivers from every start, but calls `Refuel` first from nearly all of
    them (docs/results/policy_gradient.md has the figures).

    Args:
        learning_rate: alpha_0 of Eq. 3.
        decay_iterations: K of the step size alpha_k = alpha_0 / (1 + k / K) in iteration k; 0: constant.
        natural: follow the natural gradient, by which rarely visited states learn as fast as all others.
        baseline: subtract a running mean per state from the reward-to-go.
        normalize: divide advantages by their running root mean square in each subtask, so that one step size suits all
            levels.
        entropy: initial coefficient of the entropy bonus, in units of the normalised advantage.
        entropy_end: final coefficient at the root, whose choices need to be tried again as its children improve. Below
            the root it is 0, since a caller can only evaluate children with settled policies.
        entropy_iterations: iterations of the linear decay at the root.
        entropy_share: factor on this duration for every level below the root.
    """

    RENAMED: ClassVar[dict[str, str]] = {"baseline_rate": ""}

    learning_rate: float = positive(0.5)
    decay_iterations: int = bounded(0, 0)
    natural: bool = True
    baseline: bool = True
    normalize: bool = True
    entropy: float = 0.3
    entropy_end: float = bounded(0.05, 0.0)
    entropy_iterations: int = bounded(220, 1)
    entropy_share: float = positive(0.4, 1.0)

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if not self.entropy_end <= self.entropy:
            raise ConfigError(f"train.entropy_end={self.entropy_end}: expected 0 to entropy={self.entropy}")

    def decayed_rate(self, iteration: int) -> float:
        """Step size in an iteration."""
        return self.learning_rate / (1.0 + iteration / self.decay_iterations if self.decay_iterations else 1.0)

    def entropy_at(self, level: int, iteration: int) -> float:
        """Coefficient of the entropy at a level of the hierarchy (the root is 0) in an iteration."""
        share = min(iteration / (self.entropy_iterations * self.entropy_share**level), 1.0)
        end = self.entropy_end if level == 0 else 0.0
        return self.entropy + share * (end - self.entropy)


@dataclass
class ValueCfg(TabularCfg):
    """Q-learning, flat or as MAXQ-Q (Dietterich 2000).

    Args:
        learning_rate: step size.
        gamma: discount of a primitive step.
        epsilon: initial share of random choices.
        epsilon_end: final share.
        epsilon_iterations: iterations of the linear decay.
        epsilon_share: factor for every level below the root, where the share falls to 0: a caller learns the value of a
            child as it behaves, random choices included.
        initial: initial value. Above every possible return it is optimistic, and everything is tried.
    """

    RENAMED: ClassVar[dict[str, str]] = {"decay_iterations": ""}

    learning_rate: float = positive(0.5, 1.0)
    gamma: float = positive(1.0, 1.0)
    epsilon: float = bounded(0.5, 0.0, 1.0)
    epsilon_end: float = bounded(0.1, 0.0, 1.0)
    epsilon_iterations: int = bounded(150, 1)
    epsilon_share: float = bounded(0.1, 0.0, 1.0)
    initial: float = 0.0

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if self.epsilon < self.epsilon_end:
            raise ConfigError(f"train.epsilon={self.epsilon}: expected epsilon_end={self.epsilon_end} to 1")

    def epsilon_at(self, level: int, iteration: int) -> float:
        """Share of random choices at a level of the hierarchy (the root is 0) in an iteration."""
        progress = min(iteration / self.epsilon_iterations, 1.0)
        epsilon = self.epsilon + progress * (self.epsilon_end - self.epsilon)
        return epsilon if level == 0 else max(epsilon - self.epsilon_end, 0.0) * self.epsilon_share**level


@dataclass
class ValueIterationCfg:
    """Value iteration.

    Args:
        max_iterations: sweeps over all states.
        gamma: discount.
    """

    max_iterations: int = bounded(200, 1)
    gamma: float = positive(1.0, 1.0)
