"""What a skill can do: every motion asked for by its own command, and what came of it."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.envs import TaskEnv
from isaachrl.hierarchy.motion_space import MotionSpace, style_features
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.motions import Demonstrations, ImitationTask
from isaachrl.maths import rotations

SETTLE_S = 2.0
JUDGED_S = 5.0


@torch.no_grad()
def recall(skill: Skill, env: TaskEnv, task: ImitationTask, demos: Demonstrations) -> dict[str, Any]:
    """Command each motion's place from random starts, let it settle, and name the nearest motion to what is shown.

    Environments are dealt out to the motions in turn. Nearness is by mean and deviation of the style frames.

    Returns:
        `clip_recall`: share of motions that most of their rollouts that stayed up are nearest to;
        `clips`: per motion its own `recall`, the motion `nearest` to most rollouts, mean `speed_mps`,
        `turn_rate_rad_s` and `fall_rate`.
    """
    space, names = skill.space, demos.names
    asked = torch.arange(env.num_envs, device=env.device) % len(names)
    shown, speed, turn, up = _rollout(skill, env, task, space, space.places[asked])
    clips: dict[str, Any] = {}
    hits = 0
    for piece, name in enumerate(names):
        mine = asked == piece
        if not bool(mine.any()):
            continue  # fewer environments than motions: this one was not asked for
        standing = mine & up
        votes = torch.bincount(shown[standing], minlength=len(names))
        nearest = int(votes.argmax())
        hits += int(nearest == piece and bool(standing.any()))
        count = max(int(standing.sum()), 1)
        clips[name] = {
            "recall": float(votes[piece]) / count,
            "nearest": names[nearest],
            "speed_mps": float(speed[standing].sum()) / count,
            "turn_rate_rad_s": float(turn[standing].sum()) / count,
            "fall_rate": 1.0 - float(standing.sum()) / max(int(mine.sum()), 1),
        }
    return {"clip_recall": hits / len(clips), "clips": clips}


def _rollout(
    skill: Skill, env: TaskEnv, task: ImitationTask, space: MotionSpace, latent: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Nearest motion, mean forward speed, mean turn rate, and whether it stayed up: each `(N,)`."""
    step_s = env.task.cfg.step_s
    settle, judged = round(SETTLE_S / step_s), round(JUDGED_S / step_s)
    obs = env.reset()
    up = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    total = torch.zeros(2, env.num_envs, task.style_size, device=env.device)
    speed, turn = torch.zeros(env.num_envs, device=env.device), torch.zeros(env.num_envs, device=env.device)
    for step in range(settle + judged):
        result = env.advance(skill.act(obs["proprioception"], latent))
        obs = result.obs
        up &= ~result.terminated
        if step < settle:
            continue
        frame = obs["style"][:, : task.style_size]
        total[0] += frame
        total[1] += frame.square()
        flat = rotations.axis_x(env.sim.root_quat_w)[:, :2]
        speed += (env.sim.root_linvel_w[:, :2] * flat).sum(-1) / flat.norm(dim=-1).clamp_min(1e-6)
        turn += env.sim.root_angvel_w[:, 2]
    shown = space.nearest(style_features(total[0] / judged, total[1] / judged))
    return shown, speed / judged, turn / judged, up
