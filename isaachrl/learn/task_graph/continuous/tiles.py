"""Tile coding (CMAC): overlapping grids over continuous columns as binary features."""

import torch
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.memory import require_memory


class TileCoder:
    """Maps points to tiles, one in each tiling.

    The tilings are offset from each other, by another fraction of a tile in each column. Points beyond the extent are
    in the tile at the edge; columns that wrap, such as angles, continue at the other end.

    Attributes:
        tiles: tiles of one tiling.
        size: tiles of all tilings.

    Args:
        extent: least and greatest value of each column.
        counts: tiles along each column.
        tilings: number of tilings.
        wraps: numbers of the columns that wrap.
        device: of the tensors.

    Raises:
        ConfigError: the counts are not positive, or not as many as the columns.
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
        """The centre of the extent `(1, F)`."""
        return (self._low + 0.5 * self._counts / self._per_unit).unsqueeze(0)

    def __call__(self, points: Tensor) -> Tensor:
        """Tiles `(n, tilings)` of points `(n, F)`, as indices in [0, size)."""
        position = ((points - self._low) * self._per_unit).unsqueeze(1) + self._shift
        cell = position.floor().long()
        wrapped = torch.remainder(cell, self._counts)
        cell = torch.where(self._wraps, wrapped, cell.clamp_min(0).minimum(self._counts - 1))
        return (cell * self._strides).sum(-1) + self._base


def value_of(weights: Tensor, tiles: Tensor) -> Tensor:
    """Value `(…,)` at points with tiles `(…, tilings)`: the sum of their weights `(K,)`."""
    return weights[tiles].sum(-1)


def tile_step(
    weights: Tensor, tiles: Tensor, amount: Tensor, rate: float, prior: float = 1.0, counts: Tensor | None = None
) -> Tensor:
    """The weights `(K,)` after a step that changes the value at each point by about `rate` times its mean `amount`.

    The sum of the amounts at a tile is divided by its number of visits, as in a natural gradient with the diagonal of
    the Fisher matrix, and by the number of tilings.

    Args:
        weights: `(K,)`.
        tiles: `(M, tilings)` long.
        amount: `(M,)` desired change of the value.
        rate: step size.
        prior: added to the visits of every tile, which reduces the step of tiles with few.
        counts: `(M,)` 1 for points that count as a visit; 0 for the others, whose amount must be 0. None: all count.
    """
    flat, tilings = tiles.flatten(), tiles.shape[-1]
    total = torch.zeros_like(weights).index_add(0, flat, amount.repeat_interleave(tilings))
    hits = torch.ones_like(amount) if counts is None else counts
    count = torch.zeros_like(weights).index_add(0, flat, hits.repeat_interleave(tilings))
    return weights + rate / tilings * total / (count + prior)
