"""Simulation engines behind one tensor interface; no other package simulates."""

import functools
import logging

import torch

from isaachrl.errors import ConfigError, nearest
from isaachrl.shipped import installing
from isaachrl.sim import (
    headless,  # comes first: MuJoCo reads MUJOCO_GL on import
    messages,
)
from isaachrl.sim.base import Sim
from isaachrl.sim.compiler import compile_scene, scene_xml
from isaachrl.sim.describe import describe_robot
from isaachrl.sim.mujoco_sim import MujocoSim
from isaachrl.sim.robot import Robot
from isaachrl.sim.robot_file import RobotFile, find_robot
from isaachrl.sim.scene import Block, Box, Control, FreeBody, Integrator, Marker, Scene, Shape

__all__ = [
    "Block", "Box", "Control", "FreeBody", "Integrator", "Marker", "MujocoSim", "Robot", "Scene", "Shape", "Sim",
    "gpu_engine_obstacle", "headless", "load_robot", "make_sim", "scene_xml",
]  # fmt: skip

ENGINES = ("auto", "mujoco", "mujoco_warp")
INSTALL = installing("gpu")
log = logging.getLogger(__name__)
messages.route()


def make_sim(scene: Scene, num_envs: int, engine: str, device: torch.device) -> Sim:
    """Build an engine by name; `auto` is `mujoco_warp` on a CUDA device and `mujoco` on the CPU.

    Raises:
        ConfigError: unknown engine, missing packages, or fewer than one world.
    """
    if engine not in ENGINES:
        raise ConfigError(f"sim={engine}: unknown engine{nearest(engine, ENGINES)}")
    if num_envs < 1:
        raise ConfigError(f"num_envs={num_envs}: at least 1 environment is needed, type num_envs=1 or more")
    if engine == "mujoco" or (engine == "auto" and device.type != "cuda"):
        return MujocoSim(scene, num_envs, device)
    try:
        from isaachrl.sim.warp_sim import WarpSim  # optional dependency
    except ImportError as error:
        raise ConfigError(
            f"sim={engine} on device={device} needs MuJoCo Warp, which cannot be imported ({error}); type"
            f" {INSTALL} to install it, or sim=mujoco device=cpu to simulate on the CPU"
        ) from error
    log.info("MuJoCo Warp compiles its kernels on first use on a machine, which takes about a minute")
    return WarpSim(scene, num_envs, device)


def gpu_engine_obstacle() -> str | None:
    """Why the GPU engine cannot run on this machine and how to fix it; None if it can."""
    try:
        from isaachrl.sim.warp_sim import wp
    except ImportError as error:
        return f"MuJoCo Warp, the engine for it, cannot be imported ({error}); type {INSTALL}"
    if not wp.is_cuda_available():
        return f"NVIDIA Warp {wp.__version__} finds no usable GPU; a newer driver may help"
    return None


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
