"""How far apart two velocities of a body are, for robots of any size."""

from torch import Tensor

from isaachrl.sim.robot import Robot
from isaachrl.sim.soles import FEET

_HIP_M = 0.88  # height of the shipped humanoid's hips above its soles; the scales below are for it
_TURN_SCALE_RAD_S = 0.7  # larger: the pelvis yaws by half a radian per second within every stride
# of a quick motion's: with the scales above, a body that stands still would be too far off to learn
_SPEED_SHARE = 0.4
_TURN_SHARE = 0.6


class VelocityError:
    """`|v - v*|^2 / max(s, 0.4 |v*|)^2 + (w - w*)^2 / max(0.7, 0.6 |w*|)^2` of velocities on the floor.

    s m/s and 0.7 rad/s are for the shipped humanoid. Robots move alike at equal Froude numbers `v^2 / (g l)`, with
    hips at a height of `l`: scales of speed grow with the root of `l`, those of turning shrink with it.

    Args:
        robot: the body.
        speed_scale_mps: s.
    """

    def __init__(self, robot: Robot, speed_scale_mps: float) -> None:
        pace = leg_scale(robot) ** 0.5
        self._speed_scale, self._turn_scale = speed_scale_mps * pace, _TURN_SCALE_RAD_S / pace

    def __call__(self, velocity: Tensor, target: Tensor) -> Tensor:
        """`(…)` of velocities ahead and to the left, m/s, and yaw rates, rad/s: `(…, 3)` both."""
        error = (velocity - target).square()
        speed_scale = (_SPEED_SHARE * target[..., :2].norm(dim=-1)).clamp_min(self._speed_scale)
        turn_scale = (_TURN_SHARE * target[..., 2].abs()).clamp_min(self._turn_scale)
        return error[..., :2].sum(-1) / speed_scale.square() + error[..., 2] / turn_scale.square()


def leg_scale(robot: Robot) -> float:
    """Height of the standing robot's hips relative to the shipped humanoid's, to two digits; 1 without legs."""
    if not {"pelvis", *FEET} <= set(robot.roles):
        return 1.0
    pelvis = robot.body_names.index(robot.roles["pelvis"])
    body = robot.body_names.index(robot.roles[FEET[0]])
    while robot.parents[body] not in (pelvis, 0, -1):  # to the first body of the leg, whose origin is at the hip
        body = robot.parents[body]
    return round(float(robot.stand_pos_m[body, 2]) / _HIP_M, 2)
