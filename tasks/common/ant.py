"""What the ant's tasks share: what is sensed, the goal space of the published hierarchies, how episodes start."""

import torch
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.sim import Sim

NUM_COORDINATES, NUM_VELOCITIES = 15, 14
STATE_SIZE = NUM_COORDINATES + NUM_VELOCITIES + 1
TIME_SCALE = 0.001
START_NOISE = 0.1
STEP_S, TIMESTEP_S, SUBSTEPS = 0.1, 0.02, 5

# half ranges of the changes that a manager may ask for: x y z, quaternion, then hip and ankle of each leg
GOAL_LIMITS = (10.0, 10.0, 0.5, 1.0, 1.0, 1.0, 1.0) + 4 * (0.5, 0.3)
# typical sizes of the state's entries under a walking ant: coordinates, linear, angular and joint velocities, time
STATE_SCALE = (10.0, 10.0) + 13 * (1.0,) + 3 * (2.0,) + 3 * (4.0,) + 8 * (6.0,) + (1.0,)


def state(sim: Sim, steps: Tensor) -> Tensor:
    """`(N, 30)`: the ant's coordinates, its velocities, a thousandth of the control steps `(N,)` so far."""
    time = TIME_SCALE * steps.to(sim.qpos.dtype).unsqueeze(1)
    return torch.cat((sim.qpos[:, :NUM_COORDINATES], sim.qvel[:, :NUM_VELOCITIES], time), dim=1)


def starts(sim: Sim, pose: Tensor, spread: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Coordinates `(N, nq)` and velocities `(N, nv)` of new episodes.

    Every coordinate of the ant is `pose (15,)` with a uniform deviation up to `spread`, its quaternion brought back
    to unit length; its velocities are normal with that deviation. What else the world holds is at zero, at rest.
    """
    n, device = sim.num_envs, sim.device
    noise = 2.0 * torch.rand(n, NUM_COORDINATES, generator=generator, device=device) - 1.0
    qpos, qvel = torch.zeros_like(sim.qpos), torch.zeros_like(sim.qvel)
    qpos[:, :NUM_COORDINATES] = pose + spread * noise
    qpos[:, 3:7] = torch.nn.functional.normalize(qpos[:, 3:7], dim=-1)
    qvel[:, :NUM_VELOCITIES] = spread * torch.randn(n, NUM_VELOCITIES, generator=generator, device=device)
    return qpos, qvel


def flipped(sim: Sim) -> Tensor:
    """`(N,)` bool: the ant lies on its back, from where it seldom rises."""
    return rotations.axis_z(sim.root_quat_w)[:, 2] < 0


def with_markers(sim: Sim, boxes: Tensor, *markers: Tensor) -> Tensor:
    """Places `(N, M, 3)` of boxes `(M', 3)` and of markers, each `(N, 2 | 3)`: on the ground plane, at body height."""
    height = torch.full((sim.num_envs, 1), 0.75, device=sim.device)
    points = [torch.cat((marker[:, :2], marker[:, 2:3] if marker.shape[1] > 2 else height), 1) for marker in markers]
    return torch.cat((boxes.expand(sim.num_envs, -1, -1), torch.stack(points, 1)), dim=1)
