"""Evaluation of a skill: rollouts under the latent of every motion, and under random latents."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.envs import Obs, TaskEnv
from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.contract import arm_dofs
from isaachrl.learn.skills.motions import Demonstrations, ImitationTask
from isaachrl.maths import rotations
from isaachrl.motion.checks import CONTACT_M
from isaachrl.motion.kinematics import posture_distance_m2
from isaachrl.nn.motion_embedding import style_features
from isaachrl.sim.soles import robot_soles

SETTLE_S = 2.0
MEASURE_S = 5.0
RISE_S = 5.0
STARTS = 10  # tries to begin all episodes on the feet
RESPONSE_LIMIT_S = 3.0  # a change of latent that takes longer has failed
END_S, END_FRAMES = 0.5, 16  # the end of a transition
WATCHED_S, REACHED = 8.0, 0.05  # for skills without latents: time, and share of the robot's height
MOMENTS = 512  # of clips that bodies are compared with at once
SMOOTHING_S = 0.5  # about half a stride
MIN_SHARE = 0.01  # of the rollouts, for a motion to count as covered
_DIFFERENT = 0.3  # m/s or rad/s by which two motions must differ to time the change between them


@dataclass
class RolloutStats:
    """Measurements of N bodies after their latent has settled, each `(N,)`.

    Attributes:
        motion: nearest motion segment by mean and standard deviation of the style frames.
        speed_mps: mean forward speed.
        turn_rate_rad_s: mean turn rate, positive to the left.
        up: never fell.
        slip_mps: mean horizontal speed of the soles' corners that touch the floor.
        power_w: mean of the motors' mechanical power, each motor's without its sign.
        arm_rad_s: root mean square of the speeds of the arms' joints; 0 if none is named shoulder, elbow or wrist.
    """

    motion: Tensor
    speed_mps: Tensor
    turn_rate_rad_s: Tensor
    up: Tensor
    slip_mps: Tensor
    power_w: Tensor
    arm_rad_s: Tensor


@torch.no_grad()
def clip_latents(skill: Skill, demos: Demonstrations) -> Tensor:
    """The latent `(S, d)` of each motion segment: its prototype, or with `ase` the mean encoding of its windows."""
    if skill.contract.latents != LatentKind.ase.value:
        return skill.embedding.prototypes
    windows = skill.discriminator.norm(demos.windows.flatten(0, 1))
    _, encoding = skill.discriminator.logit_and_encoding(windows, windows.new_zeros(len(windows), 0))
    return functional.normalize(encoding.unflatten(0, demos.windows.shape[:2]).mean(1), dim=-1)


@torch.no_grad()
def likeness_report(skill: Skill, env: TaskEnv, task: ImitationTask) -> dict[str, float]:
    """How near a skill without latents comes to its clips, in episodes that begin in a random moment of them.

    Returns:
        `pose_error_m`: RMS distance of the bodies, moved and turned on the floor, from the most similar moment of the
            clips, the mean over bodies that stay up and times after `SETTLE_S`; NaN if none does;
        `moments_reached`: share of the clips' moments which such a body comes within `REACHED` of its height to: 1 for
            one that does all of the motion, less for one that stands still in a moment of it.
    """
    steps = (task.library.durations_s / env.task.cfg.step_s).long() + 1
    clip = torch.repeat_interleave(torch.arange(len(steps), device=env.device), steps)
    moment = torch.arange(len(clip), device=env.device) - (steps.cumsum(0) - steps)[clip]
    postures = task.library.postures(clip, moment * env.task.cfg.step_s).split(MOMENTS)
    settle, measured = (round(time / env.task.cfg.step_s) for time in (SETTLE_S, WATCHED_S))
    obs, up = env.reset(), torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    error = torch.zeros(env.num_envs, device=env.device)
    nearest = torch.full((env.num_envs, len(clip)), torch.inf, device=env.device)
    latent = torch.zeros(env.num_envs, 0, device=env.device)
    for step in range(settle + measured):
        result = env.advance(skill.act(obs["proprioception"], latent))
        obs = result.obs
        up &= ~result.terminated
        if step >= settle:
            bodies = env.sim.body_pos_w.unsqueeze(1)
            distance = torch.cat([posture_distance_m2(bodies, some) for some in postures], dim=1).sqrt()
            error += distance.amin(1) / measured
            nearest = torch.minimum(nearest, distance)
    reached = (nearest < REACHED * env.sim.robot.height_m).float().mean(1)
    return {"pose_error_m": float(error[up].mean()), "moments_reached": float(reached[up].mean())}


class SkillEvaluation:
    """Rollouts of a skill's mean action.

    Args:
        skill: the skill.
        env: every measurement has as many rollouts as this has environments.
        task: the imitation task in it.
        demos: the motions and their names.
    """

    def __init__(self, skill: Skill, env: TaskEnv, task: ImitationTask, demos: Demonstrations) -> None:
        self.skill, self.env, self.task, self.names = skill, env, task, demos.names
        self.latents = clip_latents(skill, demos)
        self.ends_in = self._ends_in(demos)
        self._soles = {
            env.sim.robot.body_names.index(name): corners.to(env.device)
            for name, corners in robot_soles(env.sim.robot).items()
        }

    def _ends_in(self, demos: Demonstrations) -> Tensor:
        """Index `(S,)` of the motion in which each ends: its own, unless its clip is a transition such as `stop`."""
        own = torch.arange(len(demos.names), device=demos.clips.device)
        times = self.task.library.durations_s[demos.clips].unsqueeze(1) - END_S * torch.linspace(
            0.0, 1.0, END_FRAMES, device=own.device
        )
        clips = demos.clips.unsqueeze(1).expand_as(times)
        windows = self.task.style_windows(clips.flatten(), times.clamp_min(0.0).flatten())
        frames = windows[:, : self.task.style_size].unflatten(0, clips.shape)
        nearest = self.skill.embedding.nearest(style_features(frames.mean(1), frames.square().mean(1)))
        is_whole = torch.bincount(demos.clips, minlength=self.task.library.num_clips)[demos.clips] == 1
        return torch.where(is_whole & ~self.task.repeats[demos.clips], nearest, own)

    @torch.no_grad()
    def report(self, draw: Callable[[int], Tensor]) -> dict[str, Any]:
        """All measures as plain data.

        Args:
            draw: gives random latents `(n, d)`, as in training.

        Returns:
            `clip_recall`: share of motions that most of the rollouts under their latent that stayed up are nearest to;
                for a transition, such as `stop`, to the motion that it ends in will do;
            `clips`: per motion its own `recall`, the motion that it `ends_in`, the one `nearest` to most rollouts,
                mean `speed_mps`, `turn_rate_rad_s`, `foot_slip_mps`, `power_w`, `arm_rad_s` (see `RolloutStats`), and
                `fall_rate`; of the clip itself `clip_speed_mps`, `clip_turn_rate_rad_s` and `clip_arm_rad_s`;
            `coverage`: share of motions that at least 1 % of random latents lead to;
            `speed_range_mps`, `turn_range_rad_s`: smallest and largest mean over motions and random latents;
            `recovery_rate`: share of bodies, tipped over under a motion's latent, that got up and stayed so for
                `task.fallen.up_s` within 5 s;
            `latent_response_s`: median time from a change of latent to a velocity nearer the new motion's than the
            old one's, over pairs of motions that differ in velocity; None where there are none.
        """
        env = self.env
        commanded = torch.arange(env.num_envs, device=env.device) % len(self.names)
        by_motion, drawn = self.roll_out(self.latents[commanded]), self.roll_out(draw(env.num_envs))
        clips = self._by_clip(by_motion, commanded)
        shares = torch.bincount(drawn.motion[drawn.up], minlength=len(self.names)) / env.num_envs
        ranges = {
            name: [float(values.min()), float(values.max())] if len(values) else None
            for name, values in (
                ("speed_range_mps", torch.cat([stats.speed_mps[stats.up] for stats in (by_motion, drawn)])),
                ("turn_range_rad_s", torch.cat([stats.turn_rate_rad_s[stats.up] for stats in (by_motion, drawn)])),
            )
        }
        hits = sum(clip["nearest"] in (name, clip["ends_in"]) for name, clip in clips.items())
        return {
            "clip_recall": hits / len(clips),
            "coverage": float((shares >= MIN_SHARE).float().mean()),
            **ranges,
            "latent_response_s": self._response(clips),
            "recovery_rate": self._recovery(self.latents[commanded]),
            "clips": clips,
        }

    def _by_clip(self, stats: RolloutStats, commanded: Tensor) -> dict[str, Any]:
        """Means over the rollouts of each commanded motion `(N,)` that stayed up; None where none did."""
        clips: dict[str, Any] = {}
        of_clips = self._clip_measures()
        for segment, name in enumerate(self.names):
            own = commanded == segment
            if not bool(own.any()):
                continue  # fewer environments than motions
            standing = own & stats.up
            votes = torch.bincount(stats.motion[standing], minlength=len(self.names))
            count = int(standing.sum())
            right = {segment, int(self.ends_in[segment])}
            measures = {
                "speed_mps": stats.speed_mps,
                "turn_rate_rad_s": stats.turn_rate_rad_s,
                "foot_slip_mps": stats.slip_mps,
                "power_w": stats.power_w,
                "arm_rad_s": stats.arm_rad_s,
            }
            clips[name] = {
                "recall": sum(float(votes[motion]) for motion in right) / max(count, 1),
                "ends_in": self.names[int(self.ends_in[segment])],
                "nearest": self.names[int(votes.argmax())] if count else None,
                **{key: float(values[standing].mean()) if count else None for key, values in measures.items()},
                **{f"clip_{key}": float(values[segment]) for key, values in of_clips.items()},
                "fall_rate": 1.0 - count / int(own.sum()),
            }
        return clips

    def _clip_measures(self) -> dict[str, Tensor]:
        """Mean forward speed, turn rate and speed of the arms, `(S,)` each, of the clips."""
        mean, deviation = self.skill.embedding.features.chunk(2, dim=-1)
        forward, turn = self._column("root_linvel_h"), self._column("root_angvel_h") + 2
        arms = self._arms(mean.square() + deviation.square())
        return {"speed_mps": mean[:, forward], "turn_rate_rad_s": mean[:, turn], "arm_rad_s": arms}

    def _column(self, part: str) -> int:
        """First column of a part of the style frame."""
        names = [name for name, _, _ in self.task.style_layout]
        return sum(size for _, size, _ in self.task.style_layout[: names.index(part)])

    def _arms(self, square: Tensor) -> Tensor:
        """`RolloutStats.arm_rad_s (n,)` from mean squares `(n, S)` of style frames."""
        first = self._column("dof_vel")
        columns = [first + index for index in arm_dofs(self.env.sim.robot.dof_names)]
        return square[:, columns].mean(-1).sqrt() if columns else torch.zeros_like(square[:, 0])

    def begin(self) -> Obs:
        """New episodes, none of which begins on the floor; returns the first observation."""
        obs = self.env.reset()
        for _ in range(STARTS):
            if not bool(self.task.recovering.any()):
                break
            obs = self.env.reset_where(self.task.recovering)
        return obs

    def roll_out(self, latent: Tensor) -> RolloutStats:
        """Hold latents `(N, d)` from random starts, let them settle, and measure."""
        env = self.env
        settle, measured = (round(time / env.task.cfg.step_s) for time in (SETTLE_S, MEASURE_S))
        obs = self.begin()
        up = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        frames = torch.zeros(2, env.num_envs, self.task.style_size, device=env.device)
        sums = torch.zeros(5, env.num_envs, device=env.device)
        for step in range(settle + measured):
            result = env.advance(self.skill.act(obs["proprioception"], latent))
            obs = result.obs
            up &= ~result.terminated
            if step < settle:
                continue
            frame = obs["style"][:, : self.task.style_size]
            frames[0] += frame
            frames[1] += frame.square()
            sums += torch.stack((*self._velocity(), *self._slip(), self._power()))
        motion = self.skill.embedding.nearest(style_features(frames[0] / measured, frames[1] / measured))
        speed, turn, slipped, touching, power = sums
        slip, arms = slipped / touching.clamp_min(1.0), self._arms(frames[1] / measured)
        return RolloutStats(motion, speed / measured, turn / measured, up, slip, power / measured, arms)

    def _recovery(self, latent: Tensor) -> float:
        """Share of bodies that begin on the floor, under latents `(N, d)`, and have got up within `RISE_S`."""
        env, task = self.env, self.task
        env.reset()
        task.tip_over()
        for _ in range(round(RISE_S / env.task.cfg.step_s)):
            env.advance(self.skill.act(env.observe()["proprioception"], latent))
        return float((~task.recovering).float().mean())

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
        latents = torch.stack([self.latents[self.names.index(name)] for name in names])
        step_s = env.task.cfg.step_s
        keep = 1.0 - step_s / SMOOTHING_S
        obs, up = self.begin(), torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        smooth, response = reached[old], torch.full((env.num_envs,), float("inf"), device=env.device)
        for step in range(-round(SETTLE_S / step_s), round(RESPONSE_LIMIT_S / step_s)):
            latent = latents[old] if step < 0 else latents[new]
            result = env.advance(self.skill.act(obs["proprioception"], latent))
            obs, up = result.obs, up & ~result.terminated
            smooth = keep * smooth + (1.0 - keep) * torch.stack(self._velocity(), dim=-1)
            nearer = (smooth - reached[new]).norm(dim=-1) < (smooth - reached[old]).norm(dim=-1)
            if step >= 0:
                response = torch.where(nearer, response.clamp_max((step + 1) * step_s), response)
        defined = up & ((reached[new] - reached[old]).norm(dim=-1) > _DIFFERENT)
        if not defined.any():
            return None
        return float(response[defined].quantile(0.5, interpolation="higher").clamp_max(RESPONSE_LIMIT_S))
