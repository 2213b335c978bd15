"""HumanoidTopple: walk into a pillar, over it goes, and on to the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.maths import rotations
from isaachrl.sim import FreeBody, Scene, Shape, Sim

from .common import draws
from .common.frames import heading_frame, unit
from .common.skill_task import SkillTask, SkillTaskCfg

HALF_SIZE_M = (0.2, 0.2, 0.9)
MASS_KG = 3.0  # of plastic foam; of 8.6 kg, the density in ASE, many more bodies fall
TOPPLED = 0.2  # cosine of the pillar's tilt below which it is down
SCALE_M = 5.0
PILLAR_LAYOUT = [
    ("pillar_h", 2, f"{SCALE_M:g} m"),
    ("pillar_direction_h", 2, "unit vector, heading frame"),
    ("pillar_distance", 1, "m, at most 1"),
    ("pillar_up", 3, "its axis: ahead, left, up"),
    ("pillar_linvel_h", 2, "m/s"),
]


def pillar(x_m: float, y_m: float, mass_kg: float = MASS_KG) -> FreeBody:
    """A pillar that stands there at the start of an episode."""
    return FreeBody("pillar", Shape.box, HALF_SIZE_M, mass_kg, (x_m, y_m, HALF_SIZE_M[2]))


def pillar_up_w(sim: Sim) -> Tensor:
    """`(N, 3)` axis of the pillar, the scene's first object."""
    return rotations.axis_z(sim.object_quat_w[:, 0])


def pillar_observation(sim: Sim) -> Tensor:
    """What a policy of this task observes of the pillar: `(N, 10)`, see `PILLAR_LAYOUT`."""
    frame, up_w = heading_frame(sim), pillar_up_w(sim)
    pillar_h = frame.points(sim.object_pos_w[:, 0, :2])
    direction_h, distance = unit(pillar_h)
    parts = (
        pillar_h / SCALE_M, direction_h, distance.clamp_max(1.0).unsqueeze(1), frame.vectors(up_w[:, :2]), up_w[:, 2:],
        frame.vectors(sim.object_linvel_w[:, 0, :2]),
    )  # fmt: skip
    return torch.cat(parts, dim=1)


@dataclass
class HumanoidToppleCfg(SkillTaskCfg):
    """Configuration of HumanoidTopple; see `SkillTaskCfg` for the shared part.

    Args:
        distance_m: shortest and longest distance from the body to a new pillar; uniform, in any direction.
        speed_mps: towards the pillar, from which on the velocity reward is 1.
        mass_kg: of a pillar.
        rest_s: time from a pillar's fall to the next pillar.
        reward: `tilt`, 1 - cosine of the pillar's tilt, at least 0; `velocity`, `exp(-4 e²)` of the speed missing
            towards the pillar, 0 when moving away. Both are 1 while the pillar is down. `fall`: 1 on a fall.
    """

    SPANS = ("distance_m",)

    distance_m: list[float] = bounded([1.5, 6.0], 0.8, 100.0)
    speed_mps: float = bounded(1.0, 0.0, 10.0)
    mass_kg: float = bounded(MASS_KG, 0.1, 1000.0)
    rest_s: float = bounded(1.0, 0.0, 1000.0)
    reward: dict[str, float] = bounded({"tilt": 0.6, "velocity": 0.4, "fall": -20.0}, -1e6, 1e6)


