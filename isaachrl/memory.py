"""How much memory is at hand, so that what cannot fit is refused before it is asked for."""

import os

import torch

from isaachrl.errors import ConfigError

GIB = 2**30


def available_bytes(device: torch.device) -> int | None:
    """Memory that a new tensor on that device could have; None where nobody says."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
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
