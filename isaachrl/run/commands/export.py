"""The command `mode=export`: networks as TorchScript and ONNX, each with a contract as JSON.

For a robot with position motors, `motor_torques` computes the torques of its motors from the joint targets.

With `target=web` it also writes `web/`, the page of `isaachrl.run.commands.page`.

It also writes `weights.pt`, a small checkpoint of the policy alone: to play, evaluate and export, and to start
trainings from, in which PPO's critic is new.
"""

import importlib.util
import io
import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.env import Env, innermost
from isaachrl.envs.task_env import TaskEnv
from isaachrl.errors import IsaacHRLError
from isaachrl.files import write_atomically
from isaachrl.hierarchy.motor_torques import MotorTorques, motor_contract
from isaachrl.hierarchy.rescue import skill_digest
from isaachrl.learn.learner import Exported, Learner
from isaachrl.run.build import trained_learner
from isaachrl.run.commands import page
from isaachrl.run.commands.results import results_folder
from isaachrl.run.config.run_cfg import CALL_KEYS, Target
from isaachrl.run.config.settings import Settings
from isaachrl.run.storage.checkpoint import Checkpoint, save_checkpoint
from isaachrl.shipped import installing
from isaachrl.sim import Control

log = logging.getLogger(__name__)

WEIGHTS = "weights.pt"
TOLERANCE = 1e-4
TEST_ROWS = 64
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export(settings: Settings) -> dict[str, Any]:
    """Write the learner's networks and `weights.pt` into `export/` of the run's folder.

    Returns:
        Largest difference of outputs between PyTorch and each exported file by file name, see `_compare`.

    Raises:
        IsaacHRLError: a package is missing, a network cannot be exported, or its outputs differ.
    """
    require_packages()
    learner = trained_learner(settings, 1, settings.run.seed)
    networks = learner.exports()
    web = settings.run.target is Target.web
    if web:
        page.require_page(networks)
        page.fetch_all()
    folder = results_folder(settings).path / "export"
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(weights_checkpoint(settings, learner), folder / WEIGHTS)
    log.info("%s: the weights, to play, evaluate and start trainings from", folder / WEIGHTS)
    differences: dict[str, Any] = {}
    names = [exported.name for exported in networks]
    if len(set(names)) < len(names):
        raise IsaacHRLError(f"two networks have the same name, of {', '.join(names)}; rename subtasks")
    for exported in [*networks, *motor_networks(learner.env)]:
        differences |= export_network(exported, folder)
        log.info("%s: the inputs and the output of this network", folder / f"{exported.name}.json")
    rescue = getattr(settings.task_cfg, "rescue", "none")
    if rescue != "none":
        log.warning("the second skill, task.rescue=%s, is not exported; mode=export skill=%s does so", rescue, rescue)
    for name, difference in differences.items():
        log.info("%s: differs from PyTorch by at most %.2g", folder / name, difference)
    if web:
        page.write_page(folder.parent / "web", settings.task.name, folder, learner.env, settings.task_cfg)
        log.info("%s: the page; python -m http.server -d %s shows it", folder.parent / "web", folder.parent / "web")
    return differences


def weights_checkpoint(settings: Settings, learner: Learner) -> Checkpoint:
    """A checkpoint with only the policy: no critic of PPO, optimisers, environment, random state, keys of the call."""
    assert settings.loaded is not None
    return replace(
        settings.loaded,
        config={key: value for key, value in settings.plain().items() if key not in CALL_KEYS},
        learner_state=learner.policy_weights(),
        skill=skill_digest(learner.env),
        env_state={},
        random_state={},
        others=[],
    )


