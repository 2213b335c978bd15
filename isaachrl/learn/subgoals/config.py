"""Configuration of the two-level policy gradient."""

from dataclasses import dataclass

from isaachrl.config import bounded, layers
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

    max_iterations: int = 400
    horizon: int = bounded(64, 0, 10_000)
    variant: str = "baseline+entropy"
    hidden: list[int] = layers(128, 128)
    learning_rate: float = 1e-3
    low_learning_rate: float = 1e-3
    value_learning_rate: float = 1e-3
    gamma: float = 0.99
    lam: float = 0.95
    subgoal_steps: int = 25
    entropy_weight: float = 0.01
    achieved_reward: float = 1.0
    low_step_reward: float = -0.01
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        """Validate ranges and the variant."""
        for name in ("max_iterations", "horizon", "subgoal_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name}={getattr(self, name)}: expected 1 or more")
        for name in ("learning_rate", "low_learning_rate", "value_learning_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"train.{name}={getattr(self, name)}: expected more than 0 and at most 1")
        if not (0 <= self.gamma <= 1 and 0 <= self.lam <= 1 and self.entropy_weight >= 0 and self.max_grad_norm > 0):
            raise ConfigError(
                f"train: gamma={self.gamma} and lam={self.lam} belong in [0, 1], entropy_weight={self.entropy_weight}"
                f" must not be negative, max_grad_norm={self.max_grad_norm} must be positive"
            )
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f"train.hidden={self.hidden}: expected one or more layer widths, such as [128,128]")
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
