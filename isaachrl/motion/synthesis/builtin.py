"""The built-in motions: velocity commands and style of each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from isaachrl.errors import ClipError, nearest
from isaachrl.motion.clip import Clip
from isaachrl.motion.synthesis import body, timeline
from isaachrl.motion.synthesis.engine import synthesise
from isaachrl.motion.synthesis.numerics import quaternion, smooth, turn_x, turn_y, turn_z
from isaachrl.motion.synthesis.skeleton import BodyModel, body_model
from isaachrl.motion.synthesis.tables import Style
from isaachrl.sim.inertia import load_robot_body
from isaachrl.sim.soles import robot_soles

Floats = NDArray[np.float64]
Maker = Callable[[str, BodyModel], Clip]

LOOP_STRIDES = 4
STAND_S = 8.0
WAVES = 9  # in that time
SIDES = (("right", "left"), ("left", "right"))

_TURN = {
    "cadence": 96, "strike_pitch": 2, "push_pitch": 16, "width": 0.18, "duty": 0.66, "bob": 0.006, "height": 0.873,
    "pelvis_list": 2, "pelvis_yaw": 0, "torso_yaw": 0, "push_rate": 1.2, "lift": 0.06, "lift_peak": 0.42,
    "advance": 2, "shoulder_swing": 2,
}  # fmt: skip
_FAST_TURN = _TURN | {"cadence": 132, "duty": 0.60, "width": 0.22, "toe_out": 8}
_WALK_TURN = {"cadence": 114, "width": 0.19}
_SHARP_TURN = {"cadence": 132, "width": 0.20, "duty": 0.62, "toe_out": 8}
_ABOUT_TURN = _SHARP_TURN | {"cadence": 150, "width": 0.22}
_JOG_CURVE = {"width": 0.13, "pelvis_list": 2.5}
_SIDE = {
    "cadence": 125, "strike_pitch": 0.5, "push_pitch": 14, "width": 0.28, "duty": 0.62, "bob": 0.008, "height": 0.838,
    "pelvis_list": 2.5, "pelvis_yaw": 0, "torso_yaw": 0, "abduction": 10, "toe_out": 4, "push_rate": 1.2,
    "lift": 0.05, "lift_peak": 0.42, "advance": 3, "shoulder_swing": 2,
}  # fmt: skip
_BACK = {
    "cadence": 96, "strike_pitch": 16, "push_pitch": 12, "flat_from": 0.10, "flat_until": 0.45, "width": 0.15,
    "duty": 0.66, "bob": 0.018, "height": 0.86, "lean": 2, "shoulder_swing": 5, "push_rate": 1.2, "lift": 0.06,
    "lift_peak": 0.5, "advance": 0, "ahead": 0,
}  # fmt: skip
_CROUCH = {
    "cadence": 94, "strike_pitch": 8, "push_pitch": 40, "width": 0.16, "duty": 0.66, "bob": 0.02, "elbow": 35,
    "shoulder_swing": 6, "lift": 0.08, "lift_peak": 0.4, "advance": 3, "ahead": 0,
}  # fmt: skip


def builtin_clips(names: Sequence[str] | None = None) -> list[Clip]:
    """Make the built-in motions for the humanoid; the same clips at every call.

    Args:
        names: which ones; all of `CLIP_NAMES` by default.

    Raises:
        ClipError: an unknown name.
    """
    return [builtin_clip(name) for name in (CLIP_NAMES if names is None else names)]


def builtin_clip(name: str, model: BodyModel | None = None) -> Clip:
    """Make one built-in motion, for the humanoid or a similar body.

    Raises:
        ClipError: there is no motion of that name.
    """
    if name not in _MAKERS:
        raise ClipError(f"there is no built-in motion {name!r}{nearest(name, _MAKERS)}")
    return _MAKERS[name](name, model or humanoid())


@cache
def humanoid() -> BodyModel:
    """The default body."""
    loaded = load_robot_body("humanoid")
    return body_model(loaded.robot, loaded.mass_kg, loaded.com_b_m, robot_soles(loaded.robot))


def mirrored(clip: Clip, name: str) -> Clip:
    """The clip mirrored at the xz plane; a rotation (w, x, y, z) becomes (w, -x, y, -z)."""
    flip = np.array([1, -1, 1, -1], np.float32)
    order = [clip.joint_names.index(_other_side(joint)) for joint in clip.joint_names]
    return replace(
        clip, name=name, root_pos_w=clip.root_pos_w * np.array([1, -1, 1], np.float32),
        root_quat_w=clip.root_quat_w * flip, joint_quat=clip.joint_quat[:, order] * flip,
    )  # fmt: skip


def _other_side(name: str) -> str:
    for side, other in SIDES:
        if name.startswith(side):
            return name.replace(side, other, 1)
    return name


def _gait(forward: float, left: float = 0.0, turn: float = 0.0, style: Style | None = None) -> Maker:
    """A steady, looping gait at body-frame velocities in m/s and rad/s."""

    def make(name: str, model: BodyModel) -> Clip:
        noise = timeline.Noise(LOOP_STRIDES, seed=sum(name.encode()))
        line = timeline.loop(style or Style(), (forward, left, turn), LOOP_STRIDES, noise)
        return synthesise(name, line, model, loop=True)

    return make


def _mirror_of(other: str) -> Maker:
    def make(name: str, model: BodyModel) -> Clip:
        return mirrored(builtin_clip(other, model), name)

    return make


def _forward(speed: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Body-frame velocities of a forward speed over time."""

    def velocity(t_s: Floats) -> Floats:
        return np.stack((speed(t_s), np.zeros_like(t_s), np.zeros_like(t_s)), axis=1)

    return velocity


