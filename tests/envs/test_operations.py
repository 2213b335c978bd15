"""How many operations a step dispatches: on a GPU each is a kernel, whatever the number of environments."""

import re
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from isaachrl.envs import registry
from isaachrl.sim import Sim

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
# of one step with the pinned PyTorch; of tasks over a skill one decision, five control steps
BUDGET = {
    "AntFall": 93,
    "AntFourRooms": 95,
    "AntGather": 240,
    "AntMaze": 95,
    "AntPush": 95,
    "FourRooms": 25,
    "HumanoidAMP": 246,
    "HumanoidDodge": 1723,
    "HumanoidDribble": 1660,
    "HumanoidHRLMaze": 2466,
    "HumanoidLocation": 1623,
    "HumanoidProgram": 739,
    "HumanoidPush": 1896,
    "HumanoidReach": 1550,
    "HumanoidRise": 382,
    "HumanoidSteering": 1562,
    "HumanoidTopple": 1972,
    "HumanoidTracking": 1559,
    "HumanoidTrajectory": 1898,
    "ShipSteering": 63,
    "TaxiFuel": 25,
}


def other_torch(constraints):
    """What to say where PyTorch is not the release of a constraints file: it may take operations apart otherwise."""
    wanted = re.search(r"^torch==(\S+)", constraints.read_text(encoding="utf-8"), re.MULTILINE)[1]
    same = torch.__version__.partition("+")[0] == wanted.partition("+")[0]
    return None if same else f"operations were counted with PyTorch {wanted}, and this is {torch.__version__}"


@pytest.fixture
def pinned_torch():
    """Skips a test where PyTorch is another release."""
    if reason := other_torch(CONSTRAINTS):
        pytest.skip(reason)


class Dispatched(TorchDispatchMode):
    """Counts operations on tensors; views cost nothing on a device and are left out."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The engine itself is not counted."""
    for name in ("step", "reset"):
        original = getattr(Sim, name)

        def uncounted(self, *args, original=original):
            with torch.utils._python_dispatch._disable_current_modes():
                return original(self, *args)

        monkeypatch.setattr(Sim, name, uncounted)


@pytest.mark.parametrize("name", registry.names())
def test_a_step_dispatches_no_more_operations_than_its_budget(pinned_torch, on_cpu_engine, as_on_a_gpu, name):
    env = on_cpu_engine(name, num_envs=4, episode_steps=6)
    env.reset()
    counts = []
    for _ in range(8):  # some of these steps reset
        with Dispatched() as dispatched:
            env.step(torch.rand(4, env.action_size))
        counts.append(dispatched.count)
    assert counts == [counts[0]] * 8, "what is dispatched must not depend on what happens"
    assert name in BUDGET, f"a new task: add '{name}': {counts[0]} to BUDGET"
    assert counts[0] == BUDGET[name], "more cost time on a GPU; where there are fewer, lower the budget"


@pytest.mark.parametrize(
    ("version", "skips"), [("2.13.0", False), ("2.13.0+cpu", False), ("2.13.1", True), ("2.14.0", True)]
)
def test_operations_are_counted_with_the_pinned_release_alone(monkeypatch, tmp_path, version, skips):
    (tmp_path / "constraints.txt").write_text("# torch==1.0\nnumpy==2.4.6\ntorchvision==0.1\ntorch==2.13.0\n")
    monkeypatch.setattr(torch, "__version__", version)
    reason = f"operations were counted with PyTorch 2.13.0, and this is {version}"
    assert other_torch(tmp_path / "constraints.txt") == (reason if skips else None)
