"""TaxiFuel: fetch a passenger and bring them to their destination before the fuel runs out.

The taxi of Dietterich (1998) with fuel, on the map of 5 by 5 cells. State: row and column from the upper left corner,
the passenger's station or 4 in the taxi, the destination's station, and the fuel, -1 after it has run out. Stations:
0 red (0, 0), 1 green (0, 4), 2 yellow (4, 0), 3 blue (4, 3).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.config import bounded
from isaachrl.envs.registry import World
from isaachrl.envs.tabular import Factor, TabularEnv, TabularMdp, all_states, strides
from isaachrl.envs.task_graph import Subtask, TaskGraph
from isaachrl.errors import ConfigError

from .common.canvas import BLACK, BLUE, GREEN, GREY, ORANGE, RED, YELLOW, Canvas

ACTIONS = ("North", "South", "East", "West", "Pickup", "Dropoff", "Fillup")
NORTH, SOUTH, EAST, WEST, PICKUP, DROPOFF, FILLUP = range(7)
STATIONS = {"red": (0, 0), "green": (0, 4), "yellow": (4, 0), "blue": (4, 3)}
SIZE = 5
IN_TAXI = 4
WALLS = ((0, 1), (1, 1), (3, 0), (4, 0), (3, 2), (4, 2))  # cells with a wall on the right
STEPS = ((-1, 0), (1, 0), (0, 1), (0, -1))  # change of row and column by the four moves


@dataclass
class TaxiFuelCfg:
    """The taxi's world. The defaults are those of the HPG paper (Ghavamzadeh and Mahadevan 2003) where it gives them.

    Args:
        episode_steps: time limit.
        filling_row, filling_column: cell of the filling station.
        capacity: fuel of a full tank. Every action uses one unit; `Fillup` fills the tank.
        start_fuel_low, start_fuel_high: range of the initial fuel, both ends included.
        fuel_limit: actions use fuel.
        dies_at_zero: the fuel has run out at 0, instead of below 0.
        delivery_first: a delivery in the step in which the fuel runs out is a success, instead of a failure.
        drop_anywhere: the passenger may be dropped at any station, and waits there.
        step_reward: for every action.
        delivery_reward: for a delivery.
        illegal_reward: for picking up or dropping off where that is not possible.
        dry_reward: for running out of fuel.
        delivery_replaces, dry_replaces: this reward replaces the step's reward, instead of adding to it.
        illegal_adds: this reward adds to the step's reward, instead of replacing it.
        illegal_fillup: filling up away from the station is illegal, instead of without effect.
    """

    episode_steps: int = 100
    filling_row: int = 3
    filling_column: int = 2
    capacity: int = bounded(13, 0, 1000)
    start_fuel_low: int = 5
    start_fuel_high: int = 12
    fuel_limit: bool = True
    dies_at_zero: bool = False
    delivery_first: bool = True
    drop_anywhere: bool = False
    step_reward: float = -1.0
    delivery_reward: float = 20.0
    illegal_reward: float = -10.0
    dry_reward: float = -20.0
    delivery_replaces: bool = False
    illegal_adds: bool = False
    dry_replaces: bool = False
    illegal_fillup: bool = False

    def __post_init__(self) -> None:
        """Validate ranges."""
        if not (0 <= self.filling_row < SIZE and 0 <= self.filling_column < SIZE):
            raise ConfigError(f"task: the cell ({self.filling_row}, {self.filling_column}) is not on the 5 by 5 map")
        if not 0 <= self.start_fuel_low <= self.start_fuel_high <= self.capacity:
            raise ConfigError(
                f"task: start_fuel_low={self.start_fuel_low}, start_fuel_high={self.start_fuel_high} and"
                f" capacity={self.capacity} must not fall, and none may be negative"
            )
        if self.dies_at_zero and self.start_fuel_low < 1:
            raise ConfigError("task.start_fuel_low=0: with dies_at_zero the taxi needs 1 or more to start")


def taxi_fuel(cfg: TaxiFuelCfg, world: World) -> TabularEnv:
    """N taxis."""
    return TabularEnv(taxi_mdp(cfg), cfg.episode_steps, world)


def taxi_mdp(cfg: TaxiFuelCfg) -> TabularMdp:
    """The tables of the taxi's world."""
    factors = (
        Factor("row", 0, SIZE),
        Factor("column", 0, SIZE),
        Factor("passenger", 0, IN_TAXI + 1),
        Factor("destination", 0, len(STATIONS)),
        Factor("fuel", -1, cfg.capacity + 2),
    )
    states = all_states(factors)
    after, delivered, illegal, dry = _transitions(cfg, states)
    low = torch.tensor([factor.low for factor in factors])
    replaced = (delivered & cfg.delivery_replaces) | (illegal & (not cfg.illegal_adds)) | (dry & cfg.dry_replaces)
    return TabularMdp(
        factors=factors,
        actions=ACTIONS,
        next_state=((after - low) * strides(factors)).sum(-1),
        terms={
            "step": cfg.step_reward * (~replaced).float(),
            "delivery": cfg.delivery_reward * delivered.float(),
            "illegal": cfg.illegal_reward * illegal.float(),
            "dry": cfg.dry_reward * dry.float(),
        },
        terminated=delivered | dry,
        metrics={"success_rate": delivered.float(), "dry_rate": dry.float()},
        starts=_starts(cfg, states),
        obs=_observations(cfg, states),
        layout=(
            ("row", SIZE, "one-hot, from the top"),
            ("column", SIZE, "one-hot, from the left"),
            ("passenger", IN_TAXI + 1, f"one-hot: {', '.join(STATIONS)}, in the taxi"),
            ("destination", len(STATIONS), f"one-hot: {', '.join(STATIONS)}"),
            ("fuel", 1, "share of a full tank; below zero when it has run out"),
        ),
        task_graph=taxi_graph(cfg),
        picture=lambda track: draw(cfg, track[-1].tolist()),
    )


