"""From a motion file to a clip of a robot, with its measures and verdict."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isaachrl.errors import ClipError, ConfigError
from isaachrl.motion import kinematics
from isaachrl.motion.clip import Clip
from isaachrl.motion.source.figure import figure
from isaachrl.motion.source.plausible import require_plausible
from isaachrl.motion.source.skeleton import SourceMotion
from isaachrl.retarget.body import RobotBody
from isaachrl.retarget.measures import Measures, measure
from isaachrl.retarget.targets import Targets, make_targets
from isaachrl.shipped import installing

MOST_FPS = 60.0
FEW_FRAMES = 5


@dataclass(frozen=True)
class Retargeted:
    """A motion on a robot.

    Args:
        clip: the motion.
        measures: of the clip.
        verdict: `imitable`, `doubtful` or `refused`.
        reason: the measures that decided.
        source: the motion that it was made of, at the clip's frame rate.
        targets: for the robot's bodies.
    """

    clip: Clip
    measures: Measures
    verdict: str
    reason: str
    source: SourceMotion
    targets: Targets


def retarget(source: SourceMotion, body: RobotBody, fps: float = MOST_FPS) -> Retargeted:
    """Retarget a motion.

    Args:
        source: the motion.
        body: the robot.
        fps: frames per second of the clip; fewer if the source has fewer.

    Raises:
        ClipError: too few frames, or a motion that cannot be right.
        ConfigError: mink is not installed.
    """
    if source.num_frames < FEW_FRAMES:
        raise ClipError(
            f"{source.name} has {source.num_frames} frames, expected at least {FEW_FRAMES}: that is no motion"
        )
    require_plausible(source, figure(source))
    source = source.resampled(fps) if source.fps > fps * 1.01 else source
    targets = make_targets(figure(source), body)
    qpos = torch.from_numpy(load_solver().solve(body, targets, source.fps))
    clip = as_clip(source.name, body, qpos, source.fps)
    measures = measure(clip, body, targets.pos_w_m, targets.moved_m)
    verdict, reason = measures.verdict(body.leg_m)
    return Retargeted(clip, measures, verdict, reason, source, targets)


def load_solver() -> Any:
    """The module `isaachrl.retarget.solver`.

    Raises:
        ConfigError: mink is not installed.
    """
    try:
        from isaachrl.retarget import solver
    except ImportError as error:
        raise ConfigError(
            f"retargeting needs mink, which cannot be imported ({error}); type {installing('motions')}"
        ) from error
    return solver


def as_clip(name: str, body: RobotBody, qpos: Tensor, fps: float) -> Clip:
    """A clip of generalised positions `(F, nq)`."""
    robot = body.robot
    return Clip(
        name, fps, robot.joint_names, robot.body_names, qpos[:, :3].numpy(), qpos[:, 3:7].numpy(),
        kinematics.joint_quat_from_qpos(robot, qpos[:, 7:].float()).numpy(),
    )  # fmt: skip
