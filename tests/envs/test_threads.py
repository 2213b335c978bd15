"""Threads of a step: few environments get one, and the setting comes back."""

import pytest
import torch

from isaachrl.envs.threads import small_work

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("num_envs", "device", "inside"), [(8, CPU, 1), (4096, CPU, 2), (8, torch.device("cuda"), 2)])
def test_few_environments_on_the_cpu_get_one_thread(num_envs: int, device: torch.device, inside: int) -> None:
    with small_work(num_envs, device):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2


def test_the_setting_comes_back_after_an_error() -> None:
    with pytest.raises(RuntimeError), small_work(8, CPU):
        raise RuntimeError
    assert torch.get_num_threads() == 2
