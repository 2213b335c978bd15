"""Nothing waits for the device inside a step: operations that would are counted, and there must be none."""

import traceback

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import tasks
from isaachrl.envs import registry
from isaachrl.sim.worlds import CpuWorlds
from tests.tiny_skill import make_tiny_skill

assert tasks

WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique", "_unique2", "item",
    "bincount", "repeat_interleave",  # the size of the result depends on values
    "lift_fresh",  # `torch.tensor` of numbers: a copy from the host, which waits and which no graph can hold
}  # fmt: skip


class HostWaits(TorchDispatchMode):
    """Lists operations whose result the host has to know before it can go on, and the line that called each."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        from_host = name == "_to_copy" and "device" in (kwargs or {})
        if name in WAITING or from_host or (name in ("index", "index_put", "index_put_") and _by_mask(args[1])):
            called_by = next(
                frame for frame in reversed(traceback.extract_stack()[:-1]) if "/torch/" not in frame.filename
            )
            self.found.append(f"{name} in {called_by.filename}, line {called_by.lineno}")
        return func(*args, **(kwargs or {}))


def _by_mask(indices):
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.masked_select(x > 0),
        lambda x: x.__setitem__(x > 0, torch.zeros(2)),
        lambda x: float(x[0]),
        lambda x: x.unique(),
        lambda x: x.long().clamp(min=0).bincount(),
        lambda x: x.repeat_interleave(torch.tensor([1, 2, 0])),
        lambda x: x + torch.tensor([1.0, 2.0, 3.0]),
        lambda x: x + torch.as_tensor(2.0),
        lambda x: x.new_tensor([1.0, 2.0, 3.0]),
        lambda x: x[[0, 2]],
        lambda x: x.to("meta"),
    ],
)
def test_waits_are_found(wait):
    with HostWaits() as waits:
        wait(torch.tensor([1.0, -1.0, 2.0]))
    assert waits.found


def test_the_sync_detector_accepts_asynchronous_operations():
    x, rows = torch.tensor([1.0, -1.0, 2.0]), torch.tensor([0, 1])
    with HostWaits() as waits:
        torch.where(x > 0, x, 0.0).masked_fill(x > 1, 0.0)[rows].sum()
        x.to(torch.float64).repeat_interleave(2)
        torch.full_like(x, 2.0).new_zeros(3).index_select(0, rows)
    assert not waits.found


@pytest.fixture
def engine_edges(monkeypatch):
    """Take the CPU engine itself out of the count: it lives on the host, and a GPU engine replaces it whole."""
    for name in ("step", "reset"):
        original = getattr(CpuWorlds, name)

        def uncounted(self, *args, original=original):
            with torch.utils._python_dispatch._disable_current_modes():
                return original(self, *args)

        monkeypatch.setattr(CpuWorlds, name, uncounted)


@pytest.mark.parametrize("name", registry.names())
def test_no_step_waits_for_the_device(build, engine_edges, name):
    env = build(name, num_envs=4, episode_steps=6)
    env.reset()
    with HostWaits() as waits:
        for _ in range(8):  # some of these steps reset
            env.step(torch.rand(4, env.action_size))
    assert waits.found == []


def test_no_disturbed_step_waits_for_the_device(engine_edges, on_cpu_engine):
    disturb = {"gains": 0.1, "delay_steps": 2, "noise": 1.0}
    env = on_cpu_engine("HumanoidAMP", num_envs=4, episode_steps=6, motion="walk", disturb=disturb)
    env.reset()
    with HostWaits() as waits:
        for _ in range(8):
            env.step(torch.rand(4, env.action_size))
    assert waits.found == []


def test_no_step_with_time_to_get_up_waits_for_the_device(engine_edges, on_cpu_engine):
    env = on_cpu_engine("HumanoidReach", num_envs=4, episode_steps=6, get_up_s=0.1)
    env.reset()
    with HostWaits() as waits:
        for _ in range(8):
            env.step(torch.rand(4, env.action_size))
    assert waits.found == []


def test_a_hierarchical_step_with_a_rescue_does_not_sync(engine_edges, on_cpu_engine, tmp_path):
    make_tiny_skill(latent_size=0).save(tmp_path / "rise.pt")
    env = on_cpu_engine("HumanoidHRLMaze", num_envs=4, episode_steps=6, rescue=str(tmp_path / "rise.pt"))
    env.reset()
    with HostWaits() as waits:
        for _ in range(8):
            env.step(torch.rand(4, env.action_size))
    assert waits.found == []
