"""Configuration of the two-level policy gradient."""

from dataclasses import dataclass

from isaachrl.config import bounded, layers, positive
from isaachrl.errors import ConfigError, nearest

VARIANTS = ("basic", "baseline", "entropy")


@dataclass
class SubgoalsCfg:
    """A policy over subgoals (high level) and a policy over actions (low level).

    Args:
        max_iterations: iterations of one rollout and one update of both levels.
        horizon: steps of every environment per rollout.
        variant: `basic`, or `baseline`, `entropy` or `baseline+entropy`: what is added to it, at both levels. Without
            a baseline only returns that are complete within the rollout are learned from; with one they are
            bootstrapped.
        hidden: widths of the layers of every network.
        learning_rate, low_learning_rate: of the high and the low level's policy.
        value_learning_rate: of both baselines.
        gamma: discount of a step.
        lam: lambda of the advantages with a baseline; without one they are plain returns.
        subgoal_steps: time limit of a subgoal.
        entropy_weight: coefficient of the entropy bonus, at both levels.
        achieved_reward: intrinsic reward of the low level for reaching its subgoal.
        low_step_reward: intrinsic reward for every step.
        max_grad_norm: gradients are clipped to this norm.
    """

    max_iterations: int = bounded(400, 1)
    horizon: int = bounded(64, 1, 10_000)
    variant: str = "baseline+entropy"
    hidden: list[int] = layers(128, 128)
    learning_rate: float = positive(1e-3, 1.0)
    low_learning_rate: float = positive(1e-3, 1.0)
    value_learning_rate: float = positive(1e-3, 1.0)
    gamma: float = bounded(0.99, 0.0, 1.0)
    lam: float = bounded(0.95, 0.0, 1.0)
    subgoal_steps: int = bounded(25, 1)
    entropy_weight: float = bounded(0.01, 0.0)
    achieved_reward: float = 1.0
    low_step_reward: float = -0.01
    max_grad_norm: float = positive(1.0)

    def __post_init__(self) -> None:
        """Validate the variant."""
        for part in self.parts:
            if part not in VARIANTS:
                raise ConfigError(f"train.variant={self.variant}: {part!r} is unknown{nearest(part, VARIANTS)}")

    @property
    def parts(self) -> list[str]:
        """The names that `variant` joins by `+`."""
        return self.variant.split("+")

    @property
    def with_baseline(self) -> bool:
        """Whether both levels have a baseline."""
        return "baseline" in self.parts

    @property
    def entropy(self) -> float:
        """Coefficient of the entropy bonus in this variant."""
        return self.entropy_weight if "entropy" in self.parts else 0.0
