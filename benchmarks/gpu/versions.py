"""Requirements: installed packages, features of the driver."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from gpu.options import Options
from gpu.report import Report
from isaachrl.envs.registry import choose_device

PACKAGES = (
    "torch",
    "numpy",
    "mujoco",
    "mujoco-warp",
    "warp-lang",
    "rl-games",
    "hydra-core",
    "omegaconf",
    "tensorboard",
)


def installed(name: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def driver() -> str | None:
    """The version of NVIDIA's kernel driver."""
    path = Path("/proc/driver/nvidia/version")
    found = re.search(r"\s(\d+\.\d+(\.\d+)?)\s", path.read_text()) if path.is_file() else None
    return found and found[1]


def run(report: Report, options: Options) -> None:
    """Versions; on a GPU also whether CUDA graphs may have loops, and whether Warp uses a memory pool."""
    import mujoco_warp  # noqa: F401 - checks that it can be imported
    import warp as wp

    device = choose_device(options.device)
    report.figure("python", platform.python_version())
    report.figures({name: installed(name) for name in PACKAGES})
    report.figure("cpu_count", os.cpu_count())
    report.figure("warp_cuda_toolkit", wp.get_cuda_toolkit_version())
    if device.type != "cuda":
        names = (
            "gpu",
            "capability",
            "memory_gib",
            "torch_cuda",
            "driver",
            "driver_cuda",
            "conditional_graphs",
            "memory_pool",
        )
        report.figures(dict.fromkeys((*names, "bfloat16", "go")))
        return
    properties = torch.cuda.get_device_properties(device)
    graphs, pool = wp.is_conditional_graph_supported(), wp.is_mempool_enabled(str(device))
    report.figures(
        {
            "gpu": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "torch_cuda": torch.version.cuda,
            "driver": driver(),
            "driver_cuda": wp.get_cuda_driver_version(),
            "bfloat16": torch.cuda.is_bf16_supported(including_emulation=False),
        }
    )
    report.check("conditional_graphs", graphs)
    report.check("memory_pool", pool)
    report.check("go", graphs and pool and float(torch.ones(8, device=device).sum()) == 8.0)
