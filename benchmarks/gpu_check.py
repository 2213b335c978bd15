"""Checks and benchmarks on a GPU: ten sections in thirteen minutes, with predictions.

    python benchmarks/gpu_check.py [device=auto] [num_envs=4096] [out=FILE] [sections=engine,graphs] [budget_s=780]
    python benchmarks/gpu_check.py device=cpu num_envs=8 out=FILE      a dry run of all of it without a GPU
    python benchmarks/gpu_check.py compile=FOLDER [arch=90]            the kernels, ahead of time, without a GPU
    python benchmarks/gpu_check.py kernels=FOLDER out=FILE             with those kernels

Sections: versions (requirements), engine (MuJoCo Warp eager, captured, replayed, and against the CPU engine), graphs
(steps with and without CUDA graphs), throughput (over the number of environments), update (the phases of an iteration
of skill training), ppo (of the maze), learning (imitation of a walk), compat (the API of Isaac Gym), cartpole (a
task of that API, trained to a return), user (`train.py`: train, resume, evaluate).

Each section is a process with a time limit. If `versions` fails, the others are skipped; otherwise they are
independent. Without a GPU only the dry run is possible. At the end of a section a line of JSON goes to the standard
output and the results file: its name, `ok`, `failed`, `timeout` or `skipped`, its seconds, and its figures, each with
the prediction for one H100 and 4096 environments (`gpu/predictions.py`; null if there is none). Figures that need CUDA
are null elsewhere. The exit code is 1 unless all sections are ok. It needs only the run-time packages, and no network.
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
    excluded = ("sections", "only", "figures", "compile")
    words = [f"{key}={value}" for key, value in asdict(options).items() if key not in excluded]
    start = [sys.executable, os.path.abspath(__file__), *words]
    return [
        Job(name, options.patience * LIMITS_S[name], [*start, f"only={name}", "figures="], gate=name == "versions")
        for name in options.names
    ]


def section(options: Options) -> bool:
    """Run one section in this process; returns whether it passed."""
    report = Report(Path(options.figures))
    with report.part(options.only):
        if options.kernels:
            import warp  # only here: Warp is an extra

            warp.config.cuda_output = "cubin"  # with a newer driver than its compiler, Warp would look for PTX
        importlib.import_module(f"gpu.{options.only}").run(report, options)
    return not report.failed


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
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
