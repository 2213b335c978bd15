"""The benchmark of the goal-conditioned learners runs, and its plain loops choose the same candidates."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.learn.goals.goals import CANDIDATE_ORIGINAL

PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "goals.py"


@pytest.fixture(scope="module")
def goals():
    spec = importlib.util.spec_from_file_location("goals_benchmark", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_prints_one_line(goals, capsys):
    goals.main(["batch=8", "hidden=8", "seconds=0"])
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert result["batch"] == 8 and result["relabel_ratio_to_loop_all"] > 1
    assert all(value > 0 for name, value in result.items() if name.endswith("_per_s"))


def test_plain_loops_choose_the_same_goals_as_the_learner(goals):
    learner = goals.make_learner(goals.Options(batch=8, hidden=8), "float32")
    rows = torch.arange(6)
    chosen = []
    for plain in (None, False, True):
        learner.generator.manual_seed(0)
        if plain is None:
            # one segment at a time, so that the draws are the same
            goal = torch.cat([learner.top_update.corrected(row[None]) for row in rows])
        else:
            chosen.append(goals.relabel_plainly(learner, rows, plain))
    assert chosen[0] == chosen[1]
    kept = torch.tensor([index == CANDIDATE_ORIGINAL for index in chosen[0]])
    assert torch.equal((goal == learner.replays[0].data["goal"][:6]).all(1), kept)


def test_sizes_out_of_range_are_errors(goals):
    with pytest.raises(ConfigError, match="batch=2"):
        goals.main(["batch=2"])
