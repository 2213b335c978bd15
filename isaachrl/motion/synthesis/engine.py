"""Computes a clip from a timeline: feet, root, trunk and legs, in a few iterations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isaachrl.motion.clip import Clip
from isaachrl.motion.synthesis import body, feet, legs, skeleton
from isaachrl.motion.synthesis.numerics import flat, gaussian, quaternion
from isaachrl.motion.synthesis.skeleton import BodyModel
from isaachrl.motion.synthesis.steps import LEFT, RIGHT, footsteps
from isaachrl.motion.synthesis.timeline import RATE_HZ, Timeline

Floats = NDArray[np.float64]

PASSES = 5
FPS = 60
FILTER_S = 0.013  # about 10 Hz, usual for captured motion; a longer filter makes feet of a run penetrate the floor
SIDES = {RIGHT: "right", LEFT: "left"}


@dataclass(frozen=True)
class Posture:
    """Postures over time: root position `(N, 3)`, world rotations `(N, B, 3, 3)`, hips and feet by side."""

    root: Floats
    rotations: Floats
    hips: dict[int, Floats]
    feet: dict[int, feet.FootPath]


def synthesise(
    name: str, line: Timeline, model: BodyModel, idling: body.Idle | None = None, loop: bool = False
) -> Clip:
    """Make the clip of a timeline.

    Args:
        name: the clip's name.
        line: commands, phase and parameters.
        model: the body.
        idling: additional small movements of a standing body.
        loop: see `Clip.loop`.
    """
    postures = posture(line, model, idling or body.still(line.t_s))
    joints = quaternion(skeleton.joint_rotations(model, postures.rotations))
    joints = gaussian(joints, FILTER_S * RATE_HZ)
    joints /= np.linalg.norm(joints, axis=-1, keepdims=True)
    kept = slice(line.clip.start, line.clip.stop, RATE_HZ // FPS)
    return Clip(
        name=name, fps=float(FPS), joint_names=model.joint_names, body_names=model.body_names,
        root_pos_w=gaussian(postures.root, FILTER_S * RATE_HZ)[kept].astype(np.float32),
        root_quat_w=quaternion(postures.rotations[kept, 0]).astype(np.float32),
        joint_quat=joints[kept].astype(np.float32), loop=loop,
    )  # fmt: skip


def posture(line: Timeline, model: BodyModel, idling: body.Idle) -> Posture:
    """Root, feet and rotations; iterative, since root and centre of mass depend on the legs."""
    steps = {side: footsteps(line, side) for side in SIDES}
    lifts = {side: feet.first_lifts(line, steps[side]) for side in SIDES}
    upper = body.trunk_and_arms(line, idling)
    rise = body.bounce(line)
    heading = line.path[:, 2]
    com = body.pendulum_path(line, feet.centre_of_pressure(line, steps[RIGHT] + steps[LEFT]), rise)
    com += flat(heading, np.stack((idling.sway_ahead, idling.sway_left), axis=1))
    height = line.at("height") - line.style.crouch_m + rise

    def build(offset: Floats, lowered: Floats, lifts: dict[int, Floats]) -> Posture:
        root = np.column_stack((com - flat(heading, body.root_offset(line, offset)), height - lowered))
        hips = {side: root + upper["pelvis"] @ model.local(f"{name}_thigh") for side, name in SIDES.items()}
        paths = {side: feet.foot_path(model, line, steps[side], hips[side], lifts[side]) for side in SIDES}
        return Posture(root, _all_rotations(model, upper, hips, paths), hips, paths)

    lowered = np.zeros(len(com))
    result = build(np.zeros_like(com), lowered, lifts)
    for _ in range(PASSES - 1):
        lowered = lowered + legs.too_high(model, list(result.hips.values()), list(result.feet.values()))
        lifts = {side: feet.raised(model, line, steps[side], result.feet[side], lifts[side]) for side in SIDES}
        offset = flat(-heading, skeleton.centre_of_mass(model, result.rotations)[:, :2])
        result = build(offset, lowered, lifts)
    return result


def _all_rotations(
    model: BodyModel, upper: dict[str, Floats], hips: dict[int, Floats], paths: dict[int, feet.FootPath]
) -> Floats:
    """World rotations `(N, B, 3, 3)`, with the legs by inverse kinematics."""
    rotations = dict(upper)
    pelvis_yaw = legs.yaw_of(upper["pelvis"])
    for side, name in SIDES.items():
        path = paths[side]
        thigh, shin = legs.leg_rotations(model, hips[side], path.ankle, pelvis_yaw, path.yaw)
        rotations |= {f"{name}_thigh": thigh, f"{name}_shin": shin, f"{name}_foot": feet.rotation(path)}
    return skeleton.world_rotations(model, rotations)
