"""Learning curves of several runs, and the table of a sweep.

`python -m isaachrl.run.compare OUT.png NAME=RUN,RUN,… … signals=a,b`: runs of one name are seeds of one setting. The
curve is their mean, with a band from minimum to maximum. `over=minutes` draws over wall-clock minutes, else it is over
samples.

`python -m isaachrl.run.compare FOLDER [signals=a,b]`: all runs in a folder, as `train.py --multirun run_dir=FOLDER …`
makes them. Runs whose configurations differ in nothing but the seed are one setting, which is named by the keys that
tell it from the others. Writes `sweep.md`, `sweep.json` and `sweep.png` into the folder, and prints the table.
"""

import io
import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isaachrl import config
from isaachrl.errors import ConfigError, IsaacHRLError, brief, nearest
from isaachrl.files import write_atomically
from isaachrl.run.recording.report import COLOURS
from isaachrl.run.recording.tables import cell, markdown_table
from isaachrl.run.storage.folder import CONFIG
from isaachrl.run.storage.metrics import jsonable, read_metrics
from isaachrl.shipped import PROGRAM

USAGE = """\
python -m isaachrl.run.compare OUT.png NAME=RUN[,RUN…] … signals=group/name[,group/name…] [over=minutes]
       python -m isaachrl.run.compare FOLDER [signals=group/name[,group/name…]]"""
LINES = ("-", "--", ":")  # line styles after all colours are used
POINTS = 200  # of the interpolated curves
METRICS = "metrics.jsonl"
OVER = {"samples": ("samples", 1.0), "minutes": ("wall_s", 60.0)}  # what a curve is over: the metric, and its unit
USUAL = ("episode/score", "episode/success_rate", "episode/return", "reward/total")  # signals of a sweep, if not typed
LAST_SHARE = 0.1  # of a run, over which its final values are means
NO_SETTING = (
    "seed",
    "run_dir",
    "resume",
    "save_every_s",
    "video",
    "episodes",
    "track",
    "objective",
)  # keys that do not make a setting

Curve = tuple[np.ndarray, np.ndarray]


def compare(
    settings: dict[str, list[Path]],
    signals: list[str],
    scale: Mapping[str, float] | None = None,
    axis: str = "",
    over: str = "samples",
) -> bytes:
    """A panel for each signal with a curve for each setting; as PNG.

    Args:
        settings: run folders of each setting, by name.
        signals: names as in `metrics.jsonl`.
        scale: factor of the samples of each setting; 1 by default.
        axis: label of the scaled samples; that of `OVER` by default.
        over: what curves are drawn over, one of `OVER`.

    Raises:
        ConfigError: a run has no metrics, or no such signal.
    """
    figure = Figure(figsize=(5.0 * len(signals), 3.6), dpi=90, layout="constrained")
    for index, signal in enumerate(signals):
        axes = figure.add_subplot(1, len(signals), index + 1)
        for (line, colour), (name, runs) in zip(cycle(product(LINES, COLOURS)), settings.items(), strict=False):
            factor = (scale or {}).get(name, 1.0)
            curves = [read_curve(run, signal, over) for run in runs]
            draw_curve(axes, name, (line, colour), [(factor * samples, values) for samples, values in curves])
        axes.set_title(signal, fontsize=10, loc="left")
        axes.set_xlabel(axis or over, fontsize=8)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=8)
        if index == 0 and len(settings) > 1:
            axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def read_curve(run: Path, signal: str, over: str = "samples") -> Curve:
    """Samples, or what else it is `over`, and values of the iterations that have a signal.

    Raises:
        ConfigError: the folder has no metrics, no such signal, or nothing to draw `over`.
    """
    path = run / METRICS
    if not path.exists():
        raise ConfigError(f"{run} is not a run folder: it has no {METRICS}")
    if over not in OVER:
        raise ConfigError(f"over={over}: not known{nearest(over, OVER)}")
    key, unit = OVER[over]
    rows = [(record[key] / unit, record[signal]) for record in read_metrics(path) if record.get(signal) is not None]
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


