"""N worlds of any MuJoCo model, assembled from articulated bodies."""

import mujoco
import torch

from isaachrl.errors import ConfigError, nearest
from isaachrl.shipped import installing
from isaachrl.sim.worlds.assemble import Actor, Attractor, HeightMap, Plane, World, assemble
from isaachrl.sim.worlds.asset import AssetModel, Dof, Motor, Tendon, read_asset
from isaachrl.sim.worlds.layout import Layout, layout
from isaachrl.sim.worlds.worlds import CpuWorlds, Worlds

__all__ = [
    "Actor", "AssetModel", "Attractor", "CpuWorlds", "Dof", "HeightMap", "Layout", "Motor", "Plane", "Tendon", "World",
    "Worlds", "assemble", "layout", "make_worlds", "read_asset",
]  # fmt: skip

ENGINES = ("auto", "mujoco", "mujoco_warp")


def make_worlds(world: World, num_worlds: int, engine: str, device: torch.device) -> Worlds:
    """N copies of a world on an engine; `auto` is `mujoco_warp` on a CUDA device and `mujoco` on the CPU.

    Raises:
        ConfigError: unknown engine, or MuJoCo cannot compile the world.
    """
    if engine not in ENGINES:
        raise ConfigError(f"engine {engine!r} is unknown{nearest(engine, ENGINES)}")
    model = assemble(world)
    if engine == "mujoco" or (engine == "auto" and device.type == "cpu"):
        if world.sizes_differ:  # the trees of bounding boxes are the model's; Warp has none
            model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE
        return CpuWorlds(model, num_worlds)
    try:
        from isaachrl.sim.worlds.warp import WarpWorlds  # optional dependency
    except ImportError as error:
        raise ConfigError(
            f"device {device} needs MuJoCo Warp, which cannot be imported ({error}); type {installing('gpu')}, or"
            " simulate on the CPU"
        ) from error
    return WarpWorlds(model, num_worlds, device)
