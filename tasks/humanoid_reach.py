"""HumanoidReach: bring the right hand to a target near the body, which moves to another place every few seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.sim import Marker, Scene, Sim

from .common import draws, humanoid
from .common.frames import heading_frame, unit
from .common.skill_task import MAX_SPEED_MPS, SkillTask, SkillTaskCfg

MARKER_RADIUS_M = 0.08


@dataclass
class HumanoidReachCfg(SkillTaskCfg):
    """Configuration of HumanoidReach; see `SkillTaskCfg` for the shared part.

    Args:
        distance_m: largest distance from the body to a new target, ahead or behind, and to each side; uniform.
        height_m: lowest and highest target above the floor; uniform. The default is for a body of the shipped
            humanoid's size, whose raised hand is 1.9 m high.
        reward: `position`, `exp(-4 d²)` of the distance in m from the right hand to the target. Not in the score:
            `progress`, speed of the hand towards the target in m/s, since the first term is flat far away; `fall`, 1 on
            a fall.
    """

    SPANS = ("height_m",)

    distance_m: float = bounded(1.0, 0.0, 10.0)
    height_m: list[float] = bounded([0.2, 2.0], 0.0, 10.0)
    hold_s: list[float] = field(default_factory=lambda: [1.67, 3.33])
    reward: dict[str, float] = bounded({"position": 1.0, "progress": 0.25, "fall": 0.0}, -1e6, 1e6)


class HumanoidReach(SkillTask[HumanoidReachCfg]):
    """The task Reach of Peng et al. 2022, with targets that are drawn around the body, wherever it has gone.

    Once drawn, a target stays where it is until the next one. A robot without hands reaches with its forearm.

    Attributes:
        target_w: `(N, 3)` position of the target, m.
        steps, distance_sum_m: `(N,)` control steps of the episode, and the sum of the distances from hand to target.
    """

    SCORE = {"position": 1.0}
    STATE = (*SkillTask.STATE, "target_w", "steps", "distance_sum_m")

    def __init__(self, cfg: HumanoidReachCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator, [("hand_target_h", 3, "m, relative to the root, heading frame")])
        hand = humanoid.hand_body(sim.robot, "right") or sim.robot.roles.require("right_hand")[0]
        self._hand = sim.robot.body_names.index(hand)
        self.target_w = torch.zeros_like(sim.root_pos_w)
        self.steps, self.distance_sum_m = torch.zeros(2, sim.num_envs, device=sim.device).unbind()

    @classmethod
    def scene(cls, cfg: HumanoidReachCfg) -> Scene:
        """A humanoid, and a marker at the target."""
        return cls.humanoid_scene(cfg, markers=(Marker("target", radius_m=MARKER_RADIUS_M),))

    def begin(self, mask: Tensor) -> None:
        """See `SkillTask.begin`."""
        self.steps, self.distance_sum_m = self.steps.masked_fill(mask, 0.0), self.distance_sum_m.masked_fill(mask, 0.0)

    def new_target(self, mask: Tensor) -> None:
        """See `SkillTask.new_target`."""
        n, reach_m = self.sim.num_envs, self.cfg.distance_m
        spans = ((-reach_m, reach_m), (-reach_m, reach_m), self.cfg.height_m)
        self._put(mask, torch.stack([draws.uniform(n, span, self.generator) for span in spans], dim=1))

    def _put(self, mask: Tensor, place_h: Tensor) -> None:
        """Put targets of the worlds of `mask (N,)` so far ahead, to the left and above the floor, `(N, 3)`, m."""
        target_w = torch.cat((heading_frame(self.sim).to_world(place_h[:, :2]), place_h[:, 2:]), dim=1)
        self.target_w = torch.where(mask.unsqueeze(1), target_w, self.target_w)
        self.mark(mask, self.target_w.unsqueeze(1))

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: the place of the target, relative to the body."""
        (low, high), reach_m = self.cfg.height_m, self.cfg.distance_m
        return dict.fromkeys(("ahead_m", "left_m"), (-reach_m, reach_m)) | {"height_m": (low, high)}

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`; the target moves with the body."""
        place_h = self.target_w.new_tensor([values[name] for name in ("ahead_m", "left_m", "height_m")])
        self._put(torch.ones_like(self.fallen), place_h.expand_as(self.target_w))

    def page(self) -> tuple[Scene, dict[str, Any]]:
        """See `Task.page`."""
        reach = {"distance_m": self.cfg.distance_m, "height_m": self.cfg.height_m}
        return self.sim.scene, {"target": self.target_w[0].tolist(), "reach": reach}

    def _from_hand_w(self) -> Tensor:
        """`(N, 3)` from the hand to the target, m."""
        return self.target_w - self.sim.body_pos_w[:, self._hand]

    def update(self) -> None:
        """See `SkillTask.update`."""
        self.steps = self.steps + 1
        self.distance_sum_m = self.distance_sum_m + self._from_hand_w().norm(dim=-1)

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        direction_w, distance = unit(self._from_hand_w())
        speed = (self.sim.body_linvel_w[:, self._hand] * direction_w).sum(-1)
        return {
            "position": torch.exp(-4.0 * distance.square()),
            "progress": speed.clamp(-MAX_SPEED_MPS, MAX_SPEED_MPS),
        }

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        height = self.target_w[:, 2:] - self.sim.root_pos_w[:, 2:]
        return torch.cat((heading_frame(self.sim).points(self.target_w[:, :2]), height), dim=1)

    def task_metrics(self) -> dict[str, Tensor]:
        """Mean distance from the hand to the target, m."""
        return {"hand_distance_m": self.distance_sum_m / self.steps.clamp_min(1.0)}
