"""Two processes train together and one is killed: the other ends, and what was saved is whole."""

import signal
import socket

import pytest

from tests.chaos import child, state

pytestmark = pytest.mark.chaos(quick=1)

END_S = 10.0


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def ranks(tmp_path, arguments):
    """Two processes as torchrun would start them."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    meeting |= {"TORCHELASTIC_RUN_ID": "chaos", "GLOO_SOCKET_IFNAME": "lo"}
    return [
        child.train(
            tmp_path / f"rank{rank}",
            arguments,
            variables=meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("task", ["HumanoidAMP", "HumanoidHRLMaze"])
def test_a_killed_rank_ends_the_others_and_leaves_a_save(task, victim, tiny, tmp_path, tally):
    folder = tmp_path / "run"
    both = ranks(tmp_path, f"{tiny[task]} save_every_s=0 run_dir={folder}")
    assert both[0].until(lambda: (state.saved(folder) or 0) >= 2), "\n".join(run.output for run in both)
    both[victim].send(signal.SIGKILL)
    other = both[1 - victim]
    code = other.ended(END_S)
    assert code is not None, f"it did not end\n{other.output}"
    assert code != 0
    both[victim].ended()
    done, last = state.iterations(folder), state.saved(folder)
    tally.lost(f"{len(done) - last} iterations")
    assert last >= 2
    assert done == list(range(1, len(done) + 1))
    code, output = child.finished(tmp_path / "cwd", f"mode=evaluate checkpoint={folder} episodes=2 num_envs=2")
    assert code == 0, output


@pytest.mark.parametrize("task", ["HumanoidAMP"])
def test_both_ranks_save_when_they_are_stopped(task, tiny, tmp_path, tally):
    folder = tmp_path / "run"
    both = ranks(tmp_path, f"{tiny[task]} run_dir={folder}")
    assert both[0].until(lambda: len(state.iterations(folder)) >= 2), "\n".join(run.output for run in both)
    for run in both:
        run.send(signal.SIGTERM)
    codes = [run.ended() for run in both]
    assert codes == [128 + signal.SIGTERM] * 2, "\n".join(run.output for run in both)
    assert not state.whole(folder)
    assert len(state.iterations(folder)) == state.saved(folder)
