"""What the campaign asks of what a run has left behind."""

import json
import re
from pathlib import Path

import torch

from isaachrl.hierarchy.skill import Skill
from isaachrl.run.storage.checkpoint import load_checkpoint

# the first words of an error of ours, as `train.py` prints it
OWN_ERROR = re.compile(r"^(?:\w+Error): ", re.MULTILINE)


def iterations(folder: Path) -> list[int]:
    """The iterations that the metrics file has whole lines of, in its order."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is not whole
    return [json.loads(line)["iteration"] for line in lines]


def saved(folder: Path) -> int | None:
    """The iteration of the last checkpoint, which must load; None if there is none."""
    if not (folder / "checkpoints" / "last.pt").exists():
        return None
    return load_checkpoint(folder).iteration


def leftovers(folder: Path) -> list[str]:
    """Files that only a write under way has."""
    found = [path for path in folder.rglob(".*") if path.suffix == ".tmp" or "partial" in path.name]
    return sorted(path.name for path in found)


def not_finite(value: object, where: str = "") -> list[str]:
    """Places of nested values that hold nan or inf."""
    if isinstance(value, torch.Tensor):
        good = not value.is_floating_point() or bool(torch.isfinite(value).all())
        return [] if good else [where]
    if isinstance(value, dict):
        return [place for key, entry in value.items() for place in not_finite(entry, f"{where}.{key}")]
    if isinstance(value, list | tuple):
        return [place for number, entry in enumerate(value) for place in not_finite(entry, f"{where}[{number}]")]
    return [where] if isinstance(value, float) and value != value else []


def spoilt(folder: Path) -> list[str]:
    """Weights and state in the files of a run that are not finite, by file and name."""
    found = []
    for path in sorted(folder.rglob("*.pt")):
        content = torch.load(path, weights_only=True)
        # optimisers and bounds may hold inf on purpose; what acts and what is trained on may not
        parts = content.get("learner_state", content.get("weights"))
        found += [f"{path.name}{place}" for place in not_finite(parts)]
    return found


def whole(folder: Path) -> list[str]:
    """What is wrong with a run that could be resumed: nothing, in a good one."""
    wrong = [f"leftover {name}" for name in leftovers(folder)]
    done, last = iterations(folder), saved(folder)
    if done != list(range(1, len(done) + 1)):
        wrong.append(f"metrics have the iterations {done}")
    if last is not None and last > len(done):
        wrong.append(f"the checkpoint is of iteration {last}, and the metrics end at {len(done)}")
    if (folder / "skill.pt").exists():
        Skill.load(folder / "skill.pt")
    return wrong


def refusal(code: int | None, output: str) -> str:
    """Why this is no clean refusal: exit code 2 and one error of ours; empty if it is one."""
    errors = OWN_ERROR.findall(output)
    if code is None:
        return f"no end\n{output[-1500:]}"
    if code == 2 and len(errors) == 1 and "Traceback" not in output:
        return ""
    return f"exit code {code}, {len(errors)} errors of ours\n{output[-1500:]}"
