"""Exported networks say the same as the ones they came from."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from isaachrl.errors import CheckpointError, IsaacHRLError
from isaachrl.learn.learner import Exported
from isaachrl.run.commands.export import export_network, require_packages

needs_onnx = pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs the extra export")


class TwoInputs(nn.Module):
    """A network of two inputs."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 2)

    def forward(self, obs, command):
        return torch.tanh(self.net(torch.cat([obs, command], dim=-1)))


@needs_onnx
def test_files_of_a_run(launch, caplog):
    launch(max_iterations=1, run_dir="run")
    caplog.set_level("INFO", "isaachrl")
    differences = launch(mode="export", checkpoint="run")
    logged = {record.getMessage().split(":")[0] for record in caplog.records if record.name.endswith("commands.export")}
    assert logged == {str(path) for path in Path("run/export").iterdir()}
    assert set(differences) == {"greedy.pt", "greedy.onnx"}
    contract = json.loads(Path("run/export/greedy.json").read_text())
    assert contract["inputs"] == {"place": [2]} and contract["output"] == "action"
    assert contract["place"] == ["position", "time"]
    weights = torch.load("run/checkpoints/last.pt", weights_only=True)["learner_state"]["net"]
    loaded = torch.jit.load("run/export/greedy.pt")
    obs = torch.tensor([[0.3, -0.2], [1.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(loaded(obs), torch.tanh(obs @ weights["0.weight"].T + weights["0.bias"]))


@needs_onnx
def test_weights_of_an_export_can_be_evaluated_and_started_from_but_not_resumed(launch):
    launch(max_iterations=1, run_dir="run")
    launch(mode="export", checkpoint="run")
    small = "run/export/weights.pt"
    assert torch.load(small, weights_only=True)["env_state"] == {}
    of_run, of_weights = (launch(mode="evaluate", checkpoint=path, episodes=4) for path in ("run", small))
    other = {"never": 0, "checkpoint": "", "typed": {}}  # one metric is NaN, which equals nothing
    assert of_run | other == of_weights | other
    launch(checkpoint=small, max_iterations=1, run_dir="more")
    with pytest.raises(CheckpointError, match=f"has only weights.*type task=Point checkpoint={small}"):
        launch(resume=small)


@needs_onnx
def test_onnx_takes_named_inputs_of_any_batch_size(tmp_path):
    import onnxruntime

    module = TwoInputs()
    exported = Exported("two", module, {"obs": torch.rand(1, 3), "command": torch.rand(1, 2)}, "action", {})
    assert max(export_network(exported, tmp_path).values()) <= 1e-6
    session = onnxruntime.InferenceSession(str(tmp_path / "two.onnx"))
    assert [value.name for value in session.get_inputs()] == ["obs", "command"]
    for batch in (1, 7):
        obs, command = torch.rand(batch, 3), torch.rand(batch, 2)
        (result,) = session.run(["action"], {"obs": obs.numpy(), "command": command.numpy()})
        torch.testing.assert_close(torch.as_tensor(result), module(obs, command).detach(), atol=1e-6, rtol=0)


@needs_onnx
def test_a_network_that_changes_when_exported_is_refused(tmp_path):
    class Moody(nn.Module):
        """Adds what it has counted in Python, which an exported form cannot know."""

        calls = 0

        def forward(self, obs):
            Moody.calls += 1
            return obs + Moody.calls

    with pytest.raises(IsaacHRLError, match="differs from PyTorch by"):
        export_network(Exported("moody", Moody(), {"obs": torch.rand(1, 2)}, "out", {}), tmp_path)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(IsaacHRLError, match=r"onnx, onnxscript, onnxruntime; type pip install -e \"\.\[export\]\""):
        require_packages()
