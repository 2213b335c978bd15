"""Environments: the contract, the task contract, the step loop and the registry."""

from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.envs.registry import World, make, register, task_env
from isaachrl.envs.task import Task, TaskCfg
from isaachrl.envs.task_env import TaskEnv

__all__ = ["Env", "Obs", "StepResult", "Task", "TaskCfg", "TaskEnv", "World", "make", "register", "task_env"]
