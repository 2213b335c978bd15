"""isaachrl: hierarchical reinforcement learning over thousands of simulated bodies in parallel."""

import os

# Threads of PyTorch that wait must sleep, not spin: they would take the cores from the physics, and where another
# process runs beside this one, every parallel operation would wait many times its own length. Read when PyTorch is
# imported, so it has no effect on a program that imports PyTorch before this package; a user's own choice stays.
# A few microseconds of spinning bridge the gap to the next operation of an update: on two cores a training makes a
# quarter more samples per second than with none.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

from isaachrl.envs import Env, StepResult, make  # noqa: E402
from isaachrl.run.load import load  # noqa: E402

__version__ = "0.1.0"

__all__ = ["Env", "StepResult", "__version__", "load", "make"]
