"""Threads of a step: few environments get one, the setting comes back, and many threads change no number."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import isaachrl
import tasks  # noqa: F401  registers the tasks
from isaachrl.envs.threads import limit_threads

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("num_envs", "device", "inside"), [(8, CPU, 1), (4096, CPU, 2), (8, torch.device("cuda"), 2)])
def test_few_environments_on_the_cpu_get_one_thread(num_envs: int, device: torch.device, inside: int) -> None:
    with limit_threads(num_envs, device):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2


def test_the_setting_comes_back_after_an_error() -> None:
    with pytest.raises(RuntimeError), limit_threads(8, CPU):
        raise RuntimeError
    assert torch.get_num_threads() == 2


def step_twice() -> None:
    """One step of 4096 ants on two threads, and the same again from a stored state: every bit must be equal."""
    torch.set_num_threads(2)
    env = isaachrl.make("AntMaze", num_envs=4096, device="cpu")
    action = 2 * torch.rand(4096, env.action_size) - 1
    start = env.state_dict()
    one = env.step(action)
    env.load_state_dict(start)
    two = env.step(action)
    for group, seen in one.obs.items():
        assert torch.equal(seen, two.obs[group]), group
    assert torch.equal(one.reward, two.reward) and torch.equal(one.done, two.done)


def test_many_environments_on_two_threads_step_alike_bit_for_bit() -> None:
    # in a process of its own: so many worlds leave a heap of more addresses than a small machine has memory, and such a
    # process can start no other one
    code = "from tests.envs.test_threads import step_twice; step_twice()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
