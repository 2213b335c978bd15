"""N worlds of any MuJoCo model, assembled from articulated bodies."""

import logging

import mujoco
import torch

from isaachrl.errors import ConfigError, nearest
from isaachrl.shipped import installing
from isaachrl.sim.worlds.assemble import Actor, Attractor, HeightMap, Plane, World, assemble
from isaachrl.sim.worlds.asset import AssetModel, Dof, Motor, read_asset
from isaachrl.sim.worlds.cpu import CpuWorlds
from isaachrl.sim.worlds.layout import Layout, layout
from isaachrl.sim.worlds.worlds import Worlds

__all__ = [
    "ENGINES", "Actor", "AssetModel", "Attractor", "CpuWorlds", "Dof", "HeightMap", "Layout", "Motor", "Plane", "World",
    "Worlds", "assemble", "build_worlds", "layout", "make_worlds", "read_asset",
]  # fmt: skip

ENGINES = ("auto", "mujoco", "mujoco_warp")
INSTALL = installing("gpu")
CONTACTS_PER_BODY, ROWS_PER_BODY = 12, 40  # capacities of assembled worlds for contacts and constraint rows
log = logging.getLogger(__name__)


def make_worlds(world: World, num_worlds: int, engine: str, device: torch.device) -> Worlds:
    """N copies of an assembled world on an engine, see `build_worlds`; the CPU engine's tensors are on the CPU.

    Raises:
        ConfigError: MuJoCo cannot compile the world.
    """
    model = assemble(world)
    room = CONTACTS_PER_BODY * model.nbody, ROWS_PER_BODY * model.nbody + 2 * model.nv
    place = torch.device("cpu") if engine == "mujoco" else device
    return build_worlds(model, num_worlds, engine, place, room)


def build_worlds(
    model: mujoco.MjModel, num_worlds: int, engine: str, device: torch.device, room: tuple[int, int], threads: int = 0
) -> Worlds:
    """N worlds of a model on an engine; `auto` is `mujoco_warp` on a CUDA device and `mujoco` on the CPU.

    Args:
        model: of all worlds.
        num_worlds: N.
        engine: one of `ENGINES`.
        device: of the tensors.
        room: the GPU engine's nconmax and njmax.
        threads: the CPU engine's worker threads; 0 uses all cores.

    Raises:
        ConfigError: unknown engine, or missing packages.
    """
    if engine not in ENGINES:
        raise ConfigError(f"sim={engine}: unknown engine{nearest(engine, ENGINES)}")
    if engine == "mujoco" or (engine == "auto" and device.type != "cuda"):
        return CpuWorlds(model, num_worlds, device, threads)
    try:
        from isaachrl.sim.worlds.warp import WarpWorlds  # optional dependency
    except ImportError as error:
        raise ConfigError(
            f"sim={engine} on device={device} needs MuJoCo Warp, which cannot be imported ({error}); type"
            f" {INSTALL} to install it, or sim=mujoco device=cpu to simulate on the CPU"
        ) from error
    log.info("MuJoCo Warp compiles its kernels on first use on a machine, which takes about a minute")
    return WarpWorlds(model, num_worlds, device, *room)


def gpu_engine_obstacle() -> str | None:
    """Why the GPU engine cannot run on this machine and how to fix it; None if it can."""
    try:
        from isaachrl.sim.worlds.warp import wp
    except ImportError as error:
        return f"MuJoCo Warp, the engine for it, cannot be imported ({error}); type {INSTALL}"
    if not wp.is_cuda_available():
        return f"NVIDIA Warp {wp.__version__} finds no usable GPU; a newer driver may help"
    return None
