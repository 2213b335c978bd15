"""Work of PyTorch and of the GPU engine, recorded once and replayed without Python in between.

A recording is a list of CUDA graphs: the engine's own, and one for each stretch of PyTorch work between them. They
are not one graph, because the engine's solver loops by a condition on the device: to put such a loop into a graph,
Warp ends the capture under way and begins another, and PyTorch would from there on take its memory outside the graph.
"""

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator
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
            RecordError: the work does something that no recording can hold.
            RuntimeError: it waits for the device, or CUDA refuses it for another reason. The generators go on drawing
                from where they were.
        """
        self._pool = torch.cuda.graph_pool_handle()
        torch.cuda.synchronize(self.device)
        states = [(one, one.get_state()) for one in (self.generator, default_generator(self.device))]
        try:
            with torch.cuda.stream(torch.cuda.Stream(self.device)):
                return self._record(work)
        except BaseException:
            for generator, state in states:
                _renew(generator, state)
            raise

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


def default_generator(device: torch.device) -> torch.Generator:
    """The generator of a CUDA device that is drawn from where none is named; every capture takes it in."""
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]


def _renew(generator: torch.Generator, state: torch.Tensor) -> None:
    """Give a generator a new inside, at that state.

    Up to PyTorch 2.12 a capture that fails leaves the generators in it believing that it goes on, and they refuse to
    draw. Whoever holds a generator keeps it: only what it points to is exchanged.
    """
    fresh = torch.Generator(generator.device)
    fresh.set_state(state)
    generator.graphsafe_set_state(fresh)


@contextlib.contextmanager
def host_waits(device: torch.device) -> Iterator[list[str]]:
    """Inside, work runs as ever; afterwards the list holds the lines, `file:line`, that waited for the device.

    PyTorch warns of them. It could raise instead, but that would leave a step half done. On the CPU nothing waits.
    """
    found: list[str] = []
    if device.type != "cuda":
        yield found
        return
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for one in caught:
        if "synchronizing CUDA operation" in str(one.message):
            found.append(f"{one.filename}:{one.lineno}")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


_ACTIVE: list[Recorder] = []


def recording() -> Recorder | None:
    """The recording under way, if there is one."""
    return _ACTIVE[-1] if _ACTIVE else None
