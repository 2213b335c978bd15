"""ShipSteering: steer a ship of constant speed through a gate.

The ship of Miller, Sutton and Werbos (1990) with the constants of Ghavamzadeh and Mahadevan (2003). State: x and y in
metres, heading in radians from the x axis, turn rate in rad/s. The only action is the desired turn rate in rad/s, which
the ship follows with a lag; it is held for several sampling intervals.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isaachrl.config import bounded, positive
from isaachrl.envs.boundary import check_state
from isaachrl.envs.env import Env, Obs, ObsLayout, StepResult, invalid_actions
from isaachrl.envs.registry import World
from isaachrl.envs.task_graph import Frame, Subtask, TaskGraph
from isaachrl.errors import ConfigError

from .common.canvas import BLUE, GREEN, GREY, ORANGE, RED, Canvas

DIRECTIONS = ("East", "NorthEast", "North", "NorthWest", "West", "SouthWest", "South", "SouthEast")
LOCAL_M = 150.0  # side of the square of a subtask
STRAIGHT_START_M, STRAIGHT_GOAL_M = (40.0, 75.0), (140.0, 75.0)
DIAGONAL_START_M, DIAGONAL_GOAL_M = (40.0, 40.0), (140.0, 140.0)
REACH_M = 10.0
ARRIVAL_REWARD = 100.0
HEADING_WIDTH_RAD = math.radians(30.0)


@dataclass
class ShipSteeringCfg:
    """The ship and its sea.

    Args:
        episode_steps: time limit, in control steps.
        substeps: sampling intervals per control step.
        sampling_s: length of a sampling interval.
        speed_m_s: constant speed of the ship.
        time_constant_s: of the lag between desired and actual turn rate.
        max_turn_deg_s: limit of the desired and the initial turn rate.
        size_m: side of the square sea; leaving it is a failure.
        gate_from_m, gate_to_m: x of the gate's two ends.
        gate_y_m: y of both.
        heading_from_y: measure headings from the y axis, clockwise: the mirror image of the same task.
        step_reward: for every control step.
        goal_reward: for passing the gate; 0 for learners that add a reward of their own.
        out_reward: for leaving the sea.
    """

    episode_steps: int = bounded(1000, 1)
    substeps: int = bounded(3, 1, 1000)
    sampling_s: float = positive(0.2)
    speed_m_s: float = positive(3.0)
    time_constant_s: float = positive(5.0)
    max_turn_deg_s: float = positive(15.0)
    size_m: float = 1000.0
    gate_from_m: float = 350.0
    gate_to_m: float = 450.0
    gate_y_m: float = 400.0
    heading_from_y: bool = False
    step_reward: float = -1.0
    goal_reward: float = 0.0
    out_reward: float = 0.0

    def __post_init__(self) -> None:
        """Validate the gate."""
        if not (0 <= self.gate_from_m < self.gate_to_m <= self.size_m and 0 < self.gate_y_m < self.size_m):
            raise ConfigError(
                f"task: a gate from x={self.gate_from_m} to {self.gate_to_m} at y={self.gate_y_m} does not lie in a sea"
                f" of {self.size_m} m"
            )

    @property
    def step_m(self) -> float:
        """Distance per control step."""
        return self.substeps * self.sampling_s * self.speed_m_s

    @property
    def max_turn_rad_s(self) -> float:
        """Greatest turn rate."""
        return math.radians(self.max_turn_deg_s)


class ShipSteering(Env):
    """N ships.

    Attributes:
        state: `(N, 4)` x m, y m, heading rad, turn rate rad/s; writable, in place or as a whole. It is stored by
            columns, since sines of strided numbers are slow on the CPU.
        task_graph: eight directions to sail in, of two kinds that share a policy each.
        action_extent: least and greatest action, rad/s.

    Args:
        cfg: see `ShipSteeringCfg`.
        world: number of environments, device and generator; the engine is not used.
    """

    def __init__(self, cfg: ShipSteeringCfg, world: World) -> None:
        self.cfg = cfg
        self.num_envs, self.device, self.generator = world.num_envs, world.device, world.generator
        self.obs_sizes, self.policy_groups, self.action_size = {"ship": 5}, ("ship",), 1
        self.episode_steps, self.step_s = cfg.episode_steps, cfg.substeps * cfg.sampling_s
        self.obs_layout = layout(cfg)
        self.action_contract = {"use": "the desired turn rate", "unit": "rad/s", "limit": cfg.max_turn_rad_s}
        self.task_graph = ship_graph(cfg)
        self.action_extent = (-cfg.max_turn_rad_s, cfg.max_turn_rad_s)
        self._turning, self._moving = (table.to(self.device) for table in (response(cfg), odometry(cfg)))
        self._low, high = torch.tensor(self.task_graph.root.extent, device=self.device).T.unsqueeze(-1)
        self._span = high - self._low
        half, turn = 0.5 * cfg.size_m, cfg.max_turn_rad_s
        self._scale = torch.tensor([1 / half, 1 / half, 1.0, 1 / turn], device=self.device).unsqueeze(-1)
        self._shift = torch.tensor([-1.0, -1.0, 0.0, 0.0], device=self.device).unsqueeze(-1)
        rewards = [[cfg.step_reward], [cfg.goal_reward], [cfg.out_reward]]
        self._rewards = torch.tensor(rewards, device=self.device)
        self._ones = torch.ones(self.num_envs, device=self.device)
        self._always = self._ones.bool()
        self._zero, self._start = (
            torch.zeros((), device=self.device),
            torch.zeros((), dtype=torch.long, device=self.device),
        )
        self.state = torch.zeros(4, self.num_envs, device=self.device).T
        self.progress = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self.reset()

    def advance(self, action: Tensor) -> StepResult:
        """See `Env.advance`; actions `(N, 1)` in rad/s are clamped to the limits of the ship."""
        invalid = invalid_actions(action)
        desired = torch.where(invalid, self._zero, action[:, :1].T)  # much faster on the CPU than `masked_fill`
        path, slope = self._sail(desired.clamp(*self.action_extent))
        self.progress = self.progress + 1
        passed, half = self._passed(path, slope), 0.5 * self.cfg.size_m
        outside = ((path - half).abs().amax((0, 1)) > half) & ~passed
        terminated = passed | outside | invalid
        # three rows: the step itself, the gate, and the edge of the sea
        events = torch.where(invalid, self._zero, torch.stack((self._always, passed, outside)).float())
        terms = self._rewards * events
        _, goal, out = events.unbind(0)
        obs = self.observe()
        return StepResult(
            obs=obs,
            reward=terms.sum(0),
            terminated=terminated,
            truncated=(self.progress >= self.episode_steps) & ~terminated,
            terminal_obs=obs,
            terms=dict(zip(("step", "goal", "out"), terms.unbind(0), strict=True)),
            metrics={"success_rate": goal, "out_rate": out, "diverged": invalid.float()},
            discount_steps=self._ones,
        )

    def _sail(self, desired: Tensor) -> tuple[Tensor, Tensor]:
        """Sail through K sampling intervals under desired turn rates `(1, N)`.

        The lag of the turn rate is linear, so that all headings are linear in the initial state (see `response`).

        Returns:
            The positions `(2, K + 1, N)` at the ends of the intervals, x before y, and the slope dx/dy of each interval
            `(K, N)`, which is infinite along the x axis.
        """
        start, count = self.state.T, self.cfg.substeps
        driven = self._turning @ torch.cat((start[2:], desired))
        cos, sin = driven[:count].cos(), driven[:count].sin()
        east, north = (sin, cos) if self.cfg.heading_from_y else (cos, sin)
        path = (self._moving @ torch.cat((start[:2], east, north))).unflatten(0, (2, count + 1))
        self.state = torch.cat((path[:, -1], wrap(driven[count : count + 1]), driven[count + 1 :])).T
        return path, east / north

    def _passed(self, path: Tensor, slope: Tensor) -> Tensor:
        """`(N,)` bool: the path crosses the gate, in either direction; arguments as returned by `_sail`."""
        cfg, x, y = self.cfg, path[0, :-1], path[1] - self.cfg.gate_y_m
        low = y < 0.0
        crosses = low[1:] != low[:-1]
        at = x - y[:-1] * slope  # meaningless where the line of the gate is not crossed
        middle, half = 0.5 * (cfg.gate_from_m + cfg.gate_to_m), 0.5 * (cfg.gate_to_m - cfg.gate_from_m)
        return any_row(crosses & ((at - middle).abs() <= half))

    def reset_where(self, mask: Tensor) -> Obs:
        """See `Env.reset_where`: uniform over the range of every column."""
        self.check_mask(mask)
        share = torch.rand(4, self.num_envs, generator=self.generator, device=self.device)
        self.state = torch.where(mask, self._low + self._span * share, self.state.T).T
        self.progress = torch.where(mask, self._start, self.progress)
        return self.observe()

    def observe(self) -> Obs:
        """See `Env.observe`: position and turn rate in [-1, 1], cosine and sine of the heading."""
        state = self.state.T
        scaled = self._shift + self._scale * state
        return {"ship": torch.cat((scaled[:2], state[2:3].cos(), state[2:3].sin(), scaled[3:])).T}

    def picture(self, track: Tensor) -> np.ndarray:
        """An image `(height, width, 3)` of a trajectory `(T, 4)`."""
        return draw(self.cfg, track)

    def state_dict(self) -> dict[str, Any]:
        """See `Env.state_dict`."""
        tensors = {"state": self.state.clone(), "progress": self.progress.clone()}
        return tensors | {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Env.load_state_dict`."""
        check_state(state, self.state_dict())
        self.state, self.progress = (state[name].to(self.device, copy=True) for name in ("state", "progress"))
        self.generator.set_state(state["generator"].cpu())


