"""Learning tests: trainings that must reach a bound, for one seed or for many.

A learning test is marked `learn` and asks for the fixtures `seed` and `reached`. A curve of learning is chaotic in the
last bit, so that it differs between processors; a bound therefore says what every one of at least ten seeds passed,
less a margin, and the test's docstring has those seeds' spread. `pytest -m learn --seeds=10` measures it again.
"""

from collections import defaultdict
from statistics import median

import pytest


def pytest_addoption(parser):
    """How many seeds a learning test is run with."""
    parser.addoption("--seeds", type=int, default=1, help="seeds of each test marked `learn`: 0, 1, … (default: 1)")


def pytest_generate_tests(metafunc):
    """One run of a learning test for each seed."""
    if "seed" in metafunc.fixturenames and metafunc.definition.get_closest_marker("learn"):
        metafunc.parametrize("seed", range(metafunc.config.getoption("seeds")))


@pytest.fixture
def reached(request, record_property):
    """`reached(value, bound)`: what a training came to must be at least the bound; it is listed after all tests."""

    def check(value, bound):
        others = [f"{key}={value}" for key, value in request.node.callspec.params.items() if key != "seed"]
        name = request.node.nodeid.split("[")[0] + (f"[{', '.join(others)}]" if others else "")
        record_property("reached", (name, float(value), float(bound)))
        assert value >= bound

    return check


def pytest_terminal_summary(terminalreporter):
    """Lowest, median and highest of the seeds of each learning test."""
    found = defaultdict(list)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            values = dict(report.user_properties).get("reached")
            if values is not None and report.when == "call":
                found[values[0]].append((*values[1:], report.duration))
    if not found:
        return
    terminalreporter.section("learning tests")
    for name, rows in sorted(found.items()):
        values, bounds, seconds = zip(*rows, strict=True)
        terminalreporter.line(
            f"{name}: bound {bounds[0]:.3g}, lowest {min(values):.3g}, median {median(values):.3g}, highest "
            f"{max(values):.3g} of {len(values)} seeds, {sum(seconds) / len(seconds):.1f} s each"
        )
