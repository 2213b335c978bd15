"""N worlds of any MuJoCo model, assembled from articulated bodies."""

import logging

import mujoco
import numpy as np
import torch

from isaachrl.errors import ConfigError, nearest
from isaachrl.shipped import installing
from isaachrl.sim.worlds.assemble import Actor, Attractor, HeightMap, Plane, World, assemble
from isaachrl.sim.worlds.asset import AssetModel, Dof, Motor, Tendon, read_asset
from isaachrl.sim.worlds.cpu import CpuWorlds
from isaachrl.sim.worlds.layout import Layout, layout
from isaachrl.sim.worlds.worlds import Worlds

__all__ = [
    "ENGINES", "Actor", "AssetModel", "Attractor", "CpuWorlds", "Dof", "HeightMap", "Layout", "Motor", "Plane",
    "Tendon", "World", "Worlds", "assemble", "build_worlds", "layout", "make_worlds", "read_asset",
]  # fmt: skip

ENGINES = ("auto", "mujoco", "mujoco_warp")
INSTALL = installing("gpu")
_PER_PAIR, _PER_BODY = 8, 12  # contacts, at most, of a pair of geoms, and of a body in the average world
_ROWS_PER_CONTACT, _ROWS_PER_BODY = 4, 40  # constraint rows
log = logging.getLogger(__name__)


def make_worlds(world: World, num_worlds: int, engine: str, device: torch.device) -> Worlds:
    """N copies of an assembled world on an engine, see `build_worlds`; the CPU engine's tensors are on the CPU.

    Raises:
        ConfigError: MuJoCo cannot compile the world.
    """
    model = assemble(world)
    if world.sizes_differ and engine != "mujoco_warp":  # the trees of bounding boxes are the model's; Warp has none
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE
    place = torch.device("cpu") if engine == "mujoco" else device
    return build_worlds(model, num_worlds, engine, place, room(model), grows=True)


def room(model: mujoco.MjModel) -> tuple[int, int]:
    """Capacities nconmax and njmax for what all pairs of geoms need, or less."""
    kind, other, weld = model.geom_contype, model.geom_conaffinity, model.body_weldid[model.geom_bodyid]
    touch = ((kind[:, None] & other) | (other[:, None] & kind)) != 0
    pairs = int(np.count_nonzero(np.triu(touch & (weld[:, None] != weld), 1)))
    contacts = max(min(_PER_PAIR * pairs, _PER_BODY * model.nbody), 1)
    others = 2 * model.nv + 6 * model.neq + model.ntendon  # limits, friction and equalities
    return contacts, min(_ROWS_PER_CONTACT * contacts, _ROWS_PER_BODY * model.nbody) + others


def build_worlds(
    model: mujoco.MjModel, num_worlds: int, engine: str, device: torch.device, room: tuple[int, int], threads: int = 0,
    grows: bool = False,
) -> Worlds:  # fmt: skip
    """N worlds of a model on an engine; `auto` is `mujoco_warp` on a CUDA device and `mujoco` on the CPU.

    Args:
        model: of all worlds.
        num_worlds: N.
        engine: one of `ENGINES`.
        device: of the tensors.
        room: the GPU engine's nconmax and njmax.
        threads: the CPU engine's worker threads; 0 uses all cores.
        grows: the GPU engine makes room by itself where that does not suffice.

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
    return WarpWorlds(model, num_worlds, device, *room, grows=grows)


def gpu_engine_obstacle() -> str | None:
    """Why the GPU engine cannot run on this machine and how to fix it; None if it can."""
    try:
        from isaachrl.sim.worlds.warp import wp
    except ImportError as error:
        return f"MuJoCo Warp, the engine for it, cannot be imported ({error}); type {INSTALL}"
    if not wp.is_cuda_available():
        return f"NVIDIA Warp {wp.__version__} finds no usable GPU; a newer driver may help"
    return None
