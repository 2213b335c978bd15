"""The processor cores that this process may use, and their division among several processes."""

import os


def usable_cores() -> list[int]:
    """Numbers of the cores; as many as there are where the system does not say which."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def shares(count: int) -> list[list[int]]:
    """Equal, disjoint shares of the cores for `count` processes; none where processes cannot be kept to cores.

    Processes that run beside each other on all cores hinder each other, see docs/performance.md.
    """
    cores = usable_cores()
    size = len(cores) // count
    if not hasattr(os, "sched_setaffinity") or count < 2 or not size:
        return []
    return [cores[i * size : (i + 1) * size] for i in range(count)]
