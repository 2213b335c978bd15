"""The rooms: walls, the goal, the subgoals."""

import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import ConfigError
from isaachrl.learn.task_graph.tabular import oracle
from tasks.four_rooms import achieved

assert tasks


def walkers(states, **cfg):
    env = isaachrl.make("FourRooms", num_envs=len(states), device="cpu", cfg={"task": cfg})
    env.state = torch.tensor(states)
    return env


@pytest.mark.parametrize(
    ("cell", "action", "after"),
    [
        ((0, 0), 1, (1, 0)), ((0, 0), 0, (0, 0)), ((0, 4), 2, (0, 4)),  # a wall on the right
        ((2, 4), 2, (2, 5)), ((4, 1), 1, (5, 1)), ((4, 0), 1, (4, 0)), ((6, 8), 1, (7, 8)), ((9, 5), 3, (9, 4)),
    ],
)  # fmt: skip
def test_moves_walls_and_hallways(cell, action, after):
    env = walkers([[*cell, 10, 10]])
    result = env.advance(torch.tensor([action]))
    assert env.state[0].tolist() == [*after, 10, 10]
    assert (result.reward.item(), result.terminated.item()) == (0.0, False)


def test_only_the_goal_is_rewarded():
    env = walkers([[10, 9, 10, 10]], step_reward=-0.5)
    result = env.advance(torch.tensor([2]))
    assert (result.reward.item(), result.terminated.item(), result.metrics["success_rate"].item()) == (0.5, True, 1.0)


def test_starts():
    assert len(walkers([[0, 0, 1, 1]]).mdp.starts) == 104 * 103
    assert len(walkers([[0, 0, 8, 8]], random_goal=False).mdp.starts) == 103


def test_subgoals_are_the_hallways_and_the_goal():
    states = torch.tensor([[2, 5, 9, 9], [6, 8, 9, 9], [9, 5, 9, 9], [5, 1, 9, 9], [9, 9, 9, 9], [0, 0, 9, 9]])
    table = torch.stack([achieved(states, torch.full((6,), g)) for g in range(5)])
    assert torch.equal(table, torch.eye(5, 6, dtype=torch.bool))


def test_subgoals_are_evaluated_on_the_device_of_the_states(monkeypatch):
    states, subgoal = torch.tensor([[2, 5, 9, 9]]), torch.zeros(1, dtype=torch.long)
    monkeypatch.setattr(torch, "tensor", None)  # a table made in every step would travel to the device in every step
    assert achieved(states, subgoal).all()


def test_the_shortest_way_by_value_iteration():
    mdp = walkers([[0, 0, 8, 8]], random_goal=False).mdp
    value = oracle.optimal_values(mdp, 0.9)
    corner = (0 * 11 + 0) * 121 + 8 * 11 + 8
    # (0,0) to (8,8): no way round is longer than the 16 steps of the grid: through (2,5) and (6,8)
    assert value[corner].item() == pytest.approx(0.9**15)


def test_a_goal_in_a_wall_is_refused():
    with pytest.raises(ConfigError, match="in a wall"):
        isaachrl.make("FourRooms", cfg={"task": {"goal_row": 0, "goal_column": 5}})


def test_the_picture():
    image = walkers([[0, 0, 8, 8]]).picture(torch.tensor([[0, 0, 8, 8], [0, 1, 8, 8]]))
    assert image.shape == (352, 352, 3)
    assert image[16, 48].tolist() == [230, 126, 34] and image[8 * 32 + 16, 8 * 32 + 16].tolist() == [38, 166, 91]
