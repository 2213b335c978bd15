"""Foot paths: rolling over heel and toe edge in stance, an arc relative to the hip in swing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isaachrl.motion.synthesis.numerics import Knot, flat, quintic, smooth, turn_y, turn_z
from isaachrl.motion.synthesis.skeleton import BodyModel
from isaachrl.motion.synthesis.steps import Step
from isaachrl.motion.synthesis.timeline import DT_S, RATE_HZ, Timeline, extended

Floats = NDArray[np.float64]

STRAIGHTEST_KNEE_RAD = np.radians(3.0)
CLEARANCE_M = 0.011
LANDING_M_S2 = -4.0  # acceleration of the leg's length at a strike, so that the foot lands from above
FIT_FRAMES = 4  # frames on either side of an event to which the hip's path is fitted


@dataclass(frozen=True)
class FootPath:
    """Path of one foot: `ankle (N, 3)` m, `pitch (N,)` (toe up) and `yaw (N,)` rad, `stance (N,)` on the ground."""

    ankle: Floats
    pitch: Floats
    yaw: Floats
    stance: NDArray[np.bool_]


def rotation(path: FootPath) -> Floats:
    """World rotations `(N, 3, 3)` of a foot."""
    return turn_z(path.yaw) @ turn_y(-path.pitch)


def stance_pitch(step: Step, t_s: ArrayLike) -> Floats:
    """Pitch (rad, toe up) of a foot in stance: from strike to flat, then heel up until push-off."""
    t_s = np.asarray(t_s, float)
    pitch = np.zeros(t_s.shape)
    if np.isfinite(step.strike_s):
        landing = quintic(t_s, step.strike_s, step.flat_from_s, step.strike, (0.0, 0.0, 0.0))
        pitch = np.where(t_s < step.flat_from_s, landing, pitch)
    if np.isfinite(step.push_s):
        leaving = quintic(t_s, step.flat_until_s, step.push_s, (0.0, 0.0, 0.0), step.push)
        pitch = np.where(t_s > step.flat_until_s, leaving, pitch)
    return pitch


def stance_ankle(model: BodyModel, step: Step, t_s: ArrayLike) -> Floats:
    """Ankle `(…, 3)` of a foot in stance, which rotates about its heel edge (toe up) or toe edge (toe down)."""
    pitch = stance_pitch(step, t_s)
    edge = np.where(pitch > 0, model.heel_m, model.toe_m)
    c, s = np.cos(pitch), np.sin(pitch)
    ahead = edge - (edge * c + model.sole_depth_m * s)
    up = model.sole_depth_m * c - edge * s
    xy = step.ankle + flat(step.yaw, np.stack((ahead, np.zeros_like(ahead)), axis=-1))
    return np.concatenate((xy, up[..., None]), axis=-1)


def load(step: Step, t_s: Floats) -> Floats:
    """Unnormalised share of the weight on a foot, `(N,)`: 0 in swing, 1 in mid-stance."""
    return smooth((t_s - step.strike_s) / step.overlap_s[0]) * smooth((step.push_s - t_s) / step.overlap_s[1])


def centre_of_pressure(line: Timeline, steps: list[Step]) -> Floats:
    """Planned centre of pressure `(N, 2)`: mean of the feet's, weighted by load; interpolated linearly in flight."""
    total, point = np.zeros(len(line.t_s)), np.zeros((len(line.t_s), 2))
    first, last = line.t_s[0] - 10.0, line.t_s[-1] + 10.0
    for step in steps:
        times = np.clip((step.strike_s, step.flat_from_s + 0.02, step.flat_until_s, step.push_s), first, last)
        times = np.maximum.accumulate(times) + 1e-6 * np.arange(4)
        ahead = np.interp(line.t_s, times, step.cop_m)
        weight = load(step, line.t_s)
        point += weight[:, None] * (step.ankle + ahead[:, None] * flat(step.yaw, np.array([1.0, 0.0])))
        total += weight
    loaded = total > 1e-6
    point = point[loaded] / total[loaded, None]
    return np.stack([np.interp(line.t_s, line.t_s[loaded], column) for column in point.T], axis=1)


