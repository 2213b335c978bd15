"""AntGather: an ant collects apples and avoids bombs on a walled field.

After the benchmark of Duan et al. (2016) as the goal-conditioned literature uses it: eight apples (+1 each) and eight
bombs (-1 each) on a regular lattice, sensed in ten sectors around the ant up to 6 m away.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs import Obs, Task, TaskCfg
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.sim import Box, Control, Integrator, Marker, Scene, Sim

from .common import ant
from .common.ant_symmetry import AntSymmetry

LATTICE_M = 2
REACH_M = 1.0
CLEAR_M = 2.0  # no object nearer to the start than this
SENSOR_BINS, SENSOR_RANGE_M = 10, 6.0
START_HEIGHT_M, START_ANKLE_RAD, START_NOISE = 0.55, 1.0, 0.01
BURIED_M = -10.0
WALL_HALF_M = 0.5
GREEN, RED, BLUE = (0.2, 0.65, 0.25, 1.0), (0.75, 0.15, 0.15, 1.0), (0.2, 0.45, 0.85, 0.45)


@dataclass
class AntGatherCfg(TaskCfg):
    """Configuration of AntGather.

    Args:
        half_size_m: 10 for the field of 20 x 20 m, 6 for one of 12 x 12 m, which some published scores may refer to.
        apples, bombs: how many of each.
        sensor_span_rad: angle that the sectors cover, centred straight ahead.
        dead_below_m, dead_above_m: heights of the torso that end the episode.
        integrator: `rk4` is the published one; `euler` is four times as fast.
        episode_steps, substeps, timestep_s: 500 control steps of 5 physics steps of 0.02 s.
        reward: `apples` and `bombs` picked up in a step; `death` 1 on death (weight -10 in the original benchmark).
    """

    half_size_m: int = bounded(10, 0, 100)
    apples: int = bounded(8, 0, 500)
    bombs: int = bounded(8, 0, 500)
    sensor_span_rad: float = 2.0 * math.pi
    dead_below_m: float = 0.3
    dead_above_m: float = 1.0
    integrator: Integrator = Integrator.euler
    episode_steps: int = 500
    substeps: int = ant.SUBSTEPS
    timestep_s: float = ant.TIMESTEP_S
    reward: dict[str, float] = field(default_factory=lambda: {"apples": 1.0, "bombs": -1.0, "death": 0.0})

    def __post_init__(self) -> None:
        """Validate ranges."""
        super().__post_init__()
        places = len(lattice(self.half_size_m)) if self.half_size_m >= LATTICE_M else 0
        if self.apples < 1 or self.bombs < 0 or self.apples + self.bombs > places:
            raise ConfigError(
                f"task.half_size_m={self.half_size_m} has {places} places for apples={self.apples} (1 or more) and"
                f" bombs={self.bombs}; type task.half_size_m=10"
            )
        if not (0 < self.sensor_span_rad <= 2 * math.pi and self.dead_below_m < self.dead_above_m):
            raise ConfigError(
                f"task: sensor_span_rad={self.sensor_span_rad} lies in (0, 2 pi], dead_below_m={self.dead_below_m}"
                f" below dead_above_m={self.dead_above_m}"
            )


def lattice(half_size_m: int) -> Tensor:
    """`(P, 2)` possible positions of objects: every second metre from -R to R - 2, but none near the start."""
    half = half_size_m // LATTICE_M
    line = torch.arange(-half, half) * float(LATTICE_M)
    points = torch.cartesian_prod(line, line)
    return points[points.square().sum(-1) >= CLEAR_M**2]


def readings(xy: Tensor, heading: Tensor, objects: Tensor, there: Tensor, span_rad: float) -> Tensor:
    """Sensor readings `(N, 10)` for one kind of object: `1 - distance / 6 m` of the nearest in each sector, 0 without.

    Args:
        xy: `(N, 2)` of the ant.
        heading: `(N,)` rad.
        objects: `(N, K, 2)` positions.
        there: `(N, K)` bool, not picked up yet.
        span_rad: angle that the sectors cover; the first begins at half of it to the right.
    """
    offset = objects - xy.unsqueeze(1)
    angle = torch.atan2(offset[..., 1], offset[..., 0]) - heading.unsqueeze(1)
    angle = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
    distance = offset.norm(dim=-1)
    sensed = there & (distance <= SENSOR_RANGE_M) & (angle.abs() <= 0.5 * span_rad)
    sector = ((angle + 0.5 * span_rad) * (SENSOR_BINS / span_rad)).long().clamp(0, SENSOR_BINS - 1)
    strength = torch.where(sensed, 1.0 - distance / SENSOR_RANGE_M, 0.0)
    # of several objects in a sector the nearest counts
    in_sector = sector.unsqueeze(-1) == torch.arange(SENSOR_BINS, device=xy.device)
    if objects.shape[1] == 0:
        return xy.new_zeros(len(xy), SENSOR_BINS)
    return torch.where(in_sector, strength.unsqueeze(-1), 0.0).amax(1)


class AntGather(Task[AntGatherCfg]):
    """Pick up apples.

    Attributes:
        objects: `(N, K, 2)` positions of the apples, then of the bombs.
        there: `(N, K)` bool, not picked up yet.
        position_size, action_limits, goal_limits, state_scale, symmetry, terminates: for goal-conditioned learners, see
            AntCourse.
    """

    STATE = ("objects", "there", "steps", "_picked")
    terminates = True

    def __init__(self, cfg: AntGatherCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator)
        n, device, count = sim.num_envs, sim.device, cfg.apples + cfg.bombs
        self.position_size = 2
        readings_layout = [
            (kind, SENSOR_BINS, "1 - distance / 6 m, sectors from right to left") for kind in ("apples", "bombs")
        ]
        self.obs_layout = {"state": ant.state_layout(sim.robot) + readings_layout}
        self.obs_sizes = {"state": sum(size for _, size, _ in self.obs_layout["state"])}
        self.policy_groups = ("state",)
        self.action_size = sim.robot.num_dofs
        self.action_limits = sim.robot.effort_limit.to(device)
        self.action_contract = ant.motors(sim.robot)
        self.goal_limits = torch.tensor(ant.GOAL_LIMITS, device=device)
        self.symmetry = AntSymmetry().to(device)
        self.state_scale = torch.tensor(ant.STATE_SCALE + 2 * SENSOR_BINS * (1.0,), device=device)
        self._pose = sim.robot.qpos0.to(device, copy=True)
        self._pose[2] = START_HEIGHT_M
        ankles = [joint.qpos.start + 7 for joint in sim.robot.joints if joint.name.startswith("ankle")]
        middles = sim.robot.dof_range_rad.mean(1)[[ankle - 7 for ankle in ankles]].to(device)
        self._pose[ankles] = START_ANKLE_RAD * middles.sign()
        self._places = lattice(cfg.half_size_m).to(device)
        self._boxes = torch.tensor([box.pos_m for box in sim.scene.boxes], device=device)
        self.objects = torch.zeros(n, count, 2, device=device)
        self.there, self._picked = (torch.zeros(n, count, dtype=torch.bool, device=device) for _ in range(2))
        self.steps = torch.zeros(n, dtype=torch.long, device=device)
        self._steered: Mapping[str, float] = {}

    @classmethod
    def scene(cls, cfg: AntGatherCfg) -> Scene:
        """A field with four walls; the objects are markers, which nothing collides with."""
        far = cfg.half_size_m + 1.0
        half, along = WALL_HALF_M, far + WALL_HALF_M
        boxes = [Box(f"wall_x{i}", (half, along, 1.0), (x, 0.0, 1.0)) for i, x in enumerate((far, -far))]
        boxes += [Box(f"wall_y{i}", (along, half, 1.0), (0.0, y, 1.0)) for i, y in enumerate((far, -far))]
        apples = [Marker(f"apple_{i}", GREEN, 0.3) for i in range(cfg.apples)]
        bombs = [Marker(f"bomb_{i}", RED, 0.3) for i in range(cfg.bombs)]
        return Scene(
            robot="ant",
            control=Control.torque,
            timestep_s=cfg.timestep_s,
            boxes=tuple(boxes),
            markers=(*apples, *bombs, Marker("goal", BLUE)),
            integrator=cfg.integrator,
        )

    def overview(self) -> tuple[float, float, float, float]:
        """Bounds x from, x to, y from, y to in metres of what a camera above should show."""
        far = self.cfg.half_size_m + 2.0
        return -far, far, -far, far

    def apply(self, action: Tensor) -> None:
        """See `Task.apply`: torques, as shares of the limit."""
        self.sim.ctrl.copy_(self.action_limits * action.clamp(-1.0, 1.0))

    def after_physics(self) -> None:
        """See `Task.after_physics`: pick up what is within a metre."""
        self.steps = self.steps + 1
        near = (self.objects - self.sim.root_pos_w[:, None, :2]).square().sum(-1) < REACH_M**2
        self._picked = near & self.there
        self.there = self.there & ~near

    def reward_terms(self) -> dict[str, Tensor]:
        """See `Task.reward_terms`."""
        picked = self._picked.float()
        apples, bombs = picked[:, : self.cfg.apples].sum(1), picked[:, self.cfg.apples :].sum(1)
        return {"apples": apples, "bombs": bombs, "death": self._dead().float()}

    def terminated(self) -> Tensor:
        """The ant is dead, or no object is left."""
        return self._dead() | ~self.there.any(1)

    def _dead(self) -> Tensor:
        """`(N,)` bool: the torso is too low or too high."""
        height = self.sim.root_pos_w[:, 2]
        return (height < self.cfg.dead_below_m) | (height > self.cfg.dead_above_m)

    def flipped(self) -> Tensor:
        """`(N,)` bool, see `ant.flipped`."""
        return ant.flipped(self.sim)

    def reset(self, mask: Tensor) -> None:
        """See `Task.reset`: new positions for all objects, all different."""
        n, device = self.sim.num_envs, self.sim.device
        scores = torch.rand(n, len(self._places), generator=self.generator, device=device)
        chosen = scores.topk(self.objects.shape[1], dim=1).indices
        noise = START_NOISE * torch.randn(n, ant.NUM_COORDINATES, generator=self.generator, device=device)
        qpos, qvel = ant.starts(self.sim, self._pose, noise, self.generator)
        wide = mask.unsqueeze(1)
        self.objects = torch.where(wide.unsqueeze(2), self._places[chosen], self.objects)
        self.there, self._picked = self.there | wide, self._picked & ~wide
        self.steps = self.steps.masked_fill(mask, 0)
        self.sim.move_mocap(mask, self._mocap_positions(qpos[:, :2]))
        self.sim.reset(mask, qpos, qvel)

    def _mocap_positions(self, goal_w: Tensor) -> Tensor:
        """`(N, M, 3)` positions of walls, objects (picked ones below the floor) and the manager's goal."""
        height = torch.where(self.there, 0.3, BURIED_M).unsqueeze(-1)
        objects = torch.cat((self.objects, height), dim=-1)
        return ant.with_markers(self._boxes, *objects.unbind(1), goal_w)

    def show_goal(self, pos_w: Tensor) -> None:
        """Put the marker of the manager's goal at `(N, 2 | 3)`, m, and hide what has been picked up."""
        self.sim.move_mocap(torch.ones_like(self.sim.diverged), self._mocap_positions(pos_w))

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: where the first apple is put, each time that this changes."""
        far = float(self.cfg.half_size_m)
        return dict.fromkeys(("apple_x_m", "apple_y_m"), (-far, far))

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        if values != self._steered:
            self._steered = dict(values)
            first = torch.arange(self.objects.shape[1], device=self.objects.device) == 0
            place = self.objects.new_tensor([*values.values()])
            self.objects = torch.where(first.unsqueeze(1), place, self.objects)
            self.there = self.there | first
            self.show_goal(self.sim.mocap_pos_w[:, -1, :2])

    def observe(self) -> Obs:
        """`state`: see `ant.state`, then the readings for apples and for bombs."""
        xy, heading = self.sim.root_pos_w[:, :2], rotations.heading(self.sim.root_quat_w)
        kinds = (slice(0, self.cfg.apples), slice(self.cfg.apples, None))
        span = self.cfg.sensor_span_rad
        sensed = [readings(xy, heading, self.objects[:, kind], self.there[:, kind], span) for kind in kinds]
        return {"state": torch.cat((ant.state(self.sim, self.steps), *sensed), dim=1)}

    def metrics(self) -> dict[str, Tensor]:
        """Apples and bombs picked up so far, their difference, and death (0 or 1)."""
        gone = (~self.there).float()
        apples, bombs = gone[:, : self.cfg.apples].sum(1), gone[:, self.cfg.apples :].sum(1)
        return {"score": apples - bombs, "apples": apples, "bombs": bombs, "death_rate": self._dead().float()}
