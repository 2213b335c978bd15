"""One level of the hierarchy: a categorical policy, an optional baseline, and their update."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from isaachrl.learn.state import Stateful
from isaachrl.learn.subgoals.config import SubgoalsCfg
from isaachrl.nn.mlp import mlp


class Level(Stateful):
    """A policy over K choices and, with a baseline, a value function of the same inputs.

    Args:
        input_size: width of the inputs.
        choices: K.
        cfg: see `SubgoalsCfg`.
        learning_rate: of the policy.
        device: of the networks.
    """

    WEIGHTS: ClassVar = ("policy", "baseline")
    STATE: ClassVar = ("optimizer", "value_optimizer")

    def __init__(
        self, input_size: int, choices: int, cfg: SubgoalsCfg, learning_rate: float, device: torch.device
    ) -> None:
        self.cfg = cfg
        self.policy = mlp(input_size, cfg.hidden, choices).to(device)
        last = self.policy[-1]
        assert isinstance(last, nn.Linear)
        last.weight.data.mul_(0.01)  # nearly uniform at first
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=learning_rate)
        self.baseline = self.value_optimizer = None
        if cfg.with_baseline:
            self.baseline = mlp(input_size, cfg.hidden, 1).to(device)
            self.value_optimizer = torch.optim.Adam(self.baseline.parameters(), lr=cfg.value_learning_rate)

    def logits(self, inputs: Tensor, allowed: Tensor) -> Tensor:
        """Logits `(n, K)`; minus infinity for choices that are not allowed `(n, K)`."""
        return self.policy(inputs).masked_fill(~allowed, -torch.inf)

    def sample(self, inputs: Tensor, allowed: Tensor, uniform: Tensor) -> Tensor:
        """A random choice `(n,)`, from random numbers `(n,)` in [0, 1)."""
        cumulative = self.logits(inputs, allowed).softmax(-1).cumsum(-1)
        point = uniform.unsqueeze(-1) * cumulative[:, -1:]
        return (cumulative <= point).sum(-1).clamp_max(cumulative.shape[-1] - 1)

    def best(self, inputs: Tensor, allowed: Tensor) -> Tensor:
        """The most probable choice `(n,)`."""
        return self.logits(inputs, allowed).argmax(-1)

    def value(self, inputs: Tensor) -> Tensor:
        """Value `(…,)` of inputs `(…, size)`; zero without a baseline."""
        if self.baseline is None:
            return torch.zeros(inputs.shape[:-1], device=inputs.device)
        return self.baseline(inputs).squeeze(-1)

    def learn(
        self, inputs: Tensor, allowed: Tensor, choice: Tensor, advantage: Tensor, target: Tensor, weight: Tensor
    ) -> dict[str, float]:
        """One policy gradient step and, with a baseline, one regression step of the value; returns signals.

        Args:
            inputs: `(M, size)`.
            allowed: `(M, K)` bool.
            choice, advantage: `(M,)`.
            target: `(M,)` of the value.
            weight: `(M,)` 1 for rows that count, else 0.
        """
        log_probability = self.logits(inputs, allowed).log_softmax(-1)
        chosen = log_probability.gather(-1, choice.unsqueeze(-1)).squeeze(-1)
        entropy = -(log_probability.exp() * log_probability.masked_fill(~allowed, 0.0)).sum(-1)
        scaled = standardize(advantage, weight)
        count = weight.sum().clamp_min(1.0)
        loss = -((chosen * scaled + self.cfg.entropy * entropy) * weight).sum() / count
        self._step(self.optimizer, self.policy, loss)
        signals = {"policy": loss, "entropy": (entropy * weight).sum() / count}
        if self.baseline is not None and self.value_optimizer is not None:
            error = ((self.value(inputs) - target).square() * weight).sum() / count
            self._step(self.value_optimizer, self.baseline, error)
            signals["value"] = error
        return dict(zip(signals, torch.stack(list(signals.values())).tolist(), strict=True))

    def _step(self, optimizer: torch.optim.Optimizer, network: nn.Module, loss: Tensor) -> None:
        """One optimizer step with clipped gradients."""
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), self.cfg.max_grad_norm)
        optimizer.step()


def standardize(values: Tensor, weight: Tensor) -> Tensor:
    """Values `(M,)` less their weighted mean, over their standard deviation; zero where all are equal."""
    count = weight.sum().clamp_min(1.0)
    centred = (values - (values * weight).sum() / count) * weight
    deviation = (centred.square().sum() / count).sqrt()
    return torch.where(deviation > 1e-6, centred / deviation.clamp_min(1e-6), torch.zeros_like(centred))
