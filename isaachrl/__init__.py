"""isaachrl: hierarchical reinforcement learning over thousands of simulated bodies in parallel."""

import os

# Waiting OpenMP threads must sleep, not spin: spinning takes the cores from the physics, and if another process shares
# them, slows every parallel operation down many times. PyTorch reads these variables on import, so they have no effect
# if it was imported before; values set by the user stay. The short spin count bridges the gap between operations of an
# update: on two cores a training makes a quarter more samples per second than without it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

from isaachrl.envs import Env, StepResult, make  # noqa: E402
from isaachrl.run.load import load  # noqa: E402

__version__ = "0.1.0"

__all__ = ["Env", "StepResult", "__version__", "load", "make"]
