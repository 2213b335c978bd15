"""Gait parameters as functions of speed: a table, interpolated linearly, with overrides."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SPEEDS_M_S = (0.0, 0.6, 1.0, 1.4, 1.55, 1.8, 2.2, 3.0)
WALK_UNTIL_M_S, RUN_FROM_M_S = 1.55, 1.8

# One row per parameter, one column per speed. Angles in degrees, lengths in metres.
TABLE: dict[str, tuple[float, ...]] = {
    "cadence": (90, 90, 109, 125, 130, 154, 160, 168),  # steps a minute
    "duty": (0.68, 0.66, 0.64, 0.615, 0.59, 0.41, 0.38, 0.36),  # share of a stride that a foot is on the ground
    # foot roll: pitch at heel strike and toe-off, share of the stride until flat and until the heel lifts
    "strike_pitch": (2, 9, 15.5, 22, 23, 8.9, 8.9, 8.9),
    "push_pitch": (18, 47, 57, 61.7, 63, 53, 53, 53),
    "flat_from": (0.10, 0.083, 0.095, 0.10, 0.10, 0.04, 0.04, 0.04),
    "flat_until": (0.378, 0.408, 0.37, 0.378, 0.378, 0.127, 0.127, 0.127),
    "strike_rate": (2.1, 2.0, 2.1, 2.1, 2.1, 1.9, 1.9, 1.9),
    "push_rate": (1.2, 1.29, 1.56, 1.48, 1.48, 1.44, 1.44, 1.44),
    "overshoot": (9.9, 9.1, 9.9, 9.9, 9.9, 6.5, 6.5, 6.5),  # of the pitch after toe-off
    "width": (0.17, 0.15, 0.135, 0.12, 0.115, 0.10, 0.10, 0.09),
    "toe_out": (8, 7, 6, 6, 5, 3, 3, 2),
    # pelvis: height, vertical amplitude and its phase in a walk, shift ahead of the pendulum's path
    "height": (0.874, 0.868, 0.860, 0.848, 0.844, 0.845, 0.845, 0.845),
    "bob": (0.006, 0.018, 0.029, 0.042, 0.044, 0.044, 0.044, 0.044),
    "bob_phase": (-0.015, -0.02, -0.02, -0.015, -0.015, -0.015, -0.015, -0.015),
    "ahead": (0.01, 0.03, 0.021, 0.037, 0.037, 0.035, 0.035, 0.035),
    # swing: leg shortening and the position of its peak, extra thigh angle, foot pitch and rate at mid-swing
    "lift": (0.07, 0.077, 0.0985, 0.139, 0.139, 0.225, 0.225, 0.225),
    "lift_peak": (0.42, 0.32, 0.324, 0.336, 0.336, 0.506, 0.506, 0.506),
    "advance": (3, 3.5, 8.3, 9, 9, -10, -10, -10),
    "mid_pitch": (-8, -21, -18, -18, -18, -54, -54, -54),
    "mid_rate": (100, 209, 219, 220, 220, 90, 90, 90),  # degrees per stride
    # trunk
    "pelvis_yaw": (1, 3, 4.5, 6, 7, 5, 5, 6),
    "pelvis_list": (2, 2.5, 3.5, 4.5, 5, 4.5, 4.5, 5),
    "pelvis_tilt": (0, 0, 0, 0, 1, 3, 3, 5),
    "lean": (1.5, 1.5, 2.5, 3.5, 4, 6, 6, 8),
    "torso_yaw": (1, 1.5, 3, 4, 5, 9, 9, 11),
    "torso_roll": (1.5, 1.5, 1.5, 1.5, 1.5, 2, 2, 2),
    # arms: mean and swing of shoulder and elbow, abduction, inward turn
    "shoulder": (-2, -3, -5, -6, -5, -15, -15, -14),
    "shoulder_swing": (1, 6, 11, 16, 20, 22, 22, 30),
    "elbow": (14, 17, 22, 27, 32, 90, 90, 92),
    "elbow_swing": (1, 3, 7, 10, 14, 10, 10, 14),
    "abduction": (7, 7, 7, 7, 7, 12, 12, 13),
    "inward": (10, 10, 10, 10, 12, 22, 22, 24),
}


@dataclass(frozen=True)
class Style:
    """The table with overrides.

    Args:
        fixed: constants that replace rows of the table.
        crouch_m: lowering of the pelvis, with more flexion of trunk and elbows.
        backward: a backward gait: the toe lands first, and trunk and arms swing in the opposite phase.
    """

    fixed: Mapping[str, float] = field(default_factory=dict)
    crouch_m: float = 0.0
    backward: bool = False

    def __post_init__(self) -> None:
        """Validate names of rows."""
        unknown = sorted(set(self.fixed) - set(TABLE))
        if unknown:
            raise KeyError(f"no such gait parameter: {', '.join(unknown)} (valid: {', '.join(TABLE)})")

    def at(self, key: str, speed_m_s: ArrayLike) -> Floats:
        """Value of a row at each speed index, interpolated linearly and constant beyond the last column."""
        speed = np.asarray(speed_m_s, float)
        if key in self.fixed:
            return np.full(speed.shape, float(self.fixed[key]))
        return np.interp(speed, SPEEDS_M_S, TABLE[key])

    @property
    def travel(self) -> float:
        """1 forward, -1 backward."""
        return -1.0 if self.backward else 1.0


def running(speed_m_s: ArrayLike) -> Floats:
    """Blend from walk, 0, to run, 1, at each speed."""
    return np.clip((np.asarray(speed_m_s, float) - WALK_UNTIL_M_S) / (RUN_FROM_M_S - WALK_UNTIL_M_S), 0.0, 1.0)


def speed_index(velocity: Floats) -> Floats:
    """Speed index `(N,)` into the table for body-frame velocities `(N, 3)`: forward, left, turn rate."""
    forward, left, turn = velocity.T
    return np.sqrt(forward**2 + (1.1 * left) ** 2 + (0.25 * turn) ** 2)
