"""A Gaussian policy on tiles and its policy gradient."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.config import bounded, positive
from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.continuous.tiles import tile_step, value_of
from isaachrl.maths.returns import generalized_advantages, known_returns
from isaachrl.maths.shapes import stack_steps


@dataclass
class GaussianCfg:
    """A policy gradient on tiles.

    By default actions are weighted by generalised advantages (Schulman et al. 2016) with a learned value function.
    `baseline=false normalize=false gamma=1` is Eq. 3 of Ghavamzadeh and Mahadevan 2003: the undiscounted rewards-to-go
    of a call, applied once it has ended.

    Args:
        learning_rate: with `normalize`, mean change of the policy's mean, in standard deviations, for an advantage of
            one root mean square; without it, alpha of Eq. 3.
        decay_iterations: K of the step size alpha / (1 + k / K) in iteration k; 0: constant.
        value_rate: step size of the value function.
        baseline: subtract a learned value from the rewards-to-go, and bootstrap from it at the end of a rollout.
            Without it, steps are learned from once their call has ended, and never if a time limit cut it off.
        normalize: divide advantages by their root mean square, and the step of each tile by its number of visits.
            Without it, the step is the sum over all samples.
        gamma: discount of a step.
        lam: lambda of the advantages; with `baseline=false` it is always 1.
        tiles: tiles along each column of the state.
        tilings: number of tilings.
    """

    learning_rate: float = positive(0.5)
    decay_iterations: int = bounded(0, 0)
    value_rate: float = positive(0.3, 1.0)
    baseline: bool = True
    normalize: bool = True
    gamma: float = positive(0.99, 1.0)
    lam: float = bounded(0.95, 0.0, 1.0)
    tiles: list[int] = bounded([5, 5, 36, 5], 1, 1000)
    tilings: int = bounded(9, 1, 1000)

    def rate(self, iteration: int) -> float:
        """The policy's step size in an iteration."""
        return self.learning_rate / (1.0 + iteration / self.decay_iterations if self.decay_iterations else 1.0)


@dataclass
class Step:
    """One step of N environments.

    Args:
        tiles: `(N, tilings)` of the state or view before the step.
        next_tiles: `(N, tilings)` after it, before any reset.
        noise: `(N,)` sampled activation less its mean.
        reward: `(N,)`.
        done: `(N,)` bool, the call ended for any reason.
        final: `(N,)` bool, it ended and the value of what follows is 0.
    """

    tiles: Tensor
    next_tiles: Tensor
    noise: Tensor
    reward: Tensor
    done: Tensor
    final: Tensor


class GaussianTiles(Stateful):
    """a ~ N(w.phi, 1) with the action `low + (high - low) sigmoid(a)` (Ghavamzadeh and Mahadevan 2003).

    The weights may hold the tables of several policies; they differ in the numbers of their tiles.

    Attributes:
        mean, value: `(size,)` weights of the policy's mean and of the value function.
        steps: recorded steps that were not learned from yet.

    Args:
        size: number of weights.
        extent: least and greatest action.
        cfg: see `GaussianCfg`.
        device: of the tensors.
    """

    WEIGHTS: ClassVar = ("mean", "value")

    def __init__(self, size: int, extent: tuple[float, float], cfg: GaussianCfg, device: torch.device) -> None:
        self.cfg, self.extent = cfg, extent
        self.mean, self.value = torch.zeros(size, device=device), torch.zeros(size, device=device)
        self.steps: list[Step] = []

    def action(self, activation: Tensor) -> Tensor:
        """Action `(n,)` of an activation a `(n,)`."""
        low, high = self.extent
        return low + (high - low) * activation.sigmoid()

    def sample(self, tiles: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A random action `(n,)` for tiles `(n, tilings)`, and its noise `(n,)`."""
        noise = torch.randn(len(tiles), generator=generator, device=tiles.device)
        return self.action(value_of(self.mean, tiles) + noise), noise

    def mean_action(self, tiles: Tensor) -> Tensor:
        """The deterministic action `(n,)` for tiles `(n, tilings)`."""
        return self.action(value_of(self.mean, tiles))

    def learn(self, iteration: int) -> dict[str, float]:
        """One policy gradient step from the recorded steps.

        The gradient of log N(a; w.phi, 1) is noise times phi.
        """
        cfg = self.cfg
        log = stack_steps(self.steps)
        weight = self._pop_learnable(log.done, log.final)
        # loaded weights may come from a training with a baseline
        table = self.value if cfg.baseline else torch.zeros_like(self.value)
        value = value_of(table, log.tiles)
        next_value = value_of(table, log.next_tiles).masked_fill(log.final, 0.0)
        lam = cfg.lam if cfg.baseline else 1.0
        advantage = weight * generalized_advantages(log.reward, value, next_value, log.done, cfg.gamma, lam)
        tiles, noise, weight = log.tiles.flatten(0, 1), log.noise.flatten(), weight.flatten()
        if cfg.baseline:
            self.value = tile_step(self.value, tiles, advantage.flatten(), cfg.value_rate, counts=weight)
        scale = (advantage.square().sum() / weight.sum().clamp_min(1.0)).sqrt()
        rate, amount = cfg.rate(iteration), advantage.flatten() * noise
        if cfg.normalize:
            self.mean = tile_step(self.mean, tiles, amount / scale.clamp_min(1e-6), rate, counts=weight)
        else:
            self.mean = self.mean.index_add(0, tiles.flatten(), rate * amount.repeat_interleave(tiles.shape[-1]))
        return {"loss/advantage": float(scale), "policy/mean": float(self.mean.abs().mean())}

    def _pop_learnable(self, done: Tensor, final: Tensor) -> Tensor:
        """Weight `(T, N)` of each recorded step: 1 if it is learned from now, else 0; drops steps no longer needed.

        With a baseline these are all steps. Without one, steps are kept until their call has ended.

        Args:
            done, final: `(T, N)` bool, of the recorded steps.
        """
        if self.cfg.baseline:
            self.steps = []
            return torch.ones(done.shape, device=done.device)
        is_open = ~known_returns(done, torch.ones_like(done)).all(-1)
        first = int((is_open.cumsum(0) == 0).sum())
        # kept steps whose call has ended must not count again: without `final` their return counts as unknown
        self.steps = [replace(step, final=torch.zeros_like(step.final)) for step in self.steps[first:]]
        return known_returns(done, final).float()

    def state_dict(self) -> dict[str, Any]:
        """See `Stateful.state_dict`: also the recorded steps."""
        steps = [{name: tensor.clone() for name, tensor in vars(step).items()} for step in self.steps]
        return super().state_dict() | {"steps": steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Stateful.load_state_dict`."""
        super().load_state_dict(state)
        device = self.mean.device
        self.steps = [
            Step(**{name: tensor.to(device, copy=True) for name, tensor in step.items()}) for step in state["steps"]
        ]
