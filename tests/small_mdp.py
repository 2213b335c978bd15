"""A corridor of five cells: fetch the key at its left end, carry it to the right end. Small enough to solve by hand."""

import torch

from isaachrl.envs.registry import World
from isaachrl.envs.tabular import Factor, TabularEnv, TabularMdp, all_states, strides
from isaachrl.envs.task_graph import Subtask, TaskGraph

ACTIONS = ("Left", "Right", "Take")
LEFT, RIGHT, TAKE = range(3)
FACTORS = (Factor("place", 0, 5), Factor("key", 0, 2))


def corridor_graph(internal=None) -> TaskGraph:
    """Root calls Fetch and Carry; Fetch walks to the key and takes it."""
    return TaskGraph(
        (
            Subtask("Root", ("Fetch", "Carry")),
            Subtask("Fetch", ("ToKey", "Take"), lambda s: s[:, 1] == 1, internal_reward=internal),
            Subtask("ToKey", ("Left", "Right"), lambda s: s[:, 0] == 0, sees=("place",)),
            Subtask("Carry", ("Left", "Right"), lambda s: s[:, 0] == 4, may_start=lambda s: s[:, 1] == 1),
        ),
        ACTIONS,
    )


def corridor_mdp(graph=None) -> TabularMdp:
    """-1 a step, +10 for reaching the right end with the key, which ends the episode."""
    states = all_states(FACTORS)
    place, key = states[:, 0:1], states[:, 1:2]
    move = torch.tensor([[-1, 1, 0]])
    after = (place + move).clamp(0, 4)
    taken = (torch.arange(3) == TAKE) & (place == 0)
    new_key = key | taken.long()
    won = (after == 4) & (new_key == 1) & (place != 4)
    return TabularMdp(
        factors=FACTORS,
        actions=ACTIONS,
        next_state=(torch.stack((after, new_key), -1) * strides(FACTORS)).sum(-1),
        terms={"step": torch.full(won.shape, -1.0), "win": 10.0 * won.float()},
        terminated=won,
        metrics={"success_rate": won.float()},
        starts=torch.nonzero((states[:, 1] == 0) & (states[:, 0] < 4)).flatten(),
        obs=torch.cat((torch.nn.functional.one_hot(states[:, 0], 5), states[:, 1:2]), -1).float(),
        task_graph=graph or corridor_graph(),
    )


def corridor(num_envs=4, seed=0, episode_steps=40, graph=None) -> TabularEnv:
    """N corridors."""
    generator = torch.Generator().manual_seed(seed)
    return TabularEnv(corridor_mdp(graph), episode_steps, World(num_envs, "auto", torch.device("cpu"), generator))
