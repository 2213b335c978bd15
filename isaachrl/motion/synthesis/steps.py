"""Footsteps: time and place of each stance, foot roll, and centre of pressure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isaachrl.motion.synthesis.numerics import flat
from isaachrl.motion.synthesis.tables import running
from isaachrl.motion.synthesis.timeline import Timeline

Floats = NDArray[np.float64]

RIGHT, LEFT = -1, 1
ANKLE_BEHIND_M = 0.045  # from the ankle to the point of the foot that is on the path


@dataclass(frozen=True)
class Step:
    """One stance of one foot. Angles in rad, times in s, in the frame of the path.

    Args:
        side: 1 left, -1 right.
        strike_s: heel strike; -inf for a foot in stance from the start.
        push_s: toe-off; inf for a foot in stance until the end.
        flat_from_s: start of flat contact.
        flat_until_s: heel-off.
        ankle: `(2,)` position of the ankle above the flat foot.
        yaw: of the foot.
        strike: pitch (toe up positive), its rate and acceleration at heel strike.
        push: the same at toe-off.
        overlap_s: duration of the load transfer at strike and at toe-off.
        cop_m: `(4,)` x of the centre of pressure relative to the ankle at strike, flat contact, heel-off and toe-off.
    """

    side: int
    strike_s: float
    push_s: float
    flat_from_s: float
    flat_until_s: float
    ankle: Floats
    yaw: float
    strike: tuple[float, float, float]
    push: tuple[float, float, float]
    overlap_s: tuple[float, float]
    cop_m: Floats


def footsteps(line: Timeline, side: int) -> list[Step]:
    """All stances of one foot within the timeline, in order."""
    offset = 0.5 if side == LEFT else 0.0
    first = int(np.floor(line.phase[0])) - 2
    last = int(np.ceil(line.phase[-1])) + 1
    steps = []
    for number in range(first, last + 1):
        strike = number + offset
        near_s = float(np.clip(line.time_of(strike + 0.5), line.t_s[0], line.t_s[-1]))
        duty = line.at_time(line.at("duty"), near_s)
        strike_s, push_s = line.time_of(strike), line.time_of(strike + duty)
        if push_s == -np.inf or strike_s == np.inf:
            continue
        steps.append(_step(line, side, strike_s, push_s, line.time_of(strike + 0.5 * duty)))
    return steps


def _step(line: Timeline, side: int, strike_s: float, push_s: float, middle_s: float) -> Step:
    """One stance: parameters of landing are read from the table at strike, those of push-off at toe-off."""
    if strike_s == -np.inf:
        middle_s = float(line.t_s[0])
    elif push_s == np.inf:
        middle_s = float(line.t_s[-1])

    def at(key: str, time_s: float) -> float:
        return line.at_time(line.at(key), time_s)

    pose = line.pose_at(middle_s)
    width = at("width", middle_s) * line.at_time(line.width_factor, middle_s)
    ankle = pose[:2] + flat(pose[2], np.array([-ANKLE_BEHIND_M, 0.5 * side * width]))
    yaw = float(pose[2]) + side * np.radians(at("toe_out", middle_s))
    landing_s, leaving_s = line.at_time(line.stride_s, strike_s), line.at_time(line.stride_s, push_s)
    duty = at("duty", middle_s)
    pitch, rolling_s = np.radians(at("strike_pitch", strike_s)), at("flat_from", strike_s) * landing_s
    strike = (pitch, -at("strike_rate", strike_s) * pitch / rolling_s, 0.0)
    pitch = np.radians(at("push_pitch", push_s))
    pushing_s = (duty - min(at("flat_until", push_s), duty - 0.12)) * leaving_s
    rate = at("push_rate", push_s) * pitch / pushing_s
    push = (-pitch, -rate, rate**2 / (2.0 * np.radians(at("overshoot", push_s))))
    handover = max(duty - 0.5, 0.04)
    travel = line.style.travel
    return Step(
        side, strike_s, push_s, strike_s + rolling_s, push_s - pushing_s, ankle, yaw,
        (travel * strike[0], travel * strike[1], 0.0), (travel * push[0], travel * push[1], travel * push[2]),
        (handover * landing_s, 0.4 if strike_s == -np.inf else handover * leaving_s),
        _pressure(line, strike_s, push_s),
    )  # fmt: skip


def _pressure(line: Timeline, strike_s: float, push_s: float) -> Floats:
    """`Step.cop_m`."""
    if line.style.backward:
        return np.array([0.12, 0.07, 0.0, -0.03])
    run = line.at_time(running(line.speed), 0.5 * (max(strike_s, line.t_s[0]) + min(push_s, line.t_s[-1])))
    roll = min(1.0, max(line.at_time(line.at("strike_pitch"), min(push_s, max(strike_s, line.t_s[0]))), 4.0) / 14.0)
    walk = ANKLE_BEHIND_M + roll * (np.array([-0.03, 0.04, 0.11, 0.13]) - ANKLE_BEHIND_M)
    points = (1.0 - run) * walk + run * np.array([0.0, 0.03, 0.08, 0.12])
    if strike_s == -np.inf:
        points[:2] = ANKLE_BEHIND_M
    if push_s == np.inf:
        points[2:] = ANKLE_BEHIND_M
    return points
