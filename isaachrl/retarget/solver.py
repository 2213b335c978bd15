"""Inverse kinematics by mink, an extra: a robot's joints for targets of its bodies, within ranges and speeds."""

from collections.abc import Callable
from typing import Any

import mink
import mujoco
import numpy as np
from numpy.typing import NDArray

from isaachrl.retarget.body import RobotBody
from isaachrl.retarget.targets import Targets
from isaachrl.sim.robot import Robot

Floats = NDArray[np.float64]

SPEED_CAP_RAD_S = 20.0  # human limbs are about as fast
HALF_TURN_RAD = 3.1  # of a ball joint; beyond pi its rotation vector jumps to the other side
MARGIN_RAD = 0.02  # kept to the ends of the joints' ranges
STEPS, FIRST_STEPS = 3, 60  # iterations a frame, and in the first one
FIRST_STEP_RAD = 0.2  # largest change in an iteration of the first frame
RETURN_RAD = 0.02  # by which a joint outside of its range must come nearer to it in an iteration
SOLVER, DAMPING = "daqp", 1e-4
POSTURE_COST, WRIST_COST = 0.02, 0.3  # of a radian from the standing pose; wrists have no other target
SMOOTH_COST_S = 0.005  # of a radian a second: targets hardly fix how an upper arm turns under a straight elbow
# costs of a metre and of a radian by role
COSTS = {
    "pelvis": (3.0, 1.0), "torso": (0.0, 1.0), "head": (0.0, 0.3), "knee": (1.0, 0.0), "foot": (20.0, 4.0),
    "elbow": (1.0, 0.0), "hand": (2.0, 0.0),
}  # fmt: skip


class RangeAndSpeed(mink.Limit):
    """Bounds of each degree of freedom: its range, also on the axes of ball joints, and the speed since the last frame.

    Args:
        robot: the ranges are its `dof_range_rad`.
        model: of the robot; its degrees of freedom come first.
        step_rad: largest change from one frame to the next.
    """

    def __init__(self, robot: Robot, model: mujoco.MjModel, step_rad: float) -> None:
        self._model, self._step = model, step_rad
        self._dofs = 6 + np.arange(robot.num_dofs)
        self._low = robot.dof_range_rad[:, 0].double().numpy() + MARGIN_RAD
        self._high = robot.dof_range_rad[:, 1].double().numpy() - MARGIN_RAD
        hinges, balls = ([j for j in robot.joints if j.ball is ball] for ball in (False, True))
        self._hinge_dof = np.array([joint.dof.start for joint in hinges], int)
        self._hinge_qpos = np.array([7 + joint.qpos.start for joint in hinges], int)
        self._balls = [(7 + joint.qpos.start, joint.dof.start) for joint in balls]
        self._moved = np.zeros(model.nv)
        self._last = np.zeros(model.nq)

    def begin(self, qpos: Floats, is_free: bool) -> None:
        """Start a frame from the last one's positions; `is_free` bounds iterations instead of speed."""
        self._last, self._is_free, self.returns = qpos.copy(), is_free, True

    def compute_qp_inequalities(self, configuration: Any, dt: float) -> Any:
        """See `mink.limits.Limit`."""
        count, nv, qpos = len(self._dofs), self._model.nv, configuration.q
        rows = np.zeros((2 * count, nv))
        turn, room = np.zeros((len(self._balls), nv)), np.zeros(len(self._balls))
        rows[np.arange(count), self._dofs] = 1.0
        at = np.zeros(count)
        at[self._hinge_dof] = qpos[self._hinge_qpos]
        for i, (q, d) in enumerate(self._balls):
            vector, jacobian = _ball(qpos[q : q + 4])
            angle = float(np.linalg.norm(vector))
            turn[i, 6 + d : 9 + d], room[i] = vector / max(angle, 1e-6), max(HALF_TURN_RAD - angle, 0.0)
            at[d : d + 3] = vector
            rows[d : d + 3, 6 + d : 9 + d] = jacobian
        rows[count:] = -rows[:count]
        least = -RETURN_RAD if self.returns else 0.0
        bound = np.concatenate((np.maximum(self._high - at, least), np.maximum(at - self._low, least), room))
        rows = np.concatenate((rows, turn))
        if not self._is_free:
            mujoco.mj_differentiatePos(self._model, self._moved, 1.0, self._last, qpos)
        step = FIRST_STEP_RAD if self._is_free else self._step
        moved, cap = self._moved[self._dofs], np.zeros((2 * count, nv))
        cap[np.arange(count), self._dofs], cap[count + np.arange(count), self._dofs] = 1.0, -1.0
        left = np.concatenate((np.maximum(step - moved, 0.0), np.maximum(step + moved, 0.0)))
        return mink.Constraint(np.concatenate((rows, cap)), np.concatenate((bound, left)))


