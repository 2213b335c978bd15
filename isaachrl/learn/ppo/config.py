"""Configuration of PPO, in the library's own names."""

from dataclasses import dataclass

from isaachrl.config import bounded, layers, positive
from isaachrl.errors import ConfigError


@dataclass
class PpoCfg:
    """Proximal policy optimisation (Schulman et al. 2017) with GAE (Schulman et al. 2016), run by rl_games.

    Args:
        max_iterations: length of the training; an iteration is one rollout and its epochs.
        horizon: steps of each environment in a rollout.
        epochs: passes over a rollout.
        minibatch: maximum number of rows of a minibatch; their sizes differ by one row at most.
        hidden: widths of the hidden layers of the policy and of the value network.
        gamma: discount of one step.
        lam: lambda of GAE.
        clip: range of the probability ratio and of the value's change.
        learning_rate: initial learning rate.
        kl_target: the learning rate is adapted to this KL divergence of a minibatch; 0 keeps it fixed.
        max_learning_rate: upper bound of the adaptive learning rate.
        entropy_weight: weight of the entropy bonus.
        value_weight: weight of the squared error of the value.
        mean_weight: weight of the squared policy mean, against saturation of its tanh.
        log_std: logarithm of the policy's standard deviation.
        log_std_end: its final value, reached linearly from the share `anneal_from` of the training to its end, so that
            the policy's mean, which evaluations use, is what was trained; None keeps `log_std`.
        anneal_from: where that begins.
        learn_std: whether the standard deviation is trained.
        stagger: let the first episodes end early, at random times. Otherwise episodes that last to the time limit end
            at the same time in all environments, and a rollout shows only one part of them.
        max_grad_norm: gradients are clipped to this norm.
        normalize_obs, normalize_value, normalize_advantage: the first two by running statistics, the last by batch.
    """

    max_iterations: int = bounded(300, 1)
    horizon: int = bounded(32, 1, 10_000)
    epochs: int = bounded(4, 1, 1000)
    minibatch: int = bounded(4096, 1)
    hidden: list[int] = layers(256, 128)
    gamma: float = positive(0.99, 1.0)
    lam: float = bounded(0.95, 0.0, 1.0)
    clip: float = positive(0.2, 0.99)
    learning_rate: float = positive(3e-4)
    kl_target: float = bounded(0.012, 0.0)
    max_learning_rate: float = positive(1e-3)
    entropy_weight: float = bounded(0.0, 0.0)
    value_weight: float = bounded(1.0, 0.0)
    mean_weight: float = bounded(0.0, 0.0)
    log_std: float = bounded(-2.3, -20.0, 5.0)
    log_std_end: float | None = bounded(None, -20.0, 5.0)
    anneal_from: float = bounded(0.4, 0.0, 0.99)
    learn_std: bool = False
    stagger: bool = False
    max_grad_norm: float = positive(1.0)
    normalize_obs: bool = True
    normalize_value: bool = True
    normalize_advantage: bool = True

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if self.learn_std and self.log_std_end is not None:
            raise ConfigError(
                f"train.log_std_end={self.log_std_end} sets the standard deviation, and train.learn_std=true trains it;"
                " type train.learn_std=false, or train.log_std_end=null"
            )
        if self.learning_rate > self.max_learning_rate:
            raise ConfigError(
                f"train.learning_rate={self.learning_rate} is above train.max_learning_rate={self.max_learning_rate};"
                f" type train.max_learning_rate={self.learning_rate} or more"
            )
