"""Captures PyTorch and engine work as CUDA graphs and replays them.

A recording alternates between the engine's graphs and graphs of the PyTorch work between them. One single graph is not
possible: the engine's solver loops on a device condition (`wp.capture_while`), for which Warp ends the current capture
and begins another, and PyTorch would then allocate outside the graph's memory pool.
"""

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

T = TypeVar("T")


class Recorder:
    """Captures one function.

    Args:
        device: a CUDA device.
        generator: the random generator that the function uses; every replay draws new numbers.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self.device, self.generator = device, generator
        self.launches: list[Callable[[], None]] = []

    def record(self, work: Callable[[], T]) -> T:
        """Capture the function without computing anything; every `replay` updates the tensors of its result.

        Raises:
            RecordError: the function calls something that cannot be captured.
            RuntimeError: it synchronizes with the device, or CUDA fails otherwise. The generators keep their state.
        """
        self._pool = torch.cuda.graph_pool_handle()
        torch.cuda.synchronize(self.device)
        states = [(g, g.get_state()) for g in (self.generator, default_generator(self.device))]
        try:
            with torch.cuda.stream(torch.cuda.Stream(self.device)):
                return self._record(work)
        except BaseException:
            for generator, state in states:
                _restore(generator, state)
            raise

    def _record(self, work: Callable[[], T]) -> T:
        """Capture with the garbage collector off: freeing memory during a capture breaks it."""
        gc.collect()
        collecting = gc.isenabled()
        gc.disable()
        _ACTIVE.append(self)
        try:
            self._begin()
            try:
                result = work()
            except BaseException:
                with contextlib.suppress(RuntimeError):  # would hide the cause
                    self._end()
                raise
            self._end()
            return result
        finally:
            _ACTIVE.remove(self)
            if collecting:
                gc.enable()

    def insert(self, launch: Callable[[], None]) -> None:
        """Insert a launch of the engine's own graph at this point of the recording."""
        self._end()
        self.launches.append(launch)
        self._begin()

    def _begin(self) -> None:
        """Begin a graph of PyTorch operations."""
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(self.generator)
        self._graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")

    def _end(self) -> None:
        """End it."""
        self._graph.capture_end()
        self.launches.append(self._graph.replay)

    def replay(self) -> None:
        """Launch all graphs on the current stream."""
        for launch in self.launches:
            launch()


def default_generator(device: torch.device) -> torch.Generator:
    """The default generator of a CUDA device; every capture registers it."""
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]


def _restore(generator: torch.Generator, state: torch.Tensor) -> None:
    """Replace a generator's inner state object, in place.

    Up to PyTorch 2.12, generators registered in a capture that fails stay in capture mode and raise on use.
    """
    fresh = torch.Generator(generator.device)
    fresh.set_state(state)
    generator.graphsafe_set_state(fresh)


@contextlib.contextmanager
def host_waits(device: torch.device) -> Iterator[list[str]]:
    """Context whose list holds, after it, the `file:line` of every synchronization with a CUDA device.

    PyTorch's sync debug mode warns of them; its `error` mode would abort a step half-way.
    """
    locations: list[str] = []
    if device.type != "cuda":
        yield locations
        return
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield locations
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for warning in caught:
        if "synchronizing CUDA operation" in str(warning.message):
            locations.append(f"{warning.filename}:{warning.lineno}")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


_ACTIVE: list[Recorder] = []


def recording() -> Recorder | None:
    """The current recording, if any."""
    return _ACTIVE[-1] if _ACTIVE else None
