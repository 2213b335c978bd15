"""One level: a categorical policy, where wanted a baseline, and their update."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.learn.subgoals.config import SubgoalsCfg
from isaachrl.nn.mlp import mlp


class Level:
    """A policy over K choices and, with a baseline, the value of what it sees.

    Args:
        input_size: width of what it sees.
        choices: K.
        cfg: see `SubgoalsCfg`.
        learning_rate: of the policy.
        device: of the networks.
    """

    def __init__(
        self, input_size: int, choices: int, cfg: SubgoalsCfg, learning_rate: float, device: torch.device
    ) -> None:
        self.cfg = cfg
        self.policy = mlp(input_size, cfg.hidden, choices).to(device)
        last = self.policy[-1]
        assert isinstance(last, nn.Linear)
        last.weight.data.mul_(0.01)  # nearly uniform at first, so that all choices are tried
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=learning_rate)
        self.baseline = mlp(input_size, cfg.hidden, 1).to(device) if cfg.with_baseline else None
        if self.baseline is not None:
            self.value_optimizer = torch.optim.Adam(self.baseline.parameters(), lr=cfg.value_learning_rate)

    def logits(self, seen: Tensor, allowed: Tensor) -> Tensor:
        """Logits `(n, K)` with what is not allowed `(n, K)` at minus infinity."""
        return self.policy(seen).masked_fill(~allowed, -torch.inf)

    def draw(self, seen: Tensor, allowed: Tensor, uniform: Tensor) -> Tensor:
        """A choice `(n,)` by random numbers `(n,)` in [0, 1)."""
        cumulative = self.logits(seen, allowed).softmax(-1).cumsum(-1)
        point = uniform.unsqueeze(-1) * cumulative[:, -1:]
        return (cumulative <= point).sum(-1).clamp_max(cumulative.shape[-1] - 1)

    def best(self, seen: Tensor, allowed: Tensor) -> Tensor:
        """The likeliest choice `(n,)`."""
        return self.logits(seen, allowed).argmax(-1)

    def value(self, seen: Tensor) -> Tensor:
        """Value `(…,)` of what is seen `(…, size)`; zero without a baseline."""
        if self.baseline is None:
            return torch.zeros(seen.shape[:-1], device=seen.device)
        return self.baseline(seen).squeeze(-1)

    def learn(
        self, seen: Tensor, allowed: Tensor, choice: Tensor, advantage: Tensor, target: Tensor, weight: Tensor
    ) -> dict[str, float]:
        """One step of the policy along its gradient and, with a baseline, one of the baseline towards the targets.

        Args:
            seen: `(M, size)`.
            allowed: `(M, K)` bool.
            choice, advantage, target: `(M,)`.
            weight: `(M,)` 1 for rows that count, 0 for the others.
        """
        logs = self.logits(seen, allowed).log_softmax(-1)
        chosen = logs.gather(-1, choice.unsqueeze(-1)).squeeze(-1)
        entropy = -(logs.exp() * logs.masked_fill(~allowed, 0.0)).sum(-1)
        scaled = standardize(advantage, weight)
        count = weight.sum().clamp_min(1.0)
        loss = -((chosen * scaled + self.cfg.entropy * entropy) * weight).sum() / count
        self._step(self.optimizer, self.policy, loss)
        signals = {"policy": loss, "entropy": (entropy * weight).sum() / count}
        if self.baseline is not None:
            error = ((self.value(seen) - target).square() * weight).sum() / count
            self._step(self.value_optimizer, self.baseline, error)
            signals["value"] = error
        return dict(zip(signals, torch.stack(list(signals.values())).tolist(), strict=True))

    def _step(self, optimizer: torch.optim.Optimizer, network: nn.Module, loss: Tensor) -> None:
        """One step of an optimiser."""
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), self.cfg.max_grad_norm)
        optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Networks and optimisers."""
        state: dict[str, Any] = {"policy": self.policy.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.baseline is not None:
            state |= {"baseline": self.baseline.state_dict(), "value_optimizer": self.value_optimizer.state_dict()}
        return copy.deepcopy(state)  # the networks go on learning

    def weights(self) -> dict[str, Any]:
        """What `load_weights` needs."""
        return {name: state for name, state in self.state_dict().items() if name in ("policy", "baseline")}

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the networks."""
        self.policy.load_state_dict(state["policy"])
        if self.baseline is not None:
            self.baseline.load_state_dict(state["baseline"])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.load_weights(state)
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        if self.baseline is not None:
            self.value_optimizer.load_state_dict(copy.deepcopy(state["value_optimizer"]))


def standardize(values: Tensor, weight: Tensor) -> Tensor:
    """Values `(M,)` less their weighted mean, over their deviation; zero where there is only one, or all are equal."""
    count = weight.sum().clamp_min(1.0)
    centred = (values - (values * weight).sum() / count) * weight
    deviation = (centred.square().sum() / count).sqrt()
    return torch.where(deviation > 1e-6, centred / deviation.clamp_min(1e-6), torch.zeros_like(centred))
