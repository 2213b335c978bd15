"""The honest signals: what the episodes were, and which motion each command really gives."""

import torch
from torch import Tensor

from isaachrl.envs import StepResult
from isaachrl.hierarchy.motion_space import MotionSpace, style_features
from isaachrl.maths.shapes import with_axes_of

SETTLE_STEPS = 15  # frames after a change of command that belong to the change
JUDGED_STEPS = 30  # frames that a judgement needs at the least: about one stride


class Monitor:
    """Counts on the device; read once an iteration.

    It tells of ended episodes (length, falls, metrics), of the commands in force (which motion each one is
    nearest to, by mean and deviation of the style frames since the command settled), and of the speeds reached.
    """

    def __init__(self, num_envs: int, style_size: int, space: MotionSpace, device: torch.device) -> None:
        self._space = space
        pieces = len(space.features)
        zeros = {
            "age": torch.zeros(num_envs),
            "sum": torch.zeros(num_envs, style_size),
            "square": torch.zeros(num_envs, style_size),
            "length": torch.zeros(num_envs),
            "nearest": torch.zeros(pieces),
            "matches": torch.zeros(2),
            "episodes": torch.zeros(3),
        }
        self._state = {name: value.to(device) for name, value in zeros.items()}
        self._metrics: dict[str, Tensor] = {}

    def after_step(self, result: StepResult, frame: Tensor, latent: Tensor, judged: Tensor) -> None:
        """Take in one step.

        Args:
            result: what the environment gave.
            frame: `(N, S)` newest style frames, before any reset.
            latent: `(N, d)` the command in force.
            judged: `(N,)` bool, the environments whose motion tells of the skill: those that act without noise.
        """
        s = self._state
        s["age"] += 1
        counted = (s["age"] > SETTLE_STEPS).float().unsqueeze(-1)
        s["sum"] += counted * frame
        s["square"] += counted * frame.square()
        s["length"] += 1
        done = result.done.float()
        s["episodes"] += torch.stack((done.sum(), (done * s["length"]).sum(), result.terminated.sum()))
        s["length"] *= 1 - done
        for name, value in result.metrics.items():
            old = self._metrics.get(name)
            told = result.done & ~value.isnan()  # nan: the episode has no such number
            sums = torch.stack((torch.where(told, value, 0.0).sum(), told.sum()))
            self._metrics[name] = sums if old is None else old + sums
        self._judge(judged & (s["age"] == SETTLE_STEPS + JUDGED_STEPS), latent)

    def restart(self, mask: Tensor) -> None:
        """Begin anew in the environments of `mask (N,)`: their command changed."""
        for name in ("age", "sum", "square"):
            value = self._state[name]
            value.masked_fill_(with_axes_of(mask, value), 0.0)

    def _judge(self, mask: Tensor, latent: Tensor) -> None:
        """Which piece of motion the environments of `mask (N,)` have shown, and whether it was the commanded one."""
        if mask.device.type == "cpu":  # nobody waits for a device: those few alone are looked at
            rows = mask.nonzero().squeeze(-1)
            if len(rows) == 0:
                return
        else:
            rows = torch.arange(len(mask), device=mask.device)
        s, weight, latent = self._state, mask[rows].float(), latent[rows]
        mean = s["sum"][rows] / JUDGED_STEPS
        shown = self._space.nearest(style_features(mean, s["square"][rows] / JUDGED_STEPS))
        s["nearest"].index_add_(0, shown, weight)
        if self._space.places.shape[-1] == latent.shape[-1]:
            cosine, asked = (latent @ self._space.places.T).max(-1)
            exact = weight * (cosine > 0.999)  # the command is the very place of a motion
            s["matches"] += torch.stack((((shown == asked) * exact).sum(), exact.sum()))

    def read(self) -> dict[str, float]:
        """Signals since the last reading, and start counting again."""
        s = self._state
        episodes, steps, falls = s["episodes"].tolist()
        result: dict[str, float] = {}
        if episodes:
            result |= {"episode/length": steps / episodes, "episode/fall_share": falls / episodes}
            result |= {
                f"episode/{name}": total / count
                for name, (total, count) in ((name, sums.tolist()) for name, sums in self._metrics.items())
                if count
            }
        nearest, (hits, asked) = s["nearest"], s["matches"].tolist()
        total = nearest.sum().item()
        if total:
            result["skill/coverage"] = (nearest >= 0.01 * total).float().mean().item()
        if asked:
            result["skill/recall"] = hits / asked
        for name in ("nearest", "matches"):
            s[name] *= 0.98  # a slowly forgetting average: one iteration judges too few
        s["episodes"].zero_()
        self._metrics = {}
        return result

    def state_dict(self) -> dict[str, Tensor]:
        """All counts."""
        return {name: value.clone() for name, value in self._state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Write back what `state_dict` gave."""
        for name, value in state.items():
            self._state[name].copy_(value)
