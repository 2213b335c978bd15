"""The torques of a robot's position motors as a module, to drive motors that take torques."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.maths import rotations
from isaachrl.sim import Robot
from isaachrl.sim.robot import Joint

USE = (
    "torques of the motors on each degree of freedom, in the order of dof_names: stiffness * (joint_targets - position)"
    " - damping * joint_vel, clamped to effort_range; the position of a ball joint is the exponential map of its"
    " rotation, and its error in brackets is wrapped to -pi to pi. Evaluate it once a physics"
    " step (physics_step_s) with the present positions and velocities, and hold"
    " the targets until the next control step. It is the torque that the engine's motors report at the beginning of a"
    " step. The engine integrates their damping implicitly: over the step it brakes the velocity that the step ends"
    " with, which is stable for any damping. A torque that is held over a step is not, so take a shorter step if joints"
    " of little inertia tremble."
)


def motor_contract(robot: Robot, physics_step_s: float) -> dict[str, Any]:
    """The meaning of inputs and output of `MotorTorques`, as plain data."""
    return {
        "robot": robot.name,
        "dof_names": list(robot.dof_names),
        "joint_pos": [
            {
                "joint": joint.name,
                "size": 4 if joint.ball else 1,
                "unit": "quaternion w, x, y, z" if joint.ball else "rad",
            }
            for joint in robot.joints
        ],
        "joint_vel": "rad/s, by degree of freedom; of a ball joint in the frame of the body that it moves",
        "unit": "N m",
        "stiffness": robot.stiffness.tolist(),
        "damping": robot.damping.tolist(),
        "effort_range": [[low, high] for low, high in robot.effort_range.tolist()],
        "physics_step_s": physics_step_s,
        "use": USE,
    }


class MotorTorques(nn.Module):
    """`stiffness * (target - position) - damping * velocity`, clamped to each motor's range.

    The error of a ball joint's motor is wrapped to half a turn, as by MuJoCo, which takes the shorter way round.

    Args:
        robot: with position motors.
    """

    quat_columns: Tensor
    hinge_columns: Tensor
    order: Tensor
    turn: Tensor
    stiffness: Tensor
    damping: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, robot: Robot) -> None:
        super().__init__()
        balls = [joint for joint in robot.joints if joint.ball]
        hinges = [joint for joint in robot.joints if not joint.ball]
        order = [d for joint in [*balls, *hinges] for d in _dofs(joint)]
        self.num_balls = len(balls)
        self.register_buffer("quat_columns", _columns([joint.qpos for joint in balls]))
        self.register_buffer("hinge_columns", _columns([joint.qpos for joint in hinges]))
        self.register_buffer("order", torch.tensor(order, dtype=torch.long).argsort())
        turn = [2.0 * math.pi if joint.ball else 0.0 for joint in robot.joints for _ in _dofs(joint)]
        self.register_buffer("turn", torch.tensor(turn))
        self.register_buffer("stiffness", robot.stiffness.clone())
        self.register_buffer("damping", robot.damping.clone())
        self.register_buffer("low", robot.effort_range[:, 0].clone())
        self.register_buffer("high", robot.effort_range[:, 1].clone())

    def forward(self, joint_targets: Tensor, joint_pos: Tensor, joint_vel: Tensor) -> Tensor:
        """Torques `(n, D)` in N m of targets `(n, D)`, coordinates as in `Sim.joint_pos`, and velocities `(n, D)`."""
        positions = joint_pos.index_select(1, self.hinge_columns)
        if self.num_balls:
            quat = joint_pos.index_select(1, self.quat_columns).unflatten(1, (self.num_balls, 4))
            turned = rotations.to_rotvec(rotations.normalize(quat)).flatten(1)
            positions = torch.cat((turned, positions), dim=1)
        error = joint_targets - positions.index_select(1, self.order)
        error = error - self.turn * torch.round(error / (2.0 * math.pi))
        return (self.stiffness * error - self.damping * joint_vel).clamp(self.low, self.high)


def _dofs(joint: Joint) -> range:
    return range(joint.dof.start, joint.dof.stop)


def _columns(slices: list[slice]) -> Tensor:
    """The columns of these slices, in order."""
    return torch.tensor([column for part in slices for column in range(part.start, part.stop)], dtype=torch.long)
