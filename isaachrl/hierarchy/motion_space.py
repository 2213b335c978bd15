"""A sphere on which motions have their places: similar motions near each other, different ones far apart.

The places are the leading axes of a kernel principal component analysis (Schoelkopf et al. 1998) of the motions'
style features, scaled to the unit sphere. Nothing is trained, so the same clips always get the same places,
and a new motion is placed by the same formula.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_TINY = 1e-8


class MotionSpace(nn.Module):
    """Places of S pieces of motion on the unit sphere in d dimensions.

    Args:
        features: `(S, F)` mean and deviation of each piece's style frames, see `style_features`.
        scale: `(F,)` by which features are divided before they are compared.
        latent_size: d.

    Attributes:
        places: `(S, d)` unit vectors.
    """

    features: Tensor
    scale: Tensor
    places: Tensor
    width: Tensor
    kernel_mean: Tensor
    projection: Tensor

    def __init__(self, features: Tensor, scale: Tensor, latent_size: int) -> None:
        super().__init__()
        pieces = len(features)
        self.register_buffer("features", features)
        self.register_buffer("scale", scale)
        squared = self._squared_distance(features)
        width = squared.sum() / max(pieces * (pieces - 1), 1)
        self.register_buffer("width", width.clamp_min(_TINY))
        kernel = torch.exp(-squared / self.width)
        self.register_buffer("kernel_mean", kernel.mean(0))
        self.register_buffer("projection", self._axes(kernel, latent_size))
        self.register_buffer("places", self.place(features))

    def place(self, features: Tensor) -> Tensor:
        """Unit vectors `(n, d)` for style features `(n, F)` of any motions."""
        if len(self.features) == 1:  # a single piece: every motion has its place
            return self.projection.expand(len(features), -1)
        kernel = torch.exp(-self._squared_distance(features) / self.width)
        centred = kernel - kernel.mean(1, keepdim=True) - self.kernel_mean + self.kernel_mean.mean()
        return functional.normalize(centred @ self.projection, dim=-1)

    def nearest(self, features: Tensor) -> Tensor:
        """Index `(n,)` of the piece whose style features are closest to `features (n, F)`."""
        return self._squared_distance(features).argmin(-1)

    def likely_pieces(self, latent: Tensor, temperature: float) -> Tensor:
        """Probability `(n, S)` of each piece for commands `(n, d)`: softmax of the cosine over the temperature."""
        return torch.softmax(latent @ self.places.T / temperature, dim=-1)

    def _squared_distance(self, features: Tensor) -> Tensor:
        """`(n, S)` mean squared difference of scaled features to each piece's."""
        return torch.cdist(features / self.scale, self.features / self.scale).square() / features.shape[-1]

    @staticmethod
    def _axes(kernel: Tensor, latent_size: int) -> Tensor:
        """`(S, d)`: centred kernel rows times this are coordinates along the leading principal axes."""
        pieces = len(kernel)
        axes = torch.zeros(pieces, latent_size, device=kernel.device)
        if pieces == 1:
            axes[0, 0] = 1.0
            return axes
        row_mean = kernel.mean(0)
        centred = (kernel - row_mean[:, None] - row_mean + row_mean.mean()).double()
        values, vectors = torch.linalg.eigh(centred)
        kept = min(latent_size, pieces - 1)
        values, vectors = values.flip(0)[:kept].clamp_min(_TINY), vectors.flip(1)[:, :kept]
        # an eigenvector's sign is arbitrary: make the largest entry positive, so that places repeat
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        axes[:, :kept] = (vectors * largest.sign() / values.sqrt()).float()
        return axes


def style_features(mean: Tensor, mean_square: Tensor) -> Tensor:
    """`(n, 2 S)` from the mean and mean square `(n, S)` of style frames: mean and standard deviation."""
    return torch.cat((mean, (mean_square - mean.square()).clamp_min(0.0).sqrt()), dim=-1)
