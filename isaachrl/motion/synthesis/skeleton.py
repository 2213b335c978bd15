"""The body model of the synthesis: lengths, masses and soles as arrays, and its kinematics."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.sim.robot import Robot

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BodyModel:
    """A humanoid of 15 bodies whose feet are boxes.

    Args:
        body_names: the B bodies, root first, parents before children.
        parents: index of each body's parent; -1 for the root.
        joint_names: the J joints.
        joint_bodies: the body each joint moves.
        local_pos_m: `(B, 3)` each body's origin in its parent's frame.
        mass_kg: `(B,)`.
        com_b_m: `(B, 3)` centre of mass of each body in its own frame.
        sole_depth_m: height of the ankle above the sole.
        heel_m: x of the sole's rear edge relative to the ankle (negative).
        toe_m: x of the sole's front edge relative to the ankle.
    """

    body_names: tuple[str, ...]
    parents: tuple[int, ...]
    joint_names: tuple[str, ...]
    joint_bodies: tuple[int, ...]
    local_pos_m: Floats
    mass_kg: Floats
    com_b_m: Floats
    sole_depth_m: float
    heel_m: float
    toe_m: float

    def local(self, body: str) -> Floats:
        """Origin `(3,)` of a body in its parent's frame."""
        return self.local_pos_m[self.body_names.index(body)]

    @property
    def thigh_m(self) -> float:
        """Distance from hip to knee."""
        return float(np.linalg.norm(self.local("right_shin")))

    @property
    def shin_m(self) -> float:
        """Distance from knee to ankle."""
        return float(np.linalg.norm(self.local("right_foot")))

    def reach_m(self, knee_rad: float) -> float:
        """Distance from hip to ankle at a knee angle; 0 is straight."""
        a, b = self.thigh_m, self.shin_m
        return float(np.sqrt(a * a + b * b + 2.0 * a * b * np.cos(knee_rad)))


def body_model(robot: Robot, mass_kg: Floats, com_b_m: Floats, soles_b_m: Mapping[str, Tensor]) -> BodyModel:
    """The model of a robot, with the sole of `right_foot`, corners `(4, 3)` in the foot's frame, for both feet.

    Raises:
        ConfigError: the robot's frames are not parallel at rest, or a joint is not at its body's origin.
    """
    if not robot.has_plain_frames:
        raise ConfigError(
            f"motions are made for bodies whose frames are parallel at rest and whose joints are at their bodies'"
            f" origins; robot {robot.name!r} has others: write its MJCF without quat= on bodies and pos= on joints"
        )
    sole = soles_b_m["right_foot"].double().numpy()
    return BodyModel(
        robot.body_names, robot.parents, robot.joint_names, tuple(joint.body for joint in robot.joints),
        robot.local_pos_m.double().numpy(), np.asarray(mass_kg, float), np.asarray(com_b_m, float),
        float(-sole[:, 2].min()), float(sole[:, 0].min()), float(sole[:, 0].max()),
    )  # fmt: skip


def world_rotations(model: BodyModel, rotations: Mapping[str, Floats]) -> Floats:
    """World rotations `(N, B, 3, 3)` of all bodies; those not in `rotations` are welded to their parents."""
    result: list[Floats] = []
    for name, parent in zip(model.body_names, model.parents, strict=True):
        result.append(rotations[name] if name in rotations else result[parent])
    return np.stack(result, axis=1)


def centre_of_mass(model: BodyModel, rotations: Floats) -> Floats:
    """Centre of mass `(N, 3)` relative to the root, world axes, from world rotations `(N, B, 3, 3)`."""
    origins: list[Floats] = []
    for parent, local in zip(model.parents, model.local_pos_m, strict=True):
        origins.append(np.zeros((len(rotations), 3)) if parent < 0 else origins[parent] + rotations[:, parent] @ local)
    centres = np.stack(origins, axis=1) + np.einsum("nbij,bj->nbi", rotations, model.com_b_m)
    return np.einsum("b,nbi->ni", model.mass_kg / model.mass_kg.sum(), centres)


def joint_rotations(model: BodyModel, rotations: Floats) -> Floats:
    """Rotations `(N, J, 3, 3)` of the joints' bodies relative to their parents."""
    bodies = list(model.joint_bodies)
    parents = [model.parents[body] for body in bodies]
    return np.swapaxes(rotations[:, parents], -1, -2) @ rotations[:, bodies]
