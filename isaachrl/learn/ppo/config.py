"""Configuration of PPO, in the library's own names."""

from dataclasses import dataclass

from isaachrl.config import bounded, layers
from isaachrl.errors import ConfigError


@dataclass
class PpoCfg:
    """Proximal policy optimisation with generalised advantages (Schulman et al. 2016, 2017), run by rl_games.

    Args:
        max_iterations: iterations, each one rollout and its epochs.
        horizon: steps of every environment in a rollout.
        epochs: passes over a rollout.
        minibatch: rows of a minibatch, at most; a shuffled rollout is cut into parts of equal size, give or take a row.
        hidden: widths of the layers of policy and value network (two networks).
        gamma: discount of one step.
        lam: lambda of the advantage estimate.
        clip: range of the probability ratio and of the value's change.
        learning_rate: where it starts.
        kl_target: the learning rate is moved to keep the policy's change near this; 0 keeps the rate.
        max_learning_rate: upper end of that.
        entropy_weight: weight of the entropy.
        value_weight: weight of the squared error of the value.
        mean_weight: weight of the squared policy mean, against saturation of its tanh.
        log_std: logarithm of the policy's standard deviation.
        learn_std: let the standard deviation change in training.
        max_grad_norm: gradients are scaled down to this norm.
        normalize_obs, normalize_value, normalize_advantage: use running or batch statistics for each.
    """

    max_iterations: int = 300
    horizon: int = bounded(32, 0, 10_000)
    epochs: int = bounded(4, 0, 1000)
    minibatch: int = 4096
    hidden: list[int] = layers(256, 128)
    gamma: float = 0.99
    lam: float = 0.95
    clip: float = 0.2
    learning_rate: float = 3e-4
    kl_target: float = 0.012
    max_learning_rate: float = 1e-3
    entropy_weight: float = bounded(0.0, 0.0)
    value_weight: float = bounded(1.0, 0.0)
    mean_weight: float = bounded(0.0, 0.0)
    log_std: float = bounded(-2.3, -20.0, 5.0)
    learn_std: bool = False
    max_grad_norm: float = 1.0
    normalize_obs: bool = True
    normalize_value: bool = True
    normalize_advantage: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers that PPO cannot work with."""
        counts = {name: getattr(self, name) for name in ("max_iterations", "horizon", "epochs", "minibatch")}
        for name, value in counts.items():
            if value < 1:
                raise ConfigError(f"train.{name}={value}: expected 1 or more")
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f"train.hidden={self.hidden}: expected one or more layer widths, such as [256,128]")
        if not (0 < self.gamma <= 1 and 0 <= self.lam <= 1 and 0 < self.clip < 1):
            raise ConfigError(
                f"train: gamma={self.gamma} and lam={self.lam} belong in [0, 1], clip={self.clip} between 0 and 1"
            )
        if not (0 < self.learning_rate <= self.max_learning_rate and self.kl_target >= 0 and self.max_grad_norm > 0):
            raise ConfigError(
                f"train: learning_rate={self.learning_rate} must be positive and at most max_learning_rate="
                f"{self.max_learning_rate}, kl_target={self.kl_target} not negative, max_grad_norm={self.max_grad_norm}"
                " positive"
            )
