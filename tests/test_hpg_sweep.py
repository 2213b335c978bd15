"""The sweep over step sizes: what it says of the root, and that it runs."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

import isaachrl
import tasks
from isaachrl.learn.task_graph import make_hpg
from isaachrl.learn.task_graph.tabular.config import HpgCfg

assert tasks
PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "hpg_sweep.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("hpg_sweep", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hpg_sweep"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_probability_of_refuelling_is_that_of_the_root(script):
    learner = make_hpg(isaachrl.make("TaxiFuel", num_envs=1, device="cpu"), HpgCfg(), 0)
    starts = learner.tables.mdp.starts
    may = learner.tables.allowed[0, starts]  # Get, Put, Refuel
    assert script.refuelling(learner) == pytest.approx((may[:, 2] / may.sum(-1)).mean().item())
    learner.algorithm.theta[learner.tables.row[0], 2] = 50.0
    assert script.refuelling(learner) == pytest.approx(may[:, 2].float().mean().item())


def test_it_prints_a_line_a_run(script, capsys):
    script.main(["rates=1e-3,1e-2", "decays=0", "seeds=1", "million_steps=0.0005", "num_envs=4"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["learning_rate"] for line in lines] == [1e-3, 1e-2]
    for line in lines:
        steps, value, probability = line["million steps, greedy return, probability of Refuel"][-1]
        assert steps <= 0.0005 and value < 3.55 and 0.0 <= probability <= 1.0
