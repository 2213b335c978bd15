"""Checks that environments fit into memory before they are built: a process that the kernel kills has no message.

It builds and steps a few worlds, then more, until the growth shows the size of one. That takes a second, and happens
only for numbers of worlds that may not fit.
"""

import gc
from collections.abc import Callable

import torch

from isaachrl import memory
from isaachrl.envs.env import Env

MAX_WORLD_BYTES = 2**20  # upper bound of a world; those of the shipped tasks are a third of it at most
MIN_GROWTH_BYTES = 2**27  # growth that is significant: other allocations vary by tens of megabytes
FEW, FACTOR = 64, 4


def require_room(num_envs: int, sim: str, device: torch.device, build: Callable[[int], Env]) -> None:
    """Check that `num_envs` environments fit into memory, without the learner.

    Args:
        num_envs: N.
        sim: engine; `mujoco` simulates on the CPU.
        device: of the tensors.
        build: makes a given number of environments.

    Raises:
        ConfigError: they do not; the message has the bytes needed and free, and the number that would fit.
    """
    if sim == "mujoco":
        device = torch.device("cpu")
    room = memory.available_bytes(device)
    if room is None or num_envs <= FEW or num_envs * MAX_WORLD_BYTES <= room:
        return
    each = bytes_per_env(num_envs, device, build, room)
    memory.require_memory(
        num_envs * each,
        device,
        f"num_envs={num_envs}: simulating so many worlds",
        f"there is room for {room // each} without the learner: type fewer",
    )


def bytes_per_env(num_envs: int, device: torch.device, build: Callable[[int], Env], room: int) -> int:
    """Bytes of one more environment, measured on as few as suffice, or as show that `num_envs` fit into `room`.

    Args:
        num_envs: more than `FEW`.
        device: of the simulation.
        build: as in `require_room`.
        room: bytes.
    """
    few, count = _measure(FEW, device, build), FEW
    while True:
        count = min(FACTOR * count, num_envs)
        grown, more = _measure(count, device, build) - few, count - FEW
        if grown >= MIN_GROWTH_BYTES or count == num_envs or num_envs * MIN_GROWTH_BYTES <= room * more:
            return max(grown // more, 1)


@torch.no_grad()
def _measure(count: int, device: torch.device, build: Callable[[int], Env]) -> int:
    """Bytes in use with `count` environments after a step."""
    gc.collect()  # earlier environments
    env = build(count)
    result = env.step(torch.zeros(count, env.action_size, device=env.device))
    used = _used_bytes(device)
    del env, result
    return used


def _used_bytes(device: torch.device) -> int:
    """Bytes in use on a GPU, or resident in this process; the engine reserves far more than it touches."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free
    try:
        return 1024 * memory.field(memory.PROC / "self/status", "RssAnon:")
    except (OSError, ValueError):  # not Linux: no growth is measured, and the check passes
        return 0
