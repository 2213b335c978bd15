"""The picture of a suite: a row for each task, with learning curves and stills."""

import io
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from isaachrl.errors import ConfigError
from isaachrl.run.compare import Curve, draw_curve, read_curve
from isaachrl.run.recording.report import COLOURS
from isaachrl.run.suite.runner import STILLS

SIGNAL = "episode/score"
ROW_IN, CURVES_IN, STILLS_IN = 2.6, 4.6, 9.0  # inches
GREY = "#666666"
PUBLISHED = ("--", "-.", (0, (1, 1)))  # line styles


def draw(results: dict[str, Any], out: Path) -> bytes:
    """Curves of all finished runs over control steps, baselines as lines, and an episode if it was filmed; as PNG.

    Args:
        results: see `isaachrl.run.suite.results.collect`.
        out: folder of the suite.
    """
    tasks: dict[str, dict[str, Any]] = results["tasks"]
    stills = {task: path for task in tasks if (path := out / "runs" / task / "seed0" / STILLS).is_file()}
    width = CURVES_IN + (STILLS_IN if stills else 0.0)
    figure = Figure(figsize=(width, ROW_IN * max(len(tasks), 1)), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    columns = 2 if stills else 1
    grid = figure.add_gridspec(max(len(tasks), 1), columns, width_ratios=[CURVES_IN, STILLS_IN][:columns])
    for row, (task, values) in enumerate(tasks.items()):
        axes = figure.add_subplot(grid[row, 0])
        _curves(axes, values, out)
        axes.set_title(task, fontsize=10, loc="left")
        if row == len(tasks) - 1:
            axes.set_xlabel("million control steps", fontsize=8)
        if task in stills:
            strip = figure.add_subplot(grid[row, 1])
            strip.imshow(imageio.imread(stills[task]))
            strip.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _curves(axes: Axes, values: dict[str, Any], out: Path) -> None:
    """The curves and lines of a task."""
    for kind, label, colour in (("seeds", "on the skill", COLOURS[0]), ("flat", "PPO without a skill", COLOURS[1])):
        curves = [curve for run in values[kind].values() if (curve := _curve(out, run)) is not None]
        if curves:
            draw_curve(axes, label, ("-", colour), curves)
    if values["random"]:
        axes.axhline(values["random"]["score"], color=COLOURS[2], linestyle=":", linewidth=1.2, label="random commands")
    for (method, score), style in zip(values["published"].items(), PUBLISHED, strict=False):
        axes.axhline(score, color=GREY, linestyle=style, linewidth=1.0, label=method)
    axes.set_xlim(left=0.0)
    axes.set_ylim(0.0, values["max_score"])
    axes.set_ylabel("score", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)


def _curve(out: Path, run: dict[str, Any]) -> Curve | None:
    """Score over million control steps; None if the training ended no episode."""
    try:
        samples, scores = read_curve(out / run["run"], SIGNAL)
    except ConfigError:
        return None
    return samples * (run["control_steps"] / 1e6 / max(run["samples"], 1)), scores
