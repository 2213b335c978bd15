"""The reliability campaign in small: `make chaos` runs the tests marked `chaos`, in a few minutes on two cores.

Each file is an area and has a line in the table at the end. Everything that is random follows from `--chaos-seed`;
`--chaos-quick` runs a part, one for each seed.
"""

import random
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest

if sys.platform == "win32":  # no limits of processes, and other signals
    collect_ignore_glob = ["test_*.py"]


def pytest_addoption(parser):
    """The seed, and how much is run."""
    parser.addoption("--chaos-seed", type=int, default=0, help="of everything random in the campaign (default: 0)")
    parser.addoption("--chaos-quick", action="store_true", help="a part of the campaign, chosen by the seed")


def _drawn(config, *names):
    """A generator that follows from the campaign's seed and from what it is for."""
    return random.Random(zlib.crc32("/".join((str(config.getoption("chaos_seed", 0)), *names)).encode()))


def pytest_collection_modifyitems(config, items):
    """The part of `--chaos-quick`: of every area a few tests, and those of a table fewer."""
    if not config.getoption("chaos_quick", False):
        return
    areas = {}
    for item in items:
        marker = item.get_closest_marker("chaos")
        if marker is not None:
            areas.setdefault(item.path.stem, []).append((item, marker.kwargs.get("quick", 2)))
    chosen = set()
    for area, found in areas.items():
        _drawn(config, area).shuffle(found)
        chosen.update(item for item, _ in found[: max(quick for _, quick in found)])
    items[:] = [item for item in items if item.get_closest_marker("chaos") is None or item in chosen]


@pytest.fixture
def draw(request):
    """Random numbers of this test alone."""
    return _drawn(request.config, request.node.nodeid)


class Tally:
    """Tries of an area, what failed, and what was lost: for the table at the end."""

    def __init__(self, record):
        self._record = record

    def failed(self, what):
        """A try that failed."""
        self._record["failures"].append(str(what))

    def check(self, wrong):
        """A try: what is wrong with it, or something empty."""
        self._record["tries"] += 1
        if wrong:
            self.failed(wrong)

    def lost(self, what):
        """What a try lost, in words to be counted."""
        self._record["losses"].append(what)


@pytest.fixture
def tally(request, record_property):
    """Counts the tries of a test; one that counts none is a try itself."""
    record = {"area": request.path.stem.removeprefix("test_"), "tries": 0, "failures": [], "losses": []}
    record_property("chaos", record)
    return Tally(record)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test fails after its last try, so that all are counted."""
    result = yield
    found = dict(pyfuncitem.user_properties).get("chaos")
    if found and found["failures"]:
        pytest.fail("\n".join(found["failures"][:20]), pytrace=False)
    return result


def pytest_terminal_summary(terminalreporter):
    """Tries, failures and losses of each area."""
    tries, failures, losses, seconds = Counter(), Counter(), {}, Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            found = dict(report.user_properties).get("chaos")
            if found is None or report.when != "call":
                continue
            area = found["area"]
            seconds[area] += report.duration
            tries[area] += max(found["tries"], 1)
            failures[area] += max(len(found["failures"]), int(outcome == "failed"))
            losses.setdefault(area, Counter()).update(found["losses"])
    if not tries:
        return
    terminalreporter.section("reliability campaign")
    terminalreporter.line("| area | tries | failures | losses | seconds |\n|---|---|---|---|---|")
    for area in sorted(tries):
        lost = ", ".join(f"{what} {count}x" for what, count in sorted(losses[area].items())) or "-"
        terminalreporter.line(f"| {area} | {tries[area]} | {failures[area]} | {lost} | {seconds[area]:.0f} |")
    total = f"| all | {tries.total()} | {failures.total()} | | {seconds.total():.0f} |"
    terminalreporter.line(total)


TINY = {
    "HumanoidAMP": "task=HumanoidAMP num_envs=4 motion=walk",
    "HumanoidHRLMaze": "task=HumanoidHRLMaze num_envs=4",
    "TaxiFuel": "task=TaxiFuel train=maxq num_envs=4",
    "AntMaze": "task=AntMaze train=hiro num_envs=4",
}


@pytest.fixture(scope="session")
def tiny():
    """The command lines of four small trainings, by task."""
    return TINY


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """`made(task)`: the folder of a run of two iterations, which tests only read or copy."""
    folders = {}

    def make(task) -> Path:
        if task not in folders:
            from tests.chaos import child

            folder = tmp_path_factory.mktemp("made") / task
            arguments = f"{TINY[task]} max_iterations=2 run_dir={folder}"
            code, output = child.finished(folder.with_suffix(".cwd"), arguments)
            assert code == 0, output
            folders[task] = folder
        return folders[task]

    return make
