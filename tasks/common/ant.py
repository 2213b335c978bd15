"""State, goal space and start states of the ant's tasks."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.sim import Control, Robot, Sim

from .motors import motor_contract

NUM_COORDINATES, NUM_VELOCITIES = 15, 14
STATE_SIZE = NUM_COORDINATES + NUM_VELOCITIES + 1
TIME_SCALE = 0.001
VELOCITY_NOISE = 0.1
TIMESTEP_S, SUBSTEPS = 0.02, 5

# half ranges of the high level's relative goals: x y z, quaternion, then hip and ankle of each leg
GOAL_LIMITS = (10.0, 10.0, 0.5, 1.0, 1.0, 1.0, 1.0) + 4 * (0.5, 0.3)
# typical magnitudes in a walking ant's state: coordinates, linear, angular and joint velocities, time
STATE_SCALE = (10.0, 10.0) + 13 * (1.0,) + 3 * (2.0,) + 3 * (4.0,) + 8 * (6.0,) + (1.0,)


def state(sim: Sim, steps: Tensor) -> Tensor:
    """`(N, 30)`: the ant's coordinates and velocities, and `TIME_SCALE` times the control steps `(N,)` so far."""
    time = TIME_SCALE * steps.to(sim.qpos.dtype).unsqueeze(1)
    return torch.cat((sim.qpos[:, :NUM_COORDINATES], sim.qvel[:, :NUM_VELOCITIES], time), dim=1)


def state_layout(robot: Robot) -> list[tuple[str, int, str]]:
    """Name, size and unit of each part of `state`, in order."""
    joints = ", ".join(robot.joint_names)
    return [
        ("root_pos_w", 3, "m"),
        ("root_quat_w", 4, "w x y z"),
        ("joint_pos", robot.num_dofs, f"rad: {joints}"),
        ("root_linvel_w", 3, "m/s"),
        ("root_angvel_b", 3, "rad/s"),
        ("joint_vel", robot.num_dofs, "rad/s"),
        ("time", 1, f"control steps since the episode began, times {TIME_SCALE:g}"),
    ]


def motors(robot: Robot) -> dict[str, Any]:
    """Action contract: actions scale the effort limits."""
    return motor_contract(robot, Control.torque, torch.zeros_like(robot.effort_limit), robot.effort_limit)


def starts(sim: Sim, pose: Tensor, noise: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Coordinates `(N, nq)` and velocities `(N, nv)` of new episodes.

    The ant's coordinates are `pose (15,)` plus `noise (N, 15)`, with a normalised quaternion; its velocities are normal
    with standard deviation 0.1. Blocks start at zero, at rest.
    """
    shape, device = (sim.num_envs, NUM_VELOCITIES), sim.device
    qpos, qvel = torch.zeros_like(sim.qpos), torch.zeros_like(sim.qvel)
    qpos[:, :NUM_COORDINATES] = pose + noise
    qpos[:, 3:7] = torch.nn.functional.normalize(qpos[:, 3:7], dim=-1)
    qvel[:, :NUM_VELOCITIES] = VELOCITY_NOISE * torch.randn(shape, generator=generator, device=device)
    return qpos, qvel


def flipped(sim: Sim) -> Tensor:
    """`(N,)` bool: the ant is upside down."""
    return rotations.axis_z(sim.root_quat_w)[:, 2] < 0


def with_markers(boxes: Tensor, *markers: Tensor) -> Tensor:
    """Mocap positions `(N, M, 3)` of boxes `(M', 3)` and markers `(N, 2 | 3)`, by default at the ant's height."""
    points = [m if m.shape[1] > 2 else torch.cat((m, torch.full_like(m[:, :1], 0.75)), dim=1) for m in markers]
    return torch.cat((boxes.expand(len(points[0]), -1, -1), torch.stack(points, 1)), dim=1)
