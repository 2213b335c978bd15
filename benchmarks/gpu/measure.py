"""Clocks and counters: CUDA events and the profiler on a GPU, the wall clock elsewhere."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx", "cudaGraphLaunch")


def wait(device: torch.device) -> None:
    """Synchronize a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device: torch.device, work: Callable[[], Any], times: int = 1) -> float:
    """Wall-clock seconds of some work, the mean of `times` runs."""
    wait(device)
    start = time.perf_counter()
    for _ in range(times):
        work()
    wait(device)
    return (time.perf_counter() - start) / times


def used_bytes(device: torch.device) -> int | None:
    """Memory in use on a GPU by all processes; None elsewhere."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return total - free


class Stopwatch:
    """Sums up the time of named segments of work, by CUDA events on a GPU, by the wall clock elsewhere.

    Args:
        device: of the work.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._device = device
        self._spans: dict[str, list[tuple[Any, Any]]] = defaultdict(list)

    def now(self) -> Any:
        """A time stamp: an event in the present stream, or the time."""
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def add(self, name: str, start: Any) -> None:
        """Add a segment from the time stamp `start` to now."""
        self._spans[name].append((start, self.now()))

    @contextmanager
    def watching(self, owner: object, method: str, name: str) -> Iterator[None]:
        """Context in which the calls of a method are segments."""
        original = getattr(owner, method)

        def watched(*arguments: Any, **named: Any) -> Any:
            start = self.now()
            result = original(*arguments, **named)
            self.add(name, start)
            return result

        with replaced(owner, method, watched):
            yield

    def totals_ms(self) -> dict[str, float]:
        """Milliseconds of each segment."""
        wait(self._device)
        if self._cuda:
            return {name: sum(a.elapsed_time(b) for a, b in spans) for name, spans in self._spans.items()}
        return {name: 1e3 * sum(b - a for a, b in spans) for name, spans in self._spans.items()}


@contextmanager
def replaced(owner: object, name: str, value: Any) -> Iterator[None]:
    """Context with another value for an attribute of an object."""
    own = vars(owner)
    before = (name in own, own.get(name))
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before[0]:
            setattr(owner, name, before[1])
        else:
            delattr(owner, name)


class Operations(TorchDispatchMode):
    """Counts the operations that PyTorch dispatches, forward and backward, without views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        aliases = [result.alias_info for result in func._schema.returns]
        self.count += not any(alias is not None and not alias.is_write for alias in aliases)
        return func(*args, **(kwargs or {}))


def launches(device: torch.device, work: Callable[[], Any]) -> dict[str, float] | None:
    """Profile of some work: launches, kernels and their time; None without a GPU.

    Kernels of the engine are recognised by their names.
    """
    if device.type != "cuda":
        return None
    wait(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        duration_s = seconds(device, work)
    result = {"wall_ms": 1e3 * duration_s, "launches": 0, "engine_kernels": 0, "engine_ms": 0.0}
    result |= {"torch_kernels": 0, "torch_ms": 0.0}
    for event in profiler.key_averages():
        if event.key in LAUNCHES:
            result["launches"] += event.count
        elif event.device_type.name == "CUDA":
            kind = "engine" if "_kernel_forward" in event.key else "torch"
            result[f"{kind}_kernels"] += event.count
            result[f"{kind}_ms"] += event.self_device_time_total / 1e3
    return result | {"busy_share": (result["engine_ms"] + result["torch_ms"]) / result["wall_ms"]}