def _stand(name: str, model: BodyModel) -> Clip:
    """Standing, swaying and breathing."""
    line = timeline.transition(Style(), _forward(np.zeros_like), STAND_S, np.inf, -np.inf)
    return synthesise(name, line, model, body.idle(line.t_s, STAND_S, seed=1), loop=True)


def _wave(name: str, model: BodyModel) -> Clip:
    """Standing and waving with the right arm: the forearm points up and swings from side to side, in its own plane."""
    clip, joints = _stand(name, model), []
    swing = 2.0 * np.pi * WAVES * np.linspace(0.0, 1.0, clip.num_frames)
    upper = turn_x(np.radians(-75.0 + 4.0 * np.cos(swing))) @ turn_z(np.radians(-75.0 + 0.0 * swing))
    lower = turn_y(-np.radians(95.0 + 28.0 * np.cos(swing + 0.4)))
    moved = {"right_shoulder": quaternion(upper), "right_elbow": quaternion(lower)}
    for index, joint in enumerate(clip.joint_names):
        joints.append(moved.get(joint, clip.joint_quat[:, index]))
    return replace(clip, joint_quat=np.stack(joints, axis=1).astype(np.float32))


def _about_turn(name: str, model: BodyModel) -> Clip:
    """Half a turn to the left within 1.5 s, out of a walk and into one."""

    def velocity(t_s: Floats) -> Floats:
        turning = smooth((t_s - 0.1) / 0.4) - smooth((t_s - 1.2) / 0.4)  # its integral is 1.1 s
        return np.stack((0.8 - 0.65 * turning, np.zeros_like(t_s), np.pi / 1.1 * turning), axis=1)

    return synthesise(name, timeline.transition(Style(_ABOUT_TURN), velocity, 1.7), model)


def _change(speed: Callable[[Floats], Floats], seconds: float, **standing_s: float) -> Maker:
    """A clip without loop, at a forward speed in m/s over time; `standing_s` as in `timeline.transition`."""

    def make(name: str, model: BodyModel) -> Clip:
        return synthesise(name, timeline.transition(Style(), _forward(speed), seconds, **standing_s), model)

    return make


_MAKERS: dict[str, Maker] = {
    "stand": _stand,
    "walk_slow": _gait(0.6),
    "walk": _gait(1.0),
    "walk_fast": _gait(1.4),
    "jog": _gait(2.2),
    "curve_left": _gait(1.2, turn=1.2 / 2.5),
    "curve_right": _mirror_of("curve_left"),
    "tight_left": _gait(0.9, turn=0.9 / 1.1),
    "tight_right": _mirror_of("tight_left"),
    "turn_left": _gait(0.0, turn=1.0, style=Style(_TURN)),
    "turn_right": _mirror_of("turn_left"),
    "fast_turn_left": _gait(0.0, turn=2.0, style=Style(_FAST_TURN)),
    "fast_turn_right": _mirror_of("fast_turn_left"),
    "walk_turn_left": _gait(0.85, turn=1.6, style=Style(_WALK_TURN)),
    "walk_turn_right": _mirror_of("walk_turn_left"),
    "sharp_left": _gait(0.8, turn=2.0, style=Style(_SHARP_TURN)),
    "sharp_right": _mirror_of("sharp_left"),
    "about_left": _about_turn,
    "about_right": _mirror_of("about_left"),
    "run": _gait(2.8),
    "wave": _wave,
    "jog_curve_left": _gait(2.0, turn=0.8, style=Style(_JOG_CURVE)),
    "jog_curve_right": _mirror_of("jog_curve_left"),
    "side_left": _gait(0.0, left=0.5, style=Style(_SIDE)),
    "side_right": _mirror_of("side_left"),
    "back": _gait(-0.6, style=Style(_BACK, backward=True)),
    "crouch": _gait(0.7, style=Style(_CROUCH, crouch_m=0.12)),
    "start": _change(lambda t_s: 1.2 * smooth((t_s - 0.75) / 1.35), 4.0, steps_from_s=0.7),
    "stop": _change(lambda t_s: 1.2 * smooth((2.6 - t_s) / 1.4), 4.5, settled_s=3.1),
    "speed_up": _change(lambda t_s: 1.2 + smooth((t_s - 1.0) / 2.0), 4.0),
    "slow_down": _change(lambda t_s: 2.2 - smooth((t_s - 1.2) / 2.8), 5.0),
    "accelerate": _change(lambda t_s: 1.2 + 1.6 * smooth((t_s - 0.4) / 1.6), 2.6),
    "brake": _change(lambda t_s: 2.2 - smooth((t_s - 0.3) / 1.4), 2.2),
}
CLIP_NAMES = tuple(_MAKERS)
