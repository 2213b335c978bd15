"""HumanoidTrajectory: follow a point that moves along a smooth random path."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.sim import Marker, Scene, Sim

from .common import draws
from .common.frames import heading_frame, unit
from .common.skill_task import SkillTask, SkillTaskCfg

PATHS = 2048  # in the bank
KNOT_S = 0.1  # spacing of a path's points
AHEAD, AHEAD_S = 10, 0.3  # points of the path that are observed, and their spacing
LONGEST_S = 600.0  # of a path: the bank is computed and stored when the task is made
CHANGE_S = 1.5  # mean time between changes of speed and turn rate


@dataclass
class HumanoidTrajectoryCfg(SkillTaskCfg):
    """Configuration of HumanoidTrajectory; see `SkillTaskCfg` for the shared part.

    Args:
        speed_mps: highest speed of the path; it changes uniformly between 0 and this.
        acceleration_mps2: of its changes.
        turn_rad_s: highest turn rate of the path, which changes uniformly between left and right.
        lost_m: distance from the path's present point that ends the episode.
        reward: `track`, `exp(-2 d²)` of the distance in m from the path's present point; `fall`: 1 on a fall.
    """

    speed_mps: float = bounded(1.8, 0.0, 10.0)
    acceleration_mps2: float = bounded(2.0, 0.01, 100.0)
    turn_rad_s: float = bounded(0.9, 0.0, 10.0)
    lost_m: float = bounded(1.0, 0.01, 1000.0)
    start_speed_mps: float = 1.0
    reward: dict[str, float] = bounded({"track": 1.0, "fall": 0.0}, -1e6, 1e6)

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        super().__post_init__()
        if self.limit_steps * self.step_s > LONGEST_S:
            raise ConfigError(
                f"task.episode_steps={self.episode_steps}: paths last {LONGEST_S:g} s at most; type"
                f" task.episode_steps={int(LONGEST_S / self.step_s)}"
            )


def random_paths(cfg: HumanoidTrajectoryCfg, knots: int, generator: torch.Generator) -> Tensor:
    """`(PATHS, knots, 2)`, m: points `KNOT_S` apart from the origin on, first along x.

    Speed and turn rate approach values that are drawn anew at random times: the speed with the given acceleration, the
    turn rate with a time constant of half a second.
    """
    device = generator.device
    changes = torch.rand(PATHS, knots, generator=generator, device=device) < KNOT_S / CHANGE_S
    drawn = torch.rand(2, PATHS, knots, generator=generator, device=device)
    speed = torch.full((PATHS,), 0.5 * cfg.speed_mps, device=device)
    turn, yaw = torch.zeros(2, PATHS, device=device).unbind()
    wanted_speed, wanted_turn = speed, turn
    points = [torch.zeros(PATHS, 2, device=device)]
    change = cfg.acceleration_mps2 * KNOT_S
    for knot in range(knots - 1):
        wanted_speed = torch.where(changes[:, knot], cfg.speed_mps * drawn[0, :, knot], wanted_speed)
        wanted_turn = torch.where(changes[:, knot], cfg.turn_rad_s * (2 * drawn[1, :, knot] - 1), wanted_turn)
        speed = speed + (wanted_speed - speed).clamp(-change, change)
        turn = turn + (wanted_turn - turn) * KNOT_S / 0.5
        yaw = yaw + turn * KNOT_S
        points.append(points[-1] + (speed * KNOT_S).unsqueeze(1) * draws.direction(yaw))
    return torch.stack(points, dim=1)


class HumanoidTrajectory(SkillTask[HumanoidTrajectoryCfg]):
    """Path following as in Peng et al. 2022, with speeds and turns that the skill has.

    Attributes:
        path: `(N,)` row of the bank of paths.
        start_w, turn_w: `(N, 2)` start of the path, m, and the direction in which it begins.
        steps: `(N,)` control steps since the start.
        error_m: `(N,)` sum of the distances from the path over the steps of the episode.
    """

    SCORE = {"track": 1.0}
    STATE = (*SkillTask.STATE, "path", "start_w", "turn_w", "steps", "error_m")

    def __init__(self, cfg: HumanoidTrajectoryCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(
            cfg, sim, generator, [("path_h", 2 * AHEAD, f"m, points {AHEAD_S:g} s apart, the first is now")]
        )
        n, device = sim.num_envs, sim.device
        seconds = cfg.limit_steps * cfg.step_s + AHEAD * AHEAD_S
        self._paths = random_paths(cfg, math.ceil(seconds / KNOT_S) + 2, generator)
        self._ahead_s = AHEAD_S * torch.arange(AHEAD, device=device)
        self.path = torch.zeros(n, dtype=torch.long, device=device)
        self.start_w, self.turn_w = torch.zeros(2, n, 2, device=device).unbind()
        self.steps, self.error_m = torch.zeros(2, n, device=device).unbind()

    @classmethod
    def scene(cls, cfg: HumanoidTrajectoryCfg) -> Scene:
        """A humanoid, and markers at the present point of the path and at those observed."""
        return cls.humanoid_scene(cfg, markers=tuple(Marker(f"path_{i}", radius_m=0.08) for i in range(AHEAD)))

    def begin(self, mask: Tensor) -> None:
        """See `SkillTask.begin`."""
        n, wide = self.sim.num_envs, mask.unsqueeze(1)
        rows = torch.randint(PATHS, (n,), generator=self.generator, device=mask.device)
        ahead = torch.stack(rotations.heading_cos_sin(self.sim.root_quat_w), dim=-1)
        self.path = torch.where(mask, rows, self.path)
        self.start_w = torch.where(wide, self.sim.root_pos_w[:, :2], self.start_w)
        self.turn_w = torch.where(wide, ahead, self.turn_w)
        self.steps, self.error_m = self.steps.masked_fill(mask, 0.0), self.error_m.masked_fill(mask, 0.0)
        self.mark(mask, self._points_w(self._ahead_s))

    def update(self) -> None:
        """See `SkillTask.update`."""
        self.steps = self.steps + 1
        self.error_m = self.error_m + self._distance_m()
        self.mark(torch.ones_like(self.fallen), self._points_w(self._ahead_s))

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: speed and turn rate of the path from its present point on."""
        turn = self.cfg.turn_rad_s
        return {"speed_mps": (0.0, self.cfg.speed_mps), "turn_rad_s": (-turn, turn)}

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`: all worlds follow the last path of the bank, which becomes the arc."""
        here, ahead = self._points_w(self._ahead_s.new_tensor([0.0, KNOT_S])).unbind(1)
        step, length = unit(ahead - here)
        self.turn_w = torch.where(length.unsqueeze(1) > 1e-4, step, self.turn_w)
        yaw = values["turn_rad_s"] * KNOT_S * torch.arange(self._paths.shape[1], device=here.device)
        steps = values["speed_mps"] * KNOT_S * draws.direction(yaw)
        self._paths[-1] = steps.cumsum(0) - steps[0]
        self.start_w, self.path = here, torch.full_like(self.path, PATHS - 1)
        self.steps, self.error_m = torch.zeros_like(self.steps), torch.zeros_like(self.error_m)

    def page(self) -> tuple[Scene, dict[str, Any]]:
        """See `Task.page`."""
        names = ("speed_mps", "acceleration_mps2", "turn_rad_s")
        limits = {name: getattr(self.cfg, name) for name in names}
        return self.sim.scene, {"path": limits | {"ahead": AHEAD, "ahead_s": AHEAD_S}}

    def _points_w(self, ahead_s: Tensor) -> Tensor:
        """Points `(N, T, 2)` of the paths at `ahead_s (T,)` from now."""
        at = (self.steps.unsqueeze(1) * self.cfg.step_s + ahead_s) / KNOT_S
        knot = at.floor().long().clamp(max=self._paths.shape[1] - 2)
        blend = (at - knot).clamp(0.0, 1.0).unsqueeze(-1)
        row = self.path.unsqueeze(1)
        points = torch.lerp(self._paths[row, knot], self._paths[row, knot + 1], blend)
        cosine, sine = (part.unsqueeze(1) for part in self.turn_w.unbind(-1))
        x, y = points.unbind(-1)
        return self.start_w.unsqueeze(1) + torch.stack((cosine * x - sine * y, sine * x + cosine * y), dim=-1)

    def _distance_m(self) -> Tensor:
        """`(N,)` distance from the path's present point."""
        return (self._points_w(self._ahead_s[:1]).squeeze(1) - self.sim.root_pos_w[:, :2]).norm(dim=-1)

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        return {"track": torch.exp(-2.0 * self._distance_m().square())}

    def ended_by_task(self) -> Tensor:
        """Too far from the path."""
        return self._distance_m() > self.cfg.lost_m

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        return heading_frame(self.sim).points(self._points_w(self._ahead_s)).flatten(1)

    def task_metrics(self) -> dict[str, Tensor]:
        """Mean distance from the path, m, and whether the path was lost (0 or 1)."""
        return {
            "path_error_m": self.error_m / self.steps.clamp_min(1.0),
            "lost_rate": self.ended_by_task().float(),
        }
