"""Masses and centres of mass of a robot's bodies."""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from isaachrl.sim.compiler import compile_scene
from isaachrl.sim.describe import describe_robot
from isaachrl.sim.robot import Robot
from isaachrl.sim.robot_file import find_robot
from isaachrl.sim.scene import Scene

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RobotBody:
    """A robot with its masses.

    Args:
        robot: the tree of B bodies and its joints.
        mass_kg: `(B,)` mass of each body.
        com_b_m: `(B, 3)` centre of mass of each body, in the body's frame.
    """

    robot: Robot
    mass_kg: Floats
    com_b_m: Floats


def body_masses(model: mujoco.MjModel, body_names: tuple[str, ...] | None = None) -> tuple[Floats, Floats]:
    """Masses `(B,)` in kg and local centres of mass `(B, 3)` in metres of the named bodies (all but the world).

    Raises:
        KeyError: the model has no body of that name.
    """
    ids = list(range(1, model.nbody)) if body_names is None else [model.body(name).id for name in body_names]
    return model.body_mass[ids].copy(), model.body_ipos[ids].copy()


def load_robot_body(name: str) -> RobotBody:
    """A robot with its masses, without a simulation; `name` as in `load_robot`.

    Raises:
        ConfigError: there is no such robot.
    """
    model = compile_scene(Scene(name))
    robot = describe_robot(model, find_robot(name))
    return RobotBody(robot, *body_masses(model, robot.body_names))
