"""From velocity commands to a timeline: the path on the floor and the phase of the stride."""

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
MARGIN_S = 3.5  # calm time generated around a clip and cut off: slow filters bend the ends
STANDING_PHASE = 0.57  # both feet down, the right one leaves first


@dataclass(frozen=True)
class Timeline:
    """Everything about a motion that is known before feet and body are.

    Args:
        style: the gait's parameters.
        t_s: `(N,)` times at 120 Hz, the clip starting at 0.
        velocity: `(N, 3)` commanded forward, left (m/s) and turn (rad/s) speeds in the body's frame.
        path: `(N, 3)` the pose on the floor that follows from it: x, y (m), yaw (rad); zero at time 0.
        phase: `(N,)` strides made; the right heel strikes at whole numbers, the left half-way between.
        stride_s: `(N,)` duration of a stride at that time.
        clip: the frames that make the clip; the rest is margin.
        steps_from_s: when stepping starts; -inf if it always did.
        steps_until_s: when it stops; inf if never.
        width_factor: `(N,)` by how much steps are wider than the table's.
        arm_factor: `(N,)` the same for the swing of the arms.
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
        """Speed index `(N,)` at which the table is read."""
        return speed_index(self.velocity)

    def at(self, key: str) -> Floats:
        """A row of the table over time, `(N,)`."""
        return self.style.at(key, self.speed)

    def at_time(self, values: Floats, time_s: float) -> float:
        """A quantity `(N,)` at one time, held beyond the ends."""
        return float(np.interp(time_s, self.t_s, values))

    def pose_at(self, time_s: float) -> Floats:
        """The path's pose `(3,)` at one time, continued straight beyond the ends."""
        return np.array([extended(time_s, self.t_s, column) for column in self.path.T])

    def time_of(self, phase: float) -> float:
        """When a phase is reached: -inf before a standing start, inf after a standing end."""
        if phase <= self.phase[0] and self.steps_from_s > -np.inf:
            return -np.inf
        if phase > self.phase[-1] - 1e-9 and self.steps_until_s < np.inf:
            return np.inf
        rising = np.diff(self.phase) > 0
        moving = np.append(rising, False) | np.append(False, rising)
        return float(extended(phase, self.phase[moving], self.t_s[moving]))


def extended(x: ArrayLike, xs: Floats, ys: Floats) -> Floats:
    """Linear interpolation, continued with the slope of the first and last pieces."""
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
    """A steady gait whose clip is `strides` strides long and repeats, its variations included.

    The stride time is rounded so that the clip lasts a whole number of 60 Hz frames.
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
    """A motion with a changing command, from standing or walking to walking or standing.

    Args:
        style: the gait's parameters.
        velocity: body-frame velocities `(N, 3)` at times `(N,)`, also before 0 and after the end.
        duration_s: length of the clip.
        steps_from_s: first stepping at this time out of standing; -inf to start in motion.
        settled_s: stop at the first double support after this time; inf to end in motion.
    """
    margin = round(MARGIN_S * RATE_HZ)
    frames = 2 * round(duration_s * RATE_HZ / 2)
    t_s = np.asarray(DT_S * np.arange(-margin, frames + margin + 1), np.float64)
    commands = velocity(t_s)
    rate = style.at("cadence", speed_index(commands)) / 120.0
    made = np.concatenate(([0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * (t_s[1:] > steps_from_s)) * DT_S))
    phase = STANDING_PHASE + made
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
    """Slow variations from stride to stride that repeat with the clip; each is a sum of sines of the phase.

    Args:
        period: strides after which they repeat.
        amplitude: largest relative change of step width and arm swing, and of the stride time.
        seed: of the sines' phases.
    """

    period: int
    amplitude: float = 0.03
    seed: int = 0

    def cadence(self, phase: ArrayLike) -> Floats:
        """Integral of the relative change of the stride time: how many strides the clock runs late."""
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
            if self.period > harmonic:  # a variation within one stride would be a limp
                rate = 2.0 * np.pi * harmonic / self.period
                wave = -np.cos(rate * phase + shift) / rate if integral else np.sin(rate * phase + shift)
                total += 0.5 * self.amplitude * wave
        return total
