"""HumanoidLocation: walk to a target that moves to another place every few seconds."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.sim import Scene, Sim

from .common import draws
from .common.frames import HeadingFrame, heading_frame, unit
from .common.skill_task import MAX_SPEED_MPS, SkillTask, SkillTaskCfg

SCALE_M = 10.0
REACHED_M2 = 0.5  # squared distance within which speed and facing do not matter
LOCATION_LAYOUT = [
    ("target_h", 2, f"{SCALE_M:g} m"), ("target_direction_h", 2, ""), ("target_distance", 1, "m, in [0, 1]"),
]  # fmt: skip


def location_observation(frame: HeadingFrame, target_w: Tensor) -> Tensor:
    """What a policy of this task observes of a target at `(N, 2)`, m: `(N, 5)`, see `LOCATION_LAYOUT`."""
    target_h = frame.points(target_w)
    direction_h, distance = unit(target_h)
    return torch.cat((target_h / SCALE_M, direction_h, distance.clamp_max(1.0).unsqueeze(1)), dim=1)


@dataclass
class HumanoidLocationCfg(SkillTaskCfg):
    """Configuration of HumanoidLocation; see `SkillTaskCfg` for the shared part.

    Args:
        distance_m: largest distance from the body to a new target; uniform, in any direction.
        speed_mps: towards the target, from which on the velocity reward is 1.
        reward: `position`, `exp(-d²/2)` of the distance in m; `velocity`, `exp(-4 e²)` of the speed missing towards
            the target, 0 when moving away; `facing`, cosine of the angle to the target, at least 0. The last two are
            1 within 0.7 m. Not in the score: `progress`, speed towards the target in m/s, since arriving sooner pays
            late; `fall`, 1 on a fall.
    """

    distance_m: float = bounded(10.0, 0.0, 100.0)
    hold_s: list[float] = field(default_factory=lambda: [5.0, 10.0])
    speed_mps: float = bounded(1.0, 0.0, 10.0)
    reward: dict[str, float] = bounded(
        {"position": 0.5, "velocity": 0.4, "facing": 0.1, "progress": 0.25, "fall": 0.0}, -1e6, 1e6
    )


class HumanoidLocation(SkillTask[HumanoidLocationCfg]):
    """Rewards and targets of the task Location in MimicKit.

    Attributes:
        target_w: `(N, 2)` position of the target, m.
    """

    SCORE = {"position": 0.5, "velocity": 0.4, "facing": 0.1}
    STATE = (*SkillTask.STATE, "target_w")

    def __init__(self, cfg: HumanoidLocationCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator, LOCATION_LAYOUT)
        self.target_w = torch.zeros_like(sim.root_pos_w[:, :2])

    @classmethod
    def scene(cls, cfg: HumanoidLocationCfg) -> Scene:
        """A humanoid, and a marker at the target."""
        return cls.humanoid_scene(cfg, markers=("target",))

    def new_target(self, mask: Tensor) -> None:
        """See `SkillTask.new_target`."""
        n = self.sim.num_envs
        distance = draws.uniform(n, (0.0, self.cfg.distance_m), self.generator).unsqueeze(1)
        target_w = self.sim.root_pos_w[:, :2] + distance * draws.direction(draws.angles(n, self.generator))
        self.target_w = torch.where(mask.unsqueeze(1), target_w, self.target_w)
        self.mark(mask, self.target_w.unsqueeze(1))

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        frame = heading_frame(self.sim)
        direction_w, distance = unit(self.target_w - frame.xy_w)
        speed = (self.sim.root_linvel_w[:, :2] * direction_w).sum(-1)
        velocity = torch.exp(-4.0 * (self.cfg.speed_mps - speed).clamp_min(0.0).square()).masked_fill(speed <= 0, 0.0)
        facing = (frame.ahead_w * direction_w).sum(-1).clamp_min(0.0)
        reached = distance.square() < REACHED_M2
        return {
            "position": torch.exp(-0.5 * distance.square()),
            "velocity": velocity.masked_fill(reached, 1.0),
            "facing": facing.masked_fill(reached, 1.0),
            "progress": speed.clamp(-MAX_SPEED_MPS, MAX_SPEED_MPS),
        }

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        return location_observation(heading_frame(self.sim), self.target_w)

    def task_metrics(self) -> dict[str, Tensor]:
        """Distance from the target at the end, m."""
        return {"final_distance_m": (self.target_w - self.sim.root_pos_w[:, :2]).norm(dim=-1)}
