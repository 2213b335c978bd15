"""From a file's own axes, unit and frames to metres, z up: what is not typed is detected, and said in the notes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.errors import ClipError, ConfigError, nearest
from isaachrl.maths import rotations
from isaachrl.motion.source.names import find_roles
from isaachrl.motion.source.skeleton import RawMotion, SourceMotion, check_raw, forward

UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "cmu": 0.0254 / 0.45}  # the last is of CMU's skeletons
AXES = ("x", "y", "z", "-x", "-y", "-z")
QUATS = ("wxyz", "xyzw")
LEG_M = 0.83  # of an adult, hip to ankle; the unit whose leg comes nearest to it is taken
LEG_SPREAD = 1.3  # if no unit comes nearer than by this factor, the file has a unit of its own
ALONG = 0.5  # least share of the leg's length by which the trunk is above the feet along the upward axis
ARMS_OUT, ARMS_LEAP = (
    0.85,
    0.35,
)  # of a T-pose: sine of the arms' angle to the vertical, and their turn to the next frame


@dataclass
class SourceCfg:
    """What is known about a motion file; `auto` and None are detected.

    Args:
        up: the axis that points up: `x`, `y`, `z`, `-x`, `-y` or `-z`.
        unit: of lengths: `m`, `cm`, `mm`, `in`, `cmu` (0.0564 m), or a number of metres.
        quat: order of quaternions, `wxyz` or `xyzw`.
        t_pose: whether the first frame is a calibration pose to `drop`, or to `keep`.
        fps: frames per second, where the file is wrong or has none.
        clip_fps: frames per second of the clip; fewer if the file has fewer.
        start_s, end_s: the part to import.
        roles: nodes by role, such as `{left_knee: LKnee}`.
        robot: the robot whose coordinates a file of generalised positions has; None takes that of the import.
    """

    up: str = "auto"
    unit: str = "auto"
    quat: str = "auto"
    t_pose: str = "auto"
    fps: float | None = bounded(None, 1.0, 1000.0)
    clip_fps: float = bounded(60.0, 10.0, 240.0)
    start_s: float = bounded(0.0, 0.0)
    end_s: float | None = bounded(None, 0.0)
    roles: dict[str, str] = field(default_factory=dict)
    robot: str | None = None

    def __post_init__(self) -> None:
        """Check the words."""
        valid = {"up": AXES, "quat": QUATS, "t_pose": ("keep", "drop"), "unit": tuple(UNITS_M)}
        for key, words in valid.items():
            typed = getattr(self, key)
            if typed not in ("auto", *words) and not (key == "unit" and _number(typed) > 0.0):
                raise ConfigError(f"source.{key}={typed} is unknown{nearest(str(typed), ('auto', *words))}")


def settle(raw: RawMotion, cfg: SourceCfg) -> SourceMotion:
    """A raw motion in metres, z up.

    Raises:
        ClipError: its numbers are no motion, or its skeleton is unknown.
    """
    check_raw(raw)
    roles = find_roles(raw.names, {**raw.roles, **cfg.roles}, where=f"{raw.name}: ")
    notes = [f"{raw.kind}, {raw.frames} frames at {raw.fps:g} per second, {len(raw.names)} nodes"]
    notes += [
        f"no node was found for {role}, so the forearm stays at rest (source.roles.{role}=NODE)"
        for role in ("left_hand", "right_hand")
        if role not in roles
    ]
    raw = raw.cut(*_span(raw, cfg))
    pos, quat = forward(raw)
    drop = cfg.t_pose == "drop" or (cfg.t_pose == "auto" and _starts_with_t_pose(pos, roles))
    if drop and len(pos) > 2:
        pos, quat = pos[1:], None if quat is None else quat[1:]
        notes.append("the first frame is a T-pose and is left out (source.t_pose)")
    scale, said = _unit(raw, cfg, pos, roles)
    notes.append(said)
    up, said = _up(raw, cfg, pos, roles)
    notes.append(said)
    if raw.quat_order:
        notes.append(f"quaternions are {' '.join(raw.quat_order)} (source.quat)")
    turn = turn_to_z(up)
    if quat is not None:
        quat = _turned(turn, quat)
    pos = (pos @ turn.T) * scale
    return SourceMotion(raw.name, raw.names, raw.parents, raw.fps, raw.offset * scale, pos, quat, roles, tuple(notes))


def upward_share(pos: Tensor, roles: Mapping[str, int]) -> Tensor:
    """`(3,)` by how much the shoulders are above the feet along each axis, as a share of hip to foot; the median."""
    trunk = pos[:, [roles["left_shoulder"], roles["right_shoulder"]]].mean(1)
    feet = pos[:, [roles["left_foot"], roles["right_foot"]]].mean(1)
    return ((trunk - feet) / leg_length(pos, roles)).median(0).values


def leg_length(pos: Tensor, roles: Mapping[str, int]) -> float:
    """Thigh plus shank, the median over frames and the mean of both sides.

    Raises:
        ClipError: it is zero.
    """
    total = 0.0
    for side in ("left", "right"):
        hip, knee, foot = (pos[:, roles[f"{side}_{limb}"]] for limb in ("hip", "knee", "foot"))
        total += 0.5 * float(((hip - knee).norm(dim=-1) + (knee - foot).norm(dim=-1)).median())
    if not total > 1e-6:
        raise ClipError("the legs of the skeleton have no length: hips, knees and feet are at the same place")
    return total


def turn_to_z(up: str) -> Tensor:
    """The rotation matrix `(3, 3)`, of determinant +1, that turns an axis to z."""
    source = torch.zeros(3, dtype=torch.float64)
    source["xyz".index(up[-1])] = -1.0 if up.startswith("-") else 1.0
    if source[2].abs() > 0.5:  # already z, or upside down: half a turn about x
        return torch.diag(torch.tensor([1.0, source[2], source[2]], dtype=torch.float64))
    target = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    axis = torch.linalg.cross(source, target)
    cross = torch.zeros(3, 3, dtype=torch.float64)
    cross[0, 1], cross[0, 2], cross[1, 2] = -axis[2], axis[1], -axis[0]
    cross = cross - cross.T
    return torch.eye(3, dtype=torch.float64) + cross + cross @ cross


def _turned(turn: Tensor, quat: Tensor) -> Tensor:
    """Rotations `(F, K, 4)`, followed by a rotation matrix that is made of quarter turns."""
    return rotations.multiply(from_matrix(turn).expand_as(quat), quat)


def from_matrix(matrix: Tensor) -> Tensor:
    """Quaternions `(…, 4)` of rotation matrices `(…, 3, 3)`: the eigenvector of the largest of four products."""
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    rows = [
        torch.stack(
            (1 + trace, m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]), -1
        )
    ]
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        row = [torch.zeros_like(trace)] * 4
        row[0] = m[..., k, j] - m[..., j, k]
        row[1 + i] = 1 + m[..., i, i] - m[..., j, j] - m[..., k, k]
        row[1 + j] = m[..., j, i] + m[..., i, j]
        row[1 + k] = m[..., k, i] + m[..., i, k]
        rows.append(torch.stack(row, -1))
    products = torch.stack(rows, -2)
    largest = products.norm(dim=-1).argmax(-1)
    best = products.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4)).squeeze(-2)
    return best / best.norm(dim=-1, keepdim=True)


def _number(text: Any) -> float:
    """A number, or nan."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _span(raw: RawMotion, cfg: SourceCfg) -> tuple[int, int]:
    """First frame and stop of the part to import."""
    first = round(cfg.start_s * raw.fps)
    stop = raw.frames if cfg.end_s is None else min(raw.frames, round(cfg.end_s * raw.fps) + 1)
    if stop - first < 2:
        raise ClipError(
            f"{raw.name}: start_s={cfg.start_s:g} end_s={cfg.end_s} (source.start_s, source.end_s, or in a list)"
            f" leave {max(stop - first, 0)} of {raw.frames} frames ({raw.frames / raw.fps:.2f} s), expected at least 2"
        )
    return first, stop


