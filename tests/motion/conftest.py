"""Hand-made motions of the humanoid."""

from collections.abc import Callable

import numpy as np
import pytest

from isaachrl.motion.clip import Clip
from isaachrl.sim import Robot, load_robot

MakeClip = Callable[..., Clip]


@pytest.fixture(scope="session")
def robot() -> Robot:
    return load_robot("humanoid")


@pytest.fixture(scope="session")
def make_clip(robot: Robot) -> MakeClip:
    """A clip from root positions (F, 3), headings (F,) and elbow angles (F,) of the right arm; the rest is at rest."""

    def make(pos, yaw=None, elbow=None, fps=10.0, loop=False, name="made") -> Clip:
        frames, joints = len(pos), len(robot.joints)
        half_yaw = 0.5 * np.zeros(frames) if yaw is None else 0.5 * np.asarray(yaw)
        half_elbow = 0.5 * np.zeros(frames) if elbow is None else 0.5 * np.asarray(elbow)
        root, joint = np.zeros((frames, 4)), np.zeros((frames, joints, 4))
        root[:, 0], root[:, 3] = np.cos(half_yaw), np.sin(half_yaw)
        joint[..., 0] = 1.0
        at = robot.joint_names.index("right_elbow")  # its axis is y
        joint[:, at, 0], joint[:, at, 2] = np.cos(half_elbow), np.sin(half_elbow)
        return Clip(name, fps, robot.joint_names, robot.body_names, np.asarray(pos), root, joint, loop)

    return make