def layout(cfg: ShipSteeringCfg) -> ObsLayout:
    """Names and units of the columns of the observation and the state."""
    half, turn = f"halves of {cfg.size_m:g} m from the middle", f"shares of {cfg.max_turn_rad_s:.4g} rad/s"
    heading = "clockwise from y" if cfg.heading_from_y else "counterclockwise from x"
    observation = [("x, y", 2, half), ("cosine, sine of the heading", 2, heading), ("turn rate", 1, turn)]
    state = [("x, y", 2, "m"), ("heading", 1, f"rad, {heading}"), ("turn rate", 1, "rad/s")]
    return {"ship": observation, "state": state}


def any_row(flags: Tensor) -> Tensor:
    """`flags.any(0)`, `(N,)` bool of `(K, N)`; for few rows this is faster on the CPU than `any`."""
    found, *others = flags.unbind(0)
    for row in others:
        found = found | row
    return found


def wrap(angle: Tensor) -> Tensor:
    """An angle in radians, wrapped to [-pi, pi)."""
    turns = ((angle + math.pi) * (0.5 / math.pi)).floor()  # much faster on the CPU than `remainder`
    return torch.sub(angle, turns, alpha=2 * math.pi)


def response(cfg: ShipSteeringCfg) -> Tensor:
    """Response to a held action: weights `(K + 2, 3)` of the initial heading and turn rate and the desired turn rate.

    Euler steps of rate' = (desired - rate) / T and heading' = rate. The rows are the headings after 0 to K intervals
    and the turn rate after K.
    """
    keep = 1.0 - cfg.sampling_s / cfg.time_constant_s
    rates = [(keep**k, 1.0 - keep**k) for k in range(cfg.substeps + 1)]
    rows = [(1.0, 0.0, 0.0)]
    for old, new in rates[:-1]:
        rows.append((1.0, rows[-1][1] + cfg.sampling_s * old, rows[-1][2] + cfg.sampling_s * new))
    return torch.tensor([*rows, (0.0, *rates[-1])])


