"""The point task and its learner, registered, and no shipped learner imported: these tests are about runs."""

import pytest
import torch

from isaachrl.run import dispatch as commands
from isaachrl.run.config import settings
from tests.run import point


@pytest.fixture(autouse=True)
def point_run(monkeypatch, tmp_path):
    point.register_all()
    monkeypatch.setattr(settings, "load_learners", lambda: None)
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)


@pytest.fixture
def launch():
    """`launch(a=1, train=dict(horizon=3))` does what the command line would with those keys typed."""

    def launch(**typed):
        sections = {"task": {"name": "Point"}, "train": {"name": "greedy"}}
        base = {"num_envs": 4, "device": "cpu"}
        values = settings.merge(base, typed)
        return commands.dispatch(settings.resolve(settings.merge(sections, values), values))

    return launch
