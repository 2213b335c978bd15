"""Skill files in place of checkpoints: the contract of a skill has all that play, evaluation and export need."""

import dataclasses
from pathlib import Path
from typing import Any

from isaachrl.errors import CheckpointError
from isaachrl.hierarchy.skill import FORMAT, Skill
from isaachrl.run.storage.checkpoint import LAST, Checkpoint, find_checkpoint, parse_checkpoint, read_content

TRAINED_ON = {"task": "HumanoidAMP", "motion": "locomotion"}  # not in files of the first version
LEARNER = "skills"


def load_checkpoint_or_skill(source: Path) -> Checkpoint:
    """Read a checkpoint, or a skill file as a checkpoint.

    Raises:
        CheckpointError: it does not exist, is damaged, of another program or of a newer version of this one.
        SkillError: a skill file of another version.
    """
    path = find_checkpoint(source)
    content = read_content(path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return _as_checkpoint(content, path)
    return parse_checkpoint(content, path)


def _as_checkpoint(content: dict[str, Any], path: Path) -> Checkpoint:
    """A skill file as a checkpoint, sufficient for play, evaluation and export, but not for training."""
    skill = Skill.from_content(content, path)
    contract = skill.contract
    training: dict[str, Any] = TRAINED_ON | contract.training
    task = {"motion": training["motion"], "style_frames": contract.style_frames, "control": contract.control}
    task |= {key: training[key] for key in ("robot", "substeps", "timestep_s", "min_height_m") if key in training}
    train: dict[str, Any] = {
        "latents": contract.latents,
        "hidden": contract.actor_hidden,
        "latent_hidden": contract.latent_hidden,
        "discriminator": {"hidden": contract.discriminator_hidden, "loss": contract.discriminator_loss},
    }
    if training.get("rising_separate"):
        train["rising"] = {"separate": True}
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
    """Whether the checkpoint was read from a skill file."""
    return loaded.learner == LEARNER and "critic" not in loaded.learner_state


def require_trainable(loaded: Checkpoint, source: str, resumed: bool) -> None:
    """Check that a checkpoint can start a training or, if `resumed`, continue one.

    Raises:
        CheckpointError: it is a skill file, or with `resumed` a file of weights (numbered, or `weights.pt`).
    """
    if is_skill_file(loaded):
        raise CheckpointError(
            f"{source} is a skill file, without critic and optimiser; continue from its run's checkpoints/last.pt, or"
            f" train a high level on it with task=HumanoidHRLMaze skill={source}"
        )
    if resumed and not loaded.env_state:
        last = Path(source).with_name(LAST)
        resume = f"resume={last} to continue that run, or " if last.is_file() else ""
        start = f"task={loaded.task} checkpoint={source} run_dir=NEW"
        raise CheckpointError(
            f"{source} has only weights, and an exact continuation needs optimisers, replay, environments and random"
            f" state; type {resume}{start} for a new training that starts from these weights"
        )
