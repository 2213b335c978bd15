"""The learners that this library ships; importing a family registers it."""

import importlib

FAMILIES = ("skills", "ppo", "goals", "task_graph", "subgoals")


def load_learners() -> None:
    """Import every family, so that its learners are known by name."""
    for family in FAMILIES:
        importlib.import_module(f"isaachrl.learn.{family}")
