"""The command `mode=export`: each network as TorchScript and ONNX, with a contract that says what its numbers mean.

Beside them `weights.pt`, a small checkpoint to play, evaluate and start trainings from, but not to resume.
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

from isaachrl.errors import IsaacHRLError
from isaachrl.files import write_atomically
from isaachrl.learn.learner import Exported, Learner
from isaachrl.run.build import trained_learner
from isaachrl.run.commands.evaluate import run_folder
from isaachrl.run.config.settings import Settings
from isaachrl.run.storage.checkpoint import Checkpoint, save_checkpoint

log = logging.getLogger(__name__)

WEIGHTS = "weights.pt"
TOLERANCE = 1e-4
CHECKED_INPUTS = 64
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export(settings: Settings) -> dict[str, Any]:
    """Write every network that the learner offers into `export/` of the run's folder, compare the two forms, and
    write `weights.pt`.

    Returns:
        By file name, the greatest absolute difference between PyTorch and each exported form.

    Raises:
        IsaacHRLError: a package is missing, a network cannot be exported, or the forms disagree.
    """
    require_packages()
    learner = trained_learner(settings, 1, settings.run.seed)
    folder = run_folder(settings).path / "export"
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(weights_alone(settings, learner), folder / WEIGHTS)
    differences: dict[str, Any] = {}
    networks = learner.exports()
    names = [exported.name for exported in networks]
    if len(set(names)) < len(names):
        raise IsaacHRLError(f"two networks would have the name of one file, among {', '.join(names)}; rename subtasks")
    for exported in networks:
        differences |= export_network(exported, folder)
    rescue = getattr(settings.task_cfg, "rescue", "none")
    if rescue != "none":
        log.warning(
            "the second skill, task.rescue=%s, is not part of this; mode=export skill=%s writes it", rescue, rescue
        )
    for name, difference in differences.items():
        log.info("%s: differs from PyTorch by at most %.2g", folder / name, difference)
    return differences


def weights_alone(settings: Settings, learner: Learner) -> Checkpoint:
    """A checkpoint of what acting needs: no optimiser, no environment's state, no random state."""
    assert settings.loaded is not None
    return replace(
        settings.loaded,
        config=settings.plain(),
        learner_state=learner.weights(),
        env_state={},
        random_state={},
        others=[],
    )


def require_packages() -> None:
    """Refuse to begin without the packages that only exporting needs.

    Raises:
        IsaacHRLError: they are not installed.
    """
    missing = [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise IsaacHRLError(f"exporting needs {', '.join(missing)}: type pip install -e '.[export]' in the checkout")


def export_network(exported: Exported, folder: Path) -> dict[str, float]:
    """Write one network as `<name>.pt`, `<name>.onnx` and `<name>.json`, and compare the first two with it.

    Returns:
        By file name, the greatest absolute difference of outputs on random inputs.

    Raises:
        IsaacHRLError: the difference is too large.
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
    described = (json.dumps(contract, indent=2) + "\n").encode()
    for form, content in (("pt", script), ("onnx", onnx), ("json", described)):
        write_atomically(folder / f"{exported.name}.{form}", content)
    return {f"{exported.name}.{form}": difference for form, difference in differences.items()}


def _trace(module: torch.nn.Module, example: dict[str, Tensor]) -> tuple[torch.jit.ScriptModule, bytes]:
    """The network as TorchScript, and the content of its file."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, tuple(example.values()), check_trace=False)  # compared below anyway
        assert isinstance(traced, torch.jit.ScriptModule)
        torch.jit.save(traced, buffer := io.BytesIO())
    return traced, buffer.getvalue()


def _to_onnx(module: torch.nn.Module, example: dict[str, Tensor], output: str) -> bytes:
    """The network as ONNX, with a free batch axis."""
    batch = torch.export.Dim("batch", min=1)
    # an example of one row would be taken for a fixed size
    inputs = tuple(value.expand(2, *value.shape[1:]).contiguous() for value in example.values())
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, inputs, dynamo=True, verbose=False, input_names=list(example), output_names=[output],
                dynamic_shapes=tuple({0: batch} for _ in inputs),
            )  # fmt: skip
    finally:
        noisy.setLevel(level)
    assert program is not None
    return program.model_proto.SerializeToString()


def _compare(
    module: torch.nn.Module, traced: torch.jit.ScriptModule, onnx: bytes, example: dict[str, Tensor]
) -> dict[str, float]:
    """Greatest absolute difference of each form from the network, on a batch of random inputs."""
    import onnxruntime

    generator = torch.Generator().manual_seed(0)
    inputs = {
        name: value + (1.0 + value.abs()) * torch.randn(CHECKED_INPUTS, *value.shape[1:], generator=generator)
        for name, value in example.items()  # around the example, for those that live far from zero
    }
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        truth = module(*inputs.values())
        script = traced(*inputs.values())
    (result,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return {"pt": float((script - truth).abs().max()), "onnx": float((torch.as_tensor(result) - truth).abs().max())}
