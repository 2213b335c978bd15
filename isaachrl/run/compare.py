"""Learning curves of several runs: `python -m isaachrl.run.compare OUT.png NAME=RUN,RUN,… … signals=a,b`.

Runs of one name are seeds of one setting: the curve is their mean, with a band from minimum to maximum.
"""

import io
import sys
from collections.abc import Mapping
from itertools import cycle, product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isaachrl.errors import ConfigError, IsaacHRLError, nearest
from isaachrl.files import write_atomically
from isaachrl.run.recording.report import COLOURS
from isaachrl.run.storage.metrics import read_metrics

USAGE = "python -m isaachrl.run.compare OUT.png NAME=RUN[,RUN…] … signals=group/name[,group/name…]"
LINES = ("-", "--", ":")  # line styles after all colours are used
POINTS = 200  # of the interpolated curves

Curve = tuple[np.ndarray, np.ndarray]


def compare(
    settings: dict[str, list[Path]],
    signals: list[str],
    scale: Mapping[str, float] | None = None,
    axis: str = "samples",
) -> bytes:
    """A panel for each signal with a curve for each setting, over samples; as PNG.

    Args:
        settings: run folders of each setting, by name.
        signals: names as in `metrics.jsonl`.
        scale: factor of the samples of each setting; 1 by default.
        axis: label of the scaled samples.

    Raises:
        ConfigError: a run has no metrics, or no such signal.
    """
    figure = Figure(figsize=(5.0 * len(signals), 3.6), dpi=90, layout="constrained")
    for index, signal in enumerate(signals):
        axes = figure.add_subplot(1, len(signals), index + 1)
        for (line, colour), (name, runs) in zip(cycle(product(LINES, COLOURS)), settings.items(), strict=False):
            factor = (scale or {}).get(name, 1.0)
            curves = [read_curve(run, signal) for run in runs]
            draw_curve(axes, name, (line, colour), [(factor * samples, values) for samples, values in curves])
        axes.set_title(signal, fontsize=10, loc="left")
        axes.set_xlabel(axis, fontsize=8)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=8)
        if index == 0 and len(settings) > 1:
            axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def read_curve(run: Path, signal: str) -> Curve:
    """Samples and values of the iterations that have a signal.

    Raises:
        ConfigError: the folder has no metrics, or no such signal.
    """
    path = run / "metrics.jsonl"
    if not path.exists():
        raise ConfigError(f"{run} is not a run folder: it has no metrics.jsonl")
    rows = [(record["samples"], record[signal]) for record in read_metrics(path) if record.get(signal) is not None]
    if not rows:
        known = {name for record in read_metrics(path) for name in record}
        raise ConfigError(f"{run} never recorded {signal}{nearest(signal, known)}")
    samples, values = np.array(rows, dtype=float).T
    return samples, values


def draw_curve(axes: Axes, name: str, style: tuple[str, str], curves: list[Curve]) -> None:
    """Draw mean and band of the seeds in a line style and colour, up to the end of the shortest."""
    end = min(samples[-1] for samples, _ in curves)
    grid = np.linspace(max(samples[0] for samples, _ in curves), end, POINTS)
    values = np.stack([np.interp(grid, samples, value) for samples, value in curves])
    label = name if len(curves) == 1 else f"{name} ({len(curves)} seeds)"
    line, colour = style
    axes.plot(grid, values.mean(0), line, color=colour, linewidth=1.6, label=label)
    if len(curves) > 1:
        axes.fill_between(grid, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0)


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code, 2 with a message on invalid input."""
    try:
        pairs = dict(argument.split("=", 1) for argument in arguments[1:])
        signals = pairs.pop("signals").split(",")
        settings = {name: [Path(run) for run in runs.split(",")] for name, runs in pairs.items()}
        if not settings:
            raise KeyError
    except (KeyError, ValueError):
        sys.stderr.write(f"usage: {USAGE}\n")
        return 2
    try:
        write_atomically(Path(arguments[0]), compare(settings, signals))
    except IsaacHRLError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
