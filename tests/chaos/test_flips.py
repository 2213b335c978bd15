"""Changed bytes in skills, checkpoints and motions: refused by an error of ours, or without a meaning."""

import json
import shutil

import pytest

from tests.chaos import child, mutations

pytestmark = pytest.mark.chaos(quick=4)

COUNT, QUICK_COUNT = 1000, 100
MOST_S, MOST_MIB = 2.0, 1024.0  # of processor and memory, for one file


@pytest.fixture
def source(request, made, tmp_path):
    """A good file of a kind."""
    kind = request.param
    if kind == "npy":
        mutations.write_npy(tmp_path / "good.npy")
        return kind, tmp_path / "good.npy"
    path = {
        "skill": lambda: made("HumanoidAMP") / "skill.pt",
        "checkpoint": lambda: made("TaxiFuel") / "checkpoints" / "last.pt",
        "clip": lambda: child.ROOT / "assets" / "motions" / "walk.npz",
    }[kind]()
    return kind, shutil.copy(path, tmp_path / f"good{path.suffix}")


@pytest.mark.parametrize("source", list(mutations.READERS), indirect=True)
def test_a_changed_file_is_refused_or_means_the_same(source, request, tmp_path, draw, tally):
    kind, good = source
    count = QUICK_COUNT if request.config.getoption("chaos_quick") else COUNT
    target = tmp_path / f"mutated{good.suffix}"
    run = child.Child(
        tmp_path / "cwd", mutations.survey, kind, good, target, draw.randrange(2**32), count, memory=2 * child.GIB
    )
    code = run.ended(600.0)
    rows = [json.loads(line) for line in (tmp_path / "cwd" / "survey.jsonl").read_text().splitlines()]
    last = {row["number"]: row for row in rows}
    for row in last.values():
        bad = row["outcome"] not in ("same", "refused")
        slow = row.get("seconds", 0.0) > MOST_S or row.get("mib", 0.0) > MOST_MIB
        tally.check(f"{kind} {row}" if bad or slow else "")
    if code != 0 or len(last) < count:
        tally.failed(f"{kind}: exit code {code} at mutation {len(last)} of {count}\n{run.output}")
