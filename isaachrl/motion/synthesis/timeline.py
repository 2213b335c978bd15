"""Timelines: the path on the floor and the phase of the stride for velocity commands."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isaachrl.motion.synthesis.numerics import flat
from isaachrl.motion.synthesis.tables import Style, speed_index

Floats = NDArray[np.float64]

RATE_HZ = 120
DT_S = 1.0 / RATE_HZ
WARM_UP_STRIDES = 5
MARGIN_S = 3.5  # generated before and after a clip and cut off, since filters distort the ends
STANDING_PHASE = 0.57  # double support, the right foot leaves first


@dataclass(frozen=True)
class Timeline:
    """Commands, path and stride phase of a motion, from which feet and body are computed.

    Args:
        style: the gait's parameters.
        t_s: `(N,)` times at 120 Hz; the clip starts at 0.
        velocity: `(N, 3)` commanded velocity forward, left (m/s) and turn rate (rad/s) in the body's frame.
        path: `(N, 3)` integrated pose on the floor: x, y (m), yaw (rad); zero at time 0.
        phase: `(N,)` number of strides; the right heel strikes at integers, the left half-way between.
        stride_s: `(N,)` stride duration.
        clip: the frames of the clip; the others are margin.
        steps_from_s: start of stepping; -inf if the motion starts with a gait.
        steps_until_s: end of stepping; inf if it ends with a gait.
        width_factor: `(N,)` factor on the table's step width.
        arm_factor: `(N,)` factor on the table's arm swing.
    """

    style: Style
    t_s: Floats
    velocity: Floats
    path: Floats
    phase: Floats
    stride_s: Floats
    clip: slice
    steps_from_s: float
    steps_until_s: float
    width_factor: Floats
    arm_factor: Floats

    @property
    def speed(self) -> Floats:
        """Speed index `(N,)` into the table."""
        return speed_index(self.velocity)

    def at(self, key: str) -> Floats:
        """A row of the table over time, `(N,)`."""
        return self.style.at(key, self.speed)

    def at_time(self, values: Floats, time_s: float) -> float:
        """A quantity `(N,)` at one time; constant beyond the ends."""
        return float(np.interp(time_s, self.t_s, values))

    def pose_at(self, time_s: float) -> Floats:
        """The path's pose `(3,)` at one time; extrapolated linearly beyond the ends."""
        return np.array([extended(time_s, self.t_s, column) for column in self.path.T])

    def time_of(self, phase: float) -> float:
        """Time of a phase: -inf before a standing start, inf after a standing end."""
        if phase <= self.phase[0] and self.steps_from_s > -np.inf:
            return -np.inf
        if phase > self.phase[-1] - 1e-9 and self.steps_until_s < np.inf:
            return np.inf
        rising = np.diff(self.phase) > 0
        moving = np.append(rising, False) | np.append(False, rising)
        return float(extended(phase, self.phase[moving], self.t_s[moving]))


