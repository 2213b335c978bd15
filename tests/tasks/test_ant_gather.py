"""AntGather: the lattice, the sensors, picking up, dying."""

import math

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl.errors import ConfigError
from tasks.ant_gather import lattice, readings

assert tasks
EVERYTHING = 2 * math.pi


def make(num_envs=4, **task):
    return isaachrl.make("AntGather", num_envs, device="cpu", cfg={"task": task})


@pytest.mark.parametrize(("half", "places"), [(6, 35), (10, 99)])
def test_objects_lie_on_even_places_away_from_the_start(half, places):
    points = lattice(half)
    assert len(points) == places
    assert (points.remainder(2) == 0).all() and points.amin() == -half and points.amax() == half - 2
    assert (points.square().sum(1) >= 4).all()


def test_on_a_field_of_odd_size_nothing_lies_in_the_wall():
    points = lattice(7)
    assert points.amin() == -6 and points.amax() == 4


def test_no_two_objects_lie_on_the_same_place():
    env = make(num_envs=50, half_size_m=6)
    for row in env.task.objects.tolist():
        assert len({tuple(point) for point in row}) == 16


def sense(objects, there=None, heading=0.0, span=EVERYTHING):
    objects = torch.tensor([objects])
    there = torch.tensor([there or [True] * objects.shape[1]])
    return readings(torch.zeros(1, 2), torch.tensor([heading]), objects, there, span)[0]


def test_sensors_by_hand():
    # sectors of 36 degrees from -180: straight ahead lies on the border of the fifth and sixth and counts to the sixth
    ahead = sense([[3.0, 0.0]])
    assert ahead.tolist() == pytest.approx([0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0])
    left = sense([[0.0, 1.5]])  # 90 degrees: (90 + 180) / 36 = 7.5
    assert left.nonzero().flatten().tolist() == [7] and left[7] == pytest.approx(0.75)
    turned = sense([[0.0, 1.5]], heading=math.pi / 2 - 1e-3)
    assert turned.nonzero().flatten().tolist() == [5]


def test_the_nearest_of_a_sector_counts_and_what_is_far_or_gone_does_not():
    assert sense([[5.0, 0.1], [3.0, 0.1], [4.0, 0.1]])[5].item() == pytest.approx(1 - math.hypot(3, 0.1) / 6)
    assert sense([[6.5, 0.1]]).tolist() == [0.0] * 10
    assert sense([[3.0, 0.1]], there=[False]).tolist() == [0.0] * 10


def test_a_narrow_span_sees_nothing_behind():
    assert sense([[-3.0, 0.1]], span=math.pi).tolist() == [0.0] * 10
    assert sense([[3.0, 0.1]], span=math.pi).tolist()[5] > 0


def place_ant(env, xy, height=0.55):
    qpos = env.sim.qpos.clone()
    qpos[:, :2], qpos[:, 2] = xy, height
    env.sim.reset(torch.ones(env.num_envs, dtype=torch.bool), qpos, torch.zeros_like(env.sim.qvel))


def test_an_apple_pays_once_and_a_bomb_costs():
    env = make(num_envs=2)
    place_ant(env, torch.stack((env.task.objects[0, 0], env.task.objects[1, 8])))
    result = env.advance(torch.zeros(2, 8))
    assert result.reward.tolist() == [1.0, -1.0]
    assert result.metrics["score"].tolist() == [1.0, -1.0]
    assert env.advance(torch.zeros(2, 8)).reward.tolist() == [0.0, 0.0]
    assert env.task.there.sum(1).tolist() == [15, 15]


def test_what_was_picked_up_lies_there_again_in_the_next_episode_and_in_no_other():
    env = make(num_envs=2)
    place_ant(env, env.task.objects[:, 0])
    env.advance(torch.zeros(2, 8))
    objects = env.task.objects.clone()
    env.reset_where(torch.tensor([True, False]))
    assert env.task.there.sum(1).tolist() == [16, 15]
    assert torch.equal(env.task.objects[1], objects[1]) and not torch.equal(env.task.objects[0], objects[0])


def test_death_terminates_the_episode():
    env = make(num_envs=2)
    place_ant(env, torch.zeros(2, 2), height=torch.tensor([2.0, 0.55]))
    result = env.advance(torch.zeros(2, 8))
    assert result.terminated.tolist() == [True, False] and not result.truncated.any()
    assert result.terms["death"].tolist() == [0.0, 0.0], "dying itself costs nothing by default"


def test_the_episode_ends_when_no_objects_are_left():
    env = make(num_envs=1)
    env.task.there.fill_(False)
    assert env.advance(torch.zeros(1, 8)).terminated.all()


def test_the_ant_starts_on_bent_legs():
    env = make(num_envs=64)
    state = env.observe()["state"]
    assert_close(state[:, 2].mean(), torch.tensor(0.55), rtol=0, atol=0.01)
    assert_close(state[:, [8, 10, 12, 14]].mean(0), torch.tensor([1.0, -1.0, -1.0, 1.0]), rtol=0, atol=0.01)


@pytest.mark.parametrize("task", [{"half_size_m": 2}, {"apples": 0}, {"sensor_span_rad": 7.0}, {"dead_below_m": 2.0}])
def test_fields_that_cannot_be_are_refused(task):
    with pytest.raises(ConfigError, match="task"):
        make(**task)
