"""The processor cores that this process may use."""

import os


def usable_cores() -> list[int]:
    """Numbers of the cores; as many as there are where the system does not say which."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
