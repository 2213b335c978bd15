"""The taxi's world by hand: moves, walls, fuel, rewards, and every switch."""

import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import ConfigError
from tasks.taxi_fuel import DROPOFF, EAST, FILLUP, NORTH, PICKUP, SOUTH, WEST

assert tasks


def taxis(states, **switches):
    env = isaachrl.make("TaxiFuel", num_envs=len(states), device="cpu", cfg={"task": switches})
    env.state = torch.tensor(states)
    return env


def one_step(state, action, **switches):
    """State after, reward, terminated and delivered of one step of one taxi."""
    env = taxis([state], **switches)
    result = env.advance(torch.tensor([action]))
    return env.state[0].tolist(), result.reward.item(), result.terminated.item(), result.metrics["success_rate"].item()


@pytest.mark.parametrize(
    ("cell", "action", "after"),
    [
        ((2, 2), NORTH, (1, 2)), ((2, 2), SOUTH, (3, 2)), ((2, 2), EAST, (2, 3)), ((2, 2), WEST, (2, 1)),
        ((0, 3), NORTH, (0, 3)), ((4, 1), SOUTH, (4, 1)), ((1, 4), EAST, (1, 4)), ((1, 0), WEST, (1, 0)),
        ((0, 1), EAST, (0, 1)), ((1, 2), WEST, (1, 2)), ((2, 1), EAST, (2, 2)),  # the wall ends above row 2
        ((3, 0), EAST, (3, 0)), ((4, 1), WEST, (4, 1)), ((3, 2), EAST, (3, 2)), ((4, 3), WEST, (4, 3)),
    ],
)  # fmt: skip
def test_moves_and_walls(cell, action, after):
    state, reward, terminated, _ = one_step([*cell, 0, 1, 9], action)
    assert (state, reward, terminated) == ([*after, 0, 1, 8], -1.0, False)


def test_the_passenger_gets_in_only_where_he_stands():
    assert one_step([4, 0, 2, 1, 9], PICKUP)[:2] == ([4, 0, 4, 1, 8], -1.0)
    assert one_step([4, 0, 1, 2, 9], PICKUP)[:2] == ([4, 0, 1, 2, 8], -10.0)
    assert one_step([4, 0, 4, 1, 9], PICKUP)[:2] == ([4, 0, 4, 1, 8], -10.0)  # he sits inside
    assert one_step([2, 2, 1, 2, 9], PICKUP, illegal_adds=True)[1] == -11.0


def test_only_a_delivery_at_the_destination_succeeds():
    assert one_step([0, 4, 4, 1, 9], DROPOFF) == ([0, 4, 1, 1, 8], 19.0, True, 1.0)
    assert one_step([0, 4, 4, 1, 9], DROPOFF, delivery_replaces=True)[1] == 20.0
    assert one_step([0, 4, 4, 2, 9], DROPOFF) == ([0, 4, 4, 2, 8], -10.0, False, 0.0)
    assert one_step([0, 4, 1, 1, 9], DROPOFF)[1:3] == (-10.0, False)  # no passenger in the taxi
    assert one_step([0, 4, 4, 2, 9], DROPOFF, drop_anywhere=True) == ([0, 4, 1, 2, 8], -1.0, False, 0.0)
    assert one_step([0, 3, 4, 2, 9], DROPOFF, drop_anywhere=True)[1] == -10.0  # no station here


def test_fuel_runs_out_below_zero():
    assert one_step([2, 2, 0, 1, 1], NORTH)[:3] == ([1, 2, 0, 1, 0], -1.0, False)
    assert one_step([2, 2, 0, 1, 0], NORTH)[:3] == ([1, 2, 0, 1, -1], -21.0, True)
    assert one_step([2, 2, 0, 1, 0], NORTH, dry_replaces=True)[1] == -20.0
    assert one_step([2, 2, 0, 1, 1], NORTH, dies_at_zero=True)[1:3] == (-21.0, True)
    assert one_step([2, 2, 0, 1, 0], NORTH, fuel_limit=False)[:3] == ([1, 2, 0, 1, 0], -1.0, False)
    assert one_step([2, 2, 0, 1, 0], PICKUP)[1] == -30.0  # illegal, and out of fuel


def test_delivery_on_the_last_drop():
    assert one_step([0, 4, 4, 1, 0], DROPOFF) == ([0, 4, 1, 1, -1], 19.0, True, 1.0)
    assert one_step([0, 4, 4, 1, 0], DROPOFF, delivery_first=False) == ([0, 4, 1, 1, -1], -21.0, True, 0.0)


def test_filling_up():
    assert one_step([3, 2, 0, 1, 4], FILLUP)[:3] == ([3, 2, 0, 1, 13], -1.0, False)
    assert one_step([3, 2, 0, 1, 0], FILLUP)[:3] == ([3, 2, 0, 1, 13], -1.0, False)  # the last drop starts the pump
    assert one_step([0, 2, 0, 1, 4], FILLUP)[:2] == ([0, 2, 0, 1, 3], -1.0)
    assert one_step([0, 2, 0, 1, 4], FILLUP, illegal_fillup=True)[1] == -10.0
    assert one_step([0, 2, 0, 1, 4], FILLUP, filling_row=0, capacity=20)[0] == [0, 2, 0, 1, 20]


