"""Root, trunk and arms: the centre of mass as an inverted pendulum, and periodic motion with the stride."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from isaachrl.motion.synthesis.numerics import GRAVITY, box, gaussian, pendulum, smooth, turn_x, turn_y, turn_z
from isaachrl.motion.synthesis.tables import running
from isaachrl.motion.synthesis.timeline import DT_S, RATE_HZ, Timeline

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Idle:
    """Small movements of a standing body, each `(N,)`; angles in degrees, sways in metres."""

    sway_ahead: Floats
    sway_left: Floats
    pelvis_roll: Floats
    torso_pitch: Floats
    torso_roll: Floats
    torso_yaw: Floats
    head_pitch: Floats
    head_yaw: Floats
    shoulder: Floats
    abduction: Floats
    elbow: Floats


# movement -> (cycles per period, amplitude) of its sines; breathing is the second harmonic of the torso's pitch
_IDLE_WAVES: dict[str, tuple[tuple[int, float], ...]] = {
    "sway_ahead": ((1, 0.004), (2, 0.003), (5, 0.0015)),
    "sway_left": ((1, 0.006), (3, 0.003), (4, 0.0015)),
    "pelvis_roll": ((1, 0.5),),
    "torso_pitch": ((1, 0.6), (2, 0.5)),
    "torso_roll": ((1, 0.6), (3, 0.3)),
    "torso_yaw": ((1, 1.0),),
    "head_pitch": ((2, 1.0), (3, 0.4)),
    "head_yaw": ((1, 3.0), (3, 1.5)),
    "shoulder": ((1, 0.8), (2, 0.6)),
    "abduction": ((2, 0.4),),
    "elbow": ((1, 0.8),),
}


def idle(t_s: Floats, period_s: float, seed: int) -> Idle:
    """Sway and breathing at times `(N,)`, periodic in `period_s`."""
    random = np.random.default_rng(seed)
    waves = {}
    for name, terms in _IDLE_WAVES.items():
        phases = random.uniform(0.0, 2.0 * np.pi, len(terms))
        waves[name] = sum(
            (
                amplitude * np.sin(2.0 * np.pi * k * t_s / period_s + phase)
                for (k, amplitude), phase in zip(terms, phases, strict=True)
            ),
            np.zeros_like(t_s),
        )
    return Idle(**waves)


def still(t_s: Floats) -> Idle:
    """No idle movement."""
    return Idle(**{field.name: np.zeros_like(t_s) for field in fields(Idle)})


def activity(line: Timeline) -> Floats:
    """Amplitude `(N,)` in [0, 1] of periodic motion: fades in before the first step and out after the last."""
    return smooth((line.t_s - line.steps_from_s + 0.15) / 0.5) * smooth((line.steps_until_s + 0.35 - line.t_s) / 0.6)


def bounce(line: Timeline) -> Floats:
    """Vertical displacement of the body `(N,)` in m from its mean height: a cosine in a walk, ballistic in a run."""
    run = running(line.speed)
    wave = 4.0 * np.pi * (line.phase - 0.5 * line.at("duty") - line.at("bob_phase"))
    walk = 0.5 * line.at("bob") * activity(line) * np.cos(wave)
    return (1.0 - run) * walk + run * _ballistic(line)


def _ballistic(line: Timeline) -> Floats:
    """Height under a half-sine ground force in contact and none in flight; periodic with zero mean.

    With the step as the unit of time and c its share in contact, the force is pi/(2c) sin(pi s/c) body weights; the
    height is the double integral of force minus weight.
    """
    c = np.minimum(2.0 * line.at("duty"), 1.0)
    s = np.mod(2.0 * line.phase, 1.0)
    rate = 0.5 * (c - 1.0)
    fall = rate * s - 0.5 * s * s
    contact = 0.5 * s - 0.5 * c / np.pi * np.sin(np.pi * np.minimum(s / c, 1.0))
    height = fall + np.where(s < c, contact, s - 0.5 * c)
    mean = 0.5 * rate - 1.0 / 6.0 + 0.25 * c * c - c * c / np.pi**2 + 0.5 * (1.0 - c * c) - 0.5 * c * (1.0 - c)
    return GRAVITY * (0.5 * line.stride_s) ** 2 * (height - mean)


def pendulum_path(line: Timeline, pressure: Floats, rise: Floats) -> Floats:
    """Horizontal path `(N, 2)` of the centre of mass as an inverted pendulum above a centre of pressure `(N, 2)`."""
    acceleration = np.gradient(np.gradient(rise, DT_S), DT_S)
    height = 0.9 - 0.8 * line.style.crouch_m
    return pendulum(pressure, np.maximum(0.0, GRAVITY + acceleration) / height, DT_S)


def root_offset(line: Timeline, offset: Floats) -> Floats:
    """The part of the offset `(N, 2)` from root to centre of mass, heading frame, that the root compensates.

    The slow part is compensated fully, the fast part mostly sideways: compensation along the path would make the
    pelvis surge.
    """
    slow = gaussian(offset, 0.5 * RATE_HZ)
    fast = gaussian(offset - slow, 0.03 * RATE_HZ) * np.array([0.3, 0.8])
    return slow + fast - np.stack((line.at("ahead"), np.zeros(len(slow))), axis=1)


def trunk_and_arms(line: Timeline, idling: Idle) -> dict[str, Floats]:
    """World rotations `(N, 3, 3)` of pelvis, torso, head and the four parts of the arms."""
    torso_pitch, bodies = _trunk(line, idling)
    bodies["head"] = _head(line, idling, torso_pitch)
    for side, name in ((-1, "right"), (1, "left")):
        shoulder, elbow = _arm(line, idling, side)
        bodies[f"{name}_upper_arm"] = bodies["torso"] @ shoulder
        bodies[f"{name}_lower_arm"] = bodies[f"{name}_upper_arm"] @ elbow
    return bodies


def _slow_motion(line: Timeline) -> tuple[Floats, Floats]:
    """Bank into the curve and lean into the acceleration, `(N,)` rad."""
    frames = round(0.4 * RATE_HZ)
    forward, turn = box(line.velocity[:, 0], frames), box(line.velocity[:, 2], frames)
    speeding = box(np.gradient(line.velocity[:, 0], DT_S), frames)
    return 0.8 * np.arctan(forward * turn / GRAVITY), 0.5 * np.arctan(speeding / GRAVITY)


def _wave(line: Timeline, key: str, shift: float) -> Floats:
    """A cosine per stride, its amplitude (rad) a row of the table, its peak `shift` strides after the right strike."""
    return np.radians(line.at(key)) * activity(line) * np.cos(2.0 * np.pi * (line.phase - shift))


def _trunk(line: Timeline, idling: Idle) -> tuple[Floats, dict[str, Floats]]:
    """Pitch of the torso, and rotations of pelvis and torso."""
    bank, speeding = _slow_motion(line)
    act, th, yaw = activity(line), 2.0 * np.pi * line.phase, line.path[:, 2]
    travel, bent = line.style.travel, min(line.style.crouch_m / 0.2, 1.0)
    nod = np.radians(1.0) * act
    tilt = np.radians(line.at("pelvis_tilt") + 16.0 * bent) + nod * np.cos(2 * th - 0.6) + 0.6 * speeding
    roll = np.radians(idling.pelvis_roll) - _wave(line, "pelvis_list", 0.14) - 0.6 * bank
    pelvis = turn_z(yaw + travel * _wave(line, "pelvis_yaw", 0.0)) @ turn_y(tilt) @ turn_x(roll)
    pitch = np.radians(line.at("lean") + 24.0 * bent + idling.torso_pitch) + nod * np.cos(2 * th - 1.0) + speeding
    roll = np.radians(idling.torso_roll) + _wave(line, "torso_roll", 0.2) - bank
    twist = np.radians(idling.torso_yaw) - travel * _wave(line, "torso_yaw", 0.0)
    return pitch, {"pelvis": pelvis, "torso": turn_z(yaw + twist) @ turn_y(pitch) @ turn_x(roll)}


def _head(line: Timeline, idling: Idle, torso_pitch: Floats) -> Floats:
    """Rotation of the head: nearly level, and turned into a curve."""
    bank, _ = _slow_motion(line)
    glance = np.clip(0.35 * line.velocity[:, 2], -np.radians(35.0), np.radians(35.0))
    level = np.radians(3.0)
    pitch = level + 0.25 * (torso_pitch - level) + np.radians(idling.head_pitch)
    return turn_z(line.path[:, 2] + glance + np.radians(idling.head_yaw)) @ turn_y(pitch) @ turn_x(-0.3 * bank)


def _arm(line: Timeline, idling: Idle, side: int) -> tuple[Floats, Floats]:
    """Rotations of shoulder and elbow; an arm swings with the leg of the other side."""
    half, bent = (0.5 if side < 0 else 0.0), min(line.style.crouch_m / 0.2, 1.0)
    swing = line.style.travel * line.arm_factor
    flexion = np.radians(line.at("shoulder") + side * idling.shoulder) + swing * _wave(
        line, "shoulder_swing", half + 0.02
    )
    elbow = np.radians(line.at("elbow") + 20.0 * bent + idling.elbow) + swing * _wave(line, "elbow_swing", half + 0.05)
    abduction = side * np.radians(line.at("abduction") + idling.abduction)
    shoulder = turn_x(abduction) @ turn_y(-flexion) @ turn_z(-side * np.radians(line.at("inward")))
    return shoulder, turn_y(-elbow)
