"""Compiles the kernels of MuJoCo Warp and of this project for a GPU, on a machine without one.

Warp's cache identifies kernels by source, constants and threads per block, which are the same on every machine. To find
the kernels of a simulation and their numbers of threads, it is built and stepped once with launches that are recorded
instead of executed. Meanwhile MuJoCo Warp takes the CPU for a CUDA device, since some choices depend on that.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
import warp as wp

import isaachrl
from gpu.measure import replaced
from isaachrl.envs import registry
from isaachrl.sim import Sim, make_sim

WORLDS = 4
THREADS = 256  # Warp's default on CUDA
MULTIPROCESSORS = 132  # of an H100; affects only sizes of launches


class FakeCudaDevice:
    """A CPU device that looks like a CUDA device."""

    is_cpu, is_cuda, sm_count = False, True, MULTIPROCESSORS

    def __init__(self, device: Any) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)


class Launches:
    """Records the launched modules and their threads per block.

    Attributes:
        found: pairs of a Warp module and a number of threads.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[Any, int], None] = {}

    def record(
        self, kernel: Any, dim: Any = 1, inputs: Any = (), outputs: Any = (), block_dim: Any = None, **_: Any
    ) -> None:
        """Replaces `wp.launch` and `wp.launch_tiled`."""
        sizes = [dim] if isinstance(dim, int) else list(dim)
        if 0 in [int(size) for size in sizes]:  # launches nothing
            return
        if kernel.is_generic:
            arguments = [*inputs, *outputs]
            kernel = kernel.add_overload(kernel.infer_argument_types(arguments))
        self.found[kernel.module, int(block_dim) if block_dim and block_dim > 0 else THREADS] = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Context in which launches are recorded and not executed."""
        original = wp.get_device

        def get_device(*arguments: Any) -> Any:
            caller = sys._getframe(1).f_globals["__name__"]
            device = original(*arguments)
            return FakeCudaDevice(device) if caller.startswith("mujoco_warp.") else device

        def loop(condition: Any, while_body: Callable[..., None], **arguments: Any) -> None:
            while_body(**arguments)

        others = {"get_device": get_device, "capture_while": loop, "get_suggested_block_size": lambda *_: (THREADS, 1)}
        with ExitStack() as stack:
            for name, value in ({"launch": self.record, "launch_tiled": self.record} | others).items():
                stack.enter_context(replaced(wp, name, value))
            yield

    def of(self, sim: Any) -> None:
        """Record everything that a simulation of this kind launches."""
        with self.recording():
            twin: Any = make_sim(sim.scene, WORLDS, sim.worlds.ENGINE, sim.device)
            twin.step(2)
            twin.worlds.step_bare(1)
            all_envs = torch.ones(WORLDS, dtype=torch.bool)
            twin.reset(all_envs, twin.qpos.clone(), twin.qvel.clone())
            twin.apply_model_fields()
            twin.rays(torch.zeros(WORLDS, 1, 3), torch.tensor([1.0, 0.0, 0.0]).expand(WORLDS, 1, 3))


def needed() -> dict[Any, list[int]]:
    """Modules of the tasks' simulations, with their numbers of threads."""
    launches = Launches()
    for name in registry.names():
        env = isaachrl.make(name, 1, "mujoco_warp", "cpu")
        for sim in (part for part in env.parts() if isinstance(part, Sim)):
            launches.of(sim)
    modules: dict[Any, list[int]] = {}
    for module, threads in launches.found:
        modules.setdefault(module, []).append(threads)
    return modules


def compile_kernels(folder: Path, arch: int) -> dict[str, Any]:
    """Compile all kernels into a folder that can be Warp's cache on another machine; skips existing ones.

    Args:
        folder: created if it does not exist.
        arch: compute capability, such as 90.

    Returns:
        kernels: number of binaries, and `compiled`, of new ones.
        noted_s, compiled_s: seconds of recording and compiling.
        mib: size of the binaries.
        folder: for `kernels=` or the variable WARP_CACHE_PATH.
    """
    begin = time.perf_counter()
    modules = needed()
    noted = time.perf_counter()
    cache = (folder / wp.config.version).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    wp.config.kernel_cache_dir = str(cache)
    before = set(cache.glob("*/*.cubin"))
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # the compiler releases the GIL
        tasks = [threads.submit(_compile, module, sizes, arch) for module, sizes in modules.items()]
        paths = {path for task in tasks for path in task.result()}
    for path in [*cache.glob("*/*.cu"), *cache.glob("lto*")]:  # sources and intermediate files
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return {
        "arch": arch,
        "kernels": len(paths),
        "compiled": len(paths - before),
        "noted_s": round(noted - begin, 1),
        "compiled_s": round(time.perf_counter() - noted, 1),
        "mib": round(sum(path.stat().st_size for path in paths) / 2**20, 1),
        "folder": str(folder),
    }


def _compile(module: Any, sizes: Sequence[int], arch: int) -> list[Path]:
    """Compile a module for each number of threads; returns the paths of the binaries."""
    paths: list[Path] = []
    for threads in sizes:
        module.options["block_dim"] = threads
        module.mark_modified()
        paths += wp.compile_aot_module(module, arch=arch, use_ptx=False)
        print(paths[-1].name, file=sys.stderr, flush=True)
    return paths
