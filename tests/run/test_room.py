"""A training whose physics runs short of room goes on: counted, given more at a save, refused if that never helps."""

import math

import pytest
import torch

from isaachrl.envs.registry import World
from isaachrl.errors import ConfigError
from isaachrl.run.loop.train_loop import Identity, TrainLoop
from isaachrl.run.storage.checkpoint import load_checkpoint
from isaachrl.run.storage.folder import RunFolder
from isaachrl.run.storage.metrics import read_metrics
from tests.run.point import Greedy, GreedyCfg, Point, PointCfg

SECTIONS = {"task": {"name": "Point"}, "train": {"name": "greedy"}}
MESSAGE = "task.njmax=8: that is 8 times the initial capacity"


class Crowded(Point):
    """A point whose worlds are short of room in some iterations, and can be given more a few times."""

    def __init__(self, short, limit):
        super().__init__(PointCfg(), World(3, "auto", torch.device("cpu"), torch.Generator()))
        self.short, self.limit, self.asked = list(short), limit, []

    def check_capacity(self):
        return self.short.pop(0) if self.short else {}

    def make_room(self, shares):
        if sum(map(bool, self.asked)) >= self.limit and max(shares.values(), default=0.0) > 0.5:
            raise ConfigError(MESSAGE)
        self.asked.append(shares)

    def state_dict(self):
        return super().state_dict() | {"asked": len(self.asked)}


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """`begin(every_s, limit, short in the first iteration, in the second, …)`: a training of five iterations."""
    monkeypatch.setattr("isaachrl.run.loop.train_loop.SAVING_SHARE", math.inf)

    def begin(every_s, limit, *short):
        for name in ("FIRST_SAVE_S", "SAVE_EVERY_S"):
            monkeypatch.setattr(f"isaachrl.run.loop.train_loop.{name}", every_s)
        learner = Greedy(Crowded(short, limit), GreedyCfg(max_iterations=5), 0)
        return TrainLoop(learner, RunFolder(tmp_path), Identity("Point", "greedy", SECTIONS))

    return begin


def test_overflowing_buffers_are_signalled_and_doubled_at_the_next_save(begin, tmp_path):
    loop = begin(0.0, 9, {}, {"njmax": 2}, {}, {"nconmax": 1, "njmax": 3})
    assert loop.run()
    assert loop.learner.env.asked == [{}, {"njmax": 1.0}, {}, {"nconmax": 1.0, "njmax": 1.0}, {}]
    lines = read_metrics(tmp_path / "metrics.jsonl")
    found = [{k: v for k, v in line.items() if k.startswith("physics/")} for line in lines]
    both = {"physics/nconmax_overflow": 1.0, "physics/njmax_overflow": 3.0}
    assert found == [{}, {"physics/njmax_overflow": 2.0}, {}, both, {}]
    assert load_checkpoint(tmp_path).env_state["asked"] == 5  # the room is given first, and saved with the rest


def test_without_a_save_nothing_is_doubled_and_the_end_of_a_training_is_no_error(begin):
    loop = begin(1e9, 0, {"njmax": 2}, {"njmax": 2})
    assert loop.run() and loop.learner.env.asked == []


def test_a_buffer_that_stays_too_small_ends_the_training_after_a_save(begin, tmp_path):
    loop = begin(0.0, 2, *[{"njmax": 1}] * 5)
    with pytest.raises(ConfigError, match=MESSAGE):
        loop.run()
    assert loop.learner.env.asked == [{"njmax": 1.0}, {"njmax": 1.0}]
    assert load_checkpoint(tmp_path).iteration == 3
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 3


def test_one_short_iteration_among_many_is_no_error_and_one_of_one_is(begin):
    loop = begin(1e9, 0, {"njmax": 1}, {}, {}, {}, {"njmax": 1, "nconmax": 2})
    checks = iter([False, False, False, True, True])  # saves after the fourth and the fifth iteration
    loop._saving.due = lambda: next(checks)
    with pytest.raises(ConfigError, match=MESSAGE):  # the only iteration since the save was short
        loop.run()
    assert loop.learner.env.asked == [{"njmax": 0.25}] and loop.learner.iteration == 5