def first_lifts(line: Timeline, steps: list[Step]) -> Floats:
    """The table's leg shortening for each swing, in metres."""
    middles = [0.5 * (before.push_s + after.strike_s) for before, after in zip(steps, steps[1:], strict=False)]
    return np.interp(np.array(middles), line.t_s, line.at("lift"))


def foot_path(model: BodyModel, line: Timeline, steps: list[Step], hip: Floats, lifts: Floats) -> FootPath:
    """Path of one foot for a hip path `(N, 3)`; `lifts` are leg shortenings (m) of the swings."""
    t_s, n = line.t_s, len(line.t_s)
    path = FootPath(np.zeros((n, 3)), np.zeros(n), np.zeros(n), np.zeros(n, bool))
    for step in steps:
        on = (t_s >= step.strike_s) & (t_s <= step.push_s)
        path.ankle[on], path.pitch[on] = stance_ankle(model, step, t_s[on]), stance_pitch(step, t_s[on])
        path.yaw[on], path.stance[on] = step.yaw, True
    for before, after, lift in zip(steps, steps[1:], lifts, strict=False):
        on = (t_s > before.push_s) & (t_s < after.strike_s)
        if on.any():
            swing = Swing(model, line, before, after, hip, float(lift))
            path.ankle[on] = swing.ankle(t_s[on], hip[on], line.path[on, 2])
            path.pitch[on] = swing.pitch(t_s[on])
            path.yaw[on] = before.yaw + (after.yaw - before.yaw) * smooth(swing.progress(t_s[on]))
    return path


def raised(model: BodyModel, line: Timeline, steps: list[Step], path: FootPath, lifts: Floats) -> Floats:
    """The lifts, increased by up to 3 cm where a swinging sole is too close to the ground."""
    lowest = path.ankle[:, 2] - model.sole_depth_m * np.cos(path.pitch)
    lowest = lowest + np.minimum(model.heel_m * np.sin(path.pitch), model.toe_m * np.sin(path.pitch))
    result = lifts.copy()
    for i, (before, after) in enumerate(zip(steps, steps[1:], strict=False)):
        s = (line.t_s - before.push_s) / (after.strike_s - before.push_s)
        inner = (s > 0.15) & (s < 0.85)
        if inner.any():
            s = s[inner]
            clearance = CLEARANCE_M * np.clip(np.minimum((s - 0.05) / 0.3, (0.95 - s) / 0.3), 0.0, 1.0)
            peak = line.at_time(line.at("lift_peak"), 0.5 * (before.push_s + after.strike_s))
            deficit = (clearance - lowest[inner]) / np.maximum(bump(s, peak), 0.7)
            result[i] += np.clip(deficit.max(), 0.0, 0.03)
        if i:
            result[i] = max(result[i], 0.9 * result[i - 1])
    return result


def bump(s: Floats, peak: float) -> Floats:
    """A smooth bump on `s` in (0, 1), 1 at `peak` and 0 at both ends."""
    return (s / peak) ** (7.0 * peak) * ((1.0 - s) / (1.0 - peak)) ** (7.0 * (1.0 - peak))


