"""A Gaussian policy on tiles and its gradient: what the ship's subtasks and its flat learners have in common."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.errors import ConfigError
from isaachrl.learn.task_graph.algorithms import like
from isaachrl.learn.task_graph.tiles import tile_step, value_of
from isaachrl.maths.returns import generalized_advantages, known_returns


@dataclass
class GaussianCfg:
    """A policy gradient on tiles.

    The defaults weigh every action by a generalised advantage estimate (Schulman et al. 2016): discounted, with a
    learned value for what it is compared with and for what comes after the rollout. `baseline=false normalize=false
    gamma=1` is Eq. 3 of Ghavamzadeh and Mahadevan 2003: the plain rewards-to-go of a call, once it is over.

    Args:
        learning_rate: with `normalize` the mean change of the policy's mean, in standard deviations, for an advantage
            of one deviation; without it alpha of Eq. 3.
        decay_iterations: that change is divided by 1 + k / this after k iterations; 0 keeps it.
        value_rate: share of the error that the baseline takes up at once.
        baseline: subtract a learned value from each reward-to-go, and let it stand for what comes after the rollout.
            Without it a step is learned from once its call is over, and never if time cut the call off.
        normalize: measure advantages in their root mean square, and divide what every tile moves by the number of its
            visits. Without it the step is the sum over all that is learned from.
        gamma: discount of a step.
        lam: lambda of the advantage, with a baseline; without one it is the reward-to-go.
        tiles: along each column of the state.
        tilings: grids.
    """

    learning_rate: float = 0.5
    decay_iterations: int = 0
    value_rate: float = 0.3
    baseline: bool = True
    normalize: bool = True
    gamma: float = 0.99
    lam: float = 0.95
    tiles: list[int] = bounded([5, 5, 36, 5], 1, 1000)
    tilings: int = bounded(9, 1, 1000)

    def __post_init__(self) -> None:
        """Refuse numbers nothing can come of."""
        if not (self.learning_rate > 0 and 0 < self.value_rate <= 1 and 0 < self.gamma <= 1 and 0 <= self.lam <= 1):
            raise ConfigError(
                f"train: learning_rate={self.learning_rate} and value_rate={self.value_rate} must be positive,"
                f" gamma={self.gamma}, lam={self.lam} and value_rate at most 1"
            )
        if self.decay_iterations < 0:
            raise ConfigError(f"train: decay_iterations={self.decay_iterations}: expected 0 or more")

    def rate(self, iteration: int) -> float:
        """The policy's step size after so many iterations."""
        return self.learning_rate / (1.0 + iteration / self.decay_iterations if self.decay_iterations else 1.0)


@dataclass
class Step:
    """One step of N environments as a policy learns from it, each `(N, …)`.

    Args:
        tiles: `(N, tilings)` where it acted.
        next_tiles: `(N, tilings)` where that led, before any reset.
        noise: `(N,)` what was drawn, less the mean.
        reward: `(N,)`.
        done: `(N,)` bool, nothing that follows belongs to the same call.
        final: `(N,)` bool, and nothing that follows is worth anything.
    """

    tiles: Tensor
    next_tiles: Tensor
    noise: Tensor
    reward: Tensor
    done: Tensor
    final: Tensor