def _unit(raw: RawMotion, cfg: SourceCfg, pos: Tensor, roles: Mapping[str, int]) -> tuple[float, str]:
    """Metres in a unit: typed, of the format, or by the length of the legs; and a note."""
    leg = leg_length(pos, roles)
    if cfg.unit != "auto":
        scale, how = UNITS_M.get(cfg.unit) or _number(cfg.unit), "typed"
    elif raw.unit_m:
        scale, how = raw.unit_m, f"of {raw.kind}"
    else:
        scale = min(UNITS_M.values(), key=lambda unit: abs(math.log(leg * unit / LEG_M)))
        how = "by the length of the legs"
        if abs(math.log(leg * scale / LEG_M)) > math.log(LEG_SPREAD):
            scale, how = LEG_M / leg, "as no usual unit gives legs of an adult's length"
    return scale, f"a unit is {scale:.4g} m, {how}; the legs are {leg * scale:.3f} m long (source.unit)"


def _up(raw: RawMotion, cfg: SourceCfg, pos: Tensor, roles: Mapping[str, int]) -> tuple[str, str]:
    """The axis that points up: typed, of the format, or by where shoulders and feet are; and a note."""
    if cfg.up != "auto":
        return cfg.up, f"up is {cfg.up}, typed (source.up)"
    if raw.up:
        return raw.up, f"up is {raw.up}, as in any {raw.kind} (source.up)"
    share = upward_share(pos, roles)
    at = int(share.abs().argmax())
    up = ("-" if share[at] < 0 else "") + "xyz"[at]
    if float(share.abs().max()) < ALONG:
        return "y", f"up is y, the custom of {raw.kind}: the body lies or tumbles for most of the time (source.up)"
    return up, f"up is {up}, by the median of where shoulders and feet are (source.up)"


def _starts_with_t_pose(pos: Tensor, roles: Mapping[str, int]) -> bool:
    """Whether both arms are straight and level in the first frame alone; without hands, the upper arms."""
    spine = pos[:2, [roles["left_shoulder"], roles["right_shoulder"]]].mean(1) - pos[:2, roles["pelvis"]]
    spine = spine / spine.norm(dim=-1, keepdim=True)
    out, leap = [], []
    for side in ("left", "right"):
        elbow, shoulder = roles[f"{side}_elbow"], roles[f"{side}_shoulder"]
        hand = roles.get(f"{side}_hand", elbow)
        arm = pos[:2, hand] - pos[:2, shoulder]
        length = (pos[0, elbow] - pos[0, shoulder]).norm() + (pos[0, hand] - pos[0, elbow]).norm()
        level = torch.linalg.cross(arm[0] / length, spine[0]).norm()
        out.append(bool(level > ARMS_OUT))
        leap.append(bool((arm[1] - arm[0]).norm() > ARMS_LEAP * length))
    return all(out) and any(leap)
