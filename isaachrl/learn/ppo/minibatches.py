"""The rows of a rollout as rl_games asks for them: minibatch after minibatch."""

import torch
from torch import Tensor


class Minibatches:
    """A rollout in minibatches, in another random order each pass. It stands in for rl_games' own `PPODataset`.

    That one hands out the same blocks of environments in every epoch, and only takes sizes that divide the batch. Here
    minibatches differ by a row at most.

    Args:
        rows: of a rollout.
        most: rows of a minibatch, at most.
        generator: draws the order.
    """

    def __init__(self, rows: int, most: int, generator: torch.Generator) -> None:
        self._rows, self._parts, self._generator = rows, -(-rows // most), generator
        self._values: dict[str, Tensor] | None = None
        self._order: tuple[Tensor, ...] = ()
        self._chosen = torch.empty(0, dtype=torch.long)

    def __len__(self) -> int:
        """Minibatches of a pass."""
        return self._parts

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """A minibatch of the present pass by its number; number 0 begins a new pass."""
        assert self._values is not None
        if index == 0:
            order = torch.randperm(self._rows, generator=self._generator, device=self._generator.device)
            self._order = order.tensor_split(self._parts)
        self._chosen = self._order[index]
        return {name: values.index_select(0, self._chosen) for name, values in self._values.items()}

    def update_values_dict(self, values: dict[str, Tensor | None] | None) -> None:
        """Take a new rollout, each value `(rows, …)`; None lets go of it."""
        kept = None if values is None else {name: value for name, value in values.items() if value is not None}
        self._values = kept

    def update_mu_sigma(self, mu: Tensor, sigma: Tensor) -> None:
        """Write what the policy says of the last minibatch's rows now: the next pass measures its change from there."""
        assert self._values is not None
        self._values["mu"].index_copy_(0, self._chosen, mu)
        self._values["sigma"].index_copy_(0, self._chosen, sigma)
