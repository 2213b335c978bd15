"""HumanoidHRLMaze: a high-level navigation task of a humanoid in a maze."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Self

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs import Obs
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.hierarchical_env import HierarchyCfg
from isaachrl.maths import rotations
from isaachrl.sim import Scene, Sim

from .common import draws, layouts, maze
from .common.frames import unit
from .common.skill_task import MAX_SPEED_MPS, SkillTask, SkillTaskCfg

RAYS = 16
RAY_RANGE_M = 10.0
WINDOW_RADIUS = 3  # of the observed local map: grid points from its middle to its edge
GOAL_SCALE_M = 10.0
WAY_POINTS = 2
STEPS_PER_CELL = 150  # of the longest path to a goal: enough for a detour at walking speed
RANDOM_STEPS_PER_CELL = 60  # of the size * size inner cells of a random maze
NEAR_WALL_M = 0.5


class Routes(Enum):
    """Starts and goals of the episodes: `fixed` takes the layout's routes in turn, `any` draws them.

    A route is a prescribed episode: the cells of its start, of the points to pass on the way, if any, and of its goal.
    `auto` is `any`, but in evaluations `fixed` if the layout has routes.
    """

    auto = "auto"
    any = "any"
    fixed = "fixed"


@dataclass
class HumanoidHRLMazeCfg(SkillTaskCfg):
    """Configuration of HumanoidHRLMaze; see `SkillTaskCfg` for the shared part.

    Args:
        layout: a name in `layouts.DRAWN`, `random`, or a text file (`.txt`) with `#` for walls and `.` for free cells,
            of which `s` and `g` mark starts and goals (by default all free cells are both). A file name is replaced by
            the rows in the file, separated by `/`, so that a stored policy contains its maze.
        routes: `fixed` for the layout's routes, in turn; `any` for starts and goals drawn from all that the
            layout marks; see `Routes`.
        size: inner cells along a side of a random maze; odd.
        maze_bank: number of random mazes.
        cell_m: side of a cell; 0 for the layout's own.
        wall_height_m: height of the walls.
        goal_radius_m: distance at which the goal is reached; 0 for the layout's own.
        episode_steps: control steps; 0 for the layout's own limit.
        start_speed_mps: largest speed of a start pose; with a higher one, a body may not be able to avoid a wall.
        guide: observe the next two cells on a shortest path and its length, too. Otherwise the policy must find the
            path from the local map or memorise it.
        observe_position: observe which cells of the maze the root and the goal are in, and the body's heading.
            With it a policy can memorise one maze; its input then fits that maze alone.
        reward: `progress`, metres along the shortest path since the last control step (with the default weight, 1 per
            control step at 1.2 m/s); `goal`, 1 on arrival; `fall`, 1 on each fall; `time`, 1 per control step: without
            it, standing still in front of a wall is optimal; `wall`, 1 at a wall, falling to 0 at half a metre:
            bodies trip near walls and get stuck there.
    """

    layout: str = "umaze"
    routes: Routes = Routes.auto
    size: int = 5
    maze_bank: int = 128
    cell_m: float = bounded(0.0, 0.0, 100.0)
    wall_height_m: float = bounded(1.0, 0.0, 100.0)
    goal_radius_m: float = bounded(0.0, 0.0, 100.0)
    episode_steps: int = 0
    start_speed_mps: float = 0.5
    skill: str = "assets/skills/humanoid.pt"
    guide: bool = False
    observe_position: bool = False
    hierarchy: HierarchyCfg = field(default_factory=HierarchyCfg)
    reward: dict[str, float] = field(
        default_factory=lambda: {"progress": 25.0, "goal": 60.0, "fall": -75.0, "time": -0.2, "wall": -1.0}
    )

    def __post_init__(self) -> None:
        """Validate ranges, and read the maze's file."""
        if self.is_random and (self.size < 3 or self.size % 2 == 0 or self.maze_bank < 1):
            raise ConfigError(
                f"task.size={self.size}, task.maze_bank={self.maze_bank}: a random maze has an odd number of inner"
                " cells, 3 or more, and a bank of at least one maze; type task.size=5"
            )
        if self.is_random:
            words = f"task.size={self.size}, task.maze_bank={self.maze_bank}"
            layouts.check_tables(self.maze_bank, self.size + 2, self.size + 2, words)
        if self.layout not in (*layouts.DRAWN, layouts.RANDOM):  # a file, or its rows
            self.layout = layouts.drawing(self.layout)
        own = layouts.find(self.layout)
        self.geometry = replace(
            own, cell_m=self.cell_m or own.cell_m, goal_radius_m=self.goal_radius_m or own.goal_radius_m
        )
        self._check_geometry()
        self._plan = None if self.is_random else layouts.plan(self.layout)
        super().__post_init__()

    def _check_geometry(self) -> None:
        """Check lengths, and that the layout has what the other keys ask for."""
        own, name = self.geometry, self.layout
        if not (own.cell_m >= 1.0 and self.wall_height_m > 0):
            raise ConfigError(
                f"task: cell_m={self.cell_m} (at least 1) and wall_height_m={self.wall_height_m} (above 0)"
            )
        # two cells away around a corner
        nearest_m = math.sqrt(2) * own.cell_m * (1.0 - own.start_noise - own.goal_noise)
        if own.goal_radius_m >= nearest_m:
            raise ConfigError(
                f"task.goal_radius_m={own.goal_radius_m}: episodes could begin at the goal, since with"
                f" task.cell_m={own.cell_m} goals are as near as {nearest_m:.2f} m; type"
                f" task.goal_radius_m={0.4 * own.cell_m:g}"
            )
        if self.routes is Routes.fixed and not own.routes:
            having = ", ".join(key for key, drawn in layouts.DRAWN.items() if drawn.routes)
            raise ConfigError(
                f"task.routes=fixed: task.layout={name} has no routes of its own, as {having} have; leave"
                " task.routes out"
            )
        if self.observe_position and self.is_random:
            raise ConfigError(
                "task.observe_position=true: a position says nothing in a maze that differs between episodes; leave it"
                " out, or type task.layout=medium"
            )

    @property
    def is_random(self) -> bool:
        """Whether the mazes are random."""
        return self.layout == layouts.RANDOM

    @property
    def limit_steps(self) -> int:
        """See `TaskCfg.limit_steps`."""
        if self.episode_steps:
            return self.episode_steps
        if self.geometry.limit_s:
            return round(self.geometry.limit_s / self.step_s) if self.step_s > 0 else 0
        return STEPS_PER_CELL * self._plan.longest if self._plan else RANDOM_STEPS_PER_CELL * self.size**2

    def for_evaluation(self) -> Self:
        """The same with the layout's routes, if it has any and the key `routes` was left out."""
        fixed = self.routes is Routes.auto and self.geometry.routes
        return replace(self, routes=Routes.fixed) if fixed else self

    def mazes(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Walls, start cells and goal cells, each `(M, H, W)` bool."""
        if self._plan:
            return self._plan.walls.unsqueeze(0), self._plan.starts.unsqueeze(0), self._plan.goals.unsqueeze(0)
        walls = layouts.random_walls(self.size, self.maze_bank, generator)
        return walls, ~walls, ~walls


def task_layout(cfg: HumanoidHRLMazeCfg) -> list[tuple[str, int, str]]:
    """Name, size and unit of each part of the observation group `task`, in order."""
    side = cfg.geometry.cell_m
    parts = [
        ("goal_direction_h", 2, "unit vector, heading frame"),
        ("goal_distance", 1, f"{GOAL_SCALE_M:g} m"),
        ("goal_pos_h", 2, f"{GOAL_SCALE_M:g} m, relative to the root, heading frame"),
        ("wall_rays", RAYS, f"distance to a wall, {RAY_RANGE_M:g} m, full circle, anticlockwise from ahead"),
        (
            "map_h", (2 * WINDOW_RADIUS + 1) ** 2 - 1,
            f"1 wall, 0 free, points {side:g} m apart, rows from behind to ahead, in each from right to left, the"
            " middle left out",
        ),
    ]  # fmt: skip
    if cfg.guide:
        parts += [
            ("way_points_h", 2 * WAY_POINTS, f"{side:g} m, the next cells' middles, heading frame"),
            ("way_length", 1, f"{GOAL_SCALE_M:g} m"),
        ]
    if cfg.observe_position:
        size = 3 * int((~cfg.mazes(torch.Generator())[0]).sum())
        unit_ = (
            "of each free cell 1, cosine and sine of the yaw where {} is, else 0; from the lowest y, in rows along x"
        )
        parts += [(f"{name}_cell", size, unit_.format(f"the {name}")) for name in ("root", "goal")]
    return parts


class HumanoidHRLMaze(SkillTask[HumanoidHRLMazeCfg]):
    """Reach the goal of a maze; the goal, and with `layout=random` the maze, differs between episodes.

    Attributes:
        bank: the mazes.
        maze_id, goal: `(N,)` maze of the episode, and cell to be reached next: a point on its route, or its goal.
        goal_w: `(N, 2)` position of the goal, m.
        route: `(N,)` which of the layout's routes the episode follows, if they are used: each world takes them in turn.
        stage: `(N,)` checkpoints passed in the episode.
        distance_m: `(N,)` distance to the goal along the corridors.
    """

    # _progress: metres in the last control step (`TaskEnv.progress` counts steps); _shortest, _walked: metres, of the
    # episode; _view_…: for `observe_task`
    STATE = (
        *SkillTask.STATE, "maze_id", "goal", "goal_w", "route", "stage",
        "distance_m", "_progress", "_shortest", "_walked", "_last_xy", "_view_pose", "_view_distance_m",
    )  # fmt: skip

    def __init__(self, cfg: HumanoidHRLMazeCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator, task_layout(cfg))
        device, n = sim.device, sim.num_envs
        self._prepare_mazes(generator, device)
        angles = torch.arange(RAYS, device=device) * (2 * math.pi / RAYS)
        self._rays_h = draws.direction(angles)
        self.maze_id, self.goal, self.stage = torch.zeros(3, n, dtype=torch.long, device=device).unbind()
        self.route = torch.arange(n, device=device)
        self.goal_w, self._last_xy = torch.zeros(2, n, 2, device=device).unbind()
        self.distance_m, self._progress, self._shortest, self._walked = torch.zeros(4, n, device=device).unbind()
        self._view_pose, self._view_distance_m = torch.zeros(n, 7, device=device), torch.zeros(n, device=device)

    def _prepare_mazes(self, generator: torch.Generator, device: torch.device) -> None:
        """Create the mazes and the positions of their boxes."""
        cfg, own = self.cfg, self.cfg.geometry
        walls, begin, end = cfg.mazes(generator)
        self.bank = maze.make_bank(walls, begin, end, own.cell_m, layouts.MIN_STEPS_TO_GOAL, device)
        routes = torch.tensor(own.routes or [[(0, 0)]], device=device)
        self._routes = routes[..., 0] * walls.shape[2] + routes[..., 1]
        free = ~self.bank.walls[0].flatten()
        self._free_number = torch.where(free, free.cumsum(0) - 1, -1)
        self._free_cells = torch.arange(int(free.sum()), device=device)
        self._noise_m = own.cell_m * torch.tensor([[own.start_noise], [own.goal_noise]], device=device)
        boxes = [maze.wall_boxes(one, own.cell_m, cfg.wall_height_m, not cfg.is_random) for one in walls]
        self._box_pos_w = torch.tensor([[box.pos_m for box in one] for one in boxes], device=device)

    @classmethod
    def scene(cls, cfg: HumanoidHRLMazeCfg) -> Scene:
        """A humanoid, the walls, and a marker at the goal."""
        # all random mazes have the same number of boxes, each of one cell, and `place` moves them: any maze will do
        walls = cfg.mazes(torch.Generator().manual_seed(0))[0][0]
        boxes = maze.wall_boxes(walls, cfg.geometry.cell_m, cfg.wall_height_m, not cfg.is_random)
        return cls.humanoid_scene(cfg, boxes=boxes, markers=("goal",))

    def state_dict(self) -> dict[str, Tensor]:
        """See `Task.state_dict`; includes the mazes, for a check in `load_state_dict`."""
        return super().state_dict() | {"walls": self.bank.walls.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See `Task.load_state_dict`.

        Raises:
            ValueError: the state is of other mazes.
        """
        if not torch.equal(state["walls"].to(self.bank.walls.device), self.bank.walls):
            raise ValueError(
                "the state is of other mazes: task.layout, task.size, task.maze_bank and seed must not change"
            )
        super().load_state_dict(state)

    def overview(self) -> tuple[float, float, float, float]:
        """Bounds x min, x max, y min, y max, m, of the map in videos."""
        return self.bank.extent_m

    def update(self) -> None:
        """See `SkillTask.update`."""
        xy, distance = self.sim.root_pos_w[:, :2], self._way_left_m()
        # the distance jumps when a body is pushed across a wall's edge: limit the reward to that of the fastest motion
        fastest = MAX_SPEED_MPS * self.cfg.step_s
        self._progress = (self.distance_m - distance).clamp(-fastest, fastest)
        self.distance_m = distance
        self._walked = self._walked + (xy - self._last_xy).norm(dim=-1)
        self._last_xy = xy.clone()
        # `observe` is called at the end of a high-level step; of an episode that ended earlier in that step, it must
        # show the last state
        self._view_pose = torch.where(self.ended.unsqueeze(1), self._view_pose, self.sim.qpos[:, :7])
        self._view_distance_m = torch.where(self.ended, self._view_distance_m, distance)

    def _way_left_m(self) -> Tensor:
        """Distance `(N,)` to the goal along the corridors.

        If goals may lie off the middle of their cell, it is blended with the straight distance within the last cell's
        length.
        """
        xy = self.sim.root_pos_w[:, :2]
        way = maze.potential_m(self.bank, self.maze_id, self.goal, xy)
        if self.cfg.geometry.goal_noise == 0:
            return way
        return torch.lerp((self.goal_w - xy).norm(dim=-1), way, (way / self.bank.cell_m).clamp_max(1.0))

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        near = 1.0 - maze.clearance_m(self.bank, self.maze_id, self.sim.root_pos_w[:, :2]) / NEAR_WALL_M
        return {
            "progress": self._progress,
            "goal": self._arrived().float(),
            "time": torch.ones_like(self._progress),
            "wall": near.clamp_min(0.0),
        }

    def ended_by_task(self) -> Tensor:
        """Arrival at the last goal."""
        return self._arrived() & self._is_last() if self._has_checkpoints else self._arrived()

    @property
    def _has_checkpoints(self) -> bool:
        return self.cfg.routes is Routes.fixed and self._routes.shape[1] > 2

    def _is_last(self) -> Tensor:
        """`(N,)` bool: no checkpoint is left."""
        return self.stage >= self._routes.shape[1] - 2

    def after_reward(self, terms: Mapping[str, Tensor]) -> None:
        """See `Task.after_reward`; a checkpoint that was passed is followed by the next one."""
        super().after_reward(terms)
        if self._has_checkpoints:
            self._next_checkpoint()

    def _next_checkpoint(self) -> None:
        passed = self._arrived() & ~self._is_last() & ~self.ended
        self.stage = self.stage + passed
        goal = self._routes[self.route, self.stage + 1]
        self._aim(passed, goal, maze.cell_centre_m(self.bank, goal))
        way = torch.where(passed, self._way_left_m(), self.distance_m)
        self._shortest = self._shortest + torch.where(passed, way, 0.0)
        self._view_distance_m = torch.where(passed, way, self._view_distance_m)
        self.distance_m = way

    def _arrived(self) -> Tensor:
        """`(N,)` bool: upright within the goal's radius."""
        near = (self.sim.root_pos_w[:, :2] - self.goal_w).norm(dim=-1) < self.cfg.geometry.goal_radius_m
        return near & ~self.is_low()

    def place(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `SkillTask.place`: near the middle of the start cell, and draws maze and goal."""
        n = self.sim.num_envs
        maze_id, start, goal = maze.sample_episodes(self.bank, n, self.generator)
        self.maze_id = torch.where(mask, maze_id, self.maze_id)
        if self.cfg.routes is Routes.fixed:
            self.route = torch.where(mask, self.route + 1, self.route) % len(self._routes)
            self.stage = self.stage.masked_fill(mask, 0)
            start, goal = self._routes[self.route, :2].unbind(1)
        spread = 2.0 * torch.rand(n, 2, 2, generator=self.generator, device=mask.device) - 1.0
        middle = maze.cell_centre_m(self.bank, torch.stack((start, goal), dim=1))
        start_w, goal_w = (middle + self._noise_m * spread).unbind(1)
        self._aim(mask, goal, goal_w)
        return start_w, draws.angles(n, self.generator)

    def _aim(self, mask: Tensor, goal: Tensor, goal_w: Tensor) -> None:
        """Set goal cell `(N,)` and goal `(N, 2)` in the worlds of `mask (N,)`, and place walls and marker."""
        self.goal = torch.where(mask, goal, self.goal)
        self.goal_w = torch.where(mask.unsqueeze(1), goal_w, self.goal_w)
        marker = torch.nn.functional.pad(self.goal_w, (0, 1), value=0.5).unsqueeze(1)
        self.sim.move_mocap(mask, torch.cat((self._box_pos_w[self.maze_id], marker), dim=1))

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: the place of the goal, which moves to the middle of the nearest free cell."""
        left, right, bottom, top = self.bank.extent_m
        return {"goal_x_m": (left, right), "goal_y_m": (bottom, top)}

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        cells = torch.arange(self.bank.walls[0].numel(), device=self.goal_w.device)
        centre = maze.cell_centre_m(self.bank, cells)
        far = (centre - centre.new_tensor([*values.values()])).norm(dim=-1)
        goal = far.masked_fill(self.bank.walls[self.maze_id].flatten(1), torch.inf).argmin(1)
        self._aim(torch.ones_like(self.fallen), goal, centre[goal])
        self.distance_m = self._way_left_m()
        self._view_distance_m = self.distance_m.clone()

    def page(self) -> tuple[Scene, dict[str, Any]]:
        """See `Task.page`: the maze of world 0, with a box for each inner cell, so that walls can be drawn."""
        own, walls = self.cfg.geometry, self.bank.walls[self.maze_id[0]].cpu()
        boxes = maze.wall_boxes(torch.ones_like(walls), own.cell_m, self.cfg.wall_height_m, merge=False)
        drawing = {
            "rows": ["".join("#" if wall else "." for wall in row) for row in walls.tolist()],
            "cell_m": own.cell_m, "wall_height_m": self.cfg.wall_height_m, "goal_radius_m": own.goal_radius_m,
            "goal_noise": own.goal_noise,
        }  # fmt: skip
        return replace(self.sim.scene, boxes=boxes), {"maze": drawing, "target": self.goal_w[0].tolist()}

    def begin(self, mask: Tensor) -> None:
        """See `SkillTask.begin`."""
        wide, xy, distance = mask.unsqueeze(1), self.sim.root_pos_w[:, :2], self._way_left_m()
        self.distance_m = torch.where(mask, distance, self.distance_m)
        self._shortest = torch.where(mask, distance, self._shortest)
        self._last_xy = torch.where(wide, xy, self._last_xy)
        self._view_pose = torch.where(wide, self.sim.qpos[:, :7], self._view_pose)
        self._view_distance_m = torch.where(mask, distance, self._view_distance_m)
        for name in ("_progress", "_walked"):
            setattr(self, name, getattr(self, name).masked_fill(mask, 0.0))

    def observe_within(self) -> Obs:
        """See `Task.observe_within`: all groups but `task`."""
        return self.observe_body()

    def observe_task(self) -> Tensor:
        """See `task_layout`."""
        xy = self._view_pose[:, :2]
        forward, _ = unit(rotations.axis_x(self._view_pose[:, 3:])[:, :2])
        left = torch.stack((-forward[:, 1], forward[:, 0]), dim=-1)
        axes = torch.stack((forward, left), dim=-1)
        goal_h = torch.einsum("ni,nij->nj", self.goal_w - xy, axes)
        far = goal_h.norm(dim=-1, keepdim=True)
        rays_w = self._rays_h[:, :1] * forward.unsqueeze(1) + self._rays_h[:, 1:] * left.unsqueeze(1)
        walls = maze.ray_distances_m(self.bank, self.maze_id, xy, rays_w, RAY_RANGE_M) / RAY_RANGE_M
        around = maze.occupancy_window(self.bank, self.maze_id, xy, forward, WINDOW_RADIUS)
        goal = torch.cat((goal_h / far.clamp_min(1e-6), far / GOAL_SCALE_M, goal_h / GOAL_SCALE_M), dim=-1)
        parts = (goal, walls, around)
        if self.cfg.guide:
            points = maze.way_points_m(self.bank, self.maze_id, self.goal, self.goal_w, xy, WAY_POINTS)
            points_h = torch.einsum("nki,nij->nkj", points - xy.unsqueeze(1), axes)
            parts += (points_h.flatten(1) / self.bank.cell_m, self._view_distance_m.unsqueeze(1) / GOAL_SCALE_M)
        if self.cfg.observe_position:
            parts += (self._observe_cells(xy, forward),)
        return torch.cat(parts, dim=-1)

    def _observe_cells(self, xy: Tensor, forward: Tensor) -> Tensor:
        """The cells of `xy (N, 2)` and of the goal, as `task_layout` describes them.

        For given cells of root and goal, the direction of the path in the heading frame is linear in the heading's
        cosine and sine. With products of cell indicator and cosine or sine as inputs, a small network learns it from
        half as many samples.
        """
        number = self._free_number[torch.stack((maze.cell_of(self.bank, xy), self.goal), dim=1)]
        here = number[:, :, None, None] == self._free_cells
        turn = torch.nn.functional.pad(forward, (1, 0), value=1.0)[:, None, :, None]
        return (here * turn).flatten(1)

    def task_metrics(self) -> dict[str, Tensor]:
        """Success (0 or 1), distance left in m, path efficiency; with fixed routes also the success on each of them.

        Path efficiency is the shortest path to the goal's edge, along the corridors' centre lines, over the walked
        one, at most 1; NaN without success. `success_route_i` is NaN in episodes on other routes.
        """
        success = self.ended_by_task() & ~self.sim.diverged
        # the goal is reached at its edge
        shortest = (self._shortest - self.cfg.geometry.goal_radius_m).clamp_min(0.1)
        efficiency = shortest / torch.maximum(self._walked, shortest)
        values = {
            "success_rate": success.float(),
            "final_distance_m": self.distance_m.clone(),
            "path_efficiency": torch.where(success, efficiency, torch.nan),
        }
        if self.cfg.routes is Routes.fixed:
            own = [torch.where(self.route == i, values["success_rate"], torch.nan) for i in range(len(self._routes))]
            values |= {f"success_route_{i}": rate for i, rate in enumerate(own, 1)}
        if self._has_checkpoints:
            values["checkpoints"] = self.stage.float()
        return values
