"""The heading frame of the root in the plane: what lies where, seen by the body."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.sim import Sim


@dataclass(frozen=True)
class HeadingFrame:
    """N frames on the floor below the roots: x ahead, y to the left.

    Args:
        xy_w: `(N, 2)` origins, m.
        ahead_w: `(N, 2)` unit vectors.
    """

    xy_w: Tensor
    ahead_w: Tensor

    def vectors(self, vectors_w: Tensor) -> Tensor:
        """Components `(N, …, 2)` ahead and to the left of vectors `(N, …, 2)`."""
        shape = (len(vectors_w),) + (1,) * (vectors_w.dim() - 2)
        cosine, sine = (part.view(shape) for part in self.ahead_w.unbind(-1))
        x, y = vectors_w[..., 0], vectors_w[..., 1]
        return torch.stack((cosine * x + sine * y, cosine * y - sine * x), dim=-1)

    def points(self, points_w: Tensor) -> Tensor:
        """Positions `(N, …, 2)` relative to the origins of points `(N, …, 2)`, m."""
        origin = self.xy_w.view(len(points_w), *(1,) * (points_w.dim() - 2), 2)
        return self.vectors(points_w - origin)

    def to_world(self, points_h: Tensor) -> Tensor:
        """World positions `(N, 2)` of points `(N, 2)`, m; the inverse of `points`."""
        (cosine, sine), (x, y) = self.ahead_w.unbind(-1), points_h.unbind(-1)
        return self.xy_w + torch.stack((cosine * x - sine * y, sine * x + cosine * y), dim=-1)


def heading_frame(sim: Sim) -> HeadingFrame:
    """The heading frames of the robots' roots."""
    ahead = torch.stack(rotations.heading_cos_sin(sim.root_quat_w), dim=-1)
    return HeadingFrame(sim.root_pos_w[:, :2], ahead)


def unit(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Directions `(…, d)` and lengths `(…)` of vectors `(…, d)`; the direction of zero is zero."""
    length = vectors.norm(dim=-1)
    return vectors / length.clamp_min(1e-6).unsqueeze(-1), length
