"""Whether so many environments fit into memory: told before they are built, since a process that is killed says nothing.

A few worlds are built and stepped, then more, until it shows how much one takes. That costs a second, and is done only
where they could be too many.
"""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from isaachrl.envs.env import Env
from isaachrl.errors import ConfigError

SURELY_BYTES = 2**20  # more than a world takes: the shipped tasks' take a third of it at most
SEEN_BYTES = 2**27  # growth that shows the size of a world: tens of megabytes come and go with other things
FEW, FACTOR = 64, 4
PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")


def require_room(num_envs: int, device: torch.device, build: Callable[[int], Env]) -> None:
    """Refuse more environments than there is memory for. What a learner takes on top is not counted.

    Args:
        num_envs: N.
        device: where the worlds are simulated.
        build: makes that many environments.

    Raises:
        ConfigError: says how much they need, how much is free, and how many would fit.
    """
    room = available_bytes(device)
    if room is None or num_envs * SURELY_BYTES <= room:
        return
    each = bytes_per_env(num_envs, device, build, room)
    if num_envs * each > room:
        raise ConfigError(
            f"num_envs={num_envs}: the worlds alone need {num_envs * each / 2**30:.4g} GiB, and {room / 2**30:.4g} GiB"
            f" of memory are free ({device}), which is room for {room // each}; type fewer, as the learner takes some too"
        )


def bytes_per_env(num_envs: int, device: torch.device, build: Callable[[int], Env], room: int) -> int:
    """What one more environment takes, learnt from as few as show it, or as show that `num_envs` fit into `room`."""
    few, count = _held(FEW, device, build), FEW
    while True:
        count = min(FACTOR * count, num_envs)
        grown, more = _held(count, device, build) - few, max(count - FEW, 1)
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
    return 1024 * _field(PROC / "self/status", "RssAnon:")


def available_bytes(device: torch.device) -> int | None:
    """Memory that can still be had, on a GPU or of the machine and this process's groups; None where nobody tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return max(min(_rooms()), 0)
    except (OSError, ValueError):  # not Linux
        return None


def _rooms() -> Iterator[int]:
    """What the machine and the limits of control groups leave."""
    yield 1024 * _field(PROC / "meminfo", "MemAvailable:")
    for line in _lines(PROC / "self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _group_rooms(GROUPS, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            yield from _group_rooms(GROUPS / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _group_rooms(root: Path, path: str, limit: str, usage: str) -> Iterator[int]:
    """What the control group at `path`, and those that it belongs to, leave; pages of files can be had back."""
    own = root / path.strip("/")
    for group in (own, *own.parents):
        try:
            room = int((group / limit).read_text()) - int((group / usage).read_text())
            yield room + _field(group / "memory.stat", "inactive_file")
        except (OSError, ValueError):  # no limit, or not to be seen from here
            continue


def _field(path: Path, name: str) -> int:
    """The number after a name in one of the system's tables."""
    return next(int(line.split()[1]) for line in _lines(path) if line.split()[0] == name)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
