"""HumanoidDodge: do not get hit by balls that are thrown at the torso."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.sim import FreeBody, Scene, Shape, Sim

from .common import draws, humanoid
from .common.frames import heading_frame
from .common.skill_task import SkillTask, SkillTaskCfg

BALLS = 2  # thrown in turn, so that one is still in the air when the other comes
RADIUS_M, MASS_KG = 0.1, 0.2
RELEASE_M = 1.2  # height of the hand that throws
GRAVITY = 9.81
SCALE_M = 5.0


@dataclass
class HumanoidDodgeCfg(SkillTaskCfg):
    """Configuration of HumanoidDodge; see `SkillTaskCfg` for the shared part.

    Args:
        speed_mps: lowest and highest horizontal speed of a throw, relative to the torso. 6 to 8 from this distance is a
            lob; MimicKit's Dodgeball has 12 to 15.
        distance_m: shortest and longest distance of a throw.
        hold_s: shortest and longest time between two throws.
        reward: `distance`, `1 - exp(-0.3 d)` of the distance in m from the root to the nearest ball; `still`,
            `exp(-v²)` of the root's horizontal speed; `fall`: 1 on a fall. A hit ends the episode.
    """

    SPANS = ("speed_mps", "distance_m")

    speed_mps: list[float] = bounded([6.0, 8.0], 1.0, 100.0)
    distance_m: list[float] = bounded([8.0, 10.0], 1.0, 100.0)
    hold_s: list[float] = field(default_factory=lambda: [1.0, 4.0])
    reward: dict[str, float] = bounded({"distance": 0.9, "still": 0.1, "fall": 0.0}, -1e6, 1e6)


class HumanoidDodge(SkillTask[HumanoidDodgeCfg]):
    """Rewards and throws of the task Dodgeball in MimicKit.

    A ball is thrown at the place where the torso will be if it keeps its velocity.

    Attributes:
        thrown: `(N,)` throws of the episode.
        hit: `(N,)` bool, a ball touched the body in this step.
        steps: `(N,)` control steps of the episode.
    """

    SCORE = {"distance": 0.9, "still": 0.1}
    STATE = (*SkillTask.STATE, "thrown", "hit", "steps")

    def __init__(self, cfg: HumanoidDodgeCfg, sim: Sim, generator: torch.Generator) -> None:
        layout = [
            ("ball_pos_h", 3 * BALLS, f"{SCALE_M:g} m, relative to the root, heading frame, newest ball first"),
            ("ball_linvel_h", 3 * BALLS, "m/s, heading frame, newest ball first"),
        ]
        super().__init__(cfg, sim, generator, layout)
        self._torso = sim.robot.body_names.index(sim.robot.roles[humanoid.TORSO])
        self._balls = torch.arange(BALLS, device=sim.device)
        self.thrown, self.steps = torch.zeros(2, sim.num_envs, device=sim.device).unbind()
        self.hit = torch.zeros_like(self.fallen)
        self._steered: Mapping[str, float] = {}

    @classmethod
    def scene(cls, cfg: HumanoidDodgeCfg) -> Scene:
        """A humanoid and the balls, which lie far away before they are thrown."""
        balls = [
            FreeBody(f"ball_{i}", Shape.ball, (RADIUS_M,), MASS_KG, (20.0, i - 0.5, RADIUS_M)) for i in range(BALLS)
        ]
        return cls.humanoid_scene(cfg, objects=tuple(balls))

    def begin(self, mask: Tensor) -> None:
        """See `SkillTask.begin`."""
        self.thrown, self.steps = self.thrown.masked_fill(mask, 0.0), self.steps.masked_fill(mask, 0.0)
        self.hit = self.hit & ~mask

    def new_target(self, mask: Tensor) -> None:
        """Throw a ball from any direction."""
        self._throw(mask)

    def _throw(self, mask: Tensor, from_rad: Tensor | None = None) -> None:
        """Throw the ball that was thrown longest ago, from a direction `(N,)` of the world or from any."""
        n, sim = self.sim.num_envs, self.sim
        aim_w, linvel_w = sim.body_pos_w[:, self._torso], sim.body_linvel_w[:, self._torso]
        distance = draws.uniform(n, self.cfg.distance_m, self.generator).unsqueeze(1)
        speed = draws.uniform(n, self.cfg.speed_mps, self.generator).unsqueeze(1)
        flight_s = distance / speed
        meet_w = aim_w + flight_s * torch.nn.functional.pad(linvel_w[:, :2], (0, 1))
        angle = draws.angles(n, self.generator) if from_rad is None else from_rad
        from_w = aim_w[:, :2] + distance * draws.direction(angle)
        from_w = torch.nn.functional.pad(from_w, (0, 1), value=RELEASE_M)
        velocity_w = (meet_w - from_w) / flight_s
        velocity_w[:, 2:] += 0.5 * GRAVITY * flight_s
        turn = mask.unsqueeze(1) & (self._balls == (self.thrown % BALLS).long().unsqueeze(1))
        pos_w, velocity_w = (values.unsqueeze(1).expand(-1, BALLS, -1) for values in (from_w, velocity_w))
        self.sim.place_objects(turn, pos_w, sim.object_quat_w, velocity_w, torch.zeros_like(velocity_w))
        self.thrown = self.thrown + mask

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: where a ball is thrown from, each time that this changes."""
        return {"throw_from_deg": (-180.0, 180.0)}

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        if values != self._steered:
            self._steered = dict(values)
            angle = torch.full_like(self.thrown, math.radians(values["throw_from_deg"]))
            self._throw(torch.ones_like(self.fallen), angle)

    def page(self) -> tuple[Scene, dict[str, Any]]:
        """See `Task.page`."""
        given = {name: getattr(self.cfg, name) for name in ("speed_mps", "distance_m", "hold_s")}
        return self.sim.scene, {"throws": given | {"body": self._torso, "release_m": RELEASE_M}}

    def update(self) -> None:
        """See `SkillTask.update`."""
        self.steps = self.steps + 1
        self.hit = self.sim.object_touched.any(-1)  # now, since a throw clears the contacts of its ball

    def ended_by_task(self) -> Tensor:
        """A hit."""
        return self.hit

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        distance = (self.sim.object_pos_w - self.sim.root_pos_w.unsqueeze(1)).norm(dim=-1).amin(-1)
        speed2 = self.sim.root_linvel_w[:, :2].square().sum(-1)
        return {"distance": 1.0 - torch.exp(-0.3 * distance), "still": torch.exp(-speed2)}

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        frame = heading_frame(self.sim)
        newest = (self.thrown.long() - 1).unsqueeze(1)
        order = (newest - self._balls).remainder(BALLS).unsqueeze(-1).expand(-1, -1, 3)
        pos, linvel = (
            values.gather(1, order)
            for values in (self.sim.object_pos_w - self.sim.root_pos_w.unsqueeze(1), self.sim.object_linvel_w)
        )
        pos_h, linvel_h = (
            torch.cat((frame.vectors(values[..., :2]), values[..., 2:]), dim=-1).flatten(1) for values in (pos, linvel)
        )
        return torch.cat((pos_h / SCALE_M, linvel_h), dim=1)

    def task_metrics(self) -> dict[str, Tensor]:
        """Whether a ball hit (0 or 1), hits per minute, throws."""
        hit = self.hit.float()
        minutes = self.steps.clamp_min(1.0) * self.cfg.step_s / 60.0
        return {"hit_rate": hit, "hits_per_minute": hit / minutes, "throws": self.thrown.clone()}
