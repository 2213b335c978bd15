"""Work on a second thread."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Run `work` on a second thread beside the body; both use one PyTorch thread, and the context ends when both have.

    Raises:
        Exception: whatever the body, or else `work`, raised.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(work)
            yield
        done.result()
    finally:
        torch.set_num_threads(threads)
