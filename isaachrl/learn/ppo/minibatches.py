"""Minibatches of a rollout, with the interface of rl_games' `PPODataset`."""

import torch
from torch import Tensor


class Minibatches:
    """Minibatches of a rollout, reshuffled in each epoch. Replaces rl_games' `PPODataset`.

    `PPODataset` gives the same blocks of environments in every epoch, and requires sizes that divide the batch. Here
    the sizes of minibatches differ by one row at most.

    Args:
        rows: number of rows of a rollout.
        max_rows: of a minibatch.
        generator: draws the order of rows.
    """

    def __init__(self, rows: int, max_rows: int, generator: torch.Generator) -> None:
        self._rows, self._count, self._generator = rows, -(-rows // max_rows), generator
        self._values: dict[str, Tensor] | None = None
        self._order: tuple[Tensor, ...] = ()
        self._chosen = torch.empty(0, dtype=torch.long)

    def __len__(self) -> int:
        """Number of minibatches of an epoch."""
        return self._count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """A minibatch by its index; index 0 begins a new epoch."""
        assert self._values is not None
        if index == 0:
            order = torch.randperm(self._rows, generator=self._generator, device=self._generator.device)
            self._order = order.tensor_split(self._count)
        self._chosen = self._order[index]
        return {name: values.index_select(0, self._chosen) for name, values in self._values.items()}

    def update_values_dict(self, values: dict[str, Tensor | None] | None) -> None:
        """Set a new rollout, each value `(rows, …)`; None frees it."""
        self._values = None if values is None else {name: v for name, v in values.items() if v is not None}

    def update_mu_sigma(self, mu: Tensor, sigma: Tensor) -> None:
        """Store the updated distribution of the last minibatch's rows; the next epoch measures the KL from it."""
        assert self._values is not None
        self._values["mu"].index_copy_(0, self._chosen, mu)
        self._values["sigma"].index_copy_(0, self._chosen, sigma)
