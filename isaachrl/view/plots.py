"""Live plots of the last seconds in viser's panel."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from isaachrl.view.extra import viser

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf", "#e377c2", "#7f7f7f", "#bcbd22")
ASPECT = 1.7


class Plot:
    """Lines over simulated time, in s; shown with the first data, whose names it keeps.

    Args:
        gui: of a viser server.
        folder: in its panel.
        title: of the plot.
    """

    def __init__(self, gui: Any, folder: Any, title: str) -> None:
        self._gui, self._folder, self._title, self._handle = gui, folder, title, None

    def show(self, times_s: Iterable[float], lines: Mapping[str, Iterable[float]]) -> None:
        """Show these lines, by name; each has a value for each time."""
        data = tuple(np.array(list(values), np.float64) for values in (times_s, *lines.values()))
        if len(data[0]) < 2 or len({len(values) for values in data}) > 1:
            return
        if self._handle is not None:
            self._handle.data = data
            return
        make = viser().uplot.Series
        series = [make(label=name, stroke=COLOURS[i % len(COLOURS)], width=1.5) for i, name in enumerate(lines)]
        with self._folder:
            self._handle = self._gui.add_uplot(
                data, (make(label="s"), *series), title=self._title, scales={"x": {"time": False}}, aspect=ASPECT
            )
