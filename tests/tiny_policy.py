"""A policy of HumanoidLocation over the shipped skill that always walks: a checkpoint made by hand."""

import torch

from isaachrl.hierarchy.skill import Skill
from isaachrl.run.storage.checkpoint import FORMAT, VERSION
from isaachrl.tensor_file import write_tensors

SKILL = "assets/skills/humanoid.pt"


def tiny_policy_content(motion="walk"):
    """Content of the file; `learner_state.agent.model` has weights that ignore the observation."""
    skill = Skill.load(SKILL)
    inputs, latent = skill.contract.proprioception_size + 5, skill.prototype_of(motion)
    net = {
        "actor_mlp.0.weight": torch.zeros(3, inputs), "actor_mlp.0.bias": torch.zeros(3),
        "mu.weight": torch.zeros(len(latent), 3), "mu.bias": torch.atanh(0.5 * latent),
    }  # fmt: skip
    model = {f"a2c_network.{name}": value for name, value in net.items()}
    return {
        "format": FORMAT, "version": VERSION, "task": "HumanoidLocation", "learner": "ppo",
        "config": {"task": {"name": "HumanoidLocation", "skill": SKILL, "hierarchy": {"steps": 5}}},
        "learner_state": {"agent": {"model": model}},
    }  # fmt: skip


def save_tiny_policy(run):
    """Write it where a run has its last checkpoint; returns the run's folder as a string."""
    (run / "checkpoints").mkdir(parents=True)
    write_tensors(tiny_policy_content(), run / "checkpoints" / "last.pt")
    return str(run)
