"""How many threads PyTorch takes for the small tensor operations of a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Below this many environments an operation of a step is over before a second thread has woken up. With 1024
# humanoids on two cores, one thread takes a third less time for everything that is not physics.
_WORTH_WAKING = 4096


@contextmanager
def small_work(num_envs: int, device: torch.device) -> Iterator[None]:
    """Inside, few environments on the CPU are handled by one thread; the engine's own threads are not touched."""
    if device.type != "cpu" or num_envs >= _WORTH_WAKING:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
