"""HumanoidSteering: move at a commanded velocity, which changes every few seconds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.sim import Scene, Sim

from .common import draws
from .common.frames import heading_frame
from .common.skill_task import SkillTask, SkillTaskCfg

MARKER_M = 1.5  # distance of the marker per m/s of the commanded velocity
ANGLES = ("direction_deg", "facing_deg")  # that a user can set


class Facing(Enum):
    """Commanded facing direction: that of the motion, or any."""

    motion = "motion"
    any = "any"


@dataclass
class HumanoidSteeringCfg(SkillTaskCfg):
    """Configuration of HumanoidSteering; see `SkillTaskCfg` for the shared part.

    Args:
        speed_mps: lowest and highest commanded speed; uniform.
        facing: commanded facing direction. `any` needs a skill that walks sideways and backwards.
        reward: `velocity`, `exp(-e²/2)` of the difference from the commanded velocity in m/s, 0 when moving against it;
            `facing`, cosine of the angle to the commanded facing direction, at least 0; `fall`: 1 on a fall.
    """

    SPANS = ("speed_mps",)

    speed_mps: list[float] = bounded([0.5, 2.0], 0.0, 10.0)
    hold_s: list[float] = field(default_factory=lambda: [4.0, 7.0])
    facing: Facing = Facing.motion
    reward: dict[str, float] = bounded({"velocity": 0.7, "facing": 0.3, "fall": 0.0}, -1e6, 1e6)


class HumanoidSteering(SkillTask[HumanoidSteeringCfg]):
    """Rewards and commands of the task Steering in MimicKit, with speeds that the skill has.

    Attributes:
        direction_w, facing_w: `(N, 2)` commanded directions of motion and of the heading, unit vectors.
        speed_mps: `(N,)` commanded speed.
    """

    SCORE = {"velocity": 0.7, "facing": 0.3}
    STATE = (*SkillTask.STATE, "direction_w", "facing_w", "speed_mps")

    def __init__(self, cfg: HumanoidSteeringCfg, sim: Sim, generator: torch.Generator) -> None:
        layout = [("direction_h", 2, "unit vector, heading frame"), ("speed", 1, "m/s"), ("facing_h", 2, "unit vector")]
        super().__init__(cfg, sim, generator, layout)
        self.direction_w, self.facing_w = torch.zeros(2, sim.num_envs, 2, device=sim.device).unbind()
        self.speed_mps = torch.zeros(sim.num_envs, device=sim.device)

    @classmethod
    def scene(cls, cfg: HumanoidSteeringCfg) -> Scene:
        """A humanoid, and a marker in the commanded direction, the further away the faster."""
        return cls.humanoid_scene(cfg, markers=("command",))

    def new_target(self, mask: Tensor) -> None:
        """See `SkillTask.new_target`."""
        n, cfg, wide = self.sim.num_envs, self.cfg, mask.unsqueeze(1)
        direction_w = facing_w = draws.direction(draws.angles(n, self.generator))
        if cfg.facing is Facing.any:
            facing_w = draws.direction(draws.angles(n, self.generator))
        speed = draws.uniform(n, cfg.speed_mps, self.generator)
        self.direction_w = torch.where(wide, direction_w, self.direction_w)
        self.facing_w = torch.where(wide, facing_w, self.facing_w)
        self.speed_mps = torch.where(mask, speed, self.speed_mps)
        self.update()

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: direction of motion and of the heading, and speed."""
        low, high = self.cfg.speed_mps
        angles = ANGLES if self.cfg.facing is Facing.any else ANGLES[:1]
        return dict.fromkeys(angles, (-180.0, 180.0)) | {"speed_mps": (low, high)}

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        toward, facing = (math.radians(values.get(name, values["direction_deg"])) for name in ANGLES)
        one = torch.ones_like(self.speed_mps)
        self.direction_w, self.facing_w = draws.direction(toward * one), draws.direction(facing * one)
        self.speed_mps = values["speed_mps"] * one
        self.update()

    def update(self) -> None:
        """Move the marker with the body."""
        ahead_m = MARKER_M * self.speed_mps.unsqueeze(1) * self.direction_w
        self.mark(torch.ones_like(self.fallen), (self.sim.root_pos_w[:, :2] + ahead_m).unsqueeze(1))

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        velocity_w = self.sim.root_linvel_w[:, :2]
        error = (self.speed_mps.unsqueeze(1) * self.direction_w - velocity_w).square().sum(-1)
        against = (velocity_w * self.direction_w).sum(-1) < 0
        return {
            "velocity": torch.exp(-0.5 * error).masked_fill(against, 0.0),
            "facing": (heading_frame(self.sim).ahead_w * self.facing_w).sum(-1).clamp_min(0.0),
        }

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        frame = heading_frame(self.sim)
        direction_h, facing_h = frame.vectors(self.direction_w), frame.vectors(self.facing_w)
        return torch.cat((direction_h, self.speed_mps.unsqueeze(1), facing_h), dim=1)
