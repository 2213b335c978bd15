"""Trainings are killed at random moments and in the middle of writes, then resumed and evaluated."""

import signal
import time

import pytest

from tests.chaos import child, state

TASKS = ("HumanoidAMP", "HumanoidHRLMaze", "TaxiFuel", "AntMaze")
FURTHER = 2  # iterations after the kill

pytestmark = pytest.mark.chaos(quick=2)


def writing(folder):
    return any((folder / "checkpoints").glob(".*.tmp"))


def killed(folder, arguments, draw, in_write):
    """Start a training, and kill it at a drawn moment."""
    run = child.train(folder.with_suffix(".cwd"), f"{arguments} save_every_s=0 run_dir={folder}")
    lines = draw.randrange(1, 8)
    if not run.until(lambda: len(state.iterations(folder)) >= lines) or (
        in_write and not run.until(lambda: writing(folder))
    ):
        run.ended(0)
        pytest.fail(f"it never came to the moment at which to kill it:\n{run.output}")
    time.sleep(draw.uniform(0.0, 0.005 if in_write else 0.2))
    run.send(signal.SIGKILL)
    assert run.ended() == -signal.SIGKILL, run.output
    return run


@pytest.mark.parametrize("in_write", [False, True, True], ids=["random", "write", "another"])
@pytest.mark.parametrize("task", TASKS)
def test_a_killed_training_goes_on(task, in_write, tiny, tmp_path, draw, tally):
    folder, cwd = tmp_path / "run", tmp_path / "cwd"
    killed(folder, tiny[task], draw, in_write)
    done, last = state.iterations(folder), state.saved(folder)
    if state.leftovers(folder):
        tally.lost("a leftover until the next start")
    assert done == list(range(1, len(done) + 1))
    if last is None:
        tally.lost("no checkpoint yet")
        code, output = child.finished(cwd, f"resume={folder}")
        assert not state.refusal(code, output)
        code, output = child.finished(cwd, f"{tiny[task]} max_iterations={FURTHER} run_dir={folder}")
        last = 0
    else:
        lost = len(done) - last
        tally.lost(f"{lost} iterations")
        assert 0 <= lost <= 1, "every iteration is saved, and the one under way is all that can be lost"
        code, output = child.finished(cwd, f"resume={folder} max_iterations={last + FURTHER}")
    assert code == 0, output
    assert not state.whole(folder)
    assert len(state.iterations(folder)) == state.saved(folder) == last + FURTHER
    code, output = child.finished(cwd, f"mode=evaluate checkpoint={folder} episodes=2 num_envs=2")
    assert code == 0, output
    assert (folder / "evaluate.json").stat().st_size
