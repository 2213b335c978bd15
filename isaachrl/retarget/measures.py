"""Measures of a clip on its robot, and a verdict: imitable, doubtful or refused, with the number that decided."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.checks import largest_slip_m
from isaachrl.motion.clip import Clip
from isaachrl.motion.library import fit_to_robot
from isaachrl.retarget.body import FEET, RobotBody
from isaachrl.retarget.contacts import LEG_M, spans

Floats = NDArray[np.float64]

IMITABLE, DOUBTFUL, REFUSED = "imitable", "doubtful", "refused"
# measure: values beyond which a clip is doubtful, and refused; lengths for a robot with legs of LEG_M
LIMITS = {
    "slip_m": (0.05, 0.12),
    "penetration_m": (0.03, 0.10),
    "float_m": (0.02, 0.06),
    "air_s": (0.7, 1.2),
    "beyond_range_rad": (0.05, 0.5),
    "peak_speed_rad_s": (25.0, 50.0),
    "self_collision_m": (0.03, 0.08),
    "key_body_error_m": (0.05, 0.15),
    "moved_m": (0.15, 0.40),
    "foot_roll_rad": (0.15, 0.4),
    "backward_share": (0.5, math.inf),
}
FLOAT_QUANTILE = 0.1  # share of frames in which the body is as low as `float_m` or lower
LIFTED_M = 0.05  # the lowest point of a body in the air is higher
STANDS_M = 0.02  # a foot is no higher
FACING = (0.5, 0.3)  # m/s and m: a slower or shorter way has no direction


@dataclass(frozen=True)
class Measures:
    """What was measured of a clip.

    Args:
        frames, seconds: its length.
        slip_m: largest way of a point of a sole on the floor during one contact.
        penetration_m: largest depth of any geom below the floor.
        float_m: height of the lowest point of the body above the floor, in the lowest tenth of the frames.
        air_s: longest time without any contact.
        beyond_range_rad: largest excess of a joint beyond its range.
        margin_rad: smallest distance of a joint to the end of its range; negative outside.
        margin_dof: the degree of freedom with that margin.
        peak_speed_rad_s: largest speed of a joint.
        peak_speed_dof: which one.
        self_collision_m: largest depth of two bodies in each other.
        key_body_error_m: mean distance of the key bodies from their targets; 0 for a clip without targets.
        moved_m: farthest way by which a foot was moved to stay where it stands; 0 for a clip without targets.
        foot_roll_rad: median tilt to the side of a foot that stands, of the foot with the larger one.
        backward_share: share of the way on which the robot walks with its back ahead.
        at_s: by measure, the time in the clip at which it was reached, or at which its span begins; of those that have
            one.
    """

    frames: int
    seconds: float
    slip_m: float
    penetration_m: float
    float_m: float
    air_s: float
    beyond_range_rad: float
    margin_rad: float
    margin_dof: str
    peak_speed_rad_s: float
    peak_speed_dof: str
    self_collision_m: float
    key_body_error_m: float
    moved_m: float
    foot_roll_rad: float
    backward_share: float
    at_s: Mapping[str, float]

    def verdict(self, leg_m: float = LEG_M) -> tuple[str, str]:
        """`imitable`, `doubtful` or `refused`, and the measures that decided: `slip_m 0.041 > 0.03 at 1.20 s`.

        Args:
            leg_m: length of the robot's legs, with which lengths are allowed to grow.
        """
        beyond: dict[str, list[str]] = {REFUSED: [], DOUBTFUL: []}
        for name, limits in LIMITS.items():
            size, value = leg_m / LEG_M if name.endswith("_m") else 1.0, getattr(self, name)
            for word, limit in ((REFUSED, size * limits[1]), (DOUBTFUL, size * limits[0])):
                if not value <= limit:
                    moment = f" at {self.at_s[name]:.2f} s" if name in self.at_s else ""
                    beyond[word].append(f"{name} {value:.3g} > {limit:.3g}{moment}")
                    break
        for word, found in beyond.items():
            if found:
                return word, ", ".join(found)
        return IMITABLE, ""


def measure(
    clip: Clip, body: RobotBody, targets: Mapping[str, Floats] | None = None, moved_m: Floats | None = None
) -> Measures:
    """Measure a clip.

    Args:
        clip: of the robot.
        body: the robot; the floor of its scene is at height 0.
        targets: positions `(F, 3)` of bodies by role that the clip was made for.
        moved_m: `(F,)` how far feet were moved to stay where they stand.

    Raises:
        ClipError: the clip's joints or bodies are not the robot's.
    """
    clip, robot = fit_to_robot(clip, body.robot), body.robot
    joints = torch.from_numpy(clip.joint_quat).double()
    qpos = torch.cat((
        torch.from_numpy(clip.root_pos_w).double(), torch.from_numpy(clip.root_quat_w).double(),
        kinematics.qpos_from_joint_quat(robot, joints),
    ), dim=-1).numpy()  # fmt: skip
    angles = kinematics.dof_pos(robot, joints)
    margins = torch.minimum(angles - robot.dof_range_rad[:, 0], robot.dof_range_rad[:, 1] - angles)
    speed = kinematics.dof_velocity(robot, joints, 1.0 / clip.fps).abs()
    scan = _scan(body, qpos, targets or {})
    slip_m, slip_frame = largest_slip_m(scan.soles, clip.fps)
    lifted = max(spans(scan.lowest > LIFTED_M), key=lambda span: span[1] - span[0], default=(0, 0))
    worst = {
        "slip_m": slip_frame, "penetration_m": scan.lowest.argmin(), "air_s": lifted[0],
        "beyond_range_rad": margins.amin(1).argmin(), "peak_speed_rad_s": speed.amax(1).argmax(),
        "self_collision_m": scan.overlap.argmax(),
    }  # fmt: skip
    if moved_m is not None:
        worst["moved_m"] = moved_m.argmax()
    return Measures(
        frames=clip.num_frames,
        seconds=clip.duration_s,
        slip_m=slip_m,
        penetration_m=max(0.0, -float(scan.lowest.min())),
        float_m=max(0.0, float(np.quantile(scan.lowest, FLOAT_QUANTILE))),
        air_s=(lifted[1] - lifted[0]) / clip.fps,
        beyond_range_rad=max(0.0, -float(margins.min())),
        margin_rad=float(margins.min()),
        margin_dof=robot.dof_names[int(margins.amin(0).argmin())],
        peak_speed_rad_s=float(speed.max()),
        peak_speed_dof=robot.dof_names[int(speed.amax(0).argmax())],
        self_collision_m=float(scan.overlap.max()),
        key_body_error_m=float(scan.error.mean()),
        moved_m=0.0 if moved_m is None else float(moved_m.max()),
        foot_roll_rad=_foot_roll_rad(scan),
        backward_share=_backward_share(clip),
        at_s={name: int(frame) / clip.fps for name, frame in worst.items()},
    )


@dataclass(frozen=True)
class _Scan:
    """What MuJoCo's kinematics and collisions of all frames give.

    Args:
        soles: `(F, P, 3)` points of the soles.
        foot_height: `(F, 2)` of each sole's lowest point.
        foot_roll: `(F, 2)` rad, by which each foot is turned about its length since the standing pose.
        lowest: `(F,)` height of the lowest point of all geoms.
        overlap: `(F,)` largest depth of two geoms of the robot in each other, beyond that of the standing pose.
        error: `(F,)` mean distance of bodies from their targets; 0 without targets.
    """

    soles: Floats
    foot_height: Floats
    foot_roll: Floats
    lowest: Floats
    overlap: Floats
    error: Floats


def _scan(body: RobotBody, qpos: Floats, targets: Mapping[str, Floats]) -> _Scan:
    model, data = body.model, mujoco.MjData(body.model)
    feet = [(model.body(body.body[foot]).id, body.robot.soles[body.body[foot]].double().numpy()) for foot in FEET]
    keys = [(model.body(body.body[role]).id, path) for role, path in targets.items()]
    solid = np.flatnonzero((model.geom_bodyid > 0) & ((model.geom_contype > 0) | (model.geom_conaffinity > 0)))
    data.qpos[:] = model.qpos0
    data.qpos[: len(body.robot.stand_qpos)] = body.robot.stand_qpos
    usual = _overlaps(model, data)
    across = [data.xmat[i].reshape(3, 3)[1].copy() for i, _ in feet]  # the y axis of the standing pose
    soles, height, roll = [], np.zeros((len(qpos), 2)), np.zeros((len(qpos), 2))
    lowest, overlap, error = np.zeros((3, len(qpos)))
    for frame, row in enumerate(qpos):
        data.qpos[: qpos.shape[1]] = row
        deep = _overlaps(model, data)
        overlap[frame] = max([0.0, *(depth - usual.get(pair, 0.0) for pair, depth in deep.items())])
        turn = [data.xmat[i].reshape(3, 3) for i, _ in feet]
        placed = [data.xpos[i] + points @ turn[foot].T for foot, (i, points) in enumerate(feet)]
        soles.append(np.concatenate(placed))
        height[frame] = [points[:, 2].min() for points in placed]
        roll[frame] = [math.asin(np.clip(turn[foot][2] @ across[foot], -1.0, 1.0)) for foot in range(2)]
        lowest[frame] = min(_lowest(model, data, solid), soles[-1][:, 2].min())
        if keys:
            error[frame] = np.mean([np.linalg.norm(data.xpos[i] - path[frame]) for i, path in keys])
    return _Scan(np.array(soles), height, roll, lowest, overlap, error)


def _foot_roll_rad(scan: _Scan) -> float:
    """See `Measures.foot_roll_rad`."""
    rolls = (scan.foot_roll[scan.foot_height[:, foot] < STANDS_M, foot] for foot in range(2))
    return max((abs(float(np.median(roll))) for roll in rolls if len(roll)), default=0.0)


def _overlaps(model: mujoco.MjModel, data: mujoco.MjData) -> dict[tuple[int, int], float]:
    """Depth of the robot's geoms in each other, by pair."""
    mujoco.mj_kinematics(model, data)
    mujoco.mj_collision(model, data)
    depths: dict[tuple[int, int], float] = {}
    for contact in range(data.ncon):
        a, b = (int(geom) for geom in data.contact.geom[contact])
        if model.geom_bodyid[a] and model.geom_bodyid[b]:
            depths[a, b] = max(depths.get((a, b), 0.0), -float(data.contact.dist[contact]))
    return depths


