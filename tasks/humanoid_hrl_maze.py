"""HumanoidHRLMaze: a high-level navigation task of a humanoid in a maze."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs import Obs, Task, TaskCfg
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.build import NO_SKILL
from isaachrl.hierarchy.hierarchical_env import HierarchyCfg
from isaachrl.hierarchy.rescue import STAND_S, track_fall
from isaachrl.maths import rotations
from isaachrl.motion.kinematics import JointLayout
from isaachrl.sim import Control, Scene, Sim
from tasks.common import humanoid, layouts, maze, starts

RAYS = 16
RAY_RANGE_M = 10.0
WINDOW_RADIUS = 3
GOAL_SCALE_M = 10.0
WAY_POINTS = 2
START_JITTER_M = 0.3
STEPS_PER_CELL = 150  # of the longest path to a goal: enough for a detour at walking speed
RANDOM_STEPS_PER_CELL = 60
MAX_SPEED_MPS = 10.0
NEAR_WALL_M = 0.5


@dataclass
class HumanoidHRLMazeCfg(TaskCfg):
    """Configuration of HumanoidHRLMaze.

    Args:
        layout: `corridor`, `umaze`, `medium`, `large`, `random`, or a text file (`.txt`) with `#` for walls and `.` for
            free cells, of which `s` and `g` mark starts and goals (by default all free cells are both). A file name is
            replaced by the rows in the file, separated by `/`, so that a stored policy contains its maze.
        size: inner cells along a side of a random maze; odd.
        maze_bank: number of random mazes.
        cell_m: side of a cell.
        wall_height_m: height of the walls.
        goal_radius_m: distance at which the goal is reached.
        episode_steps: control steps; 0 for a limit that depends on the layout.
        control: meaning of the controls; must be the skill's.
        start_motion: start poses: `stand`, or a motion as in HumanoidAMP. With a motion that the skill was not trained
            on, 5 % of the bodies fall within two seconds.
        start_speed_mps: largest speed of a start pose; a faster body may not be able to avoid a wall.
        min_height_m: by body name, the height below which the body has fallen; this ends the episode unless there is a
            rescue.
        guide: observe the next two cells on a shortest path and its length, too. Otherwise the policy must find the
            path from the local map or memorise it.
        style_frames: length of the window for the skill's style reward. 0 is replaced by the skill's own length if the
            style reward has a weight, and means no window otherwise.
        skill: skill file, relative to the working folder or the repository's root; `none` for the flat task.
        rescue: file of a second skill, without latents, that gets up. It controls the humanoid after a fall until it
            has been upright for half a second. With `none` a fall ends the episode.
        rise_s: with a rescue, the time limit for getting up.
        hierarchy: step length and reward weights of the high level.
        reward: `progress`, metres along the shortest path since the last control step (with the default weight, 1 per
            control step at 1.2 m/s); `goal`, 1 on arrival; `fall`, 1 on each fall; `time`, 1 per control step: without
            it, standing still in front of a wall is optimal; `wall`, from 0 half a metre from a wall to 1 at the wall:
            bodies trip near walls and get stuck there.
    """

    layout: str = "umaze"
    size: int = 5
    maze_bank: int = 128
    cell_m: float = bounded(2.5, 0.0, 100.0)
    wall_height_m: float = bounded(1.0, 0.0, 100.0)
    goal_radius_m: float = 1.0
    episode_steps: int = 0
    control: Control = Control.position
    start_motion: str = "locomotion"
    start_speed_mps: float = 0.5
    min_height_m: dict[str, float] = bounded({"pelvis": 0.5, "head": 0.85}, -2.0, 1.5)
    guide: bool = False
    style_frames: int = bounded(0, 0, 64)
    skill: str = "assets/skills/humanoid.pt"
    rescue: str = "none"
    rise_s: float = bounded(6.0, 0.0, 3600.0)
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
        if not (self.cell_m >= 1.0 and self.wall_height_m > 0 and self.goal_radius_m > 0 and self.style_frames >= 0):
            raise ConfigError(
                f"task: cell_m={self.cell_m} (at least 1), wall_height_m={self.wall_height_m} and"
                f" goal_radius_m={self.goal_radius_m} (above 0), style_frames={self.style_frames} (0 or more)"
            )
        nearest_m = math.sqrt(2) * (self.cell_m - START_JITTER_M)  # two cells away around a corner
        if self.goal_radius_m >= nearest_m:
            raise ConfigError(
                f"task.goal_radius_m={self.goal_radius_m}: episodes could begin at the goal, since with"
                f" task.cell_m={self.cell_m} goals are as near as {nearest_m:.2f} m; type"
                f" task.goal_radius_m={0.4 * self.cell_m:g}"
            )
        if not self.rise_s > STAND_S:
            raise ConfigError(f"task.rise_s={self.rise_s}: getting up takes more than {STAND_S} s; type task.rise_s=6")
        if self.layout not in (*layouts.DRAWN, layouts.RANDOM):
            self.layout = layouts.drawing(self.layout)
        self._plan = None if self.is_random else layouts.plan(self.layout)
        super().__post_init__()

    @property
    def is_random(self) -> bool:
        """Whether the mazes are random."""
        return self.layout == layouts.RANDOM

    @property
    def limit_steps(self) -> int:
        """See `TaskCfg.limit_steps`."""
        if self.episode_steps:
            return self.episode_steps
        return STEPS_PER_CELL * self._plan.longest if self._plan else RANDOM_STEPS_PER_CELL * self.size**2

    def mazes(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Walls, start cells and goal cells, each `(M, H, W)` bool."""
        if self._plan:
            return self._plan.walls.unsqueeze(0), self._plan.starts.unsqueeze(0), self._plan.goals.unsqueeze(0)
        walls = layouts.random_walls(self.size, self.maze_bank, generator)
        return walls, ~walls, ~walls