def test_starts_are_the_2400_of_the_paper():
    env = taxis([[0, 0, 0, 1, 5]] * 20000)
    assert len(env.mdp.starts) == 25 * 4 * 3 * 8
    env.reset()
    _, _, passenger, destination, fuel = env.state.unbind(-1)
    assert (passenger != destination).all() and (passenger < 4).all()
    assert fuel.unique().tolist() == list(range(5, 13))
    assert torch.bincount(fuel)[5:].float().div(20000).sub(1 / 8).abs().max() < 0.01


def test_the_state_is_written_in_place_or_as_a_whole():
    env = taxis([[0, 0, 0, 1, 5], [0, 0, 0, 1, 5]])
    env.state[1] = torch.tensor([2, 2, 0, 1, 7])
    env.step(torch.tensor([SOUTH, SOUTH]))
    assert env.state.tolist() == [[1, 0, 0, 1, 4], [3, 2, 0, 1, 6]]
    env.state[0, 4] = 9
    env.step(torch.tensor([[SOUTH], [SOUTH]]))  # as a column too
    assert env.state.tolist() == [[2, 0, 0, 1, 8], [4, 2, 0, 1, 5]]


def test_scores_and_numbers_are_the_same_action():
    scores = torch.zeros(1, 7)
    scores[0, EAST] = 0.5
    env, twin = taxis([[2, 2, 0, 1, 9]]), taxis([[2, 2, 0, 1, 9]])
    env.advance(scores), twin.advance(torch.tensor([EAST]))
    assert torch.equal(env.state, twin.state)


def test_one_taxi_among_4096_is_the_same_as_alone():
    start = torch.tensor([[2, 3, 0, 1, 12]])
    crowd = isaachrl.make("TaxiFuel", num_envs=4096, device="cpu", seed=3)
    alone = isaachrl.make("TaxiFuel", num_envs=1, device="cpu", seed=4)
    crowd.state[1234], alone.state = start[0], start
    for action in torch.randint(7, (10, 4096), generator=torch.Generator().manual_seed(0)):
        many, one = crowd.advance(action), alone.advance(action[1234:1235])
        assert torch.equal(crowd.state[1234], alone.state[0])
        assert many.reward[1234] == one.reward[0]


def test_the_picture_shows_the_taxi_where_it_is():
    env = taxis([[0, 0, 1, 2, 9]])
    before = env.picture(env.state)
    env.step(torch.tensor([SOUTH]))
    after = env.picture(env.state)
    assert before.shape == after.shape and before.dtype.name == "uint8"
    rows, columns = (before != after).any(-1).nonzero()
    assert columns[rows > 45].max() < 64 and len(rows) > 100, "below the gauge only the left column changed"


@pytest.mark.parametrize(
    "cfg", [{"filling_row": 5}, {"start_fuel_low": 9, "start_fuel_high": 8}, {"capacity": 11}, {"episode_steps": 0}]
)
def test_impossible_worlds_are_refused(cfg):
    with pytest.raises(ConfigError):
        isaachrl.make("TaxiFuel", cfg={"task": cfg})


def test_every_table_is_looked_up_right():
    """All states and actions at once, against the tables that the outcomes were packed from."""
    env = taxis([[0, 0, 0, 1, 5]] * (25 * 5 * 4 * 15 * 7))
    mdp = env.mdp
    index, action = torch.arange(len(mdp.states)).repeat_interleave(7), torch.arange(7).repeat(len(mdp.states))
    env.state = mdp.states[index]
    result = env.advance(action)
    assert torch.equal(result.reward, mdp.reward[index, action])
    assert torch.equal(result.terminated, mdp.terminated[index, action])
    assert torch.equal(env.index(), mdp.next_state[index, action])
    for name, term in mdp.terms.items():
        assert torch.equal(result.terms[name], term[index, action])
    for name, metric in mdp.metrics.items():
        assert torch.equal(result.metrics[name], metric[index, action].float())


def test_the_last_unit_of_fuel_allows_one_more_action():
    for state, action, after in (
        ([4, 0, 2, 1, 0], PICKUP, [4, 0, 4, 1, -1]),  # he gets in, and they are stranded
        ([4, 0, 2, 1, 1], PICKUP, [4, 0, 4, 1, 0]),
        ([0, 3, 4, 1, 0], EAST, [0, 4, 4, 1, -1]),  # at the destination, but there is nothing left to drop him with
    ):
        found, reward, terminated, delivered = one_step(state, action)
        assert (found, delivered) == (after, 0.0)
        assert (reward, terminated) == ((-21.0, True) if after[4] < 0 else (-1.0, False))
