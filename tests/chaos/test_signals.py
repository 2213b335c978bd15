"""Signals stop a training in order, and every other command without a trace."""

import shutil
import signal

import pytest

from tests.chaos import child, faults, state

pytestmark = pytest.mark.chaos(quick=2)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENDLESS = "max_iterations=1000000"
INTERRUPTED = 128 + signal.SIGINT
TASKS = ("HumanoidAMP", "TaxiFuel", "AntMaze", "HumanoidHRLMaze")


def by_signal(number):
    """Exit codes of a program that a signal ended."""
    return (128 + number, -number)


def started(folder, arguments, lines=2):
    """A training that has done some iterations."""
    run = child.train(folder.with_suffix(".cwd"), f"{arguments} {ENDLESS} run_dir={folder}")
    assert run.until(lambda: len(state.iterations(folder)) >= lines), run.output
    return run


def is_whole(folder):
    """All that was recorded is saved."""
    assert not state.whole(folder)
    assert len(state.iterations(folder)) == state.saved(folder)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("task", TASKS)
def test_one_signal_saves_and_says_how_to_resume(task, number, tiny, tmp_path, tally):
    folder = tmp_path / "run"
    run = started(folder, tiny[task])
    run.send(number)
    assert run.ended() == 128 + number, run.output
    assert "Traceback" not in run.output
    assert f"resume={folder}" in run.output
    is_whole(folder)
    last = state.saved(folder)
    code, output = child.finished(tmp_path / "cwd", f"resume={folder} max_iterations={last + 1}")
    assert code == 0, output
    is_whole(folder)
    assert state.saved(folder) == last + 1


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_loses_no_older_save(number, tiny, tmp_path, tally):
    folder = tmp_path / "run"
    run = started(folder, f"{tiny['TaxiFuel']} save_every_s=0")
    run.until(lambda: state.saved(folder))
    run.send(number)
    run.send(number)
    assert run.ended() in (128 + number, INTERRUPTED), run.output
    assert "Traceback" not in run.output
    assert not state.whole(folder)
    assert state.saved(folder)
    tally.lost(f"{len(state.iterations(folder)) - state.saved(folder)} iterations")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_the_start_ends_it(number, tiny, tmp_path, draw, tally):
    mark = tmp_path / "mark"
    fault = child.together((faults.touch_at_start, mark))
    run = child.train(tmp_path / "cwd", f"{tiny['HumanoidAMP']} run_dir={tmp_path / 'run'}", fault=fault)
    assert run.until(mark.exists), run.output
    run.until(lambda: False, limit_s=draw.uniform(0.0, 0.5))
    run.send(number)
    assert run.ended() in (*by_signal(number), INTERRUPTED), run.output
    assert "Traceback" not in run.output
    assert not state.leftovers(tmp_path)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", SIGNALS[:2])
def test_a_signal_in_a_write_leaves_a_whole_file(number, times, tiny, tmp_path, tally):
    folder, gate = tmp_path / "run", tmp_path / "gate"
    fault = child.together((faults.slow_flush, gate))
    code, output = child.finished(tmp_path / "cwd", f"{tiny['TaxiFuel']} max_iterations=1 run_dir={folder}")
    assert code == 0, output
    run = child.train(tmp_path / "cwd", f"resume={folder} save_every_s=0 {ENDLESS}", fault=fault)
    assert run.until(lambda: list((folder / "checkpoints").glob(".*.tmp"))), run.output
    run.send(number)
    if times == 2:
        run.until(lambda: "stopping" in run.output)
        run.send(number)
    else:
        gate.touch()
    assert run.ended() in (128 + number, INTERRUPTED), run.output
    assert "Traceback" not in run.output
    assert not state.whole(folder)
    assert state.saved(folder) >= 1


@pytest.mark.parametrize("mode", ["evaluate", "play"])
@pytest.mark.parametrize("number", SIGNALS)
def test_evaluation_and_play_end_at_once(number, mode, made, tmp_path, tally):
    folder, mark = tmp_path / "run", tmp_path / "mark"
    shutil.copytree(made("TaxiFuel"), folder)
    (folder / f"{mode}.json").unlink(missing_ok=True)
    arguments = f"mode={mode} checkpoint={folder} episodes=100000 num_envs=1 video=false"
    run = child.train(tmp_path / "cwd", arguments, fault=child.together((faults.touch_at_step, mark)))
    assert run.until(mark.exists), run.output
    run.send(number)
    assert run.ended() in (*by_signal(number), INTERRUPTED), run.output
    assert "Traceback" not in run.output
    assert not state.leftovers(folder)
    assert not (folder / f"{mode}.json").exists()
    assert not state.whole(folder)
