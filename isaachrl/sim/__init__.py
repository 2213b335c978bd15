"""Simulation engines behind one tensor interface; no other package simulates."""

import functools

import torch

from isaachrl.errors import ConfigError
from isaachrl.sim import (
    headless,  # comes first: MuJoCo reads MUJOCO_GL on import
    messages,
)
from isaachrl.sim.compiler import capacity, compile_scene, scene_xml
from isaachrl.sim.describe import describe_robot
from isaachrl.sim.robot import Robot
from isaachrl.sim.robot_file import RobotFile, find_robot
from isaachrl.sim.scene import Block, Box, Control, FreeBody, Integrator, Marker, Scene, Shape
from isaachrl.sim.sim import Sim
from isaachrl.sim.worlds import ENGINES, build_worlds, gpu_engine_obstacle

__all__ = [
    "ENGINES", "Block", "Box", "Control", "FreeBody", "Integrator", "Marker", "Robot", "Scene", "Shape", "Sim",
    "gpu_engine_obstacle", "headless", "load_robot", "make_sim", "scene_xml",
]  # fmt: skip

messages.route()


def make_sim(scene: Scene, num_envs: int, engine: str, device: torch.device, threads: int = 0) -> Sim:
    """Build N worlds of a scene on an engine; the arguments are those of `worlds.build_worlds`.

    Raises:
        ConfigError: unknown engine, missing packages, or fewer than one world.
    """
    if num_envs < 1:
        raise ConfigError(f"num_envs={num_envs}: at least 1 environment is needed, type num_envs=1 or more")
    model = compile_scene(scene)
    return Sim(scene, build_worlds(model, num_envs, engine, device, capacity(scene, model), threads))


def load_robot(name: str) -> Robot:
    """The description of a robot, without a simulation.

    Args:
        name: of a shipped robot, or a file, see `robot_file.find_robot`.

    Raises:
        ConfigError: there is no such robot, or it cannot be read.
    """
    return _described(find_robot(name))


@functools.lru_cache(8)
def _described(file: RobotFile) -> Robot:
    return describe_robot(compile_scene(Scene(robot=file.given)), file)