def extended(x: ArrayLike, xs: Floats, ys: Floats) -> Floats:
    """Linear interpolation with linear extrapolation."""
    x = np.asarray(x, float)
    low = ys[0] + (x - xs[0]) * (ys[1] - ys[0]) / (xs[1] - xs[0])
    high = ys[-1] + (x - xs[-1]) * (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
    return np.where(x < xs[0], low, np.where(x > xs[-1], high, np.interp(x, xs, ys)))


def integrate(velocity: Floats, origin: int) -> Floats:
    """Path `(N, 3)` of body-frame velocities `(N, 3)`, zero at frame `origin` (midpoint rule)."""
    middle = 0.5 * (velocity[1:] + velocity[:-1])
    yaw = np.concatenate(([0.0], np.cumsum(middle[:, 2]) * DT_S))
    yaw -= yaw[origin]
    steps = flat(0.5 * (yaw[1:] + yaw[:-1]), middle[:, :2]) * DT_S
    position = np.concatenate((np.zeros((1, 2)), np.cumsum(steps, axis=0)))
    return np.concatenate((position - position[origin], yaw[:, None]), axis=1)


def loop(style: Style, velocity: tuple[float, float, float], strides: int, noise: "Noise") -> Timeline:
    """A steady gait that loops after `strides` strides, its noise included.

    The stride duration is rounded such that the clip has an integer number of 60 Hz frames.
    """
    command = np.array([velocity], float)
    nominal_s = 120.0 / float(style.at("cadence", speed_index(command))[0])
    frames = 2 * round(strides * nominal_s * RATE_HZ / 2)
    stride_s = frames * DT_S / strides
    margin = int(np.ceil(WARM_UP_STRIDES * nominal_s * RATE_HZ))
    t_s = np.asarray(DT_S * np.arange(-margin, frames + margin + 1), np.float64)
    fine = np.linspace(-WARM_UP_STRIDES - 2.0, strides + WARM_UP_STRIDES + 2.0, 2000 * (strides + 4))
    phase = np.interp(t_s, stride_s * (fine + noise.cadence(fine) - noise.cadence(0.0)), fine)
    repeated = np.repeat(command, len(t_s), axis=0)
    return Timeline(
        style, t_s, repeated, integrate(repeated, margin), phase, 1.0 / np.gradient(phase, DT_S),
        slice(margin, margin + frames + 1), -np.inf, np.inf,
        1.0 + noise.width(phase), 1.0 + noise.arms(phase),
    )  # fmt: skip


def transition(
    style: Style,
    velocity: Callable[[Floats], Floats],
    duration_s: float,
    steps_from_s: float = -np.inf,
    settled_s: float = np.inf,
) -> Timeline:
    """A motion with a time-dependent command, which may start or end standing.

    Args:
        style: the gait's parameters.
        velocity: body-frame velocities `(N, 3)` at times `(N,)`, also before 0 and after the end.
        duration_s: length of the clip.
        steps_from_s: start of stepping from standing; -inf to start with a gait.
        settled_s: stop at the first double support after this time; inf to end with a gait.
    """
    margin = round(MARGIN_S * RATE_HZ)
    frames = 2 * round(duration_s * RATE_HZ / 2)
    t_s = np.asarray(DT_S * np.arange(-margin, frames + margin + 1), np.float64)
    commands = velocity(t_s)
    rate = style.at("cadence", speed_index(commands)) / 120.0
    strides = np.concatenate(([0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * (t_s[1:] > steps_from_s)) * DT_S))
    phase = STANDING_PHASE + strides
    until_s = np.inf
    if settled_s < np.inf:
        reached = float(np.interp(settled_s, t_s, phase))
        stop = np.ceil(2.0 * (reached - 0.07)) / 2.0 + 0.07
        until_s = float(np.interp(stop, phase, t_s))
        phase = np.minimum(phase, stop)
    ones = np.ones(len(t_s))
    return Timeline(
        style, t_s, commands, integrate(commands, margin), phase, 1.0 / rate,
        slice(margin, margin + frames + 1), steps_from_s, until_s, ones, ones,
    )  # fmt: skip


@dataclass(frozen=True)
class Noise:
    """Periodic variations from stride to stride, as sums of sines of the phase.

    Args:
        period: in strides.
        amplitude: largest relative change of step width, arm swing and stride duration.
        seed: of the sines' phases.
    """

    period: int
    amplitude: float = 0.03
    seed: int = 0

    def cadence(self, phase: ArrayLike) -> Floats:
        """Integral over the phase of the relative change of the stride duration."""
        return self._sum(phase, 0, integral=True)

    def width(self, phase: ArrayLike) -> Floats:
        """Relative change of the step width."""
        return self._sum(phase, 1)

    def arms(self, phase: ArrayLike) -> Floats:
        """Relative change of the swing of the arms."""
        return self._sum(phase, 2)

    def _sum(self, phase: ArrayLike, stream: int, integral: bool = False) -> Floats:
        phase = np.asarray(phase, float)
        shifts = np.random.default_rng((self.seed, stream)).uniform(0.0, 2.0 * np.pi, 2)
        total = np.zeros(phase.shape)
        for harmonic, shift in enumerate(shifts, start=1):
            if self.period > harmonic:  # variations within a stride would look like a limp
                rate = 2.0 * np.pi * harmonic / self.period
                wave = -np.cos(rate * phase + shift) / rate if integral else np.sin(rate * phase + shift)
                total += 0.5 * self.amplitude * wave
        return total
