"""The command `mode=task_graph`: a task's decomposition as text and as a picture."""

import io
import logging
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from isaachrl.envs.task_graph import TaskGraph
from isaachrl.errors import ConfigError
from isaachrl.files import write_atomically
from isaachrl.run.build import build_env
from isaachrl.run.config.settings import Settings
from isaachrl.run.storage.folder import RunFolder

log = logging.getLogger(__name__)

Position = tuple[float, float]


def task_graph(settings: Settings) -> dict[str, Any]:
    """Print and draw the task graph of a task.

    Raises:
        ConfigError: the task has none.
    """
    env = build_env(settings, 1, settings.run.seed)
    graph = getattr(env, "task_graph", None)
    if not isinstance(graph, TaskGraph):
        raise ConfigError(f"task={settings.task.name} declares no task graph; TaxiFuel and ShipSteering do")
    sys.stdout.write(graph.text() + "\n")
    folder = RunFolder(Path(settings.run.run_dir or Path("runs") / settings.task.name / "task_graph"))
    picture = folder.path / "task_graph.png"
    write_atomically(picture, draw(graph, settings.task.name))
    log.info("drawn in %s", picture)
    return {"task": settings.task.name, "subtasks": len(graph.subtasks), "actions": len(graph.actions)}


def positions(graph: TaskGraph) -> dict[str, Position]:
    """Position of each node: a row for each level, the root on top, each node below all of its parents."""
    level = {name: len(path) - 1 for path in graph.paths() for name in path[-1:]}
    lowest = max(level.values()) + 1
    level |= {name: lowest for name in graph.actions}
    rows: dict[int, list[str]] = {}
    for name in [*(subtask.name for subtask in graph.subtasks), *graph.actions]:
        rows.setdefault(level[name], []).append(name)
    return {
        name: ((i + 0.5) / len(names), -float(depth)) for depth, names in rows.items() for i, name in enumerate(names)
    }


def draw(graph: TaskGraph, title: str) -> bytes:
    """The graph as PNG: subtasks are boxes, actions plain names, and lines join parents and children."""
    where = positions(graph)
    rows = [y for _, y in where.values()]
    width = max(rows.count(y) for y in rows)
    figure = Figure(figsize=(max(1.5 * width, 6.0), 1.5 * (1 - min(rows))), dpi=90)
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.92))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(min(rows) - 0.4, 0.4)
    figure.suptitle(title, fontsize=11)
    for subtask in graph.subtasks:
        for child in subtask.children:
            (x, y), (to_x, to_y) = where[subtask.name], where[child]
            axes.plot((x, to_x), (y - 0.12, to_y + 0.12), color="#999999", linewidth=0.8, zorder=1)
    for name, (x, y) in where.items():
        box = {"boxstyle": "round", "facecolor": "#e8f0fa", "edgecolor": "#1f77b4"} if name in graph.by_name else None
        axes.text(x, y, name, ha="center", va="center", fontsize=8, bbox=box, zorder=2)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
