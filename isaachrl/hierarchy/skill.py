"""A skill: a frozen low-level controller in a file that stands alone."""

import dataclasses
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.errors import SkillError, nearest
from isaachrl.files import write_atomically
from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.maths.vectors import on_sphere
from isaachrl.nn import RunningNorm
from isaachrl.nn.motion_embedding import MotionEmbedding
from isaachrl.nn.skill_networks import Actor, Discriminator
from isaachrl.nn.style import DiscriminatorLoss, style_reward
from isaachrl.sim.robot import HASH_PREFIX, Robot

FORMAT = "isaachrl-skill"
VERSION = 2

_NAMES_OF_VERSION_1 = (
    ("discriminator.judge.", "discriminator.head."), ("discriminator.guess.", "discriminator.encoder."),
    ("space.places", "space.prototypes"), ("space.", "embedding."),
)  # fmt: skip
_MUST_MATCH = {  # what a skill and a task say of these must be the same; in words
    "robot": "robot", "body_names": "list of bodies", "dof_names": "list of degrees of freedom", "control": "control",
    "step_s": "control interval", "model_hash": "model hash", "motions": "list of motions",
}  # fmt: skip
_SET_BY = {  # what to type for the task to have what the skill has
    "control": "task.control", "step_s": "task.substeps and task.timestep_s",
    "motions": "motion and train.latent.segment_s",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SkillContract:
    """What the numbers of a skill mean; stored as JSON inside the file.

    Args:
        robot: name of the robot.
        model_hash: hash of all that decides how the robot moves, see `Robot.model_hash`.
        body_names, dof_names: their order.
        proprioception: name, size and unit of each part of the input, in order.
        style_frame: the same for one frame of the discriminator's window.
        style_frames: length of that window.
        control: `position` (joint targets, rad) or `torque` (N m).
        action_offset, action_scale: joint targets are `offset + scale * clamp(action, -1, 1)`.
        step_s: control interval in seconds.
        discriminator_loss: how the discriminator was trained, the name of one of `DiscriminatorLoss`.
        latents: kind of latent, the name of one of `LatentKind`.
        latent_size: d; latents are unit vectors in d dimensions.
        actor_hidden, latent_hidden, discriminator_hidden: widths of the networks.
        motions: names of the motions it was trained on; with `motion` latents, one per prototype.
        training: summary of how it was made (samples, seed, last signals).
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

    @property
    def proprioception_size(self) -> int:
        """Width of the input."""
        return sum(int(size) for _, size, _ in self.proprioception)

    @property
    def window_size(self) -> int:
        """Width of the discriminator's window."""
        return self.style_frames * sum(int(size) for _, size, _ in self.style_frame)


def refuse_mismatch(skill: Mapping[str, Any], task: Mapping[str, Any]) -> None:
    """Compare a skill's contract, as a mapping, with what a task says of itself; only what the task says counts.

    Raises:
        SkillError: both sides of what does not match.
    """
    for key, what in _MUST_MATCH.items():
        ours, theirs = (_comparable(side.get(key)) for side in (skill, task))
        if key in task and ours != theirs:
            if key == "model_hash" and not str(ours).startswith(HASH_PREFIX):
                raise SkillError(_old_hash(theirs))
            hint = f"; what sets it is {_SET_BY[key]}" if key in _SET_BY else ""
            raise SkillError(f"the skill does not fit this task: its {what} is {ours}, the task's is {theirs}{hint}")


def _old_hash(model_hash: str) -> str:
    """What to tell those whose skill knows its robot by a hash of an earlier version."""
    return (
        "the skill was made by an earlier version of isaachrl, whose model hash left out inertias, frames, gears and"
        " more of the robot. If the robot has not changed since, put the present hash into the skill file: python -c"
        f" \"from isaachrl.hierarchy.skill import Skill; Skill.load('FILE').stamped('{model_hash}').save('FILE')\";"
        " else train it again"
    )


def _comparable(value: Any) -> Any:
    """Without the difference between lists and tuples, and without a clock's last digits."""
    if isinstance(value, float):
        return round(value, 6)
    return list(value) if isinstance(value, list | tuple) else value


class Skill(nn.Module):
    """A frozen controller: from proprioception and a latent to an action.

    Build one with `Skill.load`, or from a contract when it is being trained.
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
        style_numbers = 2 * contract.window_size // contract.style_frames
        # filled with the real prototypes when weights are loaded
        self.embedding = MotionEmbedding(
            torch.zeros(segments, style_numbers), torch.ones(style_numbers), max(self.latent_size, 2)
        )
        self.requires_grad_(False)

    def project(self, command: Tensor) -> Tensor:
        """Commands `(N, d)` as points of the unit sphere; one of zeros, which points nowhere, is the first axis."""
        return on_sphere(command)

    @torch.no_grad()
    def act(self, proprioception: Tensor, latent: Tensor) -> Tensor:
        """Mean action `(N, A)` for proprioception `(N, P)` and unit latents `(N, d)`."""
        return self.actor(self.obs_norm(proprioception), latent)

    @torch.no_grad()
    def style_reward(self, window: Tensor, latent: Tensor) -> Tensor:
        """Style reward `(N,)` of windows `(N, W * S)` under latents `(N, d)`, by the frozen discriminator."""
        output = self.discriminator.logit(self.discriminator.norm(window), latent)
        return style_reward(output, DiscriminatorLoss(self.contract.discriminator_loss))

    def prototype_of(self, motion: str) -> Tensor:
        """The prototype `(d,)` of a motion by name (`motion` latents).

        Raises:
            SkillError: the skill has no such motion; the nearest names are offered.
        """
        if self.contract.latents != LatentKind.motion.value or motion not in self.contract.motions:
            raise SkillError(f"the skill has no latent for {motion!r}{nearest(motion, self.contract.motions)}")
        return self.embedding.prototypes[self.contract.motions.index(motion)]

    def check(self, robot: Robot, step_s: float, control: str) -> None:
        """Refuse a robot, clock or kind of motor that the skill was not made for.

        Raises:
            SkillError: both sides of what does not match.
        """
        task = {
            "robot": robot.name, "body_names": robot.body_names, "dof_names": robot.dof_names, "control": control,
            "step_s": step_s, "model_hash": robot.model_hash,
        }  # fmt: skip
        refuse_mismatch(dataclasses.asdict(self.contract), task)

    def check_same_robot(self, other: "Skill") -> None:
        """Refuse to take turns with a skill of another robot, clock or kind of motor.

        Raises:
            SkillError: both sides of what does not match.
        """
        theirs = dataclasses.asdict(other.contract)
        same = ("robot", "body_names", "dof_names", "control", "step_s", "model_hash")
        refuse_mismatch(dataclasses.asdict(self.contract), {key: theirs[key] for key in same})

    def stamped(self, model_hash: str) -> "Skill":
        """The skill itself, from now on for the robot with this hash, which must be the one of its training."""
        self.contract = dataclasses.replace(self.contract, model_hash=model_hash)
        return self

    def controller_module(self) -> nn.Module:
        """A module `(proprioception, latent) -> joint targets` with normaliser and action map inside, for export."""
        return _Controller(self)

    def controller_contract(self) -> dict[str, Any]:
        """What the numbers of `controller_module` mean: the skill's contract, and what is done inside already."""
        unit = {"position": "rad", "torque": "N m"}[self.contract.control]
        use = f"the output is in {unit}, in the order of dof_names; action_offset and action_scale are applied inside"
        if self.latent_size:
            use += "; of the latent only its direction counts"
        return dataclasses.asdict(self.contract) | {"use": use}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the skill to one file, atomically."""
        contract = json.dumps({"version": VERSION, **dataclasses.asdict(self.contract)})
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, "contract": contract, "weights": self.state_dict()}, buffer)
        write_atomically(Path(path), buffer.getbuffer())

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: torch.device | str = "cpu") -> "Skill":
        """Read a skill file; nothing in it is executed.

        Raises:
            SkillError: the file is missing, broken, no skill, or of a newer version.
        """
        path = Path(path)
        if not path.exists():
            raise SkillError(
                f"no skill at {path}; pretrain one with `python train.py task=HumanoidAMP`"
                " and pass it with skill=RUN/skill.pt"
            )
        try:
            content = torch.load(path, map_location=device, weights_only=True)
        except Exception as error:
            # PyTorch's own words advise to run whatever code the file holds
            raise SkillError(
                f"{path} cannot be read as a skill file: it is damaged or of another kind; a pretraining run writes one"
                " as RUN/skill.pt"
            ) from error
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            hint = (
                f"it is a checkpoint; type checkpoint={path} to play or evaluate it"
                if isinstance(content, Mapping) and "learner_state" in content
                else "a pretraining run writes one as RUN/skill.pt"
            )
            raise SkillError(f"{path} is not a skill file: {hint}")
        values = json.loads(content["contract"])
        version = values.pop("version", None)
        weights = content["weights"]
        if version == 1:
            values, weights = _from_version_1(values, weights)
        elif version != VERSION:
            raise SkillError(f"{path} has skill format {version}, this version of isaachrl reads {VERSION}")
        try:
            skill = cls(SkillContract(**values)).to(device)
        except TypeError as error:
            raise SkillError(f"{path} has a contract that this version of isaachrl does not know: {error}") from error
        skill.load_state_dict(weights)
        return skill


def _from_version_1(contract: dict[str, Any], weights: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Contract and weights of a file of format 1, whose names were others."""
    contract = {"discriminator_loss" if key == "judgement" else key: value for key, value in contract.items()}
    renamed = {}
    for name, value in weights.items():
        for old, new in _NAMES_OF_VERSION_1:
            name = name.replace(old, new)
        renamed[name] = value
    return contract, renamed


class _Controller(nn.Module):
    """The exported form of a skill."""

    offset: Tensor
    scale: Tensor

    def __init__(self, skill: Skill) -> None:
        super().__init__()
        self.obs_norm, self.actor = skill.obs_norm, skill.actor
        self.register_buffer("offset", torch.tensor(skill.contract.action_offset))
        self.register_buffer("scale", torch.tensor(skill.contract.action_scale))

    def forward(self, proprioception: Tensor, latent: Tensor) -> Tensor:
        """Joint targets `(n, D)`."""
        action = self.actor(self.obs_norm(proprioception), on_sphere(latent))
        return self.offset + self.scale * action.clamp(-1.0, 1.0)
