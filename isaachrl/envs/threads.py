"""The number of PyTorch threads within a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# With fewer environments, the tensor operations of a step are faster in one thread: with 1024 humanoids on two cores,
# everything but physics takes a third less time.
_MIN_ENVS_FOR_THREADS = 4096


@contextmanager
def limit_threads(num_envs: int, device: torch.device) -> Iterator[None]:
    """Use one PyTorch thread for few environments on the CPU; the engine's threads are not affected."""
    if device.type != "cpu" or num_envs >= _MIN_ENVS_FOR_THREADS:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
