"""HumanoidDribble: drive a ball along at a commanded velocity."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.sim import FreeBody, Scene, Shape, Sim

from .common import draws
from .common.frames import heading_frame, unit
from .common.skill_task import MAX_SPEED_MPS, SkillTask, SkillTaskCfg

RADIUS_M, MASS_KG = 0.2, 1.0
BEHIND_M = 0.4  # from the ball's middle to the root of a body that pushes it
NEAR_M = 0.15  # to the place behind the ball
SCALE_M = 3.0


@dataclass
class HumanoidDribbleCfg(SkillTaskCfg):
    """Configuration of HumanoidDribble; see `SkillTaskCfg` for the shared part.

    Args:
        ball_m: shortest and longest distance from the body to the ball at the start; uniform, in any direction.
        speed_mps: lowest and highest commanded speed of the ball; uniform.
        turn_rad: largest turn of the commanded direction with each command, uniform; that of the first is from the body
            to the ball, turned so. `3.14` is any direction.
        reward: `velocity`, `exp(-e²)` of the ball's difference from the commanded velocity in m/s, 0 when it moves
            against it or rests; `near`, `exp(-d²/2)` of the distance in m from the root to the ball. Not in the score:
            `approach`, speed in m/s of the body towards the place behind the ball, as seen from where it has to go;
            `progress`, speed in m/s of the ball as commanded, at most the commanded one; `fall`, 1 on a fall.
    """

    SPANS = ("ball_m", "speed_mps")

    ball_m: list[float] = bounded([0.8, 3.0], 0.8, 100.0)
    speed_mps: list[float] = bounded([0.5, 1.2], 0.1, 10.0)
    turn_rad: float = bounded(1.57, 0.0, math.pi)
    hold_s: list[float] = field(default_factory=lambda: [5.0, 10.0])
    reward: dict[str, float] = bounded(
        {"velocity": 0.6, "near": 0.4, "approach": 0.25, "progress": 1.0, "fall": 0.0}, -1e6, 1e6
    )


class HumanoidDribble(SkillTask[HumanoidDribbleCfg]):
    """Drive a ball with the feet.

    Attributes:
        direction_w: `(N, 2)` commanded direction of the ball, a unit vector.
        speed_mps: `(N,)` commanded speed of the ball.
        steps, error_mps: `(N,)` control steps of the episode, and the sum of the ball's velocity errors over them.
    """

    SCORE = {"velocity": 0.6, "near": 0.4}
    STATE = (*SkillTask.STATE, "direction_w", "speed_mps", "steps", "error_mps")

    def __init__(self, cfg: HumanoidDribbleCfg, sim: Sim, generator: torch.Generator) -> None:
        layout = [
            ("ball_h", 3, f"{SCALE_M:g} m, relative to the root, heading frame"),
            ("ball_linvel_h", 3, "m/s"),
            ("direction_h", 2, "unit vector"),
            ("speed", 1, "m/s"),
        ]
        super().__init__(cfg, sim, generator, layout)
        self.direction_w = torch.zeros(sim.num_envs, 2, device=sim.device)
        self.speed_mps, self.steps, self.error_mps = torch.zeros(3, sim.num_envs, device=sim.device).unbind()

    @classmethod
    def scene(cls, cfg: HumanoidDribbleCfg) -> Scene:
        """A humanoid and a ball."""
        ball = FreeBody("ball", Shape.ball, (RADIUS_M,), MASS_KG, (1.0, 0.0, RADIUS_M), rolling=0.1)
        return cls.humanoid_scene(cfg, objects=(ball,), sense_substeps=False)

    def begin(self, mask: Tensor) -> None:
        """See `SkillTask.begin`."""
        n = self.sim.num_envs
        distance = draws.uniform(n, self.cfg.ball_m, self.generator).unsqueeze(1)
        towards_w = draws.direction(draws.angles(n, self.generator))
        ball_w = self.sim.root_pos_w[:, :2] + distance * towards_w
        pos_w = torch.nn.functional.pad(ball_w, (0, 1), value=RADIUS_M).unsqueeze(1)
        still = torch.zeros_like(pos_w)
        self.sim.place_objects(mask.unsqueeze(1), pos_w, self.sim.object_quat_w, still, still)
        self.direction_w = torch.where(mask.unsqueeze(1), towards_w, self.direction_w)
        self.steps, self.error_mps = self.steps.masked_fill(mask, 0.0), self.error_mps.masked_fill(mask, 0.0)

    def new_target(self, mask: Tensor) -> None:
        """See `SkillTask.new_target`."""
        n = self.sim.num_envs
        turn = draws.uniform(n, (-self.cfg.turn_rad, self.cfg.turn_rad), self.generator)
        turned_w = draws.direction(torch.atan2(self.direction_w[:, 1], self.direction_w[:, 0]) + turn)
        self.direction_w = torch.where(mask.unsqueeze(1), turned_w, self.direction_w)
        speed = draws.uniform(n, self.cfg.speed_mps, self.generator)
        self.speed_mps = torch.where(mask, speed, self.speed_mps)

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: the commanded velocity of the ball."""
        low, high = self.cfg.speed_mps
        return {"direction_deg": (-180.0, 180.0), "speed_mps": (low, high)}

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        self.direction_w = draws.direction(torch.full_like(self.steps, math.radians(values["direction_deg"])))
        self.speed_mps = torch.full_like(self.steps, values["speed_mps"])

    def page(self) -> tuple[Scene, dict[str, Any]]:
        """See `Task.page`; it has a marker for the command."""
        return replace(self.sim.scene, markers=("command",)), {"speed_mps": self.cfg.speed_mps}

    def update(self) -> None:
        """See `SkillTask.update`."""
        self.steps = self.steps + 1
        self.error_mps = self.error_mps + self._error2().sqrt()

    def _error2(self) -> Tensor:
        """`(N,)` squared difference of the ball's velocity from the commanded one."""
        wanted_w = self.speed_mps.unsqueeze(1) * self.direction_w
        return (wanted_w - self.sim.object_linvel_w[:, 0, :2]).square().sum(-1)

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        along = (self.sim.object_linvel_w[:, 0, :2] * self.direction_w).sum(-1)
        ball_w = self.sim.object_pos_w[:, 0, :2] - self.sim.root_pos_w[:, :2]
        behind_w, away = unit(ball_w - BEHIND_M * self.direction_w)
        approach = (self.sim.root_linvel_w[:, :2] * behind_w).sum(-1)
        return {
            "velocity": torch.exp(-self._error2()).masked_fill(along <= 0.05, 0.0),
            "near": torch.exp(-0.5 * ball_w.square().sum(-1)),
            # the direction to a place so near turns faster than a body can
            "approach": approach.clamp(-MAX_SPEED_MPS, MAX_SPEED_MPS).masked_fill(away < NEAR_M, 0.0),
            "progress": torch.minimum(along, self.speed_mps).clamp_min(-MAX_SPEED_MPS),
        }

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        sim, frame = self.sim, heading_frame(self.sim)
        pos_w, linvel_w = sim.object_pos_w[:, 0] - sim.root_pos_w, sim.object_linvel_w[:, 0]
        pos_h = torch.cat((frame.vectors(pos_w[:, :2]), pos_w[:, 2:]), dim=1) / SCALE_M
        linvel_h = torch.cat((frame.vectors(linvel_w[:, :2]), linvel_w[:, 2:]), dim=1)
        return torch.cat((pos_h, linvel_h, frame.vectors(self.direction_w), self.speed_mps.unsqueeze(1)), dim=1)

    def task_metrics(self) -> dict[str, Tensor]:
        """Mean error of the ball's velocity, m/s."""
        return {"velocity_error_mps": self.error_mps / self.steps.clamp_min(1.0)}