def _ball(quat: Floats) -> tuple[Floats, Floats]:
    """Rotation vector of a ball joint, and how it changes with a small rotation in the body's frame."""
    w, u = (quat[0], quat[1:]) if quat[0] >= 0 else (-quat[0], -quat[1:])
    sine = float(np.linalg.norm(u))
    angle = 2.0 * np.arctan2(sine, w)
    vector = u * (angle / sine if sine > 1e-8 else 2.0)
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    factor = 1.0 / 12.0
    if angle > 1e-3:
        factor = 1.0 / angle**2 - (1.0 + np.cos(angle)) / (2.0 * angle * max(np.sin(angle), 1e-3))
    return vector, np.eye(3) + 0.5 * cross + factor * cross @ cross


def solve(
    body: RobotBody, targets: Targets, fps: float, on_frame: Callable[[int], None] = lambda frame: None
) -> Floats:
    """Generalised positions `(F, nq)` that reach the targets as far as ranges and speeds allow.

    Args:
        body: the robot.
        targets: of its bodies.
        fps: frames per second.
        on_frame: called after each frame with its number.
    """
    model, count = body.model, len(body.robot.qpos0)
    configuration = mink.Configuration(model)
    start = configuration.q.copy()
    start[:count] = body.robot.stand_qpos
    start[:3], start[3:7] = targets.pos_w_m["pelvis"][0], targets.quat_w["pelvis"][0]
    configuration.update(start)
    tasks, aims = _tasks(body, targets)
    posture = mink.PostureTask(model, cost=_posture_costs(body))
    posture.set_target(start)
    change = mink.PostureTask(model, cost=_joint_costs(model, SMOOTH_COST_S * fps))
    limit = RangeAndSpeed(body.robot, model, SPEED_CAP_RAD_S / fps)
    frames = len(targets.pos_w_m["pelvis"])
    result = np.empty((frames, count))
    for frame in range(frames):
        for task, (quat, pos) in zip(tasks, aims, strict=True):
            task.set_target(mink.SE3(np.concatenate((quat[frame], pos[frame]))))
        limit.begin(configuration.q, is_free=frame == 0)
        change.set_target(configuration.q)
        everything = [*tasks, posture, change] if frame else [*tasks, posture]
        for _ in range(STEPS if frame else FIRST_STEPS):
            configuration.integrate_inplace(_step(configuration, everything, limit), 1.0)
        result[frame] = configuration.q[:count]
        on_frame(frame)
    return result


def _joint_costs(model: mujoco.MjModel, cost: float) -> Floats:
    """The cost `(nv,)` of all joints, none of the free one."""
    costs = np.full(model.nv, cost)
    costs[:6] = 0.0
    return costs


def _posture_costs(body: RobotBody) -> Floats:
    """Costs `(nv,)` of a radian from the standing pose."""
    costs = _joint_costs(body.model, POSTURE_COST)
    for joint in body.robot.wrists:
        costs[6 + joint.dof.start : 6 + joint.dof.stop] = WRIST_COST
    return costs


def _step(configuration: Any, tasks: list[Any], limit: RangeAndSpeed) -> Floats:
    """The change of an iteration; a joint outside of its range may stay there if it cannot return in time."""
    try:
        return mink.solve_ik(configuration, tasks, 1.0, SOLVER, DAMPING, limits=[limit])
    except mink.NoSolutionFound:
        limit.returns = False
        return mink.solve_ik(configuration, tasks, 1.0, SOLVER, DAMPING, limits=[limit])


def _tasks(body: RobotBody, targets: Targets) -> tuple[list[Any], list[tuple[Floats, Floats]]]:
    """A task for each body with a target, and its target's rotations `(F, 4)` and positions `(F, 3)`."""
    tasks, aims = [], []
    for role, name in body.body.items():
        has_pos, has_quat = role in targets.pos_w_m, role in targets.quat_w
        cost_m, cost_rad = COSTS.get(role.rpartition("_")[2], (0.0, 0.0))
        cost_m, cost_rad = cost_m * has_pos, cost_rad * has_quat
        if not cost_m + cost_rad or (role == "torso" and name == body.body["pelvis"]):
            continue
        frames = len(targets.contact)
        tasks.append(mink.FrameTask(name, "body", position_cost=cost_m, orientation_cost=cost_rad))
        aims.append((
            targets.quat_w[role] if has_quat else np.tile([1.0, 0.0, 0.0, 0.0], (frames, 1)),
            targets.pos_w_m[role] if has_pos else np.zeros((frames, 3)),
        ))  # fmt: skip
    return tasks, aims
