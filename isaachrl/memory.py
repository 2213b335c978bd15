"""How much memory is at hand, so that what cannot fit is refused before it is asked for."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from isaachrl.errors import ConfigError

GIB = 2**30
PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")


def available_bytes(device: torch.device) -> int | None:
    """Memory that a new tensor on that device could have; None where nobody says.

    On the CPU it is what the machine and the control groups of this process (those of a container, say) leave.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        return max(min([1024 * field(PROC / "meminfo", "MemAvailable:"), *_left_by_groups()]), 0)
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def require_memory(needed_bytes: int, device: torch.device, what: str, advice: str) -> None:
    """Refuse what is larger than the memory at hand.

    Args:
        needed_bytes: at least so much will be taken.
        device: where.
        what: what it is for, with the key that decides about it.
        advice: what to type instead.

    Raises:
        ConfigError: it does not fit; says how much is needed and how much there is.
    """
    available = available_bytes(device)
    if available is not None and needed_bytes > available:
        kind = "GPU memory" if device.type == "cuda" else "memory"
        raise ConfigError(
            f"{what} needs {needed_bytes / GIB:.1f} GiB of {kind}, and {available / GIB:.1f} GiB are free; {advice}"
        )


def field(table: Path, name: str) -> int:
    """The number after a name in one of the system's tables.

    Raises:
        OSError, ValueError: there is no such table or name.
    """
    for line in table.read_text(encoding="utf-8").splitlines():
        if line.split()[:1] == [name]:
            return int(line.split()[1])
    raise ValueError(f"{table} has no {name}")


def _left_by_groups() -> Iterator[int]:
    """What the limits of control groups leave, of version 2 and of version 1."""
    for line in (PROC / "self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _left_by_group(GROUPS, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            yield from _left_by_group(GROUPS / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _left_by_group(root: Path, path: str, limit: str, usage: str) -> Iterator[int]:
    """What the group at `path`, and those that it belongs to, leave; the pages of files can be had back."""
    own = root / path.strip("/")
    for group in (own, *own.parents):
        try:
            left = int((group / limit).read_text()) - int((group / usage).read_text())
            yield left + field(group / "memory.stat", "inactive_file")
        except (OSError, ValueError):  # no limit, or not to be seen from here
            continue
