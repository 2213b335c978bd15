"""The shipped learners; importing a family registers them."""

import importlib

FAMILIES = ("skills", "ppo", "goals", "task_graph", "subgoals", "libraries")


def load_learners() -> None:
    """Import every family, which registers its learners."""
    for family in FAMILIES:
        importlib.import_module(f"isaachrl.learn.{family}")