class GaussianTiles:
    """a ~ N(w.phi, 1), and the action is `low + (high - low) sigmoid(a)` (Ghavamzadeh and Mahadevan 2003).

    Several tables may lie behind each other in the weights; whoever numbers the tiles decides.

    Args:
        size: number of weights.
        extent: least and greatest action.
        cfg: see `GaussianCfg`.
        device: of the tensors.
    """

    def __init__(self, size: int, extent: tuple[float, float], cfg: GaussianCfg, device: torch.device) -> None:
        self.cfg, self.extent = cfg, extent
        self.mean, self.value = torch.zeros(size, device=device), torch.zeros(size, device=device)
        self.steps: list[Step] = []

    def weights(self) -> dict[str, Any]:
        """Both tables."""
        return {"mean": self.mean.clone(), "value": self.value.clone()}

    def action(self, activation: Tensor) -> Tensor:
        """The action `(n,)` that belongs to what was drawn `(n,)`."""
        low, high = self.extent
        return low + (high - low) * activation.sigmoid()

    def draw(self, tiles: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """An action `(n,)` for tiles `(n, tilings)`, and the noise `(n,)` in it."""
        noise = torch.randn(len(tiles), generator=generator, device=tiles.device)
        return self.action(value_of(self.mean, tiles) + noise), noise

    def best(self, tiles: Tensor) -> Tensor:
        """The mean action `(n,)`."""
        return self.action(value_of(self.mean, tiles))

    def learn(self, iteration: int) -> dict[str, float]:
        """One step along the gradient.

        The gradient of log N(a; w.phi, 1) is the noise times phi, both as they were when the action was drawn. Each is
        weighed by its advantage: the rewards-to-go of the call, less the baseline.
        """
        cfg = self.cfg
        log = {name: torch.stack([getattr(step, name) for step in self.steps]) for name in Step.__annotations__}
        weight = self._take(log["done"], log["final"])
        # weights of a training that had a baseline bring its table along
        table = self.value if cfg.baseline else torch.zeros_like(self.value)
        value = value_of(table, log["tiles"])
        following = value_of(table, log["next_tiles"]).masked_fill(log["final"], 0.0)
        lam = cfg.lam if cfg.baseline else 1.0
        advantage = weight * generalized_advantages(log["reward"], value, following, log["done"], cfg.gamma, lam)
        tiles, noise, weight = log["tiles"].flatten(0, 1), log["noise"].flatten(), weight.flatten()
        if cfg.baseline:
            self.value = tile_step(self.value, tiles, advantage.flatten(), cfg.value_rate, counts=weight)
        error = (advantage.square().sum() / weight.sum().clamp_min(1.0)).sqrt()
        rate, amount = cfg.rate(iteration), advantage.flatten() * noise
        if cfg.normalize:
            self.mean = tile_step(self.mean, tiles, amount / error.clamp_min(1e-6), rate, counts=weight)
        else:
            self.mean = self.mean.index_add(0, tiles.flatten(), rate * amount.repeat_interleave(tiles.shape[-1]))
        return {"loss/advantage": float(error), "policy/mean": float(self.mean.abs().mean())}

    def _take(self, done: Tensor, final: Tensor) -> Tensor:
        """The weight `(T, N)` of each noted step: 1 where it is learned from now, else 0.

        With a baseline that is every step, and none is kept. Without one the steps of a call wait until it is over.

        Args:
            done, final: `(T, N)` bool, of the steps.
        """
        if self.cfg.baseline:
            self.steps = []
            return torch.ones(done.shape, device=done.device)
        waiting = ~known_returns(done, torch.ones_like(done)).all(-1)
        first = int((waiting.cumsum(0) == 0).sum())
        # what ends in here has been learned from; with no final step in it, its return counts as unknown from now on
        self.steps = [replace(step, final=torch.zeros_like(step.final)) for step in self.steps[first:]]
        return known_returns(done, final).float()

    def state_dict(self) -> dict[str, Any]:
        """Both tables, and the steps whose calls are open."""
        steps = [{name: tensor.clone() for name, tensor in vars(step).items()} for step in self.steps]
        return {"mean": self.mean.clone(), "value": self.value.clone(), "steps": steps}

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take both tables."""
        self.mean, self.value = like(self.mean, state["mean"], "mean"), like(self.value, state["value"], "value")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.load_weights(state)
        device = self.mean.device
        self.steps = [
            Step(**{name: tensor.to(device, copy=True) for name, tensor in step.items()}) for step in state["steps"]
        ]
