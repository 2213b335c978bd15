"""Tile coding (CMAC): a few overlapping grids over continuous columns, as binary features."""

import torch
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.memory import require_memory


class TileCoder:
    """The tiles that a point falls into, one in each tiling.

    The tilings are shifted against each other by different shares of a tile in different columns. A point beyond the
    extent belongs to the tile at the edge; columns that wrap go on at the other end.

    Attributes:
        tiles: tiles in one tiling.
        size: tiles in all of them.

    Args:
        extent: least and greatest value of each column.
        counts: tiles along each column.
        tilings: number of grids.
        wraps: columns that wrap.
        device: of the tensors.

    Raises:
        ConfigError: as many counts as columns are needed, all positive.
    """

    def __init__(
        self,
        extent: tuple[tuple[float, float], ...],
        counts: list[int],
        tilings: int,
        wraps: tuple[int, ...],
        device: torch.device,
    ) -> None:
        if len(counts) != len(extent) or min(counts) < 1 or tilings < 1:
            raise ConfigError(f"tiles {counts} in {tilings} tilings do not fit {len(extent)} columns of a state")
        self.tilings = tilings
        self._low, high = torch.tensor(extent, device=device).T
        self._counts = torch.tensor(counts, device=device)
        self._per_unit = self._counts / (high - self._low)
        columns = torch.arange(len(counts), device=device)
        shift = (2 * columns + 1) * torch.arange(tilings, device=device).unsqueeze(-1)
        self._shift = (shift % tilings) / tilings  # (tilings, F)
        self._wraps = torch.zeros(len(counts), dtype=torch.bool, device=device)
        self._wraps[list(wraps)] = True
        self._strides = torch.cumprod(torch.cat((torch.ones_like(self._counts[:1]), self._counts[:-1])), 0)
        self.tiles = int(self._counts.prod())
        self.size = self.tiles * tilings
        what = f"one number for each of {counts} tiles in {tilings} tilings"
        require_memory(4 * self.size, device, what, "type fewer tiles")
        self._base = torch.arange(tilings, device=device) * self.tiles

    def middle(self) -> Tensor:
        """The point `(1, F)` in the middle of the extent."""
        return (self._low + 0.5 * self._counts / self._per_unit).unsqueeze(0)

    def __call__(self, points: Tensor) -> Tensor:
        """Numbers `(n, tilings)` of the tiles of points `(n, F)`."""
        place = ((points - self._low) * self._per_unit).unsqueeze(1) + self._shift
        cell = place.floor().long()
        turned = torch.remainder(cell, self._counts)
        cell = torch.where(self._wraps, turned, cell.clamp_min(0).minimum(self._counts - 1))
        return (cell * self._strides).sum(-1) + self._base


def value_of(weights: Tensor, tiles: Tensor) -> Tensor:
    """Sum of the weights `(K,)` of tiles `(…, tilings)`."""
    return weights[tiles].sum(-1)


def tile_step(
    weights: Tensor, tiles: Tensor, amount: Tensor, rate: float, prior: float = 1.0, counts: Tensor | None = None
) -> Tensor:
    """Weights moved so that the value at each point changes by about `rate` times the mean amount asked for there.

    An amount is divided by the number of times its tile was hit, as a gradient is by the diagonal of the Fisher
    matrix, and shared by the tilings.

    Args:
        weights: `(K,)`.
        tiles: `(M, tilings)` long.
        amount: `(M,)` by which the value there should change.
        rate: share of it.
        prior: hits that every tile is taken to have had beforehand, so that a single one does not count in full.
        counts: `(M,)` 1 for the points that count, 0 for those that do not, whose amount is 0; without it all count.
    """
    flat, tilings = tiles.flatten(), tiles.shape[-1]
    total = torch.zeros_like(weights).index_add(0, flat, amount.repeat_interleave(tilings))
    hits = torch.ones_like(amount) if counts is None else counts
    count = torch.zeros_like(weights).index_add(0, flat, hits.repeat_interleave(tilings))
    return weights + rate / tilings * total / (count + prior)
