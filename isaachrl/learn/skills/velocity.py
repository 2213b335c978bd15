"""Velocity reward: for moving and turning as fast as the commanded motion does.

A discriminator detects a wrong joint angle much earlier than a wrong speed, which is one number among hundreds: under
the style reward alone a policy walks briskly where it should jog. This term tracks the velocity explicitly, like the
velocity tasks of Peng et al. 2021, with the motion's own mean velocity as the target.
"""

import torch
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.learn.skills.motions import ImitationTask
from isaachrl.nn.motion_embedding import MotionEmbedding
from isaachrl.sim import Robot
from isaachrl.sim.soles import FEET

_HIP_M = 0.88  # height of the shipped humanoid's hips above its soles; the scales below are for it
_SPEED_SCALE_MPS = 0.5
_TURN_SCALE_RAD_S = 0.7  # larger: the pelvis yaws by half a radian per second within every stride
# of a quick motion's: with the scales above, a body that stands still would be too far off to learn
_SPEED_SHARE = 0.4
_TURN_SHARE = 0.6


class VelocityReward:
    """`exp(-|v - v*|^2 / max(0.5, 0.4 |v*|)^2 - (w - w*)^2 / max(0.7, 0.6 |w*|)^2)`: planar velocity, yaw rate.

    Both are in the heading frame.

    0.5 m/s and 0.7 rad/s are for the shipped humanoid. Robots move alike at equal Froude numbers `v^2 / (g l)`, with
    hips at a height of `l`: scales of speed grow with the root of `l`, those of turning shrink with it.

    A product, not a sum: standing still earns nothing where turning on the spot is commanded.

    Args:
        task: has the layout of a style frame, and the robot.
        embedding: has the segments' mean style frames, and their probabilities for a latent.
        temperature: of these probabilities, see `MotionEmbedding.segment_probabilities`.

    Raises:
        ConfigError: the task's style frames contain no velocities.
    """

    def __init__(self, task: ImitationTask, embedding: MotionEmbedding, temperature: float) -> None:
        columns = self._columns(task)
        self._embedding, self._temperature = embedding, temperature
        pace = leg_scale(task.sim.robot) ** 0.5
        self._speed_scale, self._turn_scale = _SPEED_SCALE_MPS * pace, _TURN_SCALE_RAD_S / pace
        self._columns_of_frame = torch.tensor(columns, device=embedding.features.device)

    def __call__(self, window: Tensor, latent: Tensor) -> Tensor:
        """Reward `(n,)`, 0 to 1, of windows `(n, W * style size)`, newest frame first, under latents `(n, d)`."""
        # the first half of the features are the frames' means
        means = self._embedding.features.index_select(1, self._columns_of_frame)
        target = self._embedding.segment_probabilities(latent, self._temperature) @ means
        error = (window.index_select(-1, self._columns_of_frame) - target).square()
        speed_scale = (_SPEED_SHARE * target[:, :2].norm(dim=-1)).clamp_min(self._speed_scale)
        turn_scale = (_TURN_SHARE * target[:, 2].abs()).clamp_min(self._turn_scale)
        return torch.exp(-error[:, :2].sum(-1) / speed_scale.square() - error[:, 2] / turn_scale.square())

    @staticmethod
    def _columns(task: ImitationTask) -> list[int]:
        """Columns of forward velocity, sideways velocity and yaw rate in a style frame."""
        first, column = {}, 0
        for name, size, _ in task.style_layout:
            first[name] = column
            column += size
        try:
            linvel, angvel = first["root_linvel_h"], first["root_angvel_h"]
        except KeyError as error:
            raise ConfigError(
                f"train.reward.velocity needs {error} in the task's style_layout, which has {list(first)};"
                " type train.reward.velocity=0"
            ) from None
        return [linvel, linvel + 1, angvel + 2]


def leg_scale(robot: Robot) -> float:
    """Height of the standing robot's hips relative to the shipped humanoid's, to two digits; 1 without legs."""
    if not {"pelvis", *FEET} <= set(robot.roles):
        return 1.0
    pelvis = robot.body_names.index(robot.roles["pelvis"])
    body = robot.body_names.index(robot.roles[FEET[0]])
    while robot.parents[body] not in (pelvis, 0, -1):  # to the first body of the leg, whose origin is at the hip
        body = robot.parents[body]
    return round(float(robot.stand_pos_m[body, 2]) / _HIP_M, 2)