def odometry(cfg: ShipSteeringCfg) -> Tensor:
    """Integration of a path: weights `(2 K + 2, 2 K + 2)` of the initial x and y and the K directions, x before y.

    The rows are x at the ends of the intervals, from 0 to K, and then y.
    """
    count, interval_m = cfg.substeps, cfg.sampling_s * cfg.speed_m_s
    sums = interval_m * torch.ones(count + 1, count).tril(-1)
    own, other = torch.ones(count + 1, 1), torch.zeros(count + 1, 1)
    zeros = torch.zeros_like(sums)
    return torch.cat((torch.cat((own, other, sums, zeros), 1), torch.cat((other, own, zeros, sums), 1)))


def ship_graph(cfg: ShipSteeringCfg) -> TaskGraph:
    """Root calls one of eight directions; the four straight ones share a policy, and so do the four diagonal ones.

    Each subtask sails in a square of its own, rotated so that all of a kind are equal.
    """
    turn = cfg.max_turn_rad_s
    angles = ((-math.pi, math.pi), (-turn, turn))
    sea, local = ((0.0, cfg.size_m),) * 2, ((0.0, LOCAL_M),) * 2
    root = Subtask("Root", DIRECTIONS, extent=(*sea, *angles), wraps=(2,))
    sign = -1.0 if cfg.heading_from_y else 1.0
    subtasks = [root]
    for number, name in enumerate(DIRECTIONS):
        diagonal = number % 2 == 1
        start, goal = (DIAGONAL_START_M, DIAGONAL_GOAL_M) if diagonal else (STRAIGHT_START_M, STRAIGHT_GOAL_M)
        sail = _SailTo(goal, cfg.heading_from_y)
        subtasks.append(
            Subtask(
                name,
                ("Turn",),
                done=sail.done,
                succeeded=sail.arrived,
                internal_reward=sail.internal_reward,
                frame=Frame((number // 2) * 0.5 * math.pi, start, sign),
                shares="diagonal" if diagonal else "straight",
                extent=(*local, *angles),
                wraps=(2,),
            )
        )
    return TaskGraph(tuple(subtasks), ("Turn",))


class _SailTo:
    """The functions of a subtask that sails to a point in its square; views `(n, 4)` are in its frame.

    Args:
        goal: the point, metres.
        heading_from_y: how headings are measured.
    """

    def __init__(self, goal: tuple[float, float], heading_from_y: bool) -> None:
        self.goal, self.heading_from_y = goal, heading_from_y

    def arrived(self, view: Tensor) -> Tensor:
        """`(n,)` bool: within reach of the point."""
        # squares, since ONNX knows no hypot
        return (view[:, 0] - self.goal[0]).square() + (view[:, 1] - self.goal[1]).square() <= REACH_M**2

    def lost(self, view: Tensor) -> Tensor:
        """`(n,)` bool: outside the square."""
        return ((view[:, :2] < 0.0) | (view[:, :2] > LOCAL_M)).any(-1)

    def done(self, view: Tensor) -> Tensor:
        """`(n,)` bool: arrived or lost."""
        return self.arrived(view) | self.lost(view)

    def internal_reward(self, before: Tensor, after: Tensor) -> Tensor:
        """`(n,)`: 100 for arriving, -100 for leaving the square, 0 to -1 for the heading's deviation."""
        dx, dy = self.goal[0] - after[:, 0], self.goal[1] - after[:, 1]
        bearing = torch.atan2(dx, dy) if self.heading_from_y else torch.atan2(dy, dx)
        off = wrap(after[:, 2] - bearing) / HEADING_WIDTH_RAD
        ends = self.arrived(after).float() - self.lost(after).float()
        return ARRIVAL_REWARD * ends + torch.expm1(-off.square())


def straight_line_steps(cfg: ShipSteeringCfg, state: Tensor) -> Tensor:
    """Lower bound `(n,)` of the control steps to the gate from `state (n, 4)`: along a straight line."""
    dx = state[:, 0] - state[:, 0].clamp(cfg.gate_from_m, cfg.gate_to_m)
    return torch.ceil(torch.hypot(dx, state[:, 1] - cfg.gate_y_m) / cfg.step_m).clamp_min(1.0)


class HeadingController:
    """A hand-written policy for comparison: heads for a point behind the gate, with a margin to its ends.

    Args:
        env: whose state it reads.
        gain_1_s: desired turn rate per radian of deviation from the bearing.
        damping: factor of the present turn rate that is subtracted.
    """

    def __init__(self, env: ShipSteering, gain_1_s: float = 0.5, damping: float = 1.5) -> None:
        self.env, self.gain_1_s, self.damping = env, gain_1_s, damping

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        cfg, (x, y, heading, rate) = self.env.cfg, self.env.state.unbind(-1)
        margin = 0.15 * (cfg.gate_to_m - cfg.gate_from_m)
        aim = x.clamp(cfg.gate_from_m + margin, cfg.gate_to_m - margin)
        # from the side the gate is a thin line: head for a point in front of it first, to cross it at an angle
        beside = (x - aim).abs()
        away = y - cfg.gate_y_m
        side = torch.where(away < 0.0, -1.0, 1.0)
        before = side * torch.minimum(0.5 * beside, torch.full_like(beside, 60.0))
        dx, dy = aim - x, cfg.gate_y_m + torch.where(beside > 30.0, before, -2.0 * side) - y
        bearing = torch.atan2(dx, dy) if cfg.heading_from_y else torch.atan2(dy, dx)
        desired = self.gain_1_s * wrap(bearing - heading) - self.damping * rate
        return desired.unsqueeze(-1)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`: there is no state."""


def draw(cfg: ShipSteeringCfg, track: Tensor) -> np.ndarray:
    """An image of the sea with the gate and a trajectory `(T, 4)`."""
    canvas = Canvas(cfg.size_m, cfg.size_m, 400.0 / cfg.size_m)
    unit = cfg.size_m / 100.0
    for i in range(1, 4):
        at = i * cfg.size_m / 4
        canvas.line((at, 0.0), (at, cfg.size_m), 0.2 * unit, GREY)
        canvas.line((0.0, at), (cfg.size_m, at), 0.2 * unit, GREY)
    canvas.line((cfg.gate_from_m, cfg.gate_y_m), (cfg.gate_to_m, cfg.gate_y_m), unit, GREEN)
    points = track[:, :2].tolist()
    kept = points[:: max(len(points) // 60, 1)] + points[-1:]
    for start, end in zip(kept[:-1], kept[1:], strict=True):
        canvas.line(tuple(start), tuple(end), 0.6 * unit, BLUE)
    canvas.disc(tuple(points[0]), 1.2 * unit, ORANGE)
    canvas.disc(tuple(points[-1]), 1.2 * unit, RED)
    return canvas.image