def task_layout(cfg: HumanoidHRLMazeCfg) -> list[tuple[str, int, str]]:
    """Name, size and unit of each part of the observation group `task`, in order."""
    parts = [
        ("goal_direction_h", 2, "unit vector, heading frame"),
        ("goal_distance", 1, f"{GOAL_SCALE_M:g} m"),
        ("goal_pos_h", 2, f"{GOAL_SCALE_M:g} m, relative to the root, heading frame"),
        ("wall_rays", RAYS, f"distance to a wall, {RAY_RANGE_M:g} m, from ahead round to the left"),
        (
            "map_h", (2 * WINDOW_RADIUS + 1) ** 2 - 1,
            f"1 wall, 0 free, points {cfg.cell_m:g} m apart, rows from behind to ahead, in each from right to left, the"
            " middle left out",
        ),
    ]  # fmt: skip
    if cfg.guide:
        parts += [
            ("way_points_h", 2 * WAY_POINTS, f"{cfg.cell_m:g} m, the next cells' middles, heading frame"),
            ("way_length", 1, f"{GOAL_SCALE_M:g} m"),
        ]
    return parts


class HumanoidHRLMaze(Task[HumanoidHRLMazeCfg]):
    """Reach the goal cell of a maze; maze and goal differ between episodes.

    Attributes:
        bank: the mazes.
        maze_id, goal: `(N,)` maze and goal cell of the episode.
        goal_w: `(N, 2)` position of the goal, m.
        distance_m: `(N,)` distance to the goal along the corridors.
        fallen: `(N,)` bool, has fallen and not yet recovered.
    """

    # _progress: metres in the last control step (`TaskEnv.progress` counts steps); _shortest, _walked: metres, of the
    # episode; _fell: in the last control step; _falls, _rises: counts of the episode; _view_…: for `_task_obs`
    STATE = (
        "history", "maze_id", "goal", "goal_w", "distance_m", "fallen", "_progress", "_shortest", "_walked", "_last_xy",
        "_fell", "_upright_steps", "_fallen_steps", "_falls", "_rises", "_view_pose", "_view_distance_m",
    )  # fmt: skip

    def __init__(self, cfg: HumanoidHRLMazeCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator)
        robot, device, n = sim.robot, sim.device, sim.num_envs
        self._prepare_mazes(generator, device)
        self.starts = starts.make_bank(
            robot, cfg.start_motion, cfg.style_frames, cfg.step_s, cfg.start_speed_mps, generator
        )
        self.key_ids = robot.body_index(*humanoid.KEY_BODIES).to(device)
        self.layout = JointLayout(robot, device)
        self.obs_layout = {"proprioception": humanoid.proprioception_layout(robot), "task": task_layout(cfg)}
        self.obs_sizes = {group: sum(size for _, size, _ in parts) for group, parts in self.obs_layout.items()}
        if cfg.style_frames > 0:
            self.obs_sizes["style"] = cfg.style_frames * humanoid.style_size(robot)
        self.policy_groups = ("proprioception", "task")
        self.action_size = robot.num_dofs
        self.action_map = humanoid.ActionMap(robot, cfg.control, device)
        self.action_contract = self.action_map.contract
        self._is_low = humanoid.FallDetector(robot, cfg.min_height_m, device)
        self._has_rescue = cfg.rescue != NO_SKILL
        self._max_fallen_steps = round(cfg.rise_s / cfg.step_s) if self._has_rescue else 1
        angles = torch.arange(RAYS, device=device) * (2 * math.pi / RAYS)
        self._rays_h = torch.stack((angles.cos(), angles.sin()), dim=-1)
        self.history = torch.zeros(n, cfg.style_frames, humanoid.style_size(robot), device=device)
        self.maze_id, self.goal = (torch.zeros(n, dtype=torch.long, device=device) for _ in range(2))
        self.goal_w, self._last_xy = torch.zeros(n, 2, device=device), torch.zeros(n, 2, device=device)
        self.distance_m, self._progress = torch.zeros(n, device=device), torch.zeros(n, device=device)
        self._shortest, self._walked = torch.zeros(n, device=device), torch.zeros(n, device=device)
        self.fallen, self._fell = (torch.zeros(n, dtype=torch.bool, device=device) for _ in range(2))
        self._upright_steps, self._fallen_steps, self._falls, self._rises = torch.zeros(4, n, device=device).unbind()
        self._view_pose, self._view_distance_m = torch.zeros(n, 7, device=device), torch.zeros(n, device=device)

    def _prepare_mazes(self, generator: torch.Generator, device: torch.device) -> None:
        """Create the mazes and the positions of their boxes."""
        cfg = self.cfg
        walls, begin, end = cfg.mazes(generator)
        self.bank = maze.make_bank(walls, begin, end, cfg.cell_m, layouts.MIN_STEPS_TO_GOAL, device)
        boxes = [maze.wall_boxes(one, cfg.cell_m, cfg.wall_height_m, not cfg.is_random) for one in walls]
        self._box_pos_w = torch.tensor([[box.pos_m for box in own] for own in boxes], device=device)

    @classmethod
    def scene(cls, cfg: HumanoidHRLMazeCfg) -> Scene:
        """A humanoid, the walls, and a marker at the goal."""
        # all random mazes have as many boxes of one cell each, and `reset` moves them: any maze will do
        walls = cfg.mazes(torch.Generator().manual_seed(0))[0][0]
        boxes = maze.wall_boxes(walls, cfg.cell_m, cfg.wall_height_m, not cfg.is_random)
        return Scene(control=cfg.control, timestep_s=cfg.timestep_s, boxes=boxes, markers=("goal",))

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

    def apply(self, action: Tensor) -> None:
        """See `Task.apply`."""
        self.sim.ctrl.copy_(self.action_map(action))

    def after_physics(self) -> None:
        """See `Task.after_physics`."""
        xy = self.sim.root_pos_w[:, :2]
        distance = maze.potential_m(self.bank, self.maze_id, self.goal, xy)
        # the distance jumps when a body is pushed across a wall's edge: no reward for that
        fastest = MAX_SPEED_MPS * self.cfg.step_s
        self._progress = (self.distance_m - distance).clamp(-fastest, fastest)
        self.distance_m = distance
        self._walked = self._walked + (xy - self._last_xy).norm(dim=-1)
        self._last_xy = xy.clone()
        # `observe` is called at the end of a high-level step, but must be as of the end of the episode
        self._view_pose = torch.where(self.ended.unsqueeze(1), self._view_pose, self.sim.qpos[:, :7])
        self._view_distance_m = torch.where(self.ended, self._view_distance_m, distance)
        self._track_falls()
        if self.cfg.style_frames > 0:
            frame = humanoid.style_frame(humanoid.motion_state(self.sim, self.layout), self.key_ids)
            self.history = torch.cat((frame.unsqueeze(1), self.history[:, :-1]), dim=1)

    def _track_falls(self) -> None:
        low, before = self._is_low(self.sim), self.fallen
        self.fallen, self._upright_steps = track_fall(low, before, self._upright_steps, self.cfg.step_s)
        self._fell = low & ~before
        self._fallen_steps = (self._fallen_steps + 1).masked_fill(~self.fallen, 0.0)
        self._falls = self._falls + self._fell
        self._rises = self._rises + (before & ~self.fallen)

    def _failed(self) -> Tensor:
        """`(N,)` bool: on the floor; with a rescue, for too long."""
        return self._is_low(self.sim) & (self._fallen_steps >= self._max_fallen_steps)

    def reward_terms(self) -> dict[str, Tensor]:
        """See `Task.reward_terms`."""
        near = 1.0 - maze.clearance_m(self.bank, self.maze_id, self.sim.root_pos_w[:, :2]) / NEAR_WALL_M
        return {
            "progress": self._progress,
            "goal": self._arrived().float(),
            "fall": self._fell.float(),
            "time": torch.ones_like(self._progress),
            "wall": near.clamp_min(0.0),
        }

    def terminated(self) -> Tensor:
        """A fall without recovery, or arrival."""
        return self._failed() | self._arrived()

    def _arrived(self) -> Tensor:
        """`(N,)` bool: upright within the goal's radius."""
        near = (self.sim.root_pos_w[:, :2] - self.goal_w).norm(dim=-1) < self.cfg.goal_radius_m
        return near & ~self._is_low(self.sim)

    def reset(self, mask: Tensor) -> None:
        """See `Task.reset`."""
        n, wide = self.sim.num_envs, mask.unsqueeze(1)
        maze_id, start, goal = maze.sample_episodes(self.bank, n, self.generator)
        rows = self.starts.pick(n, self.generator)
        noise = torch.rand(n, 3, generator=self.generator, device=mask.device)
        xy = maze.cell_centre_m(self.bank, start) + START_JITTER_M * (2.0 * noise[:, :2] - 1.0)
        self.maze_id = torch.where(mask, maze_id, self.maze_id)
        self.goal = torch.where(mask, goal, self.goal)
        self.goal_w = maze.cell_centre_m(self.bank, self.goal)
        marker = torch.cat((self.goal_w, torch.full_like(self.distance_m, 0.5).unsqueeze(1)), dim=1).unsqueeze(1)
        boxes = self._box_pos_w[self.maze_id]
        self.sim.move_mocap(mask, torch.cat((boxes, marker), dim=1))
        self.sim.reset(mask, *self.starts.placed(rows, xy, 2 * math.pi * noise[:, 2]))
        distance = maze.potential_m(self.bank, self.maze_id, self.goal, xy)
        self.distance_m = torch.where(mask, distance, self.distance_m)
        self._shortest = torch.where(mask, distance, self._shortest)
        self._last_xy = torch.where(wide, xy, self._last_xy)
        self._view_pose = torch.where(wide, self.sim.qpos[:, :7], self._view_pose)
        self._view_distance_m = torch.where(mask, distance, self._view_distance_m)
        self.fallen, self._fell = self.fallen & ~mask, self._fell & ~mask
        for name in ("_progress", "_walked", "_upright_steps", "_fallen_steps", "_falls", "_rises"):
            setattr(self, name, getattr(self, name).masked_fill(mask, 0.0))
        self.history = torch.where(wide.unsqueeze(2), self.starts.style[rows], self.history)

    def observe(self) -> Obs:
        """`proprioception`; `style` if `style_frames` is above 0; `task`, see `task_layout`."""
        return self.observe_within() | {"task": self._task_obs()}

    def observe_within(self) -> Obs:
        """See `Task.observe_within`: all groups but `task`."""
        obs = {"proprioception": humanoid.proprioception(self.sim)}
        return obs | {"style": self.history.flatten(1).clone()} if self.cfg.style_frames > 0 else obs

    def _task_obs(self) -> Tensor:
        """The group `task`, see `task_layout`."""
        xy = self._view_pose[:, :2]
        forward = rotations.axis_x(self._view_pose[:, 3:])[:, :2]
        forward = forward / forward.norm(dim=-1, keepdim=True).clamp_min(1e-6)
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
            points = maze.way_points_m(self.bank, self.maze_id, self.goal, xy, WAY_POINTS)
            points_h = torch.einsum("nki,nij->nkj", points - xy.unsqueeze(1), axes)
            parts += (points_h.flatten(1) / self.cfg.cell_m, self._view_distance_m.unsqueeze(1) / GOAL_SCALE_M)
        return torch.cat(parts, dim=-1)

    def metrics(self) -> dict[str, Tensor]:
        """Success and fall (0 or 1), distance left in m, path efficiency; with a rescue, numbers of falls and rises.

        Path efficiency is the shortest path, along the corridors' centre lines, over the walked one, at most 1; NaN
        without success.
        """
        success = self._arrived() & ~self.sim.diverged
        # the goal is reached at its edge
        shortest = (self._shortest - self.cfg.goal_radius_m).clamp_min(0.1)
        efficiency = shortest / torch.maximum(self._walked, shortest)
        metrics = {
            "success_rate": success.float(),
            "fall_rate": self._is_low(self.sim).float(),
            "final_distance_m": self.distance_m.clone(),
            "path_efficiency": torch.where(success, efficiency, torch.nan),
        }
        return metrics | ({"falls": self._falls.clone(), "rises": self._rises.clone()} if self._has_rescue else {})
