"""A skill of two small layers with random weights: enough to build and step a hierarchy."""

import torch

from isaachrl.hierarchy.skill import Skill, SkillContract
from isaachrl.sim import Control, load_robot
from tasks.common import humanoid

LATENT_SIZE = 4


def make_tiny_skill(style_frames: int = 2, step_s: float = 1 / 30, latent_size: int = LATENT_SIZE) -> Skill:
    robot = load_robot("humanoid")
    motors = humanoid.ActionMap(robot, Control.position, torch.device("cpu"))
    torch.manual_seed(3)
    return Skill(
        SkillContract(
            robot=robot.name,
            model_hash=robot.model_hash,
            body_names=list(robot.body_names),
            dof_names=list(robot.dof_names),
            proprioception=humanoid.proprioception_layout(robot),
            style_frame=humanoid.style_layout(robot),
            style_frames=style_frames,
            control="position",
            action_offset=motors.offset.tolist(),
            action_scale=motors.scale.tolist(),
            step_s=step_s,
            discriminator_loss="least_squares",
            latents="none",
            latent_size=latent_size,
            actor_hidden=[16],
            latent_hidden=[8],
            discriminator_hidden=[16],
            motions=["walk", "run"],
        )
    )