@dataclass(frozen=True)
class Swing:
    """A foot's swing from one step to the next, in leg coordinates relative to the hip.

    Args:
        model: lengths.
        line: parameters and heading.
        before: the previous step.
        after: the next step.
        hip: `(N, 3)` path of the hip.
        lift_m: leg shortening.
    """

    model: BodyModel
    line: Timeline
    before: Step
    after: Step
    hip: Floats
    lift_m: float

    @property
    def middle_s(self) -> float:
        """Time of mid-swing."""
        return 0.5 * (self.before.push_s + self.after.strike_s)

    def at_middle(self, key: str) -> float:
        """A row of the table at mid-swing."""
        return self.line.at_time(self.line.at(key), self.middle_s)

    def progress(self, t_s: Floats) -> Floats:
        """0 at toe-off, 1 at strike."""
        return (t_s - self.before.push_s) / (self.after.strike_s - self.before.push_s)

    def ankle(self, t_s: Floats, hip: Floats, yaw: Floats) -> Floats:
        """Ankle `(N, 3)` at times `(N,)` with hips `(N, 3)` and headings `(N,)`."""
        start, stop = self.before.push_s, self.after.strike_s
        (x0, v0), (x1, v1) = self._end(self.before, start, -1e-4), self._end(self.after, stop, 1e-4)
        ends = (LANDING_M_S2, 0.0, 0.0)
        curves = [quintic(t_s, start, stop, (x0[i], v0[i], 0.0), (x1[i], v1[i], ends[i])) for i in range(3)]
        s = self.progress(t_s)
        hump = bump(s, self.at_middle("lift_peak"))
        length = self._within_reach(curves[0] - self.lift_m * hump, s)
        along = curves[1] + np.radians(self.at_middle("advance")) * self.line.style.travel * hump
        aside = curves[2] + np.radians(1.5) * self.after.side * hump
        side = length * np.sin(aside)
        ahead, down = length * np.cos(aside) * np.sin(along), length * np.cos(aside) * np.cos(along)
        xy = flat(yaw, np.stack((ahead, side), axis=-1))
        return hip + np.concatenate((xy, -down[:, None]), axis=1)

    def pitch(self, t_s: Floats) -> Floats:
        """Pitch `(N,)` at times `(N,)`: via a knot at mid-swing, except in small steps and backward."""
        start, stop = self.before.push_s, self.after.strike_s
        if abs(self.after.strike[0]) < np.radians(5.0) or self.line.style.backward:
            return quintic(t_s, start, stop, self.before.push, self.after.strike)
        nominal = max(np.radians(self.at_middle("push_pitch")), 1e-6)
        scale = np.radians(min(1.0, abs(self.before.push[0]) / nominal))
        rate = self.at_middle("mid_rate") / self.line.at_time(self.line.stride_s, self.middle_s)
        knot: Knot = (scale * self.at_middle("mid_pitch"), scale * rate, 0.0)
        early = quintic(t_s, start, self.middle_s, self.before.push, knot)
        late = quintic(t_s, self.middle_s, stop, knot, self.after.strike)
        return np.where(t_s < self.middle_s, early, late)

    def _within_reach(self, length: Floats, s: Floats) -> Floats:
        """Limit lengths smoothly to the leg's reach, in a band of 12 mm, or 6 mm near the ends.

        A wider band at the ends would move the foot off its stance.
        """
        band = 0.006 + 0.006 * smooth(s / 0.15) * smooth((1.0 - s) / 0.15)
        soft = self.model.reach_m(STRAIGHTEST_KNEE_RAD) - band
        return np.where(length > soft, soft + band * np.tanh((length - soft) / band), length)

    def _end(self, step: Step, time_s: float, h_s: float) -> tuple[Floats, Floats]:
        """Leg coordinates `(3,)` at an end of the swing and their rates, from the adjacent stance."""
        times = np.array([time_s, time_s + h_s])
        leg = stance_ankle(self.model, step, times) - self._hip_at(time_s, times)
        yaw = extended(times, self.line.t_s, self.line.path[:, 2])
        xy = flat(-yaw, leg[:, :2])
        length = np.linalg.norm(leg, axis=1)
        polar = np.stack((length, np.arctan2(xy[:, 0], -leg[:, 2]), np.arcsin(xy[:, 1] / length)), axis=1)
        return polar[0], (polar[1] - polar[0]) / h_s

    def _hip_at(self, near_s: float, times: Floats) -> Floats:
        """Hip `(2, 3)` at times near an event: its position at the event, extrapolated by a fitted cubic."""
        middle = int(np.clip(round((near_s - self.line.t_s[0]) * RATE_HZ), FIT_FRAMES, len(self.hip) - FIT_FRAMES - 1))
        around = slice(middle - FIT_FRAMES, middle + FIT_FRAMES + 1)
        origin = self.line.t_s[middle]
        coefficients = np.polyfit((self.line.t_s[around] - origin) / DT_S, self.hip[around], 3)
        s = (times - origin) / DT_S
        fitted = (s[:, None] ** np.arange(3, -1, -1)) @ coefficients
        here = np.array([extended(near_s, self.line.t_s, column) for column in self.hip.T])
        return here + fitted - fitted[0]
