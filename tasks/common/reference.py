"""What a policy that tracks motions knows of its reference, and how it gets from one motion to another."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.motion import graph
from isaachrl.motion.kinematics import JointLayout, dof_pos, posture_distance_m2
from isaachrl.motion.library import MotionLibrary
from isaachrl.motion.velocity import VelocityError
from isaachrl.sim import Robot, Sim
from isaachrl.sim.inertia import body_masses

from .humanoid import FEET, PELVIS, ActionMap, sized_m

LEAD_S = 0.1  # a joint follows a moving target that much later: damping over stiffness of the humanoid's motors
AHEAD_S = (LEAD_S, 0.3)  # how far ahead a policy sees its reference

_GRAVITY = 9.81  # m/s^2
_SPEED_SCALE_MPS = 0.35  # by which a body may be slower or faster than the reference motion at that moment
_BALANCE = 0.0613  # error of the capture point at which `balance` is 1/e, a share of the height: 0.1 m
_LEAST = 1e-6  # of a term in the mean
_PAST_S = 0.02  # over which the reference's velocities are taken
_TILT = 0.1  # squared error of the vertical in the root's frame at which `upright` is 1/e


def reference_layout(robot: Robot) -> list[tuple[str, int, str]]:
    """Name, size and unit of each part of `reference_observation`, in order."""
    parts = [("target", robot.num_dofs, "action whose targets are the reference's joints")]
    for ahead_s in AHEAD_S:
        parts += [
            (f"body_pos_error_h_{ahead_s:g}s", 3 * robot.num_bodies, "m, reference minus body, own heading frames"),
            (f"up_b_{ahead_s:g}s", 3, "unit vector, the reference's root frame"),
            (f"linvel_h_{ahead_s:g}s", 3, "m/s, the reference's heading frame"),
            (f"angvel_h_{ahead_s:g}s", 3, "rad/s, the reference's heading frame"),
        ]
    return parts


def reference_observation(
    sim: Sim, library: MotionLibrary, action_map: ActionMap, clip: Tensor, time_s: Tensor
) -> Tensor:
    """Where the reference motions will be in `AHEAD_S`, compared with where the bodies are.

    Places and directions are compared in heading frames: the path over the floor is not tracked, its velocity is.

    Args:
        sim: the bodies.
        library, action_map: the motions, and the meaning of actions.
        clip, time_s: `(N,)` the present moments of the references.

    Returns:
        `(N, ·)`, see `reference_layout`.
    """
    here = _in_heading_frame(sim.root_quat_w, sim.root_pos_w, sim.body_pos_w)
    ahead = torch.stack([time_s + ahead_s for ahead_s in AHEAD_S], dim=1)
    state = library.state(clip.unsqueeze(1), ahead)
    error = _in_heading_frame(state.root_quat_w, state.root_pos_w, state.body_pos_w) - here.unsqueeze(1)
    velocities = torch.stack((state.root_linvel_w, state.root_angvel_w), dim=-2)
    velocities_h = _turn_into_heading(state.root_quat_w, velocities)
    up_b = up_in_root_frame(state.root_quat_w)
    parts = torch.cat((error.flatten(2), up_b, velocities_h.flatten(2)), dim=-1)
    return torch.cat((target_action(library.layout, state.joint_quat[:, 0], action_map), parts.flatten(1)), dim=1)


def target_action(layout: JointLayout, joint_quat: Tensor, action_map: ActionMap) -> Tensor:
    """The actions `(N, A)` whose targets are the joints at `(N, J, 4)`."""
    return ((dof_pos(layout, joint_quat) - action_map.offset) / action_map.scale).clamp(-1.0, 1.0)


def up_in_root_frame(quat_w: Tensor) -> Tensor:
    """The vertical `(…, 3)` in the frames of roots at `(…, 4)`."""
    up = torch.zeros_like(quat_w[..., :3])
    up[..., 2].fill_(1.0)
    return rotations.rotate_inverse(quat_w, up)


def _turn_into_heading(quat_w: Tensor, vectors_w: Tensor) -> Tensor:
    """Vectors `(…, B, 3)` in the heading frames of roots at `(…, 4)`."""
    cosine, sine = (part.unsqueeze(-1) for part in rotations.heading_cos_sin(quat_w))
    x, y, z = vectors_w.unbind(-1)
    return torch.stack((cosine * x + sine * y, cosine * y - sine * x, z), dim=-1)


def _in_heading_frame(quat_w: Tensor, root_w: Tensor, points_w: Tensor) -> Tensor:
    """Points `(…, B, 3)` relative to the floor below roots at `(…, 4)` and `(…, 3)`, in their heading frames."""
    below = root_w.clone()
    below[..., 2].zero_()
    return _turn_into_heading(quat_w, points_w - below.unsqueeze(-2))


class CapturePoint:
    """Where a body would have to step to come to rest, relative to its feet: the measure of its balance.

    That is `x + v sqrt(l / g)` of the centre of mass at x with velocity v over the floor, for an inverted pendulum of
    length l (Pratt et al. 2006); l is the standing robot's height of the pelvis. Bodies count with their mass at their
    origin.

    Args:
        sim: the bodies.
    """

    def __init__(self, sim: Sim) -> None:
        robot = sim.robot
        mass_kg = torch.from_numpy(body_masses(sim.model, robot.body_names)[0]).float()
        self._share = (mass_kg / mass_kg.sum()).to(sim.device).unsqueeze(-1)
        self._feet = robot.body_index(*robot.roles.require(*FEET)).to(sim.device)
        pelvis = robot.body_names.index(robot.roles.require(PELVIS)[0])
        self._time_s = math.sqrt(float(robot.stand_pos_m[pelvis, 2]) / _GRAVITY)

    def __call__(self, quat_w: Tensor, body_pos_w: Tensor, velocity_w: Tensor) -> Tensor:
        """Ahead and to the left of the middle of the feet, `(…, 2)` m.

        Args:
            quat_w: `(…, 4)` of the root.
            body_pos_w: `(…, B, 3)` m.
            velocity_w: `(…, B, 3)` m/s.
        """
        point = ((body_pos_w + velocity_w * self._time_s) * self._share).sum(-2)
        from_feet = point - body_pos_w.index_select(-2, self._feet).mean(-2)
        return _turn_into_heading(quat_w, from_feet.unsqueeze(-2)).squeeze(-2)[..., :2]


class Likeness:
    """How well bodies follow motions, in terms from 0 to 1.

    Args:
        sim: the bodies.
        library: the motions.
        scale: RMS distance of the bodies, a share of the robot's height, at which `posture` is 1/e.

    Attributes:
        WEIGHTS: weight of each term in `mean`, and in the sum of rewards of HumanoidTracking.
    """

    WEIGHTS: ClassVar = {"posture": 1.0, "velocity": 0.5, "upright": 0.3, "balance": 0.5}

    def __init__(self, sim: Sim, library: MotionLibrary, scale: float) -> None:
        self._sim, self._library = sim, library
        self._scale_m, self._balance_m = (sized_m(sim.robot, share) for share in (scale, _BALANCE))
        self._capture_point = CapturePoint(sim)
        self._velocity_error = VelocityError(sim.robot, _SPEED_SCALE_MPS)

    def terms(self, clip: Tensor, time_s: Tensor, error_m2: Tensor) -> dict[str, Tensor]:
        """Terms `(N,)` by name, for moments of clips `(N,)` and mean squared distances of the bodies from them `(N,)`.

        `exp(-(distance / scale)^2)` of the posture, `1 / (1 + e)` of the root's `VelocityError` e,
        `exp(-|u - u*|^2 / 0.1)` of the vertical in the root's frame, and `exp(-(d / 0.1 m)^2)` of the `CapturePoint`,
        which tells of a fall long before the posture does.
        """
        sim = self._sim
        state = self._library.state(clip.unsqueeze(1), torch.stack((time_s, time_s - _PAST_S), dim=1))
        quat_w, body_pos_w = state.root_quat_w[:, 0], state.body_pos_w[:, 0]
        velocity_w = (body_pos_w - state.body_pos_w[:, 1]) / _PAST_S
        off_balance = self._capture_point(sim.root_quat_w, sim.body_pos_w, sim.body_linvel_w)
        off_balance = off_balance - self._capture_point(quat_w, body_pos_w, velocity_w)
        tilt = up_in_root_frame(sim.root_quat_w) - up_in_root_frame(quat_w)
        velocity_error = self._velocity_error(planar_velocity(sim), self._library.planar_velocity(clip, time_s))
        return {
            "posture": self.posture(error_m2),
            "velocity": 1.0 / (1.0 + velocity_error),
            "upright": torch.exp(-tilt.square().sum(-1) / _TILT),
            "balance": torch.exp(-off_balance.square().sum(-1) / self._balance_m**2),
        }

    def posture(self, error_m2: Tensor) -> Tensor:
        """The first of `terms`."""
        return torch.exp(-error_m2 / self._scale_m**2)

    def mean(self, clip: Tensor, time_s: Tensor, error_m2: Tensor) -> Tensor:
        """The weighted geometric mean `(N,)` of `terms`: it is small where one of them is.

        A body that stands instead of walking has the posture and the vertical of a walk, and so half of a sum.
        """
        terms = self.terms(clip, time_s, error_m2)
        weighted = [weight * terms[name].clamp_min(_LEAST).log() for name, weight in self.WEIGHTS.items()]
        return torch.exp(torch.stack(weighted).sum(0) / sum(self.WEIGHTS.values()))


def posture_change_m(library: MotionLibrary, lag_s: float) -> Tensor:
    """RMS distance `(C,)` in m between postures of each clip that are `lag_s` apart, see `posture_distance_m2`."""
    clips = torch.arange(library.num_clips, device=library.durations_s.device).unsqueeze(1)
    last_s = torch.where(library.loops, library.durations_s, (library.durations_s - lag_s).clamp_min(0.0))
    times = last_s.unsqueeze(1) * torch.linspace(0.0, 1.0, 64, device=clips.device)
    one, other = (library.postures(clips, times + shift) for shift in (0.0, lag_s))
    return posture_distance_m2(one, other).mean(1).sqrt()


def planar_velocity(sim: Sim) -> Tensor:
    """Velocity of the roots ahead and to the left in m/s, and yaw rate in rad/s, `(N, 3)`."""
    return graph.planar_velocity(sim.root_quat_w, sim.root_linvel_w, sim.root_angvel_w)


def state_features(sim: Sim) -> Tensor:
    """The bodies' `graph.features`, `(N, ·)`."""
    return graph.features(sim.root_quat_w, sim.body_pos_w, planar_velocity(sim))