def motor_networks(env: Env) -> list[Exported]:
    """The position motors of a robot as a module from joint targets to torques; none for other motors and tasks."""
    bottom = innermost(env)
    if not isinstance(bottom, TaskEnv) or bottom.action_contract.get("control") != Control.position.value:
        return []
    sim = bottom.sim
    inputs = {"joint_targets": sim.ctrl, "joint_pos": sim.joint_pos, "joint_vel": sim.joint_vel}
    example = {name: values[:1].detach().cpu().clone() for name, values in inputs.items()}
    contract = motor_contract(sim.robot, sim.scene.timestep_s)
    return [Exported("motor_torques", MotorTorques(sim.robot), example, "torques", contract)]


def require_packages() -> None:
    """Check that the packages for exporting are installed.

    Raises:
        IsaacHRLError: one is missing.
    """
    missing = [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise IsaacHRLError(f"exporting needs {', '.join(missing)}; type {installing('export')}")


def export_network(exported: Exported, folder: Path) -> dict[str, float]:
    """Write a network as `<name>.pt` and `<name>.onnx`, and its contract as `<name>.json`.

    Returns:
        Largest difference of outputs on random inputs by file name, see `_compare`.

    Raises:
        IsaacHRLError: a difference is too large.
    """
    module = exported.module.cpu().eval()
    example = {name: value.cpu().float() for name, value in exported.inputs.items()}
    traced, script = _trace(module, example)
    onnx = _to_onnx(module, example, exported.output)
    differences = _compare(module, traced, onnx, example)
    for form, difference in differences.items():
        if not difference <= TOLERANCE:
            raise IsaacHRLError(f"{exported.name}.{form} differs from PyTorch by {difference:.3g}, above {TOLERANCE}")
    contract = {
        "inputs": {name: list(value.shape[1:]) for name, value in example.items()},
        "output": exported.output,
        "batch": "the first axis of every input and of the output; any size",
    } | exported.contract
    contents = {"pt": script, "onnx": onnx, "json": (json.dumps(contract, indent=2) + "\n").encode()}
    for form, content in contents.items():
        write_atomically(folder / f"{exported.name}.{form}", content)
    return {f"{exported.name}.{form}": difference for form, difference in differences.items()}


def _trace(module: torch.nn.Module, example: dict[str, Tensor]) -> tuple[torch.jit.ScriptModule, bytes]:
    """The network as TorchScript, and its file content."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, tuple(example.values()), check_trace=False)  # `_compare` checks it
        assert isinstance(traced, torch.jit.ScriptModule)
        torch.jit.save(traced, buffer := io.BytesIO())
    return traced, buffer.getvalue()


def _to_onnx(module: torch.nn.Module, example: dict[str, Tensor], output: str) -> bytes:
    """The network as ONNX, with a dynamic batch axis."""
    batch = torch.export.Dim("batch", min=1)
    # a batch of one row would become a fixed size
    inputs = tuple(value.expand(2, *value.shape[1:]).contiguous() for value in example.values())
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, inputs, dynamo=True, verbose=False, input_names=list(example), output_names=[output],
                dynamic_shapes=tuple({0: batch} for _ in inputs),
            )  # fmt: skip
    finally:
        exporter_log.setLevel(level)
    assert program is not None
    return program.model_proto.SerializeToString()


def _compare(
    module: torch.nn.Module, traced: torch.jit.ScriptModule, onnx: bytes, example: dict[str, Tensor]
) -> dict[str, float]:
    """Largest difference of each form's outputs from the network's, on random inputs.

    Outputs above 1, such as torques, count relative to the largest.
    """
    import onnxruntime

    generator = torch.Generator().manual_seed(0)
    inputs = {
        name: value + (1.0 + value.abs()) * torch.randn(TEST_ROWS, *value.shape[1:], generator=generator)
        for name, value in example.items()  # around the example: inputs may be far from zero
    }
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = module(*inputs.values())
        script = traced(*inputs.values())
    (result,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    outputs = {"pt": script, "onnx": torch.as_tensor(result)}
    size = float(expected.abs().max().clamp_min(1.0))
    return {form: float((output - expected).abs().max()) / size for form, output in outputs.items()}
