"""Running mean and variance."""

import torch
from torch import Tensor, nn


class RunningNorm(nn.Module):
    """Scales `(…, size)` by the mean and standard deviation of everything passed to `update`.

    Args:
        size: width of the last axis.
        clip: normalised values are clamped to ± this.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, size: int, clip: float = 10.0) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("var", torch.ones(size))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, batch: Tensor) -> None:
        """Merge the rows of `(…, size)` into the statistics (Chan's parallel formula)."""
        rows = batch.reshape(-1, batch.shape[-1])
        # two passes: `torch.var_mean` over columns takes several times as long on a CPU
        mean = rows.mean(0)
        var = (rows - mean).square_().mean(0)
        n = float(rows.shape[0])
        total = self.count + n
        share = (n / total).float()
        delta = mean - self.mean
        self.mean += delta * share
        # the first batch, of share 1, replaces the initial variance
        self.var.copy_(self.var * (1 - share) + var * share + delta.square() * share * (1 - share))
        self.count.copy_(total)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised and clamped `x`."""
        return ((x - self.mean) * torch.rsqrt(self.var + 1e-5)).clamp(-self.clip, self.clip)

    def restore(self, x: Tensor) -> Tensor:
        """The inverse of `forward`, up to the clamp."""
        return x * torch.sqrt(self.var + 1e-5) + self.mean
