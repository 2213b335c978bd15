"""Signals of a training: statistics of episodes, and which motion each latent leads to."""

import torch
from torch import Tensor

from isaachrl.envs import StepResult
from isaachrl.envs.statistics import Means
from isaachrl.maths.shapes import with_axes_of
from isaachrl.nn.motion_embedding import MotionEmbedding, style_features

SETTLE_STEPS = 15  # frames after a change of latent that are left out
CLASSIFY_STEPS = 30  # frames from which a motion is classified: about one stride


class Monitor:
    """Accumulates on the device; read once an iteration.

    Ended episodes: length, terminations, the task's metrics. Latents: the motion segment that is nearest to what the
    body does, by mean and standard deviation of the style frames since the latent settled.
    """

    def __init__(self, num_envs: int, style_size: int, embedding: MotionEmbedding, device: torch.device) -> None:
        self._embedding = embedding
        segments = len(embedding.features)
        zeros = {
            "age": torch.zeros(num_envs),
            "sum": torch.zeros(num_envs, style_size),
            "square": torch.zeros(num_envs, style_size),
            "length": torch.zeros(num_envs),
            "nearest": torch.zeros(segments),
            "matches": torch.zeros(2),
        }
        self._state = {name: value.to(device) for name, value in zeros.items()}
        self._means = Means("episode/")

    def after_step(self, result: StepResult, frame: Tensor, latent: Tensor, counted: Tensor) -> None:
        """Add one step.

        Args:
            result: of the environment's step.
            frame: `(N, S)` newest style frames, before any reset.
            latent: `(N, d)` the present latents.
            counted: `(N,)` bool, environments whose motion is classified: those that act without noise.
        """
        s = self._state
        s["age"] += 1
        settled = (s["age"] > SETTLE_STEPS).float().unsqueeze(-1)
        s["sum"] += settled * frame
        s["square"] += settled * frame.square()
        s["length"] += 1
        of_episode = {"length": s["length"], "termination_rate": result.terminated.float()} | result.metrics
        for name, value in of_episode.items():
            self._means.count(name, value, result.done & ~value.isnan())
        self._means.count("length_deterministic", s["length"], result.done & counted)
        s["length"] *= (~result.done).float()
        self._classify(counted & (s["age"] == SETTLE_STEPS + CLASSIFY_STEPS), latent)

    def restart(self, mask: Tensor) -> None:
        """Start again in the environments of `mask (N,)`, whose latent changed."""
        for name in ("age", "sum", "square"):
            value = self._state[name]
            value.masked_fill_(with_axes_of(mask, value), 0.0)

    def _classify(self, mask: Tensor, latent: Tensor) -> None:
        """Find the segment nearest to the motion of the environments of `mask (N,)`; compare it with the latent."""
        if mask.device.type == "cpu":  # here nonzero() waits for no device
            rows = mask.nonzero().squeeze(-1)
            if len(rows) == 0:
                return
        else:
            rows = torch.arange(len(mask), device=mask.device)
        s, weight, latent = self._state, mask[rows].float(), latent[rows]
        mean = s["sum"][rows] / CLASSIFY_STEPS
        nearest = self._embedding.nearest(style_features(mean, s["square"][rows] / CLASSIFY_STEPS))
        s["nearest"].index_add_(0, nearest, weight)
        if self._embedding.prototypes.shape[-1] == latent.shape[-1]:
            cosine, commanded = (latent @ self._embedding.prototypes.T).max(-1)
            exact = weight * (cosine > 0.999)  # the latent is a prototype
            s["matches"] += torch.stack((((nearest == commanded) * exact).sum(), exact.sum()))

    def read(self) -> dict[str, float]:
        """Signals since the last call."""
        s = self._state
        result = self._means.read()
        nearest, (hits, commanded) = s["nearest"], s["matches"].tolist()
        total = nearest.sum().item()
        if total:
            result["skill/coverage"] = (nearest >= 0.01 * total).float().mean().item()
        if commanded:
            result["skill/recall"] = hits / commanded
        for name in ("nearest", "matches"):
            s[name] *= 0.98  # an exponential average: one iteration classifies too few
        return result

    def state_dict(self) -> dict[str, Tensor]:
        """All sums."""
        return {name: value.clone() for name, value in self._state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict`."""
        for name, value in self._state.items():
            value.copy_(state[name])
