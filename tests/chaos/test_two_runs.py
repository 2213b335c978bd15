"""Two trainings in one folder: the second is refused, and the first does not notice."""

import signal

import pytest

from tests.chaos import child, state

pytestmark = pytest.mark.chaos(quick=1)


@pytest.mark.parametrize("task", ["TaxiFuel", "HumanoidAMP"])
def test_the_second_of_two_runs_is_refused(task, tiny, tmp_path, tally):
    folder = tmp_path / "run"
    first = child.train(tmp_path / "first", f"{tiny[task]} seed=1 max_iterations=1000000 run_dir={folder}")
    assert first.until(lambda: state.iterations(folder)), first.output
    code, output = child.finished(tmp_path / "second", f"{tiny[task]} seed=2 max_iterations=3 run_dir={folder}")
    first.send(signal.SIGTERM)
    assert first.ended() == 128 + signal.SIGTERM, first.output
    wrong = state.refusal(code, output)
    assert not wrong, wrong
    assert str(folder) in output
    assert not state.whole(folder)
    assert len(state.iterations(folder)) == state.saved(folder)
    assert "seed: 1\n" in (folder / "config.yaml").read_text()


def test_of_two_starts_at_once_one_trains(tiny, tmp_path, tally):
    folder = tmp_path / "run"
    runs = [
        child.train(tmp_path / str(seed), f"{tiny['TaxiFuel']} seed={seed} max_iterations=1000000 run_dir={folder}")
        for seed in (1, 2)
    ]
    assert runs[0].until(lambda: not all(run.process.is_alive() for run in runs)), "both go on"
    lost, kept = sorted(runs, key=lambda run: run.process.is_alive())
    assert kept.until(lambda: state.iterations(folder)), kept.output
    kept.send(signal.SIGTERM)
    assert kept.ended() == 128 + signal.SIGTERM, kept.output
    wrong = state.refusal(lost.ended(), lost.output)
    assert not wrong, wrong
    assert not state.whole(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_does_not_outlive_its_run(number, tiny, tmp_path, tally):
    folder = tmp_path / "run"
    first = child.train(tmp_path / "first", f"{tiny['TaxiFuel']} max_iterations=1000000 run_dir={folder}")
    assert first.until(lambda: state.iterations(folder)), first.output
    first.send(number)
    first.ended()
    last = state.saved(folder)
    again = f"{tiny['TaxiFuel']} max_iterations=3" if last is None else f"max_iterations={last + 1}"
    where = f"run_dir={folder}" if last is None else f"resume={folder}"
    code, output = child.finished(tmp_path / "second", f"{again} {where}")
    assert code == 0, output
    assert not state.whole(folder)
