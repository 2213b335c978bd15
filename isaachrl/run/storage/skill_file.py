"""A skill file where a checkpoint is expected: to look at a skill, its own contract says all there is to know."""

import dataclasses
from pathlib import Path
from typing import Any

from isaachrl.errors import CheckpointError
from isaachrl.hierarchy.skill import FORMAT, Skill
from isaachrl.run.storage.checkpoint import LAST, Checkpoint, checked, find_checkpoint, read_content

TRAINED_ON = {"task": "HumanoidAMP", "motion": "locomotion"}  # what the files of the first version do not say
LEARNER = "skills"


def load_checkpoint_or_skill(source: Path) -> Checkpoint:
    """Read a checkpoint, or a skill file as the checkpoint it stands for.

    Raises:
        CheckpointError: there is none, it is damaged, of another program or of a newer version of this one.
        SkillError: a skill of another version.
    """
    path = find_checkpoint(source)
    content = read_content(path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return _as_checkpoint(content, path)
    return checked(content, path)


def _as_checkpoint(content: dict[str, Any], path: Path) -> Checkpoint:
    """What a skill file says about itself: enough to play, evaluate and export, not to go on training."""
    skill = Skill.from_content(content, path)
    contract = skill.contract
    training: dict[str, Any] = TRAINED_ON | contract.training
    task = {"motion": training["motion"], "style_frames": contract.style_frames, "control": contract.control}
    task |= {key: training[key] for key in ("substeps", "timestep_s") if key in training}
    train: dict[str, Any] = {
        "latents": contract.latents,
        "hidden": contract.actor_hidden,
        "latent_hidden": contract.latent_hidden,
        "discriminator": {"hidden": contract.discriminator_hidden, "loss": contract.discriminator_loss},
    }
    if contract.latent_size:
        train["latent"] = {"size": contract.latent_size}
        train["latent"] |= {key: training[key] for key in ("segment_s",) if key in training}
    return Checkpoint(
        task=training["task"],
        learner=LEARNER,
        config={
            "task": {"name": training["task"]} | task,
            "train": {"name": LEARNER} | train,
            "sim": "auto",
            "seed": training.get("seed", 0),
        },
        iteration=training.get("iterations", 0),
        samples=training.get("samples", 0),
        learner_state={
            "skill": skill.state_dict(),
            "contract": dataclasses.asdict(contract),
            "iteration": training.get("iterations", 0),
            "samples": training.get("samples", 0),
        },
        env_state={},
    )


def is_skill_file(loaded: Checkpoint) -> bool:
    """Whether there is nothing but a skill in it."""
    return loaded.learner == LEARNER and "critic" not in loaded.learner_state


def require_whole(loaded: Checkpoint, source: str, resumed: bool) -> None:
    """Refuse to train on from a skill file, and to resume from any file of weights alone.

    Raises:
        CheckpointError: it is a skill file, a numbered checkpoint, or the `weights.pt` of an export.
    """
    if is_skill_file(loaded):
        raise CheckpointError(
            f"{source} is a skill file, which holds no critic and no optimiser; train on from its run's"
            " checkpoints/last.pt, or build on it with task=HumanoidHRLMaze skill=" + source
        )
    if resumed and not loaded.env_state:
        last = Path(source).with_name(LAST)
        whole = f"resume={last} to go on from where that run stopped, or " if last.is_file() else ""
        raise CheckpointError(
            f"{source} holds weights alone: without optimisers, replay, environments and random state nothing can be"
            f" continued exactly; type {whole}checkpoint={source} for a new training that starts from these weights"
        )
