"""The report of a run: a picture with a panel for each group of signals, drawn from `metrics.jsonl`."""

import io
import logging
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from isaachrl.errors import WriteError
from isaachrl.files import write_atomically
from isaachrl.run.storage.metrics import read_metrics

log = logging.getLogger(__name__)

POINTS = 1500  # iterations in a picture, more than it has pixels across
COLUMNS = 3
LINES_PER_PANEL = 4
MAX_RATIO = 8.0  # of magnitudes of signals in one panel
SHORT_MIN = 2.0  # shorter trainings are measured in seconds
SMOOTH = 0.05  # smoothing window, as a share of the run
COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7b3294")
_NOT_SIGNALS = ("iteration", "samples", "wall_s")

Series = dict[str, np.ndarray]


def write_report(metrics: Path, picture: Path, title: str) -> None:
    """Draw the metrics file as a PNG if it has two lines or more; logs a warning if the disk is full."""
    records = read_metrics(metrics, POINTS) if metrics.exists() else []
    if len(records) < 2:
        return
    try:
        write_atomically(picture, draw(records, title))
    except WriteError as error:
        log.warning("%s", error)


def draw(records: list[dict[str, Any]], title: str) -> bytes:
    """A picture of records `{iteration, samples, wall_s, group/name: value}`, as PNG."""
    samples = np.array([record["samples"] for record in records], dtype=float)
    minutes = np.array([record["wall_s"] for record in records], dtype=float) / 60.0
    panels = split_panels(_series(records))
    rows = max(math.ceil(len(panels) / COLUMNS), 1)
    height = 0.7 + 3.2 * rows
    figure = Figure(figsize=(5.0 * COLUMNS, height), dpi=80)
    # matplotlib's automatic layout would draw everything twice
    figure.subplots_adjust(0.05, 0.55 / height, 0.98, 1.0 - 1.15 / height, wspace=0.22, hspace=0.62)
    duration = f"{minutes[-1]:.1f} min" if minutes[-1] >= SHORT_MIN else f"{60.0 * minutes[-1]:.2g} s"
    heading = f"{title}: {records[-1]['iteration']} iterations, {samples[-1]:,.0f} samples, {duration}"
    figure.suptitle(heading, fontsize=12, y=1.0 - 0.2 / height)
    for index, (name, lines) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, COLUMNS, index + 1)
        _panel(axes, name, samples, lines)
        _time_axis(axes, samples, minutes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def split_panels(series: Series) -> dict[str, Series]:
    """Split signals `group/name` into panels of few lines of similar magnitude, in order of appearance."""
    groups: dict[str, list[str]] = defaultdict(list)
    for key in series:
        groups[key.split("/")[0] if "/" in key else "run"].append(key)
    panels: dict[str, Series] = {}
    for group, keys in groups.items():
        boxes: list[list[str]] = []
        for key in sorted(keys, key=lambda key: -_magnitude(series[key])):
            box = boxes[-1] if boxes else []
            if (
                not box
                or len(box) == LINES_PER_PANEL
                or _magnitude(series[box[0]]) > MAX_RATIO * _magnitude(series[key])
            ):
                boxes.append(box := [])
            box.append(key)
        for number, box in enumerate(boxes):
            name = group if len(boxes) == 1 else f"{group} ({number + 1} of {len(boxes)})"
            panels[name] = {key.removeprefix(f"{group}/"): series[key] for key in box}
    return panels


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Moving average `(T,)` over a centred window, without values that are not finite."""
    kernel = np.ones(window)
    finite = np.isfinite(values)
    total = np.convolve(np.where(finite, values, 0.0), kernel, mode="same")
    count = np.convolve(finite.astype(float), kernel, mode="same")
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def _series(records: list[dict[str, Any]]) -> Series:
    """Signals by name, each `(T,)`, nan for iterations without a value."""
    names = dict.fromkeys(key for record in records for key in record if key not in _NOT_SIGNALS)
    columns = {name: [record.get(name) for record in records] for name in names}
    arrays = {
        name: np.array([value if isinstance(value, int | float) else np.nan for value in column], dtype=float)
        for name, column in columns.items()
    }
    return {name: array for name, array in arrays.items() if np.isfinite(array).any()}


def _magnitude(values: np.ndarray) -> float:
    """95th percentile of the absolute values, always above zero."""
    return float(np.percentile(np.abs(values[np.isfinite(values)]), 95)) + 1e-6


def _panel(axes: Axes, name: str, samples: np.ndarray, lines: Series) -> None:
    """Draw smoothed values over faint raw values."""
    window = min(max(int(SMOOTH * len(samples)), 1) | 1, len(samples))
    for colour, (label, values) in zip(COLOURS, lines.items(), strict=False):
        if window > 1:
            axes.plot(samples, values, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(samples, smooth(values, window), color=colour, linewidth=1.6, label=label)
    axes.set_title(name if len(lines) > 1 else f"{name}: {next(iter(lines))}", fontsize=10, loc="left")
    axes.set_xlabel("samples", fontsize=8)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    if len(lines) > 1:
        axes.legend(fontsize=7, framealpha=0.7)


def _time_axis(axes: Axes, samples: np.ndarray, minutes: np.ndarray) -> None:
    """Add an axis of training time in minutes or seconds along the top edge, if it increases with the samples."""
    if not (np.all(np.diff(samples) > 0) and np.all(np.diff(minutes) > 0)):
        return
    unit, time = ("minutes", minutes) if minutes[-1] >= SHORT_MIN else ("seconds", 60.0 * minutes)
    # extrapolate at both ends for ticks outside of the data
    samples, time = (np.array((-values[-1], *values, 2.0 * values[-1])) for values in (samples, time))

    def to_time(x: Any) -> Any:
        return np.interp(x, samples, time)

    def to_samples(x: Any) -> Any:
        return np.interp(x, time, samples)

    top = axes.secondary_xaxis("top", functions=(to_time, to_samples))
    top.xaxis.set_major_locator(MaxNLocator(5))
    top.set_xlabel(unit, fontsize=8)
    top.tick_params(labelsize=8)
