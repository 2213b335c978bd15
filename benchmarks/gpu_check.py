"""Whether everything works on a GPU, and how fast: eight sections in nine minutes, each beside what was predicted.

    python benchmarks/gpu_check.py [device=auto] [num_envs=4096] [out=FILE] [sections=engine,graphs] [budget_s=540]
    python benchmarks/gpu_check.py device=cpu num_envs=8 out=FILE      a dry run of all of it without a GPU
    python benchmarks/gpu_check.py compile=FOLDER [arch=90]            the kernels, ahead of time, without a GPU
    python benchmarks/gpu_check.py kernels=FOLDER out=FILE             with those kernels

versions (go or no go), engine (MuJoCo Warp eager, captured, replayed, and against the CPU engine), graphs (steps with
CUDA graphs and without), throughput (over the number of environments), update (an iteration of the pretraining taken
apart), ppo (of the maze), learning (imitation of a walk), user (`train.py`: train, resume, evaluate).

Each section is a process of its own with a time of its own, and a failing one stops no other; only where `versions`
fails, the rest is skipped. Where there is no GPU to be used, only a dry run that was asked for begins. When a section
ends, a line of JSON goes to the standard output and to the end of the results file: its name, `ok`, `failed`, `timeout`
or `skipped`, its seconds, and its figures, each with what was predicted for one H100 and 4096 environments
(`gpu/predictions.py`; None: nothing was). What CUDA alone can answer is null elsewhere. The exit code is 1 unless all
of them are ok.
Nothing but the run-time packages is needed, and no network.
"""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
from gpu.options import LIMITS_S, Options
from gpu.report import Report
from gpu.runner import Job, Runner

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.envs.registry import choose_device, gpu_obstacle
from isaachrl.errors import ConfigError, IsaacHRLError

assert isaachrl


def jobs(options: Options) -> list[Job]:
    """The sections to run, as processes of this script."""
    left_out = ("sections", "only", "figures", "compile")
    words = [f"{key}={value}" for key, value in asdict(options).items() if key not in left_out]
    start = [sys.executable, os.path.abspath(__file__), *words]
    return [
        Job(name, options.patience * LIMITS_S[name], [*start, f"only={name}", "figures="], gate=name == "versions")
        for name in options.names
    ]


def section(options: Options) -> bool:
    """Run one section in this process; True if nothing in it failed."""
    report = Report(Path(options.figures))
    with report.part(options.only):
        if options.kernels:
            import warp  # only here: Warp is an extra

            warp.config.cuda_output = "cubin"  # a driver newer than Warp's compiler would look for another kind
        importlib.import_module(f"gpu.{options.only}").run(report, options)
    return not report.failed


def main(arguments: Sequence[str]) -> int:
    """Run what was typed; the exit code."""
    words = {key: value for key, _, value in (word.partition("=") for word in arguments)}
    options = config.build(Options, words)
    if options.compile:
        from gpu.kernels import compile_kernels  # only here: Warp is an extra

        print(json.dumps(compile_kernels(Path(options.compile), options.arch)))
        return 0
    if options.kernels:
        os.environ["WARP_CACHE_PATH"] = os.path.abspath(options.kernels)
    if options.only:
        return 0 if section(options) else 1
    device = choose_device(options.device)
    if options.device == "auto" and device.type == "cpu":
        raise ConfigError(
            f"device=auto: no GPU can be used here ({gpu_obstacle()}); type device=cpu num_envs=8 for the dry run"
        )
    options.patience = options.patience or (1.0 if device.type == "cuda" else 6.0)
    common = {"device": str(device), "num_envs": options.num_envs}
    runner = Runner(Path(options.out), options.patience * options.budget_s, common)
    return 0 if runner.run(jobs(options)) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
