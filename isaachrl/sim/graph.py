"""Work of PyTorch and of the GPU engine, recorded once and replayed without Python in between.

A recording is a list of CUDA graphs: the engine's own, and one for each stretch of PyTorch work between them. They
are not one graph, because the engine's solver loops by a condition on the device: to put such a loop into a graph,
Warp ends the capture under way and begins another, and PyTorch would from there on take its memory outside the graph.
"""

import contextlib
import gc
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


class Recorder:
    """Records one piece of work.

    Args:
        device: a CUDA device.
        generator: whose random numbers the work draws; every replay draws new ones.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self.device, self.generator = device, generator
        self.pieces: list[Callable[[], None]] = []

    def record(self, work: Callable[[], T]) -> T:
        """Record the work; nothing is computed, and what is returned holds its numbers after every `replay`.

        Raises:
            RuntimeError: the work waits for the device or does something else that no graph can hold.
        """
        self._pool = torch.cuda.graph_pool_handle()
        torch.cuda.synchronize(self.device)
        with torch.cuda.stream(torch.cuda.Stream(self.device)):
            return self._record(work)

    def _record(self, work: Callable[[], T]) -> T:
        """Capture with the garbage collector off: memory freed in the middle of it would break it."""
        gc.collect()
        collecting = gc.isenabled()
        gc.disable()
        _ACTIVE.append(self)
        try:
            self._begin()
            try:
                result = work()
            except BaseException:
                with contextlib.suppress(RuntimeError):  # it would say only that the capture has failed
                    self._end()
                raise
            self._end()
            return result
        finally:
            _ACTIVE.remove(self)
            if collecting:
                gc.enable()

    def insert(self, launch: Callable[[], None]) -> None:
        """Put work of the engine here: it is launched at this place of every replay."""
        self._end()
        self.pieces.append(launch)
        self._begin()

    def _begin(self) -> None:
        """Begin a graph of PyTorch work."""
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(self.generator)
        self._graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")

    def _end(self) -> None:
        """End it."""
        self._graph.capture_end()
        self.pieces.append(self._graph.replay)

    def replay(self) -> None:
        """Do the recorded work on the present stream."""
        for piece in self.pieces:
            piece()


_ACTIVE: list[Recorder] = []


def recording() -> Recorder | None:
    """The recording under way, if there is one."""
    return _ACTIVE[-1] if _ACTIVE else None
