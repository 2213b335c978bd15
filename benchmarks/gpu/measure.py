"""Clocks and counters: CUDA events and the profiler on a GPU, the processor's clock elsewhere."""

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
    """Let a GPU finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device: torch.device, work: Callable[[], Any], times: int = 1) -> float:
    """Seconds on the wall that a segment of work takes, the mean of so many times."""
    wait(device)
    start = time.perf_counter()
    for _ in range(times):
        work()
    wait(device)
    return (time.perf_counter() - start) / times


def used_bytes(device: torch.device) -> int | None:
    """Memory taken on a GPU by everything; None elsewhere."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return total - free


class Stopwatch:
    """Adds up how long named segments of work take: between CUDA events on a GPU, by the processor's clock elsewhere.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._device = device
        self._spans: dict[str, list[tuple[Any, Any]]] = defaultdict(list)

    def now(self) -> Any:
        """A moment: an event in the present stream, or the time."""
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def add(self, name: str, start: Any) -> None:
        """A segment of work began at that moment and ends now."""
        self._spans[name].append((start, self.now()))

    @contextmanager
    def watching(self, owner: object, method: str, name: str) -> Iterator[None]:
        """Let a method of an object add up its time."""
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
    """Another value for an attribute of one object."""
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
    """Counts the operations that PyTorch dispatches, forwards and backwards, views left out: they compute nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        aliases = [result.alias_info for result in func._schema.returns]
        self.count += not any(alias is not None and not alias.is_write for alias in aliases)
        return func(*args, **(kwargs or {}))


def launches(device: torch.device, work: Callable[[], Any]) -> dict[str, float] | None:
    """What the profiler sees of a segment of work: launches, kernels, and how long these take; None without a GPU.

    Kernels of the engine are told from PyTorch's by their names.
    """
    if device.type != "cuda":
        return None
    wait(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        took = seconds(device, work)
    result = {"wall_ms": 1e3 * took, "launches": 0, "engine_kernels": 0, "engine_ms": 0.0}
    result |= {"torch_kernels": 0, "torch_ms": 0.0}
    for event in seen.key_averages():
        if event.key in LAUNCHES:
            result["launches"] += event.count
        elif event.device_type.name == "CUDA":
            kind = "engine" if "_kernel_forward" in event.key else "torch"
            result[f"{kind}_kernels"] += event.count
            result[f"{kind}_ms"] += event.self_device_time_total / 1e3
    return result | {"busy_share": (result["engine_ms"] + result["torch_ms"]) / result["wall_ms"]}
