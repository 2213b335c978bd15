"""Configurations of the libraries' PPO; keys that `PpoCfg` has too mean the same there."""

from dataclasses import dataclass

from isaachrl.config import bounded, layers, positive


@dataclass
class LibraryPpoCfg:
    """What PPO of every library has.

    Args:
        max_iterations: length of the training; an iteration is one rollout and its epochs.
        horizon: steps of each environment in a rollout.
        epochs: passes over a rollout.
        minibatch: maximum number of rows of a minibatch, which has two at least.
        hidden: widths of the hidden layers of the policy and of the value network.
        gamma, lam: discount of one step; lambda of GAE.
        clip: range of the probability ratio and of the value's change.
        learning_rate: initial learning rate.
        kl_target: the library adapts the learning rate to this KL divergence; 0 keeps it fixed.
        entropy_weight, value_weight: of the entropy bonus and of the squared error of the value.
        log_std, learn_std: logarithm of the policy's standard deviation, and whether it is trained.
        stagger: let the first episodes end early, at random times.
        max_grad_norm: gradients are clipped to this norm.
        normalize_obs: by running statistics.
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
    entropy_weight: float = bounded(0.0, 0.0)
    value_weight: float = bounded(1.0, 0.0)
    log_std: float = bounded(-2.3, -13.0, 2.0)
    learn_std: bool = False
    stagger: bool = False
    max_grad_norm: float = positive(1.0)
    normalize_obs: bool = True

    def minibatches(self, num_envs: int) -> int:
        """Number of minibatches of an epoch; each has two rows or more, since the libraries take variances of them."""
        rows = self.horizon * num_envs
        return max(min(-(-rows // self.minibatch), rows // 2), 1)


@dataclass
class RslRlCfg(LibraryPpoCfg):
    """PPO of rsl_rl.

    It adapts the learning rate in every minibatch, between 1e-5 and 0.01, clips the gradients of the two networks
    separately, and leaves out rows that remain when a rollout is divided into minibatches of equal size.
    """


@dataclass
class SkrlCfg(LibraryPpoCfg):
    """PPO of skrl, which adapts the learning rate in every epoch.

    Args:
        max_learning_rate: upper bound of the adaptive learning rate.
        normalize_value: by running statistics.
    """

    max_learning_rate: float = positive(1e-3)
    normalize_value: bool = True
