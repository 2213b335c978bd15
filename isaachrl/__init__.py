"""isaachrl: hierarchical reinforcement learning over thousands of simulated bodies in parallel."""

from isaachrl.envs import Env, StepResult, make

__version__ = "0.1.0"

__all__ = ["Env", "StepResult", "__version__", "make"]
