"""What does not fit into the memory at hand is refused before it is asked for."""

import pytest
import torch

from isaachrl import memory
from isaachrl.errors import ConfigError
from isaachrl.learn.goals.experience.replay import SegmentReplay, Sizes
from isaachrl.learn.skills.buffers import Replay
from isaachrl.learn.task_graph.continuous.tiles import TileCoder

CPU = torch.device("cpu")


def test_some_memory_is_free_and_less_than_a_petabyte():
    assert 2**20 < memory.available_bytes(CPU) < 2**50


def test_require_memory_passes_or_names_needed_and_free_bytes(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 2 * memory.GIB)
    memory.require_memory(2 * memory.GIB, CPU, "a=1: a thing", "type a=0")
    with pytest.raises(ConfigError) as caught:
        memory.require_memory(3 * memory.GIB, CPU, "a=1: a thing", "type a=0")
    assert str(caught.value) == "a=1: a thing needs 3.0 GiB of memory, and 2.0 GiB are free; type a=0"
    with pytest.raises(ConfigError, match="3.0 GiB of GPU memory"):
        memory.require_memory(3 * memory.GIB, torch.device("cuda"), "a=1: a thing", "type a=0")
    monkeypatch.setattr(memory, "available_bytes", lambda device: None)
    memory.require_memory(3 * memory.GIB, CPU, "a=1: a thing", "type a=0")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SegmentReplay(10**9, Sizes(10, 30, 8, 15, 2), CPU),
            "train.replay_steps: .* segments",
        ),
        (lambda: Replay(10**9, 200, 16, 0.1, CPU), "train.discriminator.replay_size=1000000000"),
        (lambda: TileCoder(((0.0, 1.0),) * 4, [1000] * 4, 9, (), CPU), r"tiles in 9 tilings"),
    ],
)
def test_memories_of_learners_are_bounded_by_it(make, message):
    with pytest.raises(ConfigError, match=message + ".* needs .* GiB of memory, and .* GiB are free; type "):
        make()
