"""What a skill can do: every motion asked for by its own command, commands from everywhere, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.envs import TaskEnv
from isaachrl.hierarchy.latents import Latents
from isaachrl.hierarchy.motion_space import style_features
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.motions import Demonstrations, ImitationTask
from isaachrl.maths import rotations
from isaachrl.motion.checks import CONTACT_M
from isaachrl.sim.soles import robot_soles

SETTLE_S = 2.0
JUDGED_S = 5.0
ANSWER_S = 3.0  # a change of command that takes longer has failed
SMOOTHING_S = 0.5  # about half a stride
LEAST_SHARE = 0.01  # of the rollouts, for a motion to count as covered
_DIFFERENT = 0.3  # m/s or rad/s by which two motions must differ to time the change between them


@dataclass
class Shown:
    """What N bodies did while they were judged, each `(N,)`.

    Attributes:
        motion: nearest motion by mean and deviation of the style frames.
        speed_mps: mean forward speed.
        turn_rate_rad_s: mean turn rate, positive to the left.
        up: whether they never fell.
        slip_mps: mean horizontal speed of the soles' corners that touch the floor.
        power_w: mean of the motors' mechanical power, each motor's without its sign.
    """

    motion: Tensor
    speed_mps: Tensor
    turn_rate_rad_s: Tensor
    up: Tensor
    slip_mps: Tensor
    power_w: Tensor


@torch.no_grad()
def clip_commands(skill: Skill, demos: Demonstrations) -> Tensor:
    """The command `(S, d)` of each motion: its place, or with `ase` the mean of what the encoder makes of it."""
    if skill.contract.latents != Latents.ase.value:
        return skill.space.places
    windows = skill.discriminator.norm(demos.windows.flatten(0, 1))
    _, guess = skill.discriminator.opinions(windows, windows.new_zeros(len(windows), 0))
    return functional.normalize(guess.unflatten(0, demos.windows.shape[:2]).mean(1), dim=-1)


class Examination:
    """Rollouts of a skill, acting by its mean.

    Args:
        skill: whom to examine.
        env: where; every measure has as many rollouts as this has environments.
        task: the imitation task in it.
        demos: the motions and their names.
    """

    def __init__(self, skill: Skill, env: TaskEnv, task: ImitationTask, demos: Demonstrations) -> None:
        self.skill, self.env, self.task, self.names = skill, env, task, demos.names
        self.commands = clip_commands(skill, demos)
        self._soles = {
            env.sim.robot.body_names.index(name): corners.to(env.device)
            for name, corners in robot_soles(env.sim.robot.name).items()
        }

    @torch.no_grad()
    def report(self, draw: Callable[[int], Tensor]) -> dict[str, Any]:
        """All measures as plain data.

        Args:
            draw: gives commands `(n, d)` from everywhere, as in training.

        Returns:
            `clip_recall`: share of motions that more of their rollouts that stayed up are nearest to than to any other;
            `clips`: per motion its own `recall`, the motion `nearest` to most rollouts, mean `speed_mps`,
            `turn_rate_rad_s`, `foot_slip_mps`, `power_w`, and `fall_rate`;
            `coverage`: share of motions that at least 1 % of drawn commands lead to;
            `speed_range_mps`, `turn_range_rad_s`: least and greatest mean over motions and drawn commands;
            `latent_response_s`: median time from a change of command to a velocity nearer the new motion's than the
            old one's, over pairs of motions that differ in velocity; None where there are none.
        """
        env = self.env
        asked = torch.arange(env.num_envs, device=env.device) % len(self.names)
        by_command, drawn = self.show(self.commands[asked]), self.show(draw(env.num_envs))
        clips = self._by_clip(by_command, asked)
        shares = torch.bincount(drawn.motion[drawn.up], minlength=len(self.names)) / env.num_envs
        ranges = {
            name: [float(values.min()), float(values.max())] if len(values) else None
            for name, values in (
                ("speed_range_mps", torch.cat([shown.speed_mps[shown.up] for shown in (by_command, drawn)])),
                ("turn_range_rad_s", torch.cat([shown.turn_rate_rad_s[shown.up] for shown in (by_command, drawn)])),
            )
        }
        hits = sum(clip["nearest"] == name for name, clip in clips.items())
        return {
            "clip_recall": hits / len(clips),
            "coverage": float((shares >= LEAST_SHARE).float().mean()),
            **ranges,
            "latent_response_s": self._response(clips),
            "clips": clips,
        }

    def _by_clip(self, shown: Shown, asked: Tensor) -> dict[str, Any]:
        """Means over the rollouts of each motion that was asked for `(N,)` and stayed up; None where nobody did."""
        clips: dict[str, Any] = {}
        for piece, name in enumerate(self.names):
            mine = asked == piece
            if not bool(mine.any()):
                continue  # fewer environments than motions: this one was not asked for
            standing = mine & shown.up
            votes = torch.bincount(shown.motion[standing], minlength=len(self.names))
            count = int(standing.sum())
            measures = {
                "speed_mps": shown.speed_mps,
                "turn_rate_rad_s": shown.turn_rate_rad_s,
                "foot_slip_mps": shown.slip_mps,
                "power_w": shown.power_w,
            }
            clips[name] = {
                "recall": float(votes[piece]) / max(count, 1),
                "nearest": self.names[int(votes.argmax())] if count else None,
                **{key: float(values[standing].mean()) if count else None for key, values in measures.items()},
                "fall_rate": 1.0 - count / int(mine.sum()),
            }
        return clips

    def show(self, latent: Tensor) -> Shown:
        """Hold commands `(N, d)` from random starts, let them settle, and judge what follows."""
        env = self.env
        settle, judged = (round(time / env.task.cfg.step_s) for time in (SETTLE_S, JUDGED_S))
        obs = env.reset()
        up = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        frames = torch.zeros(2, env.num_envs, self.task.style_size, device=env.device)
        sums = torch.zeros(5, env.num_envs, device=env.device)
        for step in range(settle + judged):
            result = env.advance(self.skill.act(obs["proprioception"], latent))
            obs = result.obs
            up &= ~result.terminated
            if step < settle:
                continue
            frame = obs["style"][:, : self.task.style_size]
            frames[0] += frame
            frames[1] += frame.square()
            sums += torch.stack((*self._velocity(), *self._slip(), self._power()))
        motion = self.skill.space.nearest(style_features(frames[0] / judged, frames[1] / judged))
        speed, turn, slipped, touching, power = sums
        return Shown(motion, speed / judged, turn / judged, up, slipped / touching.clamp_min(1.0), power / judged)

    def _velocity(self) -> tuple[Tensor, Tensor]:
        """Forward speed and turn rate, `(N,)` each."""
        sim = self.env.sim
        ahead = rotations.axis_x(sim.root_quat_w)[:, :2]
        speed = (sim.root_linvel_w[:, :2] * ahead).sum(-1) / ahead.norm(dim=-1).clamp_min(1e-6)
        return speed, sim.root_angvel_w[:, 2]

    def _slip(self) -> tuple[Tensor, Tensor]:
        """Summed horizontal speed of the sole corners on the floor, and their number, `(N,)` each."""
        sim = self.env.sim
        slipped, touching = torch.zeros(2, sim.num_envs, device=sim.device)
        for body, corners in self._soles.items():
            arm = rotations.rotate(sim.body_quat_w[:, body].unsqueeze(1), corners.unsqueeze(0))
            low = sim.body_pos_w[:, body, 2:] + arm[..., 2] < CONTACT_M
            spin = torch.linalg.cross(sim.body_angvel_w[:, body].unsqueeze(1).expand_as(arm), arm)
            velocity = sim.body_linvel_w[:, body].unsqueeze(1) + spin
            slipped += (velocity[..., :2].norm(dim=-1) * low).sum(-1)
            touching += low.sum(-1)
        return slipped, touching

    def _power(self) -> Tensor:
        """`(N,)` watts at the end of the control step."""
        sim = self.env.sim
        return (sim.motor_torque * sim.joint_vel).abs().sum(-1)

    def _response(self, clips: dict[str, Any]) -> float | None:
        """Median seconds until the smoothed velocity is nearer the new motion's than the old one's."""
        env, names = self.env, [name for name, clip in clips.items() if clip["nearest"] is not None]
        if len(names) < 2:
            return None
        index = torch.arange(env.num_envs, device=env.device)
        old, new = index % len(names), (index + 1 + index // len(names) % (len(names) - 1)) % len(names)
        reached = torch.tensor(
            [[clips[name][key] for key in ("speed_mps", "turn_rate_rad_s")] for name in names], device=env.device
        )
        commands = torch.stack([self.commands[self.names.index(name)] for name in names])
        step_s = env.task.cfg.step_s
        keep = 1.0 - step_s / SMOOTHING_S
        obs, up = env.reset(), torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        smooth, answer = reached[old], torch.full((env.num_envs,), float("inf"), device=env.device)
        for step in range(-round(SETTLE_S / step_s), round(ANSWER_S / step_s)):
            latent = commands[old] if step < 0 else commands[new]
            result = env.advance(self.skill.act(obs["proprioception"], latent))
            obs, up = result.obs, up & ~result.terminated
            smooth = keep * smooth + (1.0 - keep) * torch.stack(self._velocity(), dim=-1)
            nearer = (smooth - reached[new]).norm(dim=-1) < (smooth - reached[old]).norm(dim=-1)
            if step >= 0:
                answer = torch.where(nearer, answer.clamp_max((step + 1) * step_s), answer)
        told = up & ((reached[new] - reached[old]).norm(dim=-1) > _DIFFERENT)
        return float(answer[told].quantile(0.5, interpolation="higher").clamp_max(ANSWER_S)) if told.any() else None
