"""The command `mode=task_graph`: a task's decomposition as text and as a picture."""

import io
import logging
import sys
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from isaachrl.envs.task_graph import TaskGraph
from isaachrl.errors import ConfigError
from isaachrl.files import write_atomically
from isaachrl.run.build import build_env
from isaachrl.run.config.settings import Settings
from isaachrl.run.storage.folder import RunFolder

log = logging.getLogger(__name__)

Place = tuple[float, float]


def show_task_graph(settings: Settings) -> dict[str, Any]:
    """Print the task graph of a task and draw it.

    Raises:
        ConfigError: the task declares none.
    """
    env = build_env(settings, 1, settings.run.seed)
    found = getattr(env, "task_graph", None)
    if not isinstance(found, TaskGraph):
        raise ConfigError(f"task={settings.task.name} declares no task graph; TaxiFuel and ShipSteering do")
    sys.stdout.write(found.text() + "\n")
    folder = RunFolder(Path(settings.run.run_dir or Path("runs") / settings.task.name / "graph"))
    write_atomically(folder.path / "graph.png", draw(found, settings.task.name))
    log.info("drawn in %s", folder.path / "graph.png")
    return {"task": settings.task.name, "subtasks": len(found.subtasks), "actions": len(found.actions)}


def places(graph: TaskGraph) -> dict[str, Place]:
    """Where each node stands: one row a level, the root above, each node below all that call it."""
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
    """The graph as PNG: boxes are subtasks, plain words are actions, lines go from who calls to who is called."""
    where = places(graph)
    widest = max(sum(1 for other in where.values() if other[1] == y) for _, y in where.values())
    figure = Figure(figsize=(max(1.5 * widest, 6.0), 1.5 * (1 - min(y for _, y in where.values()))), dpi=90)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.92))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(min(y for _, y in where.values()) - 0.4, 0.4)
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
