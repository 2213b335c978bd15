"""HumanoidPush: push a box to a marked place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.sim import FreeBody, Scene, Shape, Sim

from .common import draws
from .common.frames import heading_frame, unit
from .common.skill_task import MAX_SPEED_MPS, SkillTask, SkillTaskCfg

HALF_SIZE_M = (0.3, 0.3, 0.45)
BEHIND_M = 0.65  # from the box's middle to the root of a body that pushes
NEAR_M = 0.2  # to the place behind the box
SCALE_M = 3.0


@dataclass
class HumanoidPushCfg(SkillTaskCfg):
    """Configuration of HumanoidPush; see `SkillTaskCfg` for the shared part.

    Args:
        box_m: shortest and longest distance from the body to the box; uniform, in any direction.
        goal_m: shortest and longest distance from the box to the goal; uniform, in any direction.
        reached_m: distance of the box from the goal at which it has arrived.
        mass_kg, friction: of the box.
        speed_mps: of the box towards the goal, from which on the velocity reward is 1.
        reward: `behind`, `exp(-d²)` of the distance in m from the place behind the box, as seen from the goal;
            `velocity`, `exp(-4 e²)` of the box's speed missing towards the goal, 0 when it rests or moves away;
            `position`, `exp(-d²/2)` of the box's distance in m from the goal. All are 1 while the box is at the goal.
            Not in the score: `approach` and `progress`, speeds in m/s of the body towards the place behind the box and
            of the box towards the goal, since the other terms are flat far away; `fall`, 1 on a fall.
    """

    SPANS = ("box_m", "goal_m")

    box_m: list[float] = bounded([1.5, 3.0], 1.0, 100.0)
    goal_m: list[float] = bounded([1.5, 3.0], 0.5, 100.0)
    reached_m: float = bounded(0.4, 0.01, 10.0)
    mass_kg: float = bounded(6.0, 0.1, 1000.0)
    friction: float = bounded(0.3, 0.0, 10.0)
    speed_mps: float = bounded(0.6, 0.0, 10.0)
    reward: dict[str, float] = bounded(
        {"behind": 0.3, "velocity": 0.3, "position": 0.4, "approach": 0.25, "progress": 1.0, "fall": 0.0}, -1e6, 1e6
    )

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        super().__post_init__()
        if self.reached_m >= self.goal_m[0]:
            raise ConfigError(
                f"task.reached_m={self.reached_m}: boxes would begin at the goal, which is as near as"
                f" task.goal_m[0]={self.goal_m[0]:g} m; type task.reached_m={0.25 * self.goal_m[0]:g}"
            )


class HumanoidPush(SkillTask[HumanoidPushCfg]):
    """Push a box with the body; success is a box at the goal, at any time of the episode.

    Attributes:
        goal_w: `(N, 2)` the marked place, m.
        arrived: `(N,)` 1 if the box has been at the goal in this episode.
    """

    SCORE = {"behind": 0.3, "velocity": 0.3, "position": 0.4}
    STATE = (*SkillTask.STATE, "goal_w", "arrived")

    def __init__(self, cfg: HumanoidPushCfg, sim: Sim, generator: torch.Generator) -> None:
        layout = [
            ("box_h", 2, f"{SCALE_M:g} m"),
            ("box_axis_h", 2, "its x axis, heading frame"),
            ("box_linvel_h", 2, "m/s"),
            ("behind_h", 2, f"{SCALE_M:g} m, place behind the box as seen from the goal"),
            ("goal_h", 2, f"{SCALE_M:g} m"),
            ("push_direction_h", 2, "unit vector from the box to the goal"),
            ("goal_distance", 1, f"{SCALE_M:g} m, from the box to the goal"),
        ]
        super().__init__(cfg, sim, generator, layout)
        self.goal_w, self.arrived = torch.zeros(sim.num_envs, 2, device=sim.device), torch.zeros_like(self.score)

    @classmethod
    def scene(cls, cfg: HumanoidPushCfg) -> Scene:
        """A humanoid, a box, and a marker at the goal."""
        box = FreeBody("box", Shape.box, HALF_SIZE_M, cfg.mass_kg, (3.0, 0.0, HALF_SIZE_M[2]), friction=cfg.friction)
        return cls.humanoid_scene(cfg, objects=(box,), markers=("goal",), sense_substeps=False)

    def begin(self, mask: Tensor) -> None:
        """See `SkillTask.begin`."""
        self.arrived = self.arrived.masked_fill(mask, 0.0)

    def new_target(self, mask: Tensor) -> None:
        """Place box and goal."""
        n, cfg = self.sim.num_envs, self.cfg
        angle, turn, push = draws.angles(3 * n, self.generator).view(3, n)
        distance, travel = (draws.uniform(n, span, self.generator).unsqueeze(1) for span in (cfg.box_m, cfg.goal_m))
        box_w = self.sim.root_pos_w[:, :2] + distance * draws.direction(angle)
        self.goal_w = torch.where(mask.unsqueeze(1), box_w + travel * draws.direction(push), self.goal_w)
        pos_w = torch.nn.functional.pad(box_w, (0, 1), value=HALF_SIZE_M[2]).unsqueeze(1)
        still = torch.zeros_like(pos_w)
        self.sim.place_objects(mask.unsqueeze(1), pos_w, rotations.from_yaw(turn).unsqueeze(1), still, still)
        self.mark(mask, self.goal_w.unsqueeze(1))

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: the marked place."""
        return dict.fromkeys(("goal_x_m", "goal_y_m"), (-10.0, 10.0))

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        self.goal_w = self.goal_w.new_tensor([*values.values()]).repeat(self.sim.num_envs, 1)
        self.mark(torch.ones_like(self.fallen), self.goal_w.unsqueeze(1))

    def page(self) -> tuple[Scene, dict[str, Any]]:
        """See `Task.page`."""
        return self.sim.scene, {"target": self.goal_w[0].tolist()}

    def update(self) -> None:
        """See `SkillTask.update`."""
        self.arrived = torch.maximum(self.arrived, (self._at_goal() & (self.falls == 0)).float())

    def _to_goal(self) -> tuple[Tensor, Tensor]:
        """Direction `(N, 2)` and distance `(N,)` from the box to the goal."""
        return unit(self.goal_w - self.sim.object_pos_w[:, 0, :2])

    def _at_goal(self) -> Tensor:
        return self._to_goal()[1] < self.cfg.reached_m

    def _behind_w(self) -> Tensor:
        """`(N, 2)` place behind the box, as seen from the goal."""
        return self.sim.object_pos_w[:, 0, :2] - BEHIND_M * self._to_goal()[0]

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        direction_w, distance = self._to_goal()
        behind_w, away = unit(self._behind_w() - self.sim.root_pos_w[:, :2])
        speed = (self.sim.object_linvel_w[:, 0, :2] * direction_w).sum(-1)
        approach = (self.sim.root_linvel_w[:, :2] * behind_w).sum(-1)
        velocity = torch.exp(-4.0 * (self.cfg.speed_mps - speed).clamp_min(0.0).square())
        terms = {
            "behind": torch.exp(-away.square()),
            "velocity": velocity.masked_fill(speed <= 0.01, 0.0),
            "position": torch.exp(-0.5 * distance.square()),
        }
        terms = {name: term.masked_fill(distance < self.cfg.reached_m, 1.0) for name, term in terms.items()}
        return terms | {
            # the direction to a place so near turns faster than a body can
            "approach": approach.clamp(-MAX_SPEED_MPS, MAX_SPEED_MPS).masked_fill(away < NEAR_M, 0.0),
            "progress": speed.clamp(-MAX_SPEED_MPS, MAX_SPEED_MPS),
        }

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        frame, (direction_w, distance) = heading_frame(self.sim), self._to_goal()
        axis_w = rotations.axis_x(self.sim.object_quat_w[:, 0])[:, :2]
        points_w = torch.stack((self.sim.object_pos_w[:, 0, :2], self._behind_w(), self.goal_w), dim=1)
        box, behind, goal = (frame.points(points_w) / SCALE_M).unbind(1)
        axis, linvel, push = (
            frame.vectors(vectors) for vectors in (axis_w, self.sim.object_linvel_w[:, 0, :2], direction_w)
        )
        return torch.cat((box, axis, linvel, behind, goal, push, distance.unsqueeze(1) / SCALE_M), dim=1)

    def task_metrics(self) -> dict[str, Tensor]:
        """Success (0 or 1), and the box's distance from the goal at the end, m."""
        return {"success_rate": self.arrived.clone(), "final_distance_m": self._to_goal()[1]}
