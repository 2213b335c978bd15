"""The contract of a skill in training, read from its environment."""

from collections.abc import Sequence

from isaachrl.envs import Env, TaskEnv
from isaachrl.hierarchy.skill import SkillContract
from isaachrl.learn.skills.config import SkillsCfg
from isaachrl.learn.skills.motions import ImitationTask

ARMS = ("shoulder", "elbow", "wrist")  # parts of the names of the arms' degrees of freedom


def arm_dofs(names: Sequence[str]) -> list[int]:
    """Indices of the arms' degrees of freedom."""
    return [index for index, name in enumerate(names) if any(part in name for part in ARMS)]


def make_contract(
    env: Env, task: ImitationTask, cfg: SkillsCfg, motions: Sequence[str], latent_size: int
) -> SkillContract:
    """The contract of a skill that is trained on `env`."""
    assert isinstance(env, TaskEnv)
    robot = env.sim.robot
    return SkillContract(
        robot=robot.name,
        model_hash=robot.model_hash,
        body_names=list(robot.body_names),
        dof_names=list(robot.dof_names),
        proprioception=task.proprioception_layout,
        style_frame=task.style_layout,
        style_frames=task.cfg.style_frames,
        control=env.sim.scene.control.value,
        action_offset=task.action_offset.tolist(),
        action_scale=task.action_scale.tolist(),
        step_s=task.cfg.step_s,
        discriminator_loss=cfg.discriminator.loss.value,
        latents=cfg.latents.value,
        latent_size=latent_size,
        actor_hidden=list(cfg.hidden),
        latent_hidden=list(cfg.latent_hidden),
        discriminator_hidden=list(cfg.discriminator.hidden),
        motions=list(motions),
    )
