"""Memory per world, and the number of worlds that fit.

    python benchmarks/memory.py task=HumanoidAMP [sim=…] [device=…] [sizes=256,1024,2048] [share=0.9] [verify=true]

For each size a process builds and steps environments and measures the memory in use: of the whole GPU, or of the
process on the CPU. A straight line through the smallest and the largest size gives the bytes per world and without
worlds; `largest_num_envs` fit into `share` of the device's memory, without a learner. `verify=true` builds and steps
that many. One JSON line goes to standard output, a table to standard error.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import torch

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.config import positive
from isaachrl.envs.registry import choose_device
from isaachrl.errors import ConfigError, IsaacHRLError

STEPS = 3  # the third step records a CUDA graph


@dataclass
class Options:
    """The command line.

    Args:
        task: registered name.
        sim: engine.
        device: of the worlds.
        sizes: two or more numbers of worlds, separated by commas.
        share: usable share of the device's memory.
        verify: build and step as many worlds as should fit.
        only: measure this number of worlds in this process; set by the parent process.
    """

    task: str = "HumanoidAMP"
    sim: str = "auto"
    device: str = "auto"
    sizes: str = "256,1024,2048"
    share: float = positive(0.9, 1.0)
    verify: bool = False
    only: int = 0

    def __post_init__(self) -> None:
        """Validate the sizes."""
        if len(set(self.numbers)) < 2 or min(self.numbers) < 1:
            raise ConfigError(f"sizes={self.sizes}: type two or more different numbers, such as sizes=256,1024")

    @property
    def numbers(self) -> list[int]:
        """The sizes.

        Raises:
            ConfigError: they are not whole numbers.
        """
        try:
            return [int(word) for word in self.sizes.split(",")]
        except ValueError:
            raise ConfigError(f"sizes={self.sizes}: type whole numbers, such as sizes=256,1024") from None


@torch.no_grad()
def held_bytes(options: Options) -> int:
    """Memory in use by this process (CPU) or on the device (GPU) with `options.only` worlds."""
    device = choose_device(options.device)
    before = _used_bytes(device)
    env = isaachrl.make(options.task, num_envs=options.only, sim=options.sim, device=options.device)
    action = torch.zeros(env.num_envs, env.action_size, device=env.device)
    for _ in range(STEPS):
        env.step(action)
    return _used_bytes(device) - (before if device.type == "cuda" else 0)


def _used_bytes(device: torch.device) -> int:
    """Bytes in use on a GPU, or by this process."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def capacity_bytes(device: torch.device) -> int:
    """Total memory of the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def in_own_process(options: Options, count: int) -> int | None:
    """`held_bytes` of a number of worlds in a new process; None if it fails."""
    words = [f"{key}={value}" for key, value in asdict(options).items() if key not in ("only", "verify")]
    command = [sys.executable, __file__, *words, f"only={count}"]
    done = subprocess.run(command, capture_output=True, text=True)
    return int(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else None


def line(counts: Sequence[int], held: Sequence[int], room: float) -> tuple[float, float, int]:
    """Bytes per world, bytes without worlds, and the number of worlds that fit into `room` bytes."""
    low, high = counts.index(min(counts)), counts.index(max(counts))
    slope = (held[high] - held[low]) / (counts[high] - counts[low])
    base = held[low] - slope * counts[low]
    return slope, base, int((room - base) / max(slope, 1.0))


def measure(options: Options) -> dict[str, Any]:
    """The result.

    Raises:
        ConfigError: a size could not be built.
    """
    device = choose_device(options.device)
    counts = options.numbers
    held = [in_own_process(options, count) for count in counts]
    whole = [value for value in held if value is not None]
    if len(whole) < len(held):
        raise ConfigError(
            f"task={options.task} sim={options.sim}: {counts[held.index(None)]} worlds could not be built"
        )
    slope, base, fits = line(counts, whole, options.share * capacity_bytes(device))
    return {
        "task": options.task,
        "sim": options.sim,
        "device": str(device),
        "memory_bytes": capacity_bytes(device),
        "sizes": counts,
        "held_bytes": whole,
        "bytes_per_world": round(slope),
        "bytes_without_worlds": round(base),
        "largest_num_envs": fits,
        "verified": in_own_process(options, fits) is not None if options.verify else None,
    }


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    words = {key: value for key, _, value in (word.partition("=") for word in arguments)}
    options = config.build(Options, words)
    if options.only:
        print(json.dumps(held_bytes(options)))
        return
    result = measure(options)
    for name, value in result.items():
        print(f"{name:>22}  {value}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
