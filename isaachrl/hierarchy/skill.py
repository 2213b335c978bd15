"""A skill: a frozen low-level controller in a self-contained file."""

import dataclasses
import hashlib
import itertools
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl import shipped
from isaachrl.envs.boundary import check_call
from isaachrl.errors import ReadError, SkillError, nearest
from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.maths.vectors import on_sphere
from isaachrl.nn import RunningNorm
from isaachrl.nn.motion_embedding import MotionEmbedding
from isaachrl.nn.skill_networks import Actor, Discriminator
from isaachrl.nn.style import DiscriminatorLoss, style_reward
from isaachrl.schema import described, mismatch
from isaachrl.sim.robot import HASH_PREFIX, Robot
from isaachrl.tensor_file import read_tensors, write_tensors

FORMAT = "isaachrl-skill"
VERSION = 2
MAX_MOTIONS = 4096  # the motion embedding's size is quadratic in the number of motions
MAX_PARTS = 256  # of an observation; also layers of a network
_DTYPES = (torch.float32, torch.float64)  # of weights
UNITS = {"position": "rad", "torque": "N m"}  # of controls

_NAMES_OF_VERSION_1 = (  # (old, new) parts of names, replaced one after the other
    ("discriminator.judge.", "discriminator.head."), ("discriminator.guess.", "discriminator.encoder."),
    ("space.places", "space.prototypes"), ("space.", "embedding."),
)  # fmt: skip
_MUST_MATCH = {  # fields that must be equal in skill and task, with their names in messages
    "robot": "robot", "body_names": "list of bodies", "dof_names": "list of degrees of freedom", "control": "control",
    "step_s": "control interval", "model_hash": "model hash", "motions": "list of motions",
}  # fmt: skip
_SET_BY = {  # settings that determine a field
    "control": "task.control", "step_s": "task.substeps and task.timestep_s",
    "motions": "motion and train.latent.segment_s",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SkillContract:
    """Robot, inputs, outputs and network sizes of a skill; stored as JSON in the file.

    Args:
        robot: name of the robot.
        model_hash: see `Robot.model_hash`.
        body_names, dof_names: in order.
        proprioception: name, size and unit of each part of the observation, in order.
        style_frame: the same for one frame of the discriminator's window.
        style_frames: number of frames in a window.
        control: `position` (joint targets, rad) or `torque` (N m).
        action_offset, action_scale: controls are `offset + scale * clamp(action, -1, 1)`.
        step_s: control interval in seconds.
        discriminator_loss: name of a `DiscriminatorLoss`.
        latents: name of a `LatentKind`.
        latent_size: d; latents are unit vectors in d dimensions.
        actor_hidden, latent_hidden, discriminator_hidden: widths of the networks.
        motions: names of the motion segments it was trained on, one per prototype of the embedding: the clip's name,
            with a running number where a clip was cut into several.
        training: summary of the training, such as samples and seed.

    Raises:
        SkillError: a field has an invalid value.
    """

    robot: str
    model_hash: str
    body_names: list[str]
    dof_names: list[str]
    proprioception: list[tuple[str, int, str]]
    style_frame: list[tuple[str, int, str]]
    style_frames: int
    control: str
    action_offset: list[float]
    action_scale: list[float]
    step_s: float
    discriminator_loss: str
    latents: str
    latent_size: int
    actor_hidden: list[int]
    latent_hidden: list[int]
    discriminator_hidden: list[int]
    motions: list[str]
    training: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if wrong := self._out_of_range():
            raise SkillError(f"the contract of the skill is not valid: {wrong}")

    def _out_of_range(self) -> str:
        """Description of an invalid value; empty if there is none."""
        choices = {
            "control": UNITS,
            "discriminator_loss": [kind.value for kind in DiscriminatorLoss],
            "latents": [kind.value for kind in LatentKind],
        }
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                return f"{name} is {getattr(self, name)[:40]!r}, expected {' or '.join(valid)}"
        parts = {"proprioception": self.proprioception, "style_frame": self.style_frame}
        widths = {name: [size for _, size, _ in layout] for name, layout in parts.items()}
        widths |= {name: getattr(self, name) for name in ("actor_hidden", "latent_hidden", "discriminator_hidden")}
        for name, sizes in (widths | {"style_frames": [self.style_frames]}).items():
            if not 0 < len(sizes) <= MAX_PARTS or min(sizes) < 1:
                return f"{name} has sizes {str(sizes)[:40]}, expected 1 to {MAX_PARTS} numbers of at least 1"
        least_size = 0 if self.latents == LatentKind.none.value else 1
        if self.step_s <= 0 or self.latent_size < least_size:
            return f"step_s is {self.step_s} and latent_size {self.latent_size}, expected positive numbers"
        actions = (len(self.dof_names), len(self.action_offset), len(self.action_scale))
        if not 0 < actions[0] == actions[1] == actions[2]:
            return f"dof_names, action_offset and action_scale have {actions} entries, expected as many of each"
        if not 0 < len(self.motions) <= MAX_MOTIONS:
            return f"it has {len(self.motions)} motions, expected 1 to {MAX_MOTIONS}"
        return ""

    @property
    def least_weights(self) -> int:
        """Lower bound of the number of weights: those of layers and embedding, without biases and normalisers."""
        latent = self.latent_size
        latent_features = self.latent_hidden[-1] if latent else 0
        encoding = latent if self.latents == LatentKind.ase.value else 0
        layers = [
            (latent, *self.latent_hidden) if latent else (),
            (self.proprioception_size + latent_features, *self.actor_hidden, len(self.dof_names)),
            (self.window_size, *self.discriminator_hidden, 1 + encoding),
            (2 * self.window_size // self.style_frames, len(self.motions)),  # mean and std of a segment's style frames
        ]
        return sum(inputs * outputs for widths in layers for inputs, outputs in itertools.pairwise(widths))

    @property
    def proprioception_size(self) -> int:
        """Width of the observation."""
        return sum(int(size) for _, size, _ in self.proprioception)

    @property
    def window_size(self) -> int:
        """Width of a discriminator window."""
        return self.style_frames * sum(int(size) for _, size, _ in self.style_frame)


def check_match(skill: Mapping[str, Any], task: Mapping[str, Any]) -> None:
    """Compare a skill's contract, as a mapping, with the fields that a task has.

    Raises:
        SkillError: they differ.
    """
    for key, what in _MUST_MATCH.items():
        of_skill, of_task = (_comparable(fields.get(key)) for fields in (skill, task))
        if key in task and of_skill != of_task:
            if key == "model_hash" and not str(of_skill).startswith(HASH_PREFIX):
                raise SkillError(_old_hash(of_task))
            hint = f"; what sets it is {_SET_BY[key]}" if key in _SET_BY else ""
            raise SkillError(
                f"the skill does not fit this task: its {what} is {of_skill}, the task's is {of_task}{hint}"
            )


def _old_hash(model_hash: str) -> str:
    """The error message for a skill with a model hash of an earlier version."""
    return (
        "the skill was made by an earlier version of isaachrl, whose model hash left out inertias, frames, gears and"
        " more of the robot. If the robot has not changed since, put the present hash into the skill file: python -c"
        f" \"from isaachrl.hierarchy.skill import Skill; Skill.load('FILE').stamped('{model_hash}').save('FILE')\";"
        " else train it again"
    )


def _comparable(value: Any) -> Any:
    """The value with tuples as lists and floats rounded."""
    if isinstance(value, float):
        return round(value, 6)
    return list(value) if isinstance(value, list | tuple) else value


class Skill(nn.Module):
    """A frozen controller: from proprioception and a latent to an action. Create one with `Skill.load`.

    Args:
        contract: sizes of the networks.
    """

    def __init__(self, contract: SkillContract) -> None:
        super().__init__()
        self.contract = contract
        self.latent_size = contract.latent_size
        self.obs_norm = RunningNorm(contract.proprioception_size)
        self.actor = Actor(
            contract.proprioception_size,
            contract.latent_size,
            len(contract.dof_names),
            contract.actor_hidden,
            contract.latent_hidden,
        )
        kind = LatentKind(contract.latents)
        self.discriminator = Discriminator(
            contract.window_size,
            contract.latent_size if kind is LatentKind.motion else 0,
            contract.latent_size if kind is LatentKind.ase else 0,
            contract.discriminator_hidden,
        )
        segments = len(contract.motions)
        style_numbers = 2 * contract.window_size // contract.style_frames  # mean and std of a segment's style frames
        # sizes as in `LatentSource`; the values are overwritten when weights are loaded
        self.embedding = MotionEmbedding(
            torch.zeros(segments, style_numbers), torch.ones(style_numbers), max(self.latent_size, 2)
        )
        self.requires_grad_(False)

    def project(self, action: Tensor) -> Tensor:
        """See `Controller.project`; zero becomes the first unit vector."""
        return on_sphere(action)

    @torch.no_grad()
    def act(self, proprioception: Tensor, latent: Tensor) -> Tensor:
        """Mean action `(N, A)` for proprioception `(N, P)` and unit latents `(N, d)`."""
        return self.actor(self.obs_norm(proprioception), latent)

    @torch.no_grad()
    def style_reward(self, window: Tensor, latent: Tensor) -> Tensor:
        """See `Controller.style_reward`; by the frozen discriminator."""
        output = self.discriminator.logit(self.discriminator.norm(window), latent)
        return style_reward(output, DiscriminatorLoss(self.contract.discriminator_loss))

    def prototype_of(self, motion: str) -> Tensor:
        """The prototype `(d,)` of a motion by name, of a skill trained with `train.latents=motion`.

        Raises:
            SkillError: the skill has no such motion.
        """
        if self.contract.latents != LatentKind.motion.value or motion not in self.contract.motions:
            raise SkillError(f"the skill has no latent for {motion!r}{nearest(motion, self.contract.motions)}")
        return self.embedding.prototypes[self.contract.motions.index(motion)]

    def check(self, robot: Robot, step_s: float, control: str) -> None:
        """Check that the skill fits a robot, control interval and kind of control.

        Raises:
            SkillError: it does not.
        """
        task = {
            "robot": robot.name, "body_names": robot.body_names, "dof_names": robot.dof_names, "control": control,
            "step_s": step_s, "model_hash": robot.model_hash,
        }  # fmt: skip
        check_match(dataclasses.asdict(self.contract), task)

    def check_same_robot(self, other: "Skill") -> None:
        """Check that another skill has the same robot, control interval and kind of control.

        Raises:
            SkillError: it does not.
        """
        theirs = dataclasses.asdict(other.contract)
        same = ("robot", "body_names", "dof_names", "control", "step_s", "model_hash")
        check_match(dataclasses.asdict(self.contract), {key: theirs[key] for key in same})

    def check_motors(self, action_contract: Mapping[str, Any]) -> None:
        """Check that actions mean the same motor targets as in a task, see `Task.action_contract`.

        Raises:
            SkillError: offset or scale differ.
        """
        for key in ("offset", "scale"):
            own, other = getattr(self.contract, f"action_{key}"), action_contract[key]
            if not torch.allclose(torch.tensor(own), torch.tensor(other), atol=1e-4):
                raise SkillError(f"the skill does not fit this task: its action_{key} is {own}, the task's is {other}")

    def stamped(self, model_hash: str) -> "Skill":
        """Set the model hash, which must be of the robot that the skill was trained on; returns the skill."""
        self.contract = dataclasses.replace(self.contract, model_hash=model_hash)
        return self

    def controller_module(self) -> nn.Module:
        """A module `(proprioception, latent) -> controls`, with normaliser and action map, for export."""
        return _ExportModule(self)

    def digest(self) -> str:
        """SHA-256 of what the controller computes: actor, normaliser and action map; equal for copies of a skill."""
        digest = hashlib.sha256()
        for name, value in sorted(self.controller_module().state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)}".encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def controller_contract(self) -> dict[str, Any]:
        """The skill's contract with a sentence on the use of `controller_module`."""
        unit = UNITS[self.contract.control]
        use = f"the output is in {unit}, in the order of dof_names; action_offset and action_scale are applied inside"
        if self.latent_size:
            use += "; of the latent only its direction counts"
        return dataclasses.asdict(self.contract) | {"use": use}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the skill file, atomically."""
        contract = json.dumps({"version": VERSION, **dataclasses.asdict(self.contract)})
        write_tensors({"format": FORMAT, "contract": contract, "weights": self.state_dict()}, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: torch.device | str = "cpu") -> "Skill":
        """Read a skill file, without executing code.

        Raises:
            SkillError: the file is missing, damaged, not a skill, or of a newer version.
        """
        check_call("Skill.load", source=path)
        source = Path(path)
        try:
            path = shipped.find(source) or source
            if not path.exists():
                raise SkillError(
                    f"no skill at {path}; pretrain one with `{shipped.PROGRAM} task=HumanoidAMP`"
                    f" and pass it with skill=RUN/skill.pt, or name a shipped one{shipped.names_like(str(source))}"
                )
            content = read_tensors(path)
        except OSError as error:
            raise SkillError(f"{source} cannot be read: {error.strerror or error}") from error
        except ReadError as error:
            raise SkillError(f"{error}; a pretraining run writes a skill file as RUN/skill.pt") from error
        return cls.from_content(content, path).to(device)

    @classmethod
    def from_content(cls, content: Any, path: Path) -> "Skill":
        """The skill in the content of a file.

        Raises:
            SkillError: it is no skill, its version is newer, or its weights do not fit its contract.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            hint = (
                f"it is a checkpoint; type checkpoint={path} to play or evaluate it"
                if isinstance(content, dict) and "learner_state" in content
                else "a pretraining run writes one as RUN/skill.pt"
            )
            raise SkillError(f"{path} is not a skill file: {hint}")
        try:
            contract, version = _read_contract(content.get("contract"))
            weights = _checked_weights(content.get("weights"), contract)
            if version == 1:
                weights = _renamed_of_version_1(weights)
            skill = cls(contract)
            skill.load_state_dict(weights)
        except (SkillError, RuntimeError) as error:  # RuntimeError: names or sizes of weights
            reason = " ".join(str(error).split())[:300]
            raise SkillError(
                f"{path} cannot be used: {reason}; a pretraining run writes a skill as RUN/skill.pt"
            ) from error
        return skill


def _read_contract(text: Any) -> tuple[SkillContract, int]:
    """The contract from its JSON, and the version of the file's format.

    Raises:
        SkillError: it is no JSON object, its version is unknown, or it is invalid.
    """
    try:
        values = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise SkillError("its contract is no JSON") from error
    version = values.pop("version", None) if isinstance(values, dict) else None
    if type(version) is not int or version not in (1, VERSION):
        raise SkillError(
            f"it has skill format {described(version)}, and this version of isaachrl reads up to {VERSION}"
        )
    if version == 1:
        values = {"discriminator_loss" if key == "judgement" else key: value for key, value in values.items()}
    if wrong := mismatch(SkillContract, values):
        raise SkillError(f"this version of isaachrl does not know its contract: {wrong}")
    return SkillContract(**values), version


def check_weights(weights: Any) -> dict[str, Tensor]:
    """Check that weights of a file are finite, plain tensors; returns them.

    Raises:
        SkillError: they are not.
    """
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise SkillError("its weights are not tensors by name")
    for name, value in weights.items():
        if value.layout != torch.strided or value.dtype not in _DTYPES or value.is_meta or not value.is_contiguous():
            raise SkillError(f"its weight {name[:40]} is no plain tensor")
        if not math.isfinite(value.sum()) and not value.isfinite().all():  # the sum is faster, but may overflow
            raise SkillError(f"its weight {name[:40]} holds values that are not finite; probably its training diverged")
    return weights


def _checked_weights(weights: Any, contract: SkillContract) -> dict[str, Tensor]:
    """`check_weights`, and that there are no fewer weights than the contract needs.

    To be called before networks are built: a contract with wrong, huge sizes would exhaust the memory.

    Raises:
        SkillError: they are not.
    """
    weights = check_weights(weights)
    storages = [value.untyped_storage() for value in weights.values()]  # tensors may share storages
    stored = sum({one.data_ptr(): one.nbytes() for one in storages}.values()) // torch.float32.itemsize
    if stored < contract.least_weights:
        raise SkillError(f"its contract needs {contract.least_weights} weights or more, and it has {stored}")
    return weights


def _renamed_of_version_1(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a file of format 1 under their new names."""
    renamed = {}
    for name, value in weights.items():
        for old, new in _NAMES_OF_VERSION_1:
            name = name.replace(old, new)
        renamed[name] = value
    return renamed


class _ExportModule(nn.Module):
    """See `Skill.controller_module`."""

    offset: Tensor
    scale: Tensor

    def __init__(self, skill: Skill) -> None:
        super().__init__()
        self.obs_norm, self.actor = skill.obs_norm, skill.actor
        self.register_buffer("offset", torch.tensor(skill.contract.action_offset))
        self.register_buffer("scale", torch.tensor(skill.contract.action_scale))

    def forward(self, proprioception: Tensor, latent: Tensor) -> Tensor:
        """Controls `(n, D)` of the D degrees of freedom: joint targets or torques."""
        action = self.actor(self.obs_norm(proprioception), on_sphere(latent))
        return self.offset + self.scale * action.clamp(-1.0, 1.0)
