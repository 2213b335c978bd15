"""Available memory, to raise an error before an allocation that cannot succeed."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from isaachrl.errors import ConfigError

GIB = 2**30
PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def available_bytes(device: torch.device) -> int | None:
    """Memory available to new tensors on a device; None if unknown.

    On the CPU it is the least of what the machine and the cgroups of this process (of a container, say) leave free.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        return max(min([1024 * field(PROC / "meminfo", "MemAvailable:"), *_free_in_cgroups()]), 0)
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def require_memory(needed_bytes: int, device: torch.device, what: str, advice: str) -> None:
    """Check that an allocation fits into the available memory.

    Args:
        needed_bytes: lower bound of the allocation.
        device: where it will be.
        what: what it is for, with the key that sets its size.
        advice: what to type instead.

    Raises:
        ConfigError: it does not fit; the message has both sizes.
    """
    available = available_bytes(device)
    if available is not None and needed_bytes > available:
        kind = "GPU memory" if device.type == "cuda" else "memory"
        raise ConfigError(
            f"{what} needs {needed_bytes / GIB:.1f} GiB of {kind}, and {available / GIB:.1f} GiB are free; {advice}"
        )


def field(table: Path, name: str) -> int:
    """The number after a name in a file such as `/proc/meminfo`.

    Raises:
        OSError, ValueError: there is no such file or name.
    """
    for line in table.read_text(encoding="utf-8").splitlines():
        if line.split()[:1] == [name]:
            return int(line.split()[1])
    raise ValueError(f"{table} has no {name}")


def _free_in_cgroups() -> Iterator[int]:
    """Bytes below the memory limits of this process's cgroups, version 2 and version 1."""
    for line in (PROC / "self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _free_in_cgroup(CGROUPS, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            yield from _free_in_cgroup(CGROUPS / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _free_in_cgroup(root: Path, path: str, limit: str, usage: str) -> Iterator[int]:
    """Bytes below the limit of the cgroup at `path` and of its parents; cached files count as free."""
    own = root / path.strip("/")
    for group in (own, *own.parents):
        try:
            free = int((group / limit).read_text()) - int((group / usage).read_text())
            yield free + sum(field(group / "memory.stat", name) for name in ("inactive_file", "active_file"))
        except (OSError, ValueError):  # no limit, or not visible from inside a container
            continue