class HumanoidTopple(SkillTask[HumanoidToppleCfg]):
    """Rewards of the task Strike in Peng et al. 2022, with the body instead of a sword, and one pillar after another.

    Attributes:
        down_steps: `(N,)` control steps since the pillar fell; 0 while it stands.
        toppled: `(N,)` pillars of the episode that have fallen.
        steps: `(N,)` control steps of the episode.
    """

    SCORE = {"tilt": 0.6, "velocity": 0.4}
    STATE = (*SkillTask.STATE, "down_steps", "toppled", "steps")

    def __init__(self, cfg: HumanoidToppleCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator, PILLAR_LAYOUT)
        self.down_steps, self.toppled, self.steps = torch.zeros(3, sim.num_envs, device=sim.device).unbind()
        self._steered: Mapping[str, float] = {}

    @classmethod
    def scene(cls, cfg: HumanoidToppleCfg) -> Scene:
        """A humanoid and a pillar."""
        return cls.humanoid_scene(cfg, objects=(pillar(3.0, 0.0, cfg.mass_kg),), sense_substeps=False)

    def begin(self, mask: Tensor) -> None:
        """See `SkillTask.begin`."""
        for name in ("down_steps", "toppled", "steps"):
            setattr(self, name, getattr(self, name).masked_fill(mask, 0.0))

    def new_target(self, mask: Tensor) -> None:
        """Put up a pillar."""
        n = self.sim.num_envs
        distance = draws.uniform(n, self.cfg.distance_m, self.generator).unsqueeze(1)
        self._put_up(mask, self.sim.root_pos_w[:, :2] + distance * draws.direction(draws.angles(n, self.generator)))

    def _put_up(self, mask: Tensor, place_w: Tensor) -> None:
        """Put up a pillar at `(N, 2)`, m."""
        pos_w = torch.nn.functional.pad(place_w, (0, 1), value=HALF_SIZE_M[2]).unsqueeze(1)
        still = torch.zeros_like(pos_w)
        upright = rotations.from_yaw(draws.angles(len(mask), self.generator)).unsqueeze(1)
        self.sim.place_objects(mask.unsqueeze(1), pos_w, upright, still, still)
        self.down_steps = self.down_steps.masked_fill(mask, 0.0)

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: where a pillar is put up, each time that this changes."""
        return dict.fromkeys(("pillar_x_m", "pillar_y_m"), (-10.0, 10.0))

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        if values != self._steered:
            self._steered = dict(values)
            place_w = self.sim.root_pos_w.new_tensor([*values.values()]).repeat(self.sim.num_envs, 1)
            self._put_up(torch.ones_like(self.fallen), place_w)

    def page(self) -> tuple[Scene, dict[str, Any]]:
        """See `Task.page`."""
        given = {"distance_m": self.cfg.distance_m, "rest_s": self.cfg.rest_s}
        return self.sim.scene, {"pillar": given | {"half_height_m": HALF_SIZE_M[2], "toppled": TOPPLED}}

    def update(self) -> None:
        """See `SkillTask.update`."""
        self.steps = self.steps + 1
        down = pillar_up_w(self.sim)[:, 2] < TOPPLED
        self.toppled = self.toppled + (down & (self.down_steps == 0) & (self.falls == 0))
        self.down_steps = torch.where(down | (self.down_steps > 0), self.down_steps + 1, self.down_steps)

    def target_due(self) -> Tensor:
        """See `SkillTask.target_due`: some time after the fall of a pillar."""
        return self.down_steps * self.cfg.step_s > self.cfg.rest_s

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        direction_w, _ = unit(self.sim.object_pos_w[:, 0, :2] - self.sim.root_pos_w[:, :2])
        speed = (self.sim.root_linvel_w[:, :2] * direction_w).sum(-1)
        velocity = torch.exp(-4.0 * (self.cfg.speed_mps - speed).clamp_min(0.0).square()).masked_fill(speed <= 0, 0.0)
        tilt = (1.0 - pillar_up_w(self.sim)[:, 2]).clamp(0.0, 1.0)
        down = self.down_steps > 0
        return {"tilt": tilt.masked_fill(down, 1.0), "velocity": velocity.masked_fill(down, 1.0)}

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        return pillar_observation(self.sim)

    def task_metrics(self) -> dict[str, Tensor]:
        """Toppled pillars, and their number per minute."""
        minutes = self.steps.clamp_min(1.0) * self.cfg.step_s / 60.0
        return {"pillars": self.toppled.clone(), "pillars_per_minute": self.toppled / minutes}
