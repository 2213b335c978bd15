"""FourRooms: reach the goal in a grid of four rooms, with a reward only there.

The map of Sutton, Precup and Singh (1999), with deterministic moves. State: row and column, and those of the goal.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.envs.registry import World
from isaachrl.envs.subgoals import Subgoals
from isaachrl.envs.tabular import Factor, TabularEnv, TabularMdp, all_states, strides
from isaachrl.errors import ConfigError

from .common.canvas import BLACK, BLUE, GREEN, GREY, ORANGE, Canvas

MAP = (
    ".....#.....",
    ".....#.....",
    "...........",
    ".....#.....",
    ".....#.....",
    "#.####.....",
    ".....###.##",
    ".....#.....",
    ".....#.....",
    "...........",
    ".....#.....",
)
SIZE = len(MAP)
ACTIONS = ("North", "South", "East", "West")
STEPS = ((-1, 0), (1, 0), (0, 1), (0, -1))
COLUMNS = {"row": "top", "column": "left", "goal_row": "top", "goal_column": "left"}  # with the edge they count from
HALLWAYS = {"north": (2, 5), "east": (6, 8), "south": (9, 5), "west": (5, 1)}


@dataclass
class FourRoomsCfg:
    """The rooms and the rewards.

    Args:
        episode_steps: time limit.
        random_goal: draw a goal for every episode; if off, it is always the same.
        goal_row, goal_column: cell of the fixed goal.
        goal_reward: for reaching the goal.
        step_reward: for every step.
    """

    episode_steps: int = 100
    random_goal: bool = True
    goal_row: int = 8
    goal_column: int = 8
    goal_reward: float = 1.0
    step_reward: float = 0.0

    def __post_init__(self) -> None:
        """Validate the goal."""
        inside = 0 <= self.goal_row < SIZE and 0 <= self.goal_column < SIZE
        if not inside or MAP[self.goal_row][self.goal_column] == "#":
            raise ConfigError(f"task: the goal ({self.goal_row}, {self.goal_column}) is in a wall, or off the map")


def four_rooms(cfg: FourRoomsCfg, world: World) -> TabularEnv:
    """N walkers."""
    return TabularEnv(four_rooms_mdp(cfg), cfg.episode_steps, world)


def four_rooms_mdp(cfg: FourRoomsCfg) -> TabularMdp:
    """The tables of the rooms."""
    factors = tuple(Factor(name, 0, SIZE) for name in COLUMNS)
    states = all_states(factors)
    wall = torch.tensor([[cell == "#" for cell in line] for line in MAP])
    cell, goal = states[:, None, :2], states[:, None, 2:]
    moved = (cell + torch.tensor(STEPS)).clamp(0, SIZE - 1)
    moved = torch.where(wall[moved[..., 0], moved[..., 1]].unsqueeze(-1), cell, moved)
    reached = (moved == goal).all(-1)
    after = torch.cat((moved, goal.expand_as(moved)), dim=-1)
    free = ~wall[states[:, 0], states[:, 1]] & ~wall[states[:, 2], states[:, 3]]
    starts = free & (states[:, :2] != states[:, 2:]).any(-1)
    if not cfg.random_goal:
        starts = starts & (states[:, 2] == cfg.goal_row) & (states[:, 3] == cfg.goal_column)
    return TabularMdp(
        factors=factors,
        actions=ACTIONS,
        next_state=(after * strides(factors)).sum(-1),
        terms={
            "goal": cfg.goal_reward * reached.float(),
            "step": torch.full(reached.shape, cfg.step_reward),
        },
        terminated=reached,
        metrics={"success_rate": reached.float()},
        starts=torch.nonzero(starts).flatten(),
        obs=functional.one_hot(states, SIZE).flatten(1).float(),
        layout=tuple((name, SIZE, f"one-hot, from the {edge}") for name, edge in COLUMNS.items()),
        picture=draw,
        subgoals=Subgoals((*HALLWAYS, "goal"), achieved),
    )


def achieved(states: Tensor, subgoal: Tensor) -> Tensor:
    """`(n,)` bool: at states `(n, 4)` the subgoals of these numbers `(n,)`, hallways or the goal, are achieved."""
    row, column, goal_row, goal_column = states.unbind(-1)
    # compared with plain numbers: a tensor of them would be copied to the device in every step
    achieved = [(row == r) & (column == c) for r, c in HALLWAYS.values()]
    achieved.append((row == goal_row) & (column == goal_column))
    return torch.stack(achieved, dim=-1).gather(-1, subgoal.unsqueeze(-1)).squeeze(-1)


def draw(track: Tensor) -> np.ndarray:
    """An image of the rooms with the goal and the trajectory `(T, 4)`."""
    canvas = Canvas(SIZE, SIZE, 32)
    for row, line in enumerate(MAP):
        for column, cell in enumerate(line):
            if cell == "#":
                canvas.box((column, SIZE - row - 1), (column + 1, SIZE - row), BLACK)
    for i in range(1, SIZE):
        canvas.line((i, 0), (i, SIZE), 0.03, GREY)
        canvas.line((0, i), (SIZE, i), 0.03, GREY)
    centres = [(column + 0.5, SIZE - row - 0.5) for row, column in track[:, :2].tolist()]
    row, column = track[-1, 2:].tolist()
    canvas.box((column + 0.15, SIZE - row - 0.85), (column + 0.85, SIZE - row - 0.15), GREEN)
    for start, end in zip(centres[:-1], centres[1:], strict=True):
        canvas.line(start, end, 0.12, BLUE)
    canvas.disc(centres[-1], 0.3, ORANGE)
    return canvas.image
