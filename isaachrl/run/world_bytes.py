"""Whether so many environments fit into memory: told before they are built, since who is killed says nothing.

A few worlds are built and stepped, then more, until it shows how much one takes. That costs a second, and is done only
where they could be too many.
"""

import gc
from collections.abc import Callable

import torch

from isaachrl import memory
from isaachrl.envs.env import Env

SURELY_BYTES = 2**20  # more than a world takes: the shipped tasks' take a third of it at most
SEEN_BYTES = 2**27  # growth that shows the size of a world: tens of megabytes come and go with other things
FEW, FACTOR = 64, 4


def require_room(num_envs: int, device: torch.device, build: Callable[[int], Env]) -> None:
    """Refuse more environments than there is memory for. What a learner takes on top is not counted.

    Args:
        num_envs: N.
        device: where the worlds are simulated.
        build: makes that many environments.

    Raises:
        ConfigError: says how much they need, how much is free, and how many would fit.
    """
    room = memory.available_bytes(device)
    if room is None or num_envs <= FEW or num_envs * SURELY_BYTES <= room:
        return
    each = bytes_per_env(num_envs, device, build, room)
    memory.require_memory(
        num_envs * each,
        device,
        f"num_envs={num_envs}: to simulate so many worlds",
        f"there is room for {room // each}, and the learner needs some: type fewer",
    )


def bytes_per_env(num_envs: int, device: torch.device, build: Callable[[int], Env], room: int) -> int:
    """What one more environment takes, learnt from as few as show it, or as show that `num_envs` fit into `room`.

    Args:
        num_envs: more than `FEW`.
        device, build: as in `require_room`.
        room: bytes.
    """
    few, count = _held(FEW, device, build), FEW
    while True:
        count = min(FACTOR * count, num_envs)
        grown, more = _held(count, device, build) - few, count - FEW
        if grown >= SEEN_BYTES or count == num_envs or num_envs * SEEN_BYTES <= room * more:
            return max(grown // more, 1)


@torch.no_grad()
def _held(count: int, device: torch.device, build: Callable[[int], Env]) -> int:
    """All that is taken while so many environments have been stepped."""
    gc.collect()  # the ones before
    env = build(count)
    result = env.step(torch.zeros(count, env.action_size, device=env.device))
    taken = _taken(device)
    del env, result
    return taken


def _taken(device: torch.device) -> int:
    """Bytes taken of a GPU, or by this process. The engine reserves far more than it ever writes to."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free
    try:
        return 1024 * memory.field(memory.PROC / "self/status", "RssAnon:")
    except (OSError, ValueError):  # not Linux: nothing is seen to grow, and nothing refused
        return 0
