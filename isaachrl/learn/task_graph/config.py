"""Configurations of the learners on task graphs."""

from dataclasses import dataclass

from isaachrl.config import bounded
from isaachrl.errors import ConfigError


def check(section: object, positive: tuple[str, ...] = (), shares: tuple[str, ...] = ()) -> None:
    """Refuse numbers of a configuration out of their range.

    Args:
        section: the configuration object.
        positive: names of fields that must be above 0.
        shares: names of fields that must lie in [0, 1].

    Raises:
        ConfigError: one of them does not.
    """
    for name in positive:
        if not getattr(section, name) > 0:
            raise ConfigError(f"train.{name}={getattr(section, name)}: expected more than 0")
    for name in shares:
        if not 0 <= getattr(section, name) <= 1:
            raise ConfigError(f"train.{name}={getattr(section, name)}: expected 0 to 1")


@dataclass
class GraphCfg:
    """What the learners on a tabular task graph share.

    Args:
        max_iterations: iterations.
        horizon: primitive steps of every environment in an iteration; the policy changes after each.
        abstraction: subtasks see only the columns of the state that the graph declares for them.
        decay_iterations: step sizes are divided by 1 + k / this after k iterations; 0 keeps them.
    """

    max_iterations: int = 300
    horizon: int = bounded(32, 0, 10_000)
    abstraction: bool = True
    decay_iterations: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers nothing can come of."""
        check(self, ("max_iterations", "horizon"))
        if self.decay_iterations < 0:
            raise ConfigError(f"train.decay_iterations={self.decay_iterations}: expected 0 or more")

    def decayed(self, rate: float, iteration: int) -> float:
        """A step size after so many iterations."""
        return rate / (1.0 + iteration / self.decay_iterations) if self.decay_iterations else rate


@dataclass
class HpgCfg(GraphCfg):
    """Hierarchical policy gradient (Ghavamzadeh and Mahadevan 2003).

    With `natural=false baseline=false normalize=false entropy=0 entropy_end=0` it is the algorithm of the paper. On the
    taxi, with alpha 0.001, one seed, that one delivers from every start, but calls `Refuel` first from nearly all of
    them (docs/results/policy_gradient.md has the figures).

    Args:
        learning_rate: alpha_0 of Eq. 3.
        natural: follow the natural gradient, in which a state that is seldom met learns as fast as any other.
        baseline: subtract from every reward-to-go the mean seen in that state: the gradient stays the same in the
            mean, its noise shrinks.
        baseline_rate: step size of that mean.
        normalize: measure every subtask's rewards-to-go in their own root mean square, so that one step size serves
            all levels.
        entropy: weight of the entropy of each choice at first, in the same unit.
        entropy_end: and at last at the root. With none it stops trying, and what it believes of the rest grows old.
            Below the root it falls to nothing: whoever calls needs children that have made up their minds.
        entropy_iterations: iterations over which it falls at the root, linearly.
        entropy_share: by which that time is multiplied with every level below the root.
    """

    learning_rate: float = 0.5
    natural: bool = True
    baseline: bool = True
    baseline_rate: float = 0.1
    normalize: bool = True
    entropy: float = 0.3
    entropy_end: float = 0.05
    entropy_iterations: int = 220
    entropy_share: float = 0.4

    def __post_init__(self) -> None:
        """Refuse numbers nothing can come of."""
        super().__post_init__()
        check(self, ("learning_rate", "entropy_iterations", "entropy_share"), ("baseline_rate", "entropy_share"))
        if not 0 <= self.entropy_end <= self.entropy:
            raise ConfigError(f"train.entropy_end={self.entropy_end}: expected 0 to entropy={self.entropy}")

    def entropy_weight(self, level: int, iteration: int) -> float:
        """The weight of the entropy on a level of the hierarchy, the root being 0, after so many iterations."""
        share = min(iteration / (self.entropy_iterations * self.entropy_share**level), 1.0)
        end = self.entropy_end if level == 0 else 0.0
        return self.entropy + share * (end - self.entropy)


@dataclass
class ValueCfg(GraphCfg):
    """Q-learning, flat or by MAXQ-Q (Dietterich 2000).

    Args:
        learning_rate: alpha_0.
        gamma: discount of a primitive step.
        epsilon: share of random choices at first.
        epsilon_end: and at last.
        epsilon_iterations: iterations over which it falls, linearly.
        epsilon_share: below the root it is multiplied by this with every level, and falls to nothing: whoever calls
            learns what a child is worth as it then behaves, random choices included.
        initial: value of what was never tried. Where it is more than anything can be worth, everything is tried.
    """

    learning_rate: float = 0.5
    gamma: float = 1.0
    epsilon: float = 0.5
    epsilon_end: float = 0.1
    epsilon_iterations: int = 150
    epsilon_share: float = 0.1
    initial: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers nothing can come of."""
        super().__post_init__()
        check(
            self,
            ("learning_rate", "gamma", "epsilon_iterations"),
            ("learning_rate", "gamma", "epsilon_end", "epsilon_share"),
        )
        if not self.epsilon_end <= self.epsilon <= 1:
            raise ConfigError(f"train.epsilon={self.epsilon}: expected epsilon_end={self.epsilon_end} to 1")

    def exploring(self, iteration: int) -> float:
        """The share of random choices after so many iterations."""
        share = min(iteration / self.epsilon_iterations, 1.0)
        return self.epsilon + share * (self.epsilon_end - self.epsilon)

    def exploring_at(self, level: int, iteration: int) -> float:
        """The same on a level of the hierarchy, the root being 0."""
        share = self.exploring(iteration)
        return share if level == 0 else max(share - self.epsilon_end, 0.0) * self.epsilon_share**level


@dataclass
class SolveCfg:
    """Value iteration.

    Args:
        max_iterations: sweeps.
        gamma: discount.
    """

    max_iterations: int = 200
    gamma: float = 1.0

    def __post_init__(self) -> None:
        """Refuse numbers nothing can come of."""
        check(self, ("max_iterations", "gamma"), ("gamma",))