def _transitions(cfg: TaxiFuelCfg, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """From all states `(S, 5)`: next states `(S, 7, 5)`, and delivered, illegal and dry, each `(S, 7)` bool."""
    row, column, passenger, destination, fuel = states.unsqueeze(1).expand(-1, len(ACTIONS), -1).unbind(-1)
    action = torch.arange(len(ACTIONS)).expand_as(row)
    wall = torch.zeros(SIZE, SIZE + 1, dtype=torch.bool)  # on the left of each cell
    wall[:, 0] = wall[:, SIZE] = True
    for r, c in WALLS:
        wall[r, c + 1] = True
    move = torch.tensor([*STEPS, (0, 0), (0, 0), (0, 0)])[action]
    blocked = ((action == EAST) & wall[row, column + 1]) | ((action == WEST) & wall[row, column])
    new_row = (row + move[..., 0]).clamp(0, SIZE - 1)
    new_column = torch.where(blocked, column, column + move[..., 1]).clamp(0, SIZE - 1)

    here = station_at(row, column)
    picked = (action == PICKUP) & (here == passenger)
    may_drop = (here >= 0) if cfg.drop_anywhere else (here == destination)
    dropped = (action == DROPOFF) & (passenger == IN_TAXI) & may_drop
    delivered = dropped & (here == destination)
    filled = (action == FILLUP) & (row == cfg.filling_row) & (column == cfg.filling_column)
    illegal = ((action == PICKUP) & ~picked) | ((action == DROPOFF) & ~dropped)
    illegal = illegal | ((action == FILLUP) & ~filled & cfg.illegal_fillup)
    new_passenger = torch.where(picked, IN_TAXI, torch.where(dropped, here, passenger))

    used = (fuel - int(cfg.fuel_limit)).clamp_min(-1)
    new_fuel = torch.where(filled, cfg.capacity, used)
    dry = (new_fuel < int(cfg.dies_at_zero)) & cfg.fuel_limit
    if cfg.delivery_first:
        dry = dry & ~delivered
    else:
        delivered = delivered & ~dry
    return torch.stack((new_row, new_column, new_passenger, destination, new_fuel), -1), delivered, illegal, dry


def station_at(row: Tensor, column: Tensor) -> Tensor:
    """Number of the station in each cell, -1 where there is none."""
    table = torch.full((SIZE, SIZE), -1)
    for number, (r, c) in enumerate(STATIONS.values()):
        table[r, c] = number
    return table.to(row.device)[row, column]


def _starts(cfg: TaxiFuelCfg, states: Tensor) -> Tensor:
    """Numbers of the start states: the passenger and the destination at different stations, the fuel in its range."""
    _, _, passenger, destination, fuel = states.unbind(-1)
    filled = (fuel >= cfg.start_fuel_low) & (fuel <= cfg.start_fuel_high)
    return torch.nonzero((passenger < IN_TAXI) & (passenger != destination) & filled).flatten()


def _observations(cfg: TaxiFuelCfg, states: Tensor) -> Tensor:
    """Observations `(S, 20)`: row, column, passenger and destination, one-hot; and the share of a full tank."""
    row, column, passenger, destination, fuel = states.unbind(-1)
    sizes = ((row, SIZE), (column, SIZE), (passenger, IN_TAXI + 1), (destination, len(STATIONS)))
    hot = [functional.one_hot(values, size) for values, size in sizes]
    return torch.cat((*hot, fuel.unsqueeze(-1) / max(cfg.capacity, 1)), dim=-1).float()


def taxi_graph(cfg: TaxiFuelCfg) -> TaskGraph:
    """Root calls Get, Put and Refuel; these navigate and then act. Navigation observes cell and fuel only."""
    cells = STATIONS | {"filling": (cfg.filling_row, cfg.filling_column)}
    navigate = [_navigation(name, row, column) for name, (row, column) in cells.items()]
    stations = tuple(subtask.name for subtask in navigate[:-1])
    cell = ("row", "column")
    subtasks = (
        Subtask("Root", ("Get", "Put", "Refuel")),
        Subtask("Get", (*stations, "Pickup"), lambda s: s[:, 2] == IN_TAXI, sees=(*cell, "passenger", "fuel")),
        Subtask(
            "Put",
            (*stations, "Dropoff"),
            lambda s: s[:, 2] != IN_TAXI,
            sees=(*cell, "passenger", "destination", "fuel"),
        ),
        Subtask("Refuel", (navigate[-1].name, "Fillup"), lambda s: s[:, 4] == cfg.capacity, sees=(*cell, "fuel")),
        *navigate,
    )
    return TaskGraph(subtasks, ACTIONS)


def _navigation(name: str, row: int, column: int) -> Subtask:
    """Drive to a cell."""
    return Subtask(
        f"Navigate({name})",
        ACTIONS[:4],
        lambda states: (states[:, 0] == row) & (states[:, 1] == column),
        sees=("row", "column", "fuel"),
    )


def draw(cfg: TaxiFuelCfg, state: list[int]) -> np.ndarray:
    """An image of the map with the taxi, the passenger and the fuel."""
    row, column, passenger, destination, fuel = state
    canvas = Canvas(SIZE, SIZE + 0.6, 64)
    for i in range(1, SIZE):
        canvas.line((i, 0), (i, SIZE), 0.02, GREY)
        canvas.line((0, i), (SIZE, i), 0.02, GREY)
    for (r, c), colour in zip(STATIONS.values(), (RED, GREEN, YELLOW, BLUE), strict=True):
        canvas.box((c + 0.1, SIZE - r - 0.9), (c + 0.9, SIZE - r - 0.1), colour)
    r, c = list(STATIONS.values())[destination]
    canvas.disc((c + 0.5, SIZE - r - 0.5), 0.3, (255, 255, 255))
    r, c = cfg.filling_row, cfg.filling_column
    canvas.box((c + 0.25, SIZE - r - 0.75), (c + 0.75, SIZE - r - 0.25), GREY)
    for r, c in WALLS:
        canvas.line((c + 1, SIZE - r), (c + 1, SIZE - r - 1), 0.08, BLACK)
    centre = (column + 0.5, SIZE - row - 0.5)
    canvas.disc(centre, 0.26, BLACK)
    r, c = (row, column) if passenger == IN_TAXI else list(STATIONS.values())[passenger]
    canvas.disc((c + 0.5, SIZE - r - 0.5), 0.13, ORANGE)
    full = max(fuel, 0) / max(cfg.capacity, 1)
    canvas.box((0.1, SIZE + 0.15), (0.1 + (SIZE - 0.2) * full, SIZE + 0.45), GREEN if full > 0.3 else RED)
    return canvas.image
