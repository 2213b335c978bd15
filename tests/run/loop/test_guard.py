"""The guard: a training that diverges ends with an error, and every file that it leaves is good."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from isaachrl.errors import DivergenceError
from isaachrl.learn import collectives
from isaachrl.run.loop.guard import Guard, not_finite
from isaachrl.run.storage.checkpoint import load_checkpoint
from isaachrl.run.storage.metrics import read_metrics
from tests.run import point


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)


@pytest.fixture
def diverges(monkeypatch):
    """`diverges(at, what)`: in that iteration the learner's weights become such a number; `how` says what it tells."""

    def diverges(at, what=math.nan, how="signals"):
        original = point.Greedy.iterate

        def iterate(self):
            signals = original(self)
            if self.iteration == at:
                with torch.no_grad():
                    self.net[0].weight[0, 0] = what
                if how == "raises":
                    self.iteration -= 1
                    raise ValueError("Expected parameter loc to satisfy the constraint Real()")
                return signals | ({"loss/policy": what} if how == "signals" else {})
            return signals

        monkeypatch.setattr(point.Greedy, "iterate", iterate)

    return diverges


def files(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize(("what", "how"), [(math.nan, "signals"), (math.inf, "silence"), (-math.inf, "raises")])
def test_a_training_that_diverges_ends_and_what_was_saved_before_stays(launch, diverges, what, how):
    launch(max_iterations=3, run_dir="run")
    saved = files("run/checkpoints") | {Path("run/product.txt"): b"3"}
    diverges(5, what, how)
    with pytest.raises(DivergenceError) as caught:
        launch(resume="run", max_iterations=30, save_every_s=1e9)
    assert {path: path.read_bytes() for path in saved} == saved
    assert all(not not_finite(load_checkpoint(path).learner_state) for path in Path("run/checkpoints").glob("*.pt"))
    message = str(caught.value)
    assert "net.0.weight" in message and "checkpoint=run/checkpoints/last.pt" in message
    assert ("loss/policy (iteration 5)" in message) == (how == "signals")
    assert message.startswith(
        f"the training has diverged: after iteration {dict(signals=5, silence=6, raises=4)[how]},"
    )
    assert len(read_metrics(Path("run/metrics.jsonl"))) >= 4  # what came before is on record


def test_a_training_of_one_iteration_that_diverges_writes_nothing_of_it(launch, diverges):
    diverges(1)
    with pytest.raises(DivergenceError, match="this run had saved nothing yet"):
        launch(max_iterations=1, run_dir="run")
    assert not list(Path("run").rglob("*.pt")) and not Path("run/product.txt").exists()
    assert not Path("run/metrics.jsonl").exists()


def test_the_newest_file_is_named(launch, diverges):
    diverges(7, how="silence")
    with pytest.raises(DivergenceError, match=r"checkpoint=run/checkpoints/00000006.pt"):
        launch(max_iterations=10, run_dir="run", save_every_s=1e9)


def test_an_optimiser_that_is_not_finite_is_not_saved(launch, monkeypatch):
    original = point.Greedy.state_dict

    def state_dict(self):
        state = original(self)
        state["optimizer"]["state"][0]["exp_avg"] = torch.full((1, 2), math.inf)
        return state

    monkeypatch.setattr(point.Greedy, "state_dict", state_dict)
    with pytest.raises(DivergenceError, match=r"optimizer.state.0.exp_avg not finite"):
        launch(max_iterations=1, run_dir="run")
    assert not Path("run/checkpoints/last.pt").exists()


def test_non_finite_signals_are_listed_in_order_of_onset_and_weights_decide(caplog):
    class Fading:
        iteration, weight = 0, 1.0

        def iterate(self):
            self.iteration += 1
            self.weight = math.nan if self.iteration == 4 else 1.0
            late = math.inf if self.iteration > 2 else 0.0
            return {"reward/b": late, "loss/a": self.weight, "episode/odd": math.nan, "count": 3}

        def weights(self):
            return {"a": torch.full((2,), self.weight)}

    guard = Guard(Fading(), None)
    assert [guard.iterate()["count"] for _ in range(3)] == [3, 3, 3]
    told = [record.getMessage().removeprefix("not finite since iteration ") for record in caplog.records]
    assert told == ["1, while weights are: episode/odd", "3, while weights are: reward/b"]  # each of them once
    order = r"episode/odd \(iteration 1\), reward/b \(iteration 3\), loss/a \(iteration 4\);"
    with pytest.raises(DivergenceError, match=f"after iteration 4, a not finite; signals .* in order: {order}"):
        guard.iterate()


def test_an_error_of_another_kind_stays_what_it_is(launch, monkeypatch):
    monkeypatch.setattr(point.Greedy, "iterate", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        launch(max_iterations=1)


def test_another_process_that_diverges_ends_this_one_too(monkeypatch):
    monkeypatch.setattr(collectives, "max_over_ranks", lambda *numbers: [1 for _ in numbers])
    with pytest.raises(DivergenceError, match="tensors of another process not finite"):
        Guard(SimpleNamespace(iteration=1), None).check({"a": torch.ones(2)})


def test_large_numbers_whose_sum_overflows_are_finite():
    large = torch.full((4,), 3e38)
    state = {"a": large, "b": [{"c": -large.double()}, torch.tensor([1, 2]), "text", None, math.nan], "d": large[:0]}
    assert not_finite(state) == []
    state["b"][0]["c"][2] = -math.inf
    state["e"] = (torch.tensor([math.inf, -math.inf]).bfloat16(),)
    assert not_finite(state) == ["b.0.c", "e.0"]
