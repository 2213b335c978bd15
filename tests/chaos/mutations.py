"""Files with a few bytes changed: each must be refused by an error of ours, or mean what it meant."""

import dataclasses
import hashlib
import json
import resource
import time
from collections import OrderedDict
from pathlib import Path
from random import Random

import numpy as np
import torch

from isaachrl.errors import IsaacHRLError
from isaachrl.hierarchy.skill import Skill
from isaachrl.motion import clip
from isaachrl.motion.formats import isaac_gym_amp
from isaachrl.run.storage.checkpoint import load_checkpoint
from isaachrl.sim import load_robot
from isaachrl.sim.soles import robot_soles

FRAMES = 8


def mutated(data: bytes, draw: Random) -> bytes:
    """The bytes with one drawn change: of a bit, a byte or a stretch, or of the length."""
    start = draw.randrange(len(data))
    end = min(start + draw.choice((1, 8, 64, 4096)), len(data))
    kind = draw.choice(("bit", "bit", "bit", "byte", "zeros", "noise", "cut", "delete", "repeat"))
    if kind == "cut":
        return data[:start]
    if kind == "delete":
        return data[:start] + data[end:]
    if kind == "repeat":
        return data[:end] + data[start:]
    changed = bytearray(data)
    if kind == "bit":
        changed[start] ^= 1 << draw.randrange(8)
    elif kind == "byte":
        changed[start] = (changed[start] + draw.randrange(1, 256)) % 256
    else:
        changed[start:end] = bytes(end - start) if kind == "zeros" else draw.randbytes(end - start)
    return bytes(changed)


def digest(value: object) -> str:
    """A hash of nested plain data, tensors and arrays."""
    seen = hashlib.sha256()
    _feed(value, seen)
    return seen.hexdigest()


def _feed(value, seen):
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        seen.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, dict):
        seen.update(b"{")
        for key, entry in value.items():
            seen.update(repr(key).encode())
            _feed(entry, seen)
    elif isinstance(value, list | tuple):
        seen.update(b"[")
        for entry in value:
            _feed(entry, seen)
    else:
        seen.update(f"{type(value).__name__}{value!r}".encode())


def read_skill(path: Path) -> object:
    """Contract and weights."""
    skill = Skill.load(path)
    return [dataclasses.asdict(skill.contract), skill.state_dict()]


def read_checkpoint(path: Path) -> object:
    """All fields."""
    return vars(load_checkpoint(path))


def read_clip(path: Path) -> object:
    """All fields but the name, which is the file's."""
    return {key: value for key, value in vars(clip.load(path)).items() if key != "name"}


def read_npy(path: Path) -> object:
    """An Isaac Gym motion; the format has no checksum, so that what loads need only be finite."""
    robot = load_robot("humanoid")
    loaded = isaac_gym_amp.load(path, robot, robot_soles(robot))
    assert np.isfinite(loaded.joint_quat).all() and np.isfinite(loaded.root_pos_w).all()
    return None


def write_npy(path: Path) -> None:
    """A motion that stands still, as poselib writes them."""
    robot = load_robot("humanoid")
    quat = np.zeros((FRAMES, robot.num_bodies, 4))
    quat[..., 3] = 1.0
    content = OrderedDict(
        rotation=OrderedDict(arr=quat, context={"dtype": "float64"}),
        root_translation=OrderedDict(arr=np.ones((FRAMES, 3), np.float32), context={"dtype": "float32"}),
        skeleton_tree=OrderedDict(
            node_names=list(robot.body_names),
            parent_indices=OrderedDict(arr=np.array(robot.parents), context={"dtype": "int64"}),
        ),
        is_local=True,
        fps=np.int64(60),
    )
    np.save(path, np.array(content, dtype=object), allow_pickle=True)


READERS = {"skill": read_skill, "checkpoint": read_checkpoint, "clip": read_clip, "npy": read_npy}


def survey(kind: str, source: Path, target: Path, seed: int, count: int) -> None:
    """Mutate a file many times and write what became of each, one JSON line each, before and after reading it."""
    read, data, draw = READERS[kind], source.read_bytes(), Random(seed)
    original = digest(read(source))
    torch.set_num_threads(1)
    with Path("survey.jsonl").open("w", buffering=1) as record:
        for number in range(count):
            change = mutated(data, draw)
            target.write_bytes(change)
            record.write(json.dumps({"number": number, "outcome": "crash"}) + "\n")
            before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
            try:
                loaded = digest(read(target))
                outcome = "same" if loaded == original else "changed"
            except IsaacHRLError:
                outcome = "refused"
            except Exception as error:
                outcome = f"{type(error).__name__}: {str(error)[:80]}"
            row = {"number": number, "outcome": outcome, "seconds": time.process_time() - start}
            row["mib"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            record.write(json.dumps(row) + "\n")
