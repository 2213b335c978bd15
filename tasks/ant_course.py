"""AntMaze, AntPush, AntFall, AntFourRooms: an ant walks to a target; the reward is minus the distance.

The courses of Nachum et al. (2018): a U-shaped maze; a block that seals the way unless it is pushed aside; a chasm
that can be crossed on a block pushed into it; and four rooms (Kreidieh et al. 2020; drawn here after the classical
four rooms). Only the time limit of 50 s ends an episode, so an ant may lie on its back until then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs import Obs, Task, TaskCfg
from isaachrl.errors import ConfigError
from isaachrl.sim import Control, Integrator, Marker, Scene, Sim

from .common import ant, courses
from .common.ant_symmetry import AntSymmetry
from .common.courses import PLANS, Asset, Course

GOAL_RGBA = (0.2, 0.7, 0.35, 0.45)  # of the marker of the manager's goal
GOAL_HEIGHT_M = 0.75  # of that marker above the ground
START_NOISE = 0.1  # half range of the uniform noise on every coordinate, the quaternion's too
PAPER_SOLIMP = (0.995, 0.995, 0.01)  # of every contact, in worlds with a movable block


class Targets(Enum):
    """How the target of an episode is chosen.

    `training`: from the course's training distribution. `evaluation`: the evaluation points in turn. `auto`:
    `training` in training, `evaluation` in evaluation and play.
    """

    auto = "auto"
    training = "training"
    evaluation = "evaluation"


@dataclass
class AntCourseCfg(TaskCfg):
    """Configuration of the courses.

    Args:
        course: the course.
        targets: how targets are chosen, see `Targets`.
        wide: train on targets from all over the course, the published variant with many targets.
        wide_steps: with `wide`, after so many control steps of the environments targets are drawn as without it; 0:
            never. Where blocks are not observed, ants that pushed one elsewhere for another target look like those that
            have cleared the way, so what is learned from many targets has to be corrected on the one that counts.
        free_targets: draw training targets where the ant can get to: from that part of the region which is in free
            cells, or under a block that can be pushed away, and not below the ground.
        integrator: `rk4` is the published one; `euler` is four times as fast.
        asset: how movable blocks are modelled, see `Asset`.
        observe_blocks: add the coordinates of movable blocks to the state; published agents do not observe them. With
            `train.worker_symmetry` the manager alone sees them.
        episode_steps, substeps, timestep_s: 500 control steps of 5 physics steps of 0.02 s.
        reward: `distance`, minus the distance to the target in m.
    """

    course: Course = Course.maze
    targets: Targets = Targets.auto
    wide: bool = False
    wide_steps: int = bounded(0, 0)
    free_targets: bool = False
    integrator: Integrator = Integrator.euler
    asset: Asset = Asset.paper
    observe_blocks: bool = False
    episode_steps: int = 500
    substeps: int = ant.SUBSTEPS
    timestep_s: float = ant.TIMESTEP_S
    reward: dict[str, float] = field(default_factory=lambda: {"distance": 1.0})

    def __post_init__(self) -> None:
        """Validate ranges."""
        super().__post_init__()
        if self.observe_blocks and not courses.blocks(PLANS[self.course], self.asset):
            raise ConfigError(f"task.observe_blocks=true: the course {self.course.value} has no block to push")
        plan = PLANS[self.course]
        if self.free_targets and not self.wide and plan.low == plan.high:
            raise ConfigError(
                f"task.free_targets=true: the course {self.course.value} has one target; type task.wide=true for many,"
                " or task.free_targets=false"
            )

        if self.wide_steps > 0 and not self.wide:
            raise ConfigError(
                f"task.wide_steps={self.wide_steps} is the end of targets from all over the course, which begin with"
                " task.wide=true; type both, or task.wide_steps=0"
            )

    def for_evaluation(self) -> Self:
        """The same with the evaluation points, unless targets were chosen."""
        return replace(self, targets=Targets.evaluation) if self.targets is Targets.auto else self


class AntCourse(Task[AntCourseCfg]):
    """Get within 5 m of the target at the end of the episode.

    Attributes:
        target: `(N, 2 | 3)` where to get to, m; in three dimensions where height counts.
        age: control steps since the environments were made, counted with `wide_steps` alone.
        position_size: how many first entries of the state are compared with the target.
        action_limits: `(8,)` largest torques, N m.
        goal_limits: `(15,)` half ranges of the changes of the first entries of the state a manager may ask for.
        state_scale: `(S,)` typical sizes of the state's entries.
        symmetry: of an ant that walks on open floor.
        context_scale: typical size of a target's coordinates, m.
        terminates: whether the task itself terminates episodes.
    """

    STATE = ("target", "steps", "episodes", "age")
    context_scale = 10.0
    terminates = False

    def __init__(self, cfg: AntCourseCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator)
        n, device = sim.num_envs, sim.device
        self.plan = PLANS[cfg.course]
        self._points = torch.tensor(self.plan.points, device=device)
        self._low, self._high = (torch.tensor(end, device=device) for end in (self.plan.low, self.plan.high))
        self._wide_low = torch.tensor(self.plan.wide_low if cfg.wide else self.plan.low, device=device)
        self._wide_high = torch.tensor(self.plan.wide_high if cfg.wide else self.plan.high, device=device)
        self.position_size = self._low.shape[0]
        if cfg.free_targets:
            self._regions = torch.tensor(
                courses.free_regions(self.plan, self._wide_low.tolist(), self._wide_high.tolist()), device=device
            )
            self._areas = (self._regions[:, 1, :2] - self._regions[:, 0, :2]).prod(-1).cumsum(0)
        self._extra = sim.qpos.shape[1] - ant.NUM_COORDINATES if cfg.observe_blocks else 0
        self.goal_limits = torch.tensor(ant.GOAL_LIMITS, device=device)
        self.symmetry = AntSymmetry().to(device)
        self.state_scale = torch.tensor(ant.STATE_SCALE + self._extra * (10.0,), device=device)
        blocks = [("blocks", self._extra, "m, how far each was pushed")] if self._extra else []
        self.obs_layout = {
            "state": ant.state_layout(sim.robot) + blocks,
            "context": [("target_w", self.position_size, "m")],
        }
        self.obs_sizes = {group: sum(size for _, size, _ in parts) for group, parts in self.obs_layout.items()}
        self.policy_groups = ("state", "context")
        self.action_size = sim.robot.num_dofs
        self.action_limits = sim.robot.effort_limit.to(device)
        self.action_contract = ant.motors(sim.robot)
        self._pose = sim.robot.qpos0.to(device, copy=True)
        self._pose[2] += self.plan.floor_m
        self._boxes = torch.tensor([box.pos_m for box in sim.scene.boxes], device=device)
        walls = [box for box in sim.scene.boxes if box.name.startswith("wall")]
        self._walls = torch.tensor([(*box.pos_m[:2], *box.half_size_m[:2]) for box in walls], device=device)
        self.target = torch.zeros(n, self.position_size, device=device)
        self.steps, self.episodes = (torch.zeros(n, dtype=torch.long, device=device) for _ in range(2))
        self.age = torch.zeros((), dtype=torch.long, device=device)
        self._number = torch.arange(n, device=device)

    @classmethod
    def scene(cls, cfg: AntCourseCfg) -> Scene:
        """The course, a marker at the target and one at the manager's goal."""
        plan = PLANS[cfg.course]
        blocks = courses.blocks(plan, cfg.asset)
        return Scene(
            robot="ant",
            control=Control.torque,
            timestep_s=cfg.timestep_s,
            boxes=courses.boxes(plan),
            blocks=blocks,
            markers=(Marker("target", radius_m=0.5), Marker("goal", GOAL_RGBA, 0.5)),
            integrator=cfg.integrator,
            solimp=PAPER_SOLIMP if blocks else None,
        )

    def overview(self) -> tuple[float, float, float, float]:
        """Bounds x from, x to, y from, y to in metres of what a camera above should show."""
        rows, columns = len(self.plan.rows), len(self.plan.rows[0])
        (left, low), (right, high) = self.plan.centre_m(-0.5, -0.5), self.plan.centre_m(rows - 0.5, columns - 0.5)
        return left, right, low, high

    def apply(self, action: Tensor) -> None:
        """See `Task.apply`: torques, as shares of the limit."""
        self.sim.ctrl.copy_(self.action_limits * action.clamp(-1.0, 1.0))

    def after_physics(self) -> None:
        """See `Task.after_physics`."""
        self.steps = self.steps + 1
        if self.cfg.wide_steps > 0:
            self.age = self.age + 1

    def context_reward(self, state: Tensor, context: Tensor) -> Tensor:
        """Minus the distance `(…)` in m of states `(…, S)` from targets `(…, 2 | 3)`."""
        return -(state[..., : self.position_size] - context).norm(dim=-1)

    def draw_contexts(self, count: int, generator: torch.Generator) -> Tensor:
        """`(count, 2 | 3)` targets from the training distribution."""
        share = torch.rand(count, self.position_size, generator=generator, device=self.sim.device)
        low, high = self._wide_low, self._wide_high
        if self.cfg.free_targets:
            # a region by its area, then a place in it
            area = torch.rand(count, generator=generator, device=self.sim.device) * self._areas[-1]
            region = torch.searchsorted(self._areas, area).clamp(max=len(self._areas) - 1)
            low, high = self._regions[region].unbind(1)
        target = low + (high - low) * share
        if self.cfg.wide_steps == 0:
            return target
        return torch.where(self.age < self.cfg.wide_steps, target, self._low + (self._high - self._low) * share)

    def flipped(self) -> Tensor:
        """`(N,)` bool, see `ant.flipped`."""
        return ant.flipped(self.sim)

    def reward_terms(self) -> dict[str, Tensor]:
        """See `Task.reward_terms`."""
        return {"distance": self.context_reward(self.sim.qpos, self.target)}

    def terminated(self) -> Tensor:
        """Never: only the time limit ends an episode."""
        return torch.zeros_like(self.sim.diverged)

    def reset(self, mask: Tensor) -> None:
        """See `Task.reset`."""
        n, wide = self.sim.num_envs, mask.unsqueeze(1)
        point = self._points[(self._number + self.episodes) % len(self._points)]
        target = point if self.cfg.targets is Targets.evaluation else self.draw_contexts(n, self.generator)
        share = torch.rand(n, len(self._pose), generator=self.generator, device=mask.device)
        qpos, qvel = ant.starts(self.sim, self._pose, START_NOISE * (2.0 * share - 1.0), self.generator)
        self.target = torch.where(wide, target, self.target)
        self.steps = self.steps.masked_fill(mask, 0)
        self.episodes = self.episodes + mask
        self.sim.move_mocap(mask, ant.with_markers(self._boxes, self.target, qpos[:, :2]))
        self.sim.reset(mask, qpos, qvel)

    def show_goal(self, pos_w: Tensor) -> None:
        """Put the marker of the manager's goal at `(N, 2 | 3)`, m; above a wall if it lies inside one."""
        inside = ((pos_w[:, None, :2] - self._walls[:, :2]).abs() < self._walls[:, 2:]).all(-1).any(-1)
        height = self.plan.floor_m + torch.where(inside, self.plan.height_m + GOAL_HEIGHT_M, GOAL_HEIGHT_M).unsqueeze(1)
        marker = torch.cat((pos_w[:, :2], height), dim=1)
        all_envs = torch.ones_like(self.sim.diverged)
        self.sim.move_mocap(all_envs, ant.with_markers(self._boxes, self.target, marker))

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: the place of the target on the floor."""
        left, right, low, high = self.overview()
        return {"target_x_m": (left, right), "target_y_m": (low, high)}

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        place = self.target.new_tensor([*values.values()]).expand(len(self.target), 2)
        self.target = torch.cat((place, self.target[:, 2:]), dim=1)
        self.show_goal(self.sim.mocap_pos_w[:, -1, :2])

    def observe(self) -> Obs:
        """`state`: see `ant.state`, then the coordinates of blocks if they are observed; `context`: the target."""
        state = ant.state(self.sim, self.steps)
        if self._extra:
            state = torch.cat((state, self.sim.qpos[:, ant.NUM_COORDINATES :]), dim=1)
        return {"state": state, "context": self.target.clone()}

    def metrics(self) -> dict[str, Tensor]:
        """Success (0 or 1), final distance in m, on its back (0 or 1), and success at each evaluation point."""
        distance = -self.context_reward(self.sim.qpos, self.target)
        near = distance < self.plan.success_m
        success = (near & ~self.sim.diverged).float()  # a diverged world was put back to its origin
        metrics = {"success_rate": success, "final_distance_m": distance, "flipped_rate": self.flipped().float()}
        if self.cfg.targets is Targets.evaluation:
            for point, numbers in zip(self._points, self.plan.points, strict=True):
                is_target = (self.target == point).all(-1)
                name = "success_at_" + "_".join(f"{number:g}" for number in numbers)
                metrics[name] = torch.where(is_target, success, torch.nan)
        return metrics
