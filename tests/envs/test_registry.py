"""Which device `auto` takes, on machines with and without a GPU and the engine for it; CUDA itself is faked here."""

import logging

import pytest
import torch

import isaachrl
import tasks
from isaachrl.envs import TaskCfg, registry
from isaachrl.envs.registry import choose_device
from isaachrl.errors import ConfigError
from tasks.humanoid_location import HumanoidLocation

assert tasks
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
INSTALL = 'type pip install -e ".[gpu]"'


@pytest.fixture
def machine(monkeypatch, automatic_device):
    """`machine(answers, obstacle)`: whether its GPU answers, and what the engine lacks, if anything."""

    def machine(answers=True, obstacle=None):
        def zeros(*size, device=None, **kwargs):
            if torch.device(device or "cpu").type == "cuda" and not answers:
                raise RuntimeError("CUDA error: all devices are busy\nsecond line")
            return real(*size, **kwargs)

        real = torch.zeros
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(registry, "gpu_engine_obstacle", lambda: obstacle)
        monkeypatch.setattr(torch, "zeros", zeros)

    return machine


def lines(caplog):
    found = [record for record in caplog.records if "device=auto" in record.getMessage()]
    assert all(record.levelno == logging.WARNING for record in found)
    return [record.getMessage() for record in found]


def test_auto_takes_the_gpu_where_worlds_can_be_simulated_on_it(machine, caplog):
    machine()
    with caplog.at_level(logging.INFO):
        assert choose_device("auto") == GPU
    assert not lines(caplog)


def test_auto_takes_the_cpu_without_the_engine_and_says_once_what_to_install(machine, caplog):
    machine(obstacle=f"MuJoCo Warp cannot be imported; {INSTALL}")
    with caplog.at_level(logging.INFO):
        assert choose_device("auto") == choose_device("auto") == CPU
        env = isaachrl.make("HumanoidAMP", num_envs=1)
    assert env.device == CPU and env.sim.worlds.ENGINE == "mujoco"
    (line,) = lines(caplog)
    assert line.startswith("device=auto: this machine has a GPU, but the CPU is used: ") and line.endswith(INSTALL)


def test_auto_takes_the_cpu_where_the_gpu_does_not_answer(machine, caplog):
    machine(answers=False)
    with caplog.at_level(logging.INFO):
        assert choose_device("auto") == CPU
    assert lines(caplog)[0].endswith("it does not answer (CUDA error: all devices are busy second line)")


def test_with_the_cpu_engine_auto_is_the_cpu_for_everything(machine, caplog):
    machine()
    assert choose_device("auto", "mujoco") == CPU
    assert isaachrl.make("HumanoidAMP", num_envs=1, sim="mujoco").device == CPU
    assert not lines(caplog)


@pytest.fixture
def devices(monkeypatch, automatic_device, tmp_path):
    """PyTorch finds no GPU; `devices(names, visible)`: what NVIDIA's driver has put into `/dev`, and who sees it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(registry, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def devices(*names, visible=None):
        for name in names:
            (tmp_path / name).touch()
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return devices


@pytest.mark.parametrize(
    ("names", "visible"), [((), None), (("nvidiactl",), None), (("nvidia0",), ""), (("nvidia0",), "-1")]
)
def test_without_a_gpu_or_with_a_hidden_one_nothing_is_said(devices, caplog, names, visible):
    devices(*names, visible=visible)
    with caplog.at_level(logging.INFO):
        assert choose_device("auto") == CPU
    assert not lines(caplog) and registry.gpu_obstacle() == "there is no NVIDIA GPU"


@pytest.mark.parametrize(
    ("cuda", "reason"), [(None, "is built without CUDA; install a build with it"), ("13.0", "a newer driver may help")]
)
def test_a_gpu_that_pytorch_does_not_find_is_a_warning(devices, monkeypatch, caplog, cuda, reason):
    devices("nvidia0", "nvidiactl", visible="0")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert choose_device("auto") == CPU
    (line,) = lines(caplog)
    assert line.startswith("device=auto: this machine has a GPU, but the CPU is used: PyTorch") and line.endswith(
        reason
    )


def test_of_another_makers_gpu_nothing_is_said(machine, monkeypatch, caplog):
    machine(obstacle="no engine")
    monkeypatch.setattr(torch.version, "hip", "6.0")
    with caplog.at_level(logging.INFO):
        assert choose_device("auto") == CPU
    assert not lines(caplog)


def test_an_explicit_device_is_used_or_refused(machine):
    machine(obstacle="no engine")
    assert choose_device("cuda:0") == GPU  # whose engine is asked for later: see `make_sim`
    assert choose_device("cpu") == CPU
    with pytest.raises(ConfigError, match=r"device=cudaa cannot be used here.*type device=auto or device=cpu"):
        choose_device("cudaa")


@pytest.mark.parametrize("sim", ["", "warp", "MuJoCo"])
def test_an_unknown_engine_is_refused_by_tasks_without_physics_too(sim):
    with pytest.raises(ConfigError, match=f"sim={sim}: unknown engine"):
        isaachrl.make("TaxiFuel", 1, device="cpu", sim=sim)


def test_slips_in_a_registration_are_named():
    class Plain(TaskCfg):
        lap_s: float = 1.0

    with pytest.raises(ConfigError, match="Plain, the configuration of Lap, needs the decorator @dataclass"):
        registry.register("Lap", Plain, registry.task_env(HumanoidLocation))
    with pytest.raises(ConfigError, match=r"type hierarchical\(HumanoidLocation\) for a task over a skill"):
        registry.register("Lap", TaskCfg, HumanoidLocation)
    assert "Lap" not in registry.names()
