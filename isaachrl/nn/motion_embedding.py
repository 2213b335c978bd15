"""Prototypes of motion segments on the unit sphere: similar motions are close to each other.

The prototypes are the leading components of a kernel principal component analysis (Schoelkopf et al. 1998) of the
segments' style features, scaled to the unit sphere. They are not trained: the same clips always give the same
prototypes, and new motions are embedded by the same formula.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_TINY = 1e-8


class MotionEmbedding(nn.Module):
    """The prototypes of S motion segments on the unit sphere in d dimensions.

    Args:
        features: `(S, F)` mean and standard deviation of each segment's style frames, see `style_features`.
        scale: `(F,)` divisor of the features in distances.
        latent_size: d.
        kernel_width: of the kernel, in mean squared distances between segments. A narrow kernel keeps similar motions
            apart where a few others are far from all.

    Attributes:
        prototypes: `(S, d)` unit vectors.
    """

    features: Tensor
    scale: Tensor
    prototypes: Tensor
    width: Tensor
    kernel_mean: Tensor
    projection: Tensor

    def __init__(self, features: Tensor, scale: Tensor, latent_size: int, kernel_width: float = 1.0) -> None:
        super().__init__()
        segments = len(features)
        self.register_buffer("features", features)
        self.register_buffer("scale", scale)
        squared = self._squared_distance(features)
        width = kernel_width * squared.sum() / max(segments * (segments - 1), 1)
        self.register_buffer("width", width.clamp_min(_TINY))
        kernel = torch.exp(-squared / self.width)
        self.register_buffer("kernel_mean", kernel.mean(0))
        self.register_buffer("projection", self._axes(kernel, latent_size))
        self.register_buffer("prototypes", self.embed(features))

    def embed(self, features: Tensor) -> Tensor:
        """Unit vectors `(n, d)` for style features `(n, F)` of any motions."""
        if len(self.features) == 1:
            return self.projection.expand(len(features), -1)
        kernel = torch.exp(-self._squared_distance(features) / self.width)
        centred = kernel - kernel.mean(1, keepdim=True) - self.kernel_mean + self.kernel_mean.mean()
        return functional.normalize(centred @ self.projection, dim=-1)

    def nearest(self, features: Tensor) -> Tensor:
        """Index `(n,)` of the segment whose style features are nearest to `features (n, F)`."""
        return self._squared_distance(features).argmin(-1)

    def segment_probabilities(self, latent: Tensor, temperature: float) -> Tensor:
        """Probability `(n, S)` of each segment for latents `(n, d)`: softmax of the cosine over the temperature."""
        return torch.softmax(latent @ self.prototypes.T / temperature, dim=-1)

    def _squared_distance(self, features: Tensor) -> Tensor:
        """`(n, S)` mean squared difference of scaled features to each segment's."""
        return torch.cdist(features / self.scale, self.features / self.scale).square() / features.shape[-1]

    @staticmethod
    def _axes(kernel: Tensor, latent_size: int) -> Tensor:
        """`(S, d)`: centred kernel rows times this are coordinates along the leading principal axes."""
        segments = len(kernel)
        axes = torch.zeros(segments, latent_size, device=kernel.device)
        if segments == 1:
            axes[0, 0] = 1.0
            return axes
        row_mean = kernel.mean(0)
        centred = (kernel - row_mean[:, None] - row_mean + row_mean.mean()).double()
        values, vectors = torch.linalg.eigh(centred)
        kept = min(latent_size, segments - 1)
        values, vectors = values.flip(0)[:kept].clamp_min(_TINY), vectors.flip(1)[:, :kept]
        # the sign of an eigenvector is arbitrary: make its largest entry positive
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        axes[:, :kept] = (vectors * largest.sign() / values.sqrt()).float()
        return axes


def style_features(mean: Tensor, mean_square: Tensor) -> Tensor:
    """`(n, 2 S)` from the mean and mean square `(n, S)` of style frames: mean and standard deviation."""
    return torch.cat((mean, (mean_square - mean.square()).clamp_min(0.0).sqrt()), dim=-1)
