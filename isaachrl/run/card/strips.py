"""Film strips: stills of the body under the latent of each motion, and of the clip."""

import contextlib

import numpy as np
import torch
from torch import Tensor

from isaachrl.motion.library import to_qpos_qvel
from isaachrl.run.card.measures import RecordedEvaluation
from isaachrl.sim.cameras import ChaseCamera, camera_scale
from isaachrl.sim.render import SceneRenderer

STILLS, EVERY = 10, 4  # of a strip; control steps from one to the next
SETTLE_STEPS = 60
SIZE = (76, 128)  # of a still, pixels


@torch.no_grad()
def filmed(evaluation: RecordedEvaluation, names: list[str]) -> Tensor:
    """Coordinates `(S, STILLS, nq)` of a body under the latent of each of these motions.

    There are as many of them as of environments at most.
    """
    env = evaluation.env
    chosen = torch.tensor([evaluation.names.index(name) for name in names], device=env.device)
    latents = evaluation.latents[chosen[torch.arange(env.num_envs, device=env.device) % len(names)]]
    obs, stills = evaluation.begin(), []
    for step in range(SETTLE_STEPS + STILLS * EVERY):
        if step >= SETTLE_STEPS and (step - SETTLE_STEPS) % EVERY == 0:
            stills.append(env.sim.qpos[: len(names)].cpu().clone())
        obs = env.advance(evaluation.skill.act(obs["proprioception"], latents)).obs
    return torch.stack(stills, dim=1)


def of_clip(evaluation: RecordedEvaluation, name: str) -> Tensor:
    """Coordinates `(STILLS, nq)` of a motion segment's clip, at the same times from its beginning."""
    library, names = evaluation.task.library, evaluation.names
    clip, _, number = name.partition("#")
    index = library.names.index(clip)
    segments = sum(other.partition("#")[0] == clip for other in names)
    begin = int(number or 0) * float(library.durations_s[index]) / segments
    times = begin + torch.arange(STILLS, device=evaluation.env.device) * EVERY * evaluation.env.step_s
    state = library.state(torch.full(times.shape, index, device=times.device), times)
    return to_qpos_qvel(library.layout, state)[0].cpu()


def draw(evaluation: RecordedEvaluation, names: list[str]) -> dict[str, np.ndarray]:
    """Two rows of stills for each motion, the body above the clip: `(2 height, STILLS * width, 3)` uint8.

    Raises:
        RenderError: no OpenGL works here.
    """
    names = names[: evaluation.env.num_envs]
    scene, scale = evaluation.env.sim.scene, camera_scale(evaluation.env.sim.robot)
    mocap_pos_w = evaluation.env.sim.mocap_pos_w[0].cpu().numpy()
    with contextlib.closing(SceneRenderer(scene, *SIZE)) as renderer:
        pictures = {}
        for name, body in zip(names, filmed(evaluation, names), strict=True):
            rows = []
            for coordinates in (body, of_clip(evaluation, name)):
                camera = ChaseCamera(2.6, -8.0, side_deg=80.0, lag=0.0, size=scale)
                rows.append(
                    np.concatenate([renderer.frame(pose.numpy(), mocap_pos_w, camera) for pose in coordinates], 1)
                )
            pictures[name] = np.concatenate(rows, axis=0)
    return pictures