def _lowest(model: mujoco.MjModel, data: mujoco.MjData, geoms: NDArray[np.int_]) -> float:
    """Height of the lowest point of some geoms; a mesh counts by its vertices' box."""
    size, rot = model.geom_size[geoms], data.geom_xmat[geoms][:, 6:9]  # the vertical components of the geoms' axes
    kind, height = model.geom_type[geoms], data.geom_xpos[geoms, 2]
    down = np.abs(rot)
    reach = np.linalg.norm(size * rot, axis=1)  # ellipsoid
    box = (size * down).sum(1)
    capsule = size[:, 0] + size[:, 1] * down[:, 2]
    cylinder = size[:, 0] * np.sqrt(np.maximum(1.0 - rot[:, 2] ** 2, 0.0)) + size[:, 1] * down[:, 2]
    types = mujoco.mjtGeom
    reach = np.where((kind == types.mjGEOM_BOX) | (kind == types.mjGEOM_MESH), box, reach)
    reach = np.where(kind == types.mjGEOM_CAPSULE, capsule, reach)
    reach = np.where(kind == types.mjGEOM_CYLINDER, cylinder, reach)
    reach = np.where(kind == types.mjGEOM_SPHERE, size[:, 0], reach)
    return float((height - reach).min(initial=np.inf))


def _backward_share(clip: Clip) -> float:
    """Share of the way with the back ahead; 0 for a clip that goes nowhere."""
    heading = rotations.heading(torch.from_numpy(clip.root_quat_w).double()).numpy()
    step = np.diff(clip.root_pos_w[:, :2].astype(np.float64), axis=0)
    length = np.linalg.norm(step, axis=1)
    moving = length * clip.fps > FACING[0]
    if length[moving].sum() < FACING[1]:
        return 0.0
    ahead = step[:, 0] * np.cos(heading[1:]) + step[:, 1] * np.sin(heading[1:])
    return float(length[moving & (ahead < -0.5 * length)].sum() / length[moving].sum())