def sweep(folder: Path, signals: Sequence[str] = ()) -> str:
    """Compare all runs in a folder; writes `sweep.md`, `sweep.json` and `sweep.png`, and returns the table.

    Args:
        folder: where to look for runs, at any depth.
        signals: names as in `metrics.jsonl`; empty for those of `USUAL` that all runs recorded.

    Raises:
        ConfigError: there are no runs, or one has no such signal.
    """
    found = (path.parent for path in folder.rglob(METRICS) if (path.parent / CONFIG).is_file())
    found = sorted(found, key=_by_number)
    runs = [run for run in found if read_metrics(run / METRICS)]  # others were stopped in their first iteration
    if not runs:
        raise ConfigError(f"{folder} has no runs; type {PROGRAM} --multirun run_dir={folder} … to make some")
    settings = settings_of({run: _configuration(run / CONFIG) for run in runs})
    signals = list(signals) or _usual(runs)
    rows = {name: [_final(run, folder, signals) for run in members] for name, members in settings.items()}
    head = ["setting", "runs", *signals, "samples", "minutes"]
    columns = (*signals, "samples", "minutes")
    cells = [
        [name, str(len(ends)), *(spread([end[key] for end in ends]) for key in columns)] for name, ends in rows.items()
    ]
    table = markdown_table(head, cells) + "\n"
    write_atomically(folder / "sweep.md", table.encode())
    write_atomically(folder / "sweep.json", (json.dumps(jsonable(rows), indent=1) + "\n").encode())
    write_atomically(folder / "sweep.png", compare(settings, signals))
    return table


def _by_number(path: Path) -> list[str | int]:
    """A sort key after which 10 follows 9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.as_posix())]


def settings_of(configurations: Mapping[Path, Mapping[str, Any]]) -> dict[str, list[Path]]:
    """Runs by setting, named by the fewest keys that tell the settings apart, such as `train.gamma=0.9`.

    Args:
        configurations: of the runs, flat, by dotted keys. Some have only runs of one task or learner.
    """
    flat = list(configurations.values())
    keys = [key for key in dict.fromkeys(key for values in flat for key in values) if key not in NO_SETTING]
    names: list[tuple[str, ...]] = [() for _ in flat]
    for key in sorted(keys, key=lambda key: (not key.endswith(".name"), key.count("."))):
        longer = [
            (*name, f"{key}={values[key]}") if key in values else name for name, values in zip(names, flat, strict=True)
        ]
        if len(set(longer)) > len(set(names)):  # a key that follows from the others, such as a recipe's, splits nothing
            names = longer
    settings: dict[str, list[Path]] = {}
    for run, name in zip(configurations, names, strict=True):
        settings.setdefault(" ".join(name).replace(".name=", "=") or "all", []).append(run)
    return settings


def _configuration(path: Path) -> dict[str, Any]:
    """The configuration of a run, flat.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        return config.flat(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise ConfigError(f"{path} is not the configuration of a run ({brief(error)}); remove that folder") from error


def spread(values: Sequence[float]) -> str:
    """Mean and, where they differ, standard deviation of values, as text."""
    deviation = f" ± {statistics.stdev(values):.2g}" if len(set(values)) > 1 else ""
    return cell(float(statistics.fmean(values))) + deviation


def _usual(runs: Sequence[Path]) -> list[str]:
    """The signals of `USUAL` that all runs recorded.

    Raises:
        ConfigError: there are none.
    """
    recorded = [{name for record in read_metrics(run / METRICS) for name in record} for run in runs]
    found = [name for name in USUAL if all(name in names for names in recorded)]
    if not found:
        raise ConfigError(f"the runs have none of {', '.join(USUAL)} in common; type signals=group/name")
    return found


def _final(run: Path, folder: Path, signals: Sequence[str]) -> dict[str, Any]:
    """Where a run is, its length, and the means of the signals over its end."""
    last = read_metrics(run / METRICS)[-1]
    end: dict[str, Any] = {"run": run.relative_to(folder).as_posix(), "samples": last["samples"]}
    end["minutes"] = last["wall_s"] / 60.0
    return end | {signal: final_mean(run, signal) for signal in signals}


def final_mean(run: Path, signal: str) -> float:
    """The mean of a signal over the last tenth of a run.

    Raises:
        ConfigError: the folder has no metrics, or no such signal.
    """
    samples, values = read_curve(run, signal)
    return float(values[samples >= samples[-1] - LAST_SHARE * read_metrics(run / METRICS)[-1]["samples"]].mean())


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code, 2 with a message on invalid input."""
    try:
        pairs = dict(argument.split("=", 1) for argument in arguments[1:])
        signals = pairs.pop("signals", "").split(",") if "signals" in pairs else []
        over = pairs.pop("over", "samples")
        first = Path(arguments[0])
        settings = {name: [Path(run) for run in runs.split(",")] for name, runs in pairs.items()}
        if first.is_dir() == bool(settings) or (settings and not signals) or (first.is_dir() and over != "samples"):
            raise ValueError
    except (IndexError, ValueError):
        sys.stderr.write(f"usage: {USAGE}\n")
        return 2
    try:
        if settings:
            write_atomically(first, compare(settings, signals, over=over))
        else:
            sys.stdout.write(sweep(first, signals))
    except IsaacHRLError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
