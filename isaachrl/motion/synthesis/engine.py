"""From a timeline to a clip: feet, root, trunk and legs, improved together in a few passes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isaachrl.motion.clip import Clip
from isaachrl.motion.synthesis import body, feet, legs, skeleton
from isaachrl.motion.synthesis.commands import RATE_HZ, Timeline
from isaachrl.motion.synthesis.numerics import flat, gaussian, quaternion
from isaachrl.motion.synthesis.skeleton import BodyModel
from isaachrl.motion.synthesis.steps import LEFT, RIGHT, footsteps

Floats = NDArray[np.float64]

PASSES = 5
FPS = 60
FILTER_S = 0.013  # about 10 Hz, as is usual for captured motion; longer blurs the landing of a run into the floor
SIDES = {RIGHT: "right", LEFT: "left"}


@dataclass(frozen=True)
class Posture:
    """A body over time: the root's position `(N, 3)`, world rotations `(N, B, 3, 3)`, hips and feet by side."""

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
        idling: small movements on top, for a standing body.
        loop: whether the clip repeats.
    """
    made = posture(line, model, idling or body.still(line.t_s))
    joints = quaternion(skeleton.joint_rotations(model, made.rotations))
    joints = gaussian(joints, FILTER_S * RATE_HZ)
    joints /= np.linalg.norm(joints, axis=-1, keepdims=True)
    kept = slice(line.clip.start, line.clip.stop, RATE_HZ // FPS)
    return Clip(
        name=name, fps=float(FPS), joint_names=model.joint_names, body_names=model.body_names,
        root_pos_w=gaussian(made.root, FILTER_S * RATE_HZ)[kept].astype(np.float32),
        root_quat_w=quaternion(made.rotations[kept, 0]).astype(np.float32),
        joint_quat=joints[kept].astype(np.float32), loop=loop,
    )  # fmt: skip


def posture(line: Timeline, model: BodyModel, idling: body.Idle) -> Posture:
    """Root, feet and all rotations: the root follows the centre of mass, whose place depends on the legs."""
    steps = {side: footsteps(line, side) for side in SIDES}
    lifts = {side: feet.first_lifts(line, steps[side]) for side in SIDES}
    upper = body.trunk_and_arms(line, idling)
    rise = body.bounce(line)
    heading = line.path[:, 2]
    com = body.pendulum_path(line, feet.centre_of_pressure(line, steps[RIGHT] + steps[LEFT]), rise)
    com += flat(heading, np.stack((idling.sway_ahead, idling.sway_left), axis=1))
    height = line.at("height") - line.style.crouch_m + rise

    def attempt(offset: Floats, lowered: Floats, lifts: dict[int, Floats]) -> Posture:
        root = np.column_stack((com - flat(heading, body.root_offset(line, offset)), height - lowered))
        hips = {side: root + upper["pelvis"] @ model.local(f"{name}_thigh") for side, name in SIDES.items()}
        paths = {side: feet.foot_path(model, line, steps[side], hips[side], lifts[side]) for side in SIDES}
        return Posture(root, _all_rotations(model, upper, hips, paths), hips, paths)

    lowered = np.zeros(len(com))
    made = attempt(np.zeros_like(com), lowered, lifts)
    for _ in range(PASSES - 1):
        lowered = lowered + legs.too_high(model, list(made.hips.values()), list(made.feet.values()))
        lifts = {side: feet.raised(model, line, steps[side], made.feet[side], lifts[side]) for side in SIDES}
        offset = flat(-heading, skeleton.centre_of_mass(model, made.rotations)[:, :2])
        made = attempt(offset, lowered, lifts)
    return made


def _all_rotations(
    model: BodyModel, upper: dict[str, Floats], hips: dict[int, Floats], paths: dict[int, feet.FootPath]
) -> Floats:
    """World rotations `(N, B, 3, 3)` with legs that join hips and feet."""
    turned = dict(upper)
    pelvis_yaw = legs.yaw_of(upper["pelvis"])
    for side, name in SIDES.items():
        path = paths[side]
        thigh, shin = legs.leg_rotations(model, hips[side], path.ankle, pelvis_yaw, path.yaw)
        turned |= {f"{name}_thigh": thigh, f"{name}_shin": shin, f"{name}_foot": feet.rotation(path)}
    return skeleton.world_rotations(model, turned)
