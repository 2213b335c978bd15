"""The script of the task graphs' figures: what it trains, what it writes, and that it draws what was written."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from isaachrl.errors import IsaacHRLError

PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "task_graph_figures.py"


@pytest.fixture(scope="module")
def figures():
    spec = importlib.util.spec_from_file_location("task_graph_figures", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["task_graph_figures"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["maxq", "hpg", "flat_q", "hybrid", "flat_pg", "actor_critic"])
def test_learners_are_those_of_train_py(figures, name):
    learner = figures.make_learner(name, 0, figures.Options(num_envs=4, max_iterations=7))
    assert learner.max_iterations == 7 and learner.env.num_envs == 4
    if name == "flat_q":
        assert (learner.cfg.initial, learner.cfg.learning_rate) == (20.0, 1.0), "cfg/train/flat_q.yaml was read"


@pytest.mark.parametrize("variant", ["basic", "baseline", "entropy", "baseline+entropy"])
def test_rooms_are_learned_by_every_variant(figures, variant):
    learner = figures.make_learner(f"rooms_{variant}", 0, figures.Options(num_envs=4))
    assert learner.cfg.variant == variant and learner.subgoals.names[-1] == "goal"
    assert (learner.high.baseline is not None) == ("baseline" in variant)


def test_a_series_is_smoothed_and_put_on_one_grid(figures):
    values = [0.0] * 45 + [9.0] + [0.0] * 54
    rows = [{"samples": 10 * k, "a": value, "b": None} for k, value in enumerate(values)]
    found = figures.series([{"rows": rows}, {"rows": rows}], "a")
    assert found is not None
    samples, smooth = found
    assert samples.tolist() == [10.0 * k for k in range(100)] and smooth.shape == (2, 100)
    np.testing.assert_allclose(smooth[0, 41:50], 1.0)  # one peak of 9 over nine points
    assert smooth[0, 40] == smooth[0, 50] == 0.0
    assert figures.series([{"rows": rows}], "b") is None
    few = [{"samples": k, "a": float(k)} for k in range(5)]
    np.testing.assert_allclose(figures.series([{"rows": few}], "a")[1][0], [0, 1, 2, 3, 4])


def test_a_record_is_made_once_and_drawn(figures, tmp_path, capsys):
    words = [f"folder={tmp_path}", "num_envs=4", "max_iterations=20", "seeds=1"]
    figures.main([*words, "run=flat_q,rooms_basic"])
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"flat_q", "rooms_basic"} and len(printed["flat_q"]) == 1
    assert "episode/length" in printed["rooms_basic"][0]
    path = tmp_path / "flat_q_0.json"
    record = json.loads(path.read_text())
    assert record["num_envs"] == 4 and len(record["rows"]) == 20 and record["cpu_s"] > 0
    assert [row["samples"] for row in record["rows"][:2]] == [64, 128]
    assert "greedy/return" in record["rows"][19] and "greedy/return" not in record["rows"][18]
    written = path.stat().st_mtime_ns
    marks = {
        "taxi": {"reward_per_step": 0.2, "mean_return": 3.5},
        "ship": {"straight_line_steps": 205.0, "controller": {"success_rate": 0.97, "steps_to_goal": 225.0}},
        "rooms": {"mean_length": 7.0},
    }
    (tmp_path / "yardsticks.json").write_text(json.dumps(marks))
    figures.main([*words, "run=flat_q", f"draw={tmp_path}"])
    assert path.stat().st_mtime_ns == written, "what exists is not run again"
    for name in ("taxi.png", "ship.png", "rooms.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_track_ends_with_its_episode(figures):
    learner = figures.make_learner("hybrid", 0, figures.Options(num_envs=2))
    found = figures.track(learner, (400.0, 399.0, 90.0, 0.0))  # just below the gate, heading for it
    assert found["places"][0] == pytest.approx([400.0, 399.0]) and found["places"][-1][1] > 400.0
    assert len(found["places"]) == 2 and found["called"] == [pytest.approx([400.0, 399.0])]


def test_an_unknown_key_is_refused(figures):
    with pytest.raises(IsaacHRLError, match="seed"):
        figures.main(["sedes=3"])
