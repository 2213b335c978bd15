"""Where a captured motion repeats: a part of it that ends as it begins can go on for ever."""

import torch

from isaachrl.motion.kinematics import posture_distance_m2
from isaachrl.motion.library import MotionLibrary

SHORTEST_S = 0.8  # of a cycle: a stride of a slow run takes that long
NEAR, MOVES = 0.02, 0.04  # shares of the robot's height: greatest distance of both ends, least of the moments between
STEP_S = 1.0 / 30.0
LONGEST = 900  # frames that are compared with each other


def find_cycle(library: MotionLibrary, clip: int) -> tuple[float, float] | None:
    """The longest part of a clip that ends in the posture of its begin, and moves on from it in the same way.

    Args:
        library: of the clips.
        clip: index of the clip; of a long one, the first 30 s count.

    Returns:
        Its begin and end in s; None without any, and for a motion that hardly moves.
    """
    frames = min(int(float(library.durations_s[clip]) / STEP_S) + 1, LONGEST)
    times = STEP_S * torch.arange(frames, device=library.device)
    postures = library.postures(torch.full((frames,), clip, device=library.device), times)
    apart = torch.stack([posture_distance_m2(row.unsqueeze(0), postures).sqrt() for row in postures])
    follows = torch.maximum(apart[:-1, :-1], apart[1:, 1:])  # one step later, too
    height_m = library.robot.height_m
    ends = follows < NEAR * height_m
    ends &= torch.ones_like(ends).triu(round(SHORTEST_S / STEP_S))
    if not bool(ends.any()) or float(apart.max()) < MOVES * height_m:
        return None
    begin, end = ends.nonzero().unbind(1)
    longest = (end - begin) == (end - begin).max()
    best = torch.where(longest, follows[begin, end], torch.inf).argmin()
    return float(times[begin[best]]), float(times[end[best]])
