"""Where a captured motion repeats: a part of it that ends as it begins can go on for ever."""

import torch

from isaachrl.motion.kinematics import posture_distance_m2
from isaachrl.motion.library import MotionLibrary

SHORTEST_S = 0.8  # of a cycle: a stride of a slow run takes that long
NEAR, MOVES = (
    0.02,
    0.04,
)  # shares of the robot's height: greatest distance of both ends; the part moves farther than that
WORTH = 0.006  # share of the height by which both ends may be farther apart in a cycle that is a second longer
LAG_S = 0.1  # after which the motions from both ends are compared once more: it tells forth from back
STEP_S = 1.0 / 30.0
LONGEST = 900  # frames that are compared with each other


def find_cycle(library: MotionLibrary, clip: int) -> tuple[float, float] | None:
    """A long part of a clip that ends in the posture of its begin, and moves on from it in the same way.

    Args:
        library: of the clips.
        clip: index of the clip; of a long one, the first 30 s count.

    Returns:
        Its begin and end in s; None without any, and for a motion that hardly moves.
    """
    lag = round(LAG_S / STEP_S)
    frames = min(int(float(library.durations_s[clip]) / STEP_S) + 1, LONGEST)
    times = STEP_S * torch.arange(frames, device=library.device)
    postures = library.postures(torch.full((frames,), clip, device=library.device), times)
    apart = torch.stack([posture_distance_m2(row.unsqueeze(0), postures).sqrt() for row in postures])
    if frames <= lag:
        return None
    follows = torch.maximum(apart[:-lag, :-lag], apart[lag:, lag:])
    moved = apart.triu().cummax(1).values[:-lag, :-lag]  # farthest from the begin so far
    height_m = library.robot.height_m
    ends = (follows < NEAR * height_m) & (moved > MOVES * height_m)
    ends &= torch.ones_like(ends).triu(round(SHORTEST_S / STEP_S))
    if not bool(ends.any()):
        return None
    begin, end = ends.nonzero().unbind(1)
    best = (follows[begin, end] / height_m - WORTH * STEP_S * (end - begin)).argmin()
    return float(times[begin[best]]), float(times[end[best]])
