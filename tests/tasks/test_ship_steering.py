"""The ship by hand: its lag, its way, the gate from both sides, the frames of its subtasks."""

import math

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl.envs.env import Env
from isaachrl.errors import ConfigError
from isaachrl.learn.task_graph.continuous.frames import SubtaskFrames
from isaachrl.run.rollout import run_episodes
from tasks.ship_steering import (
    HeadingController,
    ShipSteeringCfg,
    any_row,
    odometry,
    response,
    ship_graph,
    straight_line_steps,
    wrap,
)

assert tasks
DEG = math.pi / 180


def ships(states, **cfg):
    env = isaachrl.make("ShipSteering", num_envs=len(states), device="cpu", cfg={"task": cfg})
    env.state = torch.tensor(states)
    return env


def by_the_book(state, desired):
    """Three sampling intervals of Eq. 1, all right sides old values."""
    x, y, heading, rate = state
    for _ in range(3):
        x, y, heading, rate = (
            x + 0.6 * math.cos(heading),
            y + 0.6 * math.sin(heading),
            heading + 0.2 * rate,
            rate + 0.2 * (desired - rate) / 5.0,
        )
    return [x, y, heading, rate]


def test_three_intervals_by_the_book():
    starts = [[500.0, 500.0, 0.0, 0.0], [200.0, 700.0, 2.0, 0.1], [700.0, 700.0, 100 * DEG, 3.65 * DEG]]
    desired = [0.2, -0.15, 15 * DEG]
    env = ships(starts)
    result = env.advance(torch.tensor(desired).unsqueeze(-1))
    assert_close(env.state, torch.tensor([by_the_book(s, r) for s, r in zip(starts, desired, strict=True)]))
    assert result.reward.tolist() == [-1.0] * 3
    # the first turn shows in the heading only after two intervals: 0.2 * 0.04 * 0.2
    assert env.state[0, 2].item() == pytest.approx(0.2 * 0.04 * 0.2 + 0.2 * (0.04 * 0.2) * (1 + 0.96), rel=1e-4)


def test_desired_rates_beyond_the_limit_are_cut():
    env, twin = ships([[500.0, 500.0, 0.0, 0.0]]), ships([[500.0, 500.0, 0.0, 0.0]])
    env.advance(torch.tensor([[1.0]])), twin.advance(torch.tensor([[15 * DEG]]))
    assert_close(env.state, twin.state)


def test_headings_stay_within_a_turn():
    env = ships([[500.0, 500.0, 179 * DEG, 15 * DEG]])
    env.advance(torch.tensor([[0.3]]))
    assert env.state[0, 2].item() == pytest.approx((179 + 9) * DEG - 2 * math.pi, abs=1e-4)
    assert wrap(torch.tensor(math.pi)).item() == pytest.approx(-math.pi)


@pytest.mark.parametrize(
    ("x", "y", "heading", "passes"),
    [
        (400.0, 399.5, 90, True), (400.0, 400.5, -90, True),  # from below and from above
        (350.5, 399.5, 90, True), (349.5, 399.5, 90, False), (450.5, 400.5, -90, False),
        (349.6, 399.6, 45, True),  # it crosses at x = 350.0
        (400.0, 399.5, 0, False), (400.0, 398.0, 90, False),  # along it, and short of it
        (400.0, 398.5, 90, True),  # in the last of the three intervals
    ],
)  # fmt: skip
def test_the_gate(x, y, heading, passes):
    result = ships([[x, y, heading * DEG, 0.0]], goal_reward=100.0).advance(torch.zeros(1, 1))
    assert (result.metrics["success_rate"].item(), result.terminated.item()) == (float(passes), passes)
    assert result.reward.item() == (99.0 if passes else -1.0)


@pytest.mark.parametrize(
    ("x", "y", "heading"), [(0.5, 500.0, 180), (999.0, 500.0, 0), (500.0, 1.0, -90), (500.0, 999.5, 90)]
)
def test_leaving_the_sea_is_failing(x, y, heading):
    result = ships([[x, y, heading * DEG, 0.0]], out_reward=-500.0).advance(torch.zeros(1, 1))
    assert result.terminated.item() and result.metrics["out_rate"].item() == 1.0 and result.reward.item() == -501.0


def test_the_other_convention_is_the_mirror_image():
    state = [[300.0, 600.0, 0.4, 0.05]]
    mirrored = [[600.0, 300.0, 0.4, 0.05]]  # x and y exchanged
    one, other = ships(state), ships(mirrored, heading_from_y=True)
    for action in (0.1, -0.2, 0.2):
        one.advance(torch.full((1, 1), action)), other.advance(torch.full((1, 1), action))
    assert_close(one.state[0, [1, 0, 2, 3]], other.state[0])


def test_starts_fill_the_whole_range():
    env = isaachrl.make("ShipSteering", num_envs=20000, device="cpu")
    low, high = torch.tensor([0, 0, -math.pi, -15 * DEG]), torch.tensor([1000, 1000, math.pi, 15 * DEG])
    share = (env.state - low) / (high - low)
    assert share.min() >= 0 and share.max() <= 1
    assert_close(share.mean(0), torch.full((4,), 0.5), atol=0.01, rtol=0)
    assert_close(share.std(0), torch.full((4,), 12**-0.5), atol=0.01, rtol=0)


def test_one_ship_among_4096_is_the_same_as_alone():
    crowd, alone = (isaachrl.make("ShipSteering", num_envs=n, device="cpu") for n in (4096, 1))
    alone.state = crowd.state[99:100].clone()
    for _ in range(5):
        action = 0.5 * torch.rand(4096, 1) - 0.25
        crowd.advance(action), alone.advance(action[99:100])
    assert_close(crowd.state[99], alone.state[0])


def test_the_straight_line_is_a_bound():
    cfg = ShipSteeringCfg()
    state = torch.tensor([[400.0, 400.0 + 18.0, 0, 0], [350.0 - 30.0, 400.0 + 40.0, 0, 0], [400.0, 400.0, 0, 0]])
    assert straight_line_steps(cfg, state).tolist() == [10.0, 28.0, 1.0]  # 18 m, 50 m, none; 1.8 m a step


def test_the_controller_steers_nearly_every_ship_through_the_gate():
    env = isaachrl.make("ShipSteering", num_envs=500, device="cpu", seed=3)
    starts = env.state.clone()

    class Noted(HeadingController):
        def restart(self, mask):
            starts.copy_(torch.where(mask.unsqueeze(-1), self.env.state, starts)) if mask.all() else None

    assert isinstance(env, Env)
    episodes = run_episodes(env, Noted(env), 1)
    success = episodes.metrics["success_rate"][:, 0] > 0
    assert success.float().mean() > 0.93
    assert (episodes.lengths[success, 0] >= straight_line_steps(env.cfg, starts)[success]).all()


# how far east and north each direction leads; straight ways 100 m, diagonal ones 100 m in both
WAYS = {
    "East": (100, 0), "NorthEast": (100, 100), "North": (0, 100), "NorthWest": (-100, 100),
    "West": (-100, 0), "SouthWest": (-100, -100), "South": (0, -100), "SouthEast": (100, -100),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("from_y", [False, True])
def test_all_directions_of_a_kind_look_alike(name, from_y):
    graph = ship_graph(ShipSteeringCfg(heading_from_y=from_y))
    frames = SubtaskFrames(graph, torch.device("cpu"))
    task = torch.tensor([[subtask.name for subtask in frames.subtasks].index(name)])
    east, north = WAYS[name]
    entry = torch.tensor([[500.0, 400.0, 0.3, 0.1]])
    ahead = math.atan2(east, north) if from_y else math.atan2(north, east)
    there = torch.tensor([[500.0 + east, 400.0 + north, ahead, 0.1]])
    diagonal = abs(east) == abs(north)
    start, goal = ((40.0, 40.0), (140.0, 140.0)) if diagonal else ((40.0, 75.0), (140.0, 75.0))
    assert_close(frames(task, entry, entry)[0, :2], torch.tensor(start))
    view = frames(task, entry, there)
    assert_close(view[0, :2], torch.tensor(goal), atol=1e-3, rtol=0)
    straight = (math.pi / 4 if diagonal else 0.0) if not from_y else (math.pi / 4 if diagonal else math.pi / 2)
    assert view[0, 2].item() == pytest.approx(straight, abs=1e-5)
    done, succeeded = frames.ends(frames.kind[task], view)
    assert done.all() and succeeded.all()


def test_internal_rewards_by_hand():
    frames = SubtaskFrames(ship_graph(ShipSteeringCfg()), torch.device("cpu"))
    straight = torch.zeros(4, dtype=torch.long)
    after = torch.tensor(
        [[40.0, 75.0, 0.0, 0.0], [40.0, 75.0, 30 * DEG, 0.0], [131.0, 75.0, 0.0, 0.0], [-1.0, 75.0, 0.0, 0.0]]
    )
    reward = frames.internal_reward(straight, after, after)
    assert_close(reward, torch.tensor([0.0, math.exp(-1) - 1, 100.0, -100.0]))
    done, succeeded = frames.ends(straight, after)
    assert done.tolist() == [False, False, True, True] and succeeded.tolist() == [False, False, True, False]


def test_the_picture_shows_track_and_gate():
    env = ships([[100.0, 900.0, 0.0, 0.0]])
    image = env.picture(torch.tensor([[100.0, 900.0, 0, 0], [300.0, 900.0, 0, 0]]))
    assert image.shape == (400, 400, 3)
    assert image[240, 160].tolist() == [38, 166, 91], "the gate: x 400, y 400"
    assert image[40, 80].tolist() == [65, 131, 215], "the way: x 200, y 900"


@pytest.mark.parametrize("cfg", [{"speed_m_s": 0.0}, {"gate_from_m": 460.0}, {"substeps": 0}, {"gate_y_m": 2000.0}])
def test_impossible_seas_are_refused(cfg):
    with pytest.raises(ConfigError):
        isaachrl.make("ShipSteering", cfg={"task": cfg})


def test_any_row_is_any_over_the_rows():
    flags = torch.tensor([[False, True, False, False], [False, False, True, False]])
    assert any_row(flags).tolist() == [False, True, True, False]
    assert any_row(flags[:1]).tolist() == [False, True, False, False]


def test_states_written_row_by_row_sail_as_those_kept_by_column():
    rows = torch.tensor([[500.0, 500.0, 0.3, 0.1], [200.0, 700.0, 2.0, -0.1], [390.0, 399.0, 1.5, 0.0]])
    kept, written = ships(rows.tolist()), ships(rows.tolist())
    kept.state = rows.T.contiguous().T
    written.state = rows.clone()
    for action in (0.1, -0.2, 0.2):
        one, other = kept.advance(torch.full((3, 1), action)), written.advance(torch.full((3, 1), action))
        assert_close(one.obs["ship"], other.obs["ship"]), assert_close(kept.state, written.state)
    assert kept.state.shape == (3, 4) and kept.obs_sizes["ship"] == one.obs["ship"].shape[1]
    kept.state[1] = torch.tensor([100.0, 100.0, 0.0, 0.0])  # in place too
    kept.advance(torch.zeros(3, 1))
    assert kept.state[1].tolist() == pytest.approx([101.8, 100.0, 0.0, 0.0])


def test_only_masked_ships_begin_anew():
    env = isaachrl.make("ShipSteering", num_envs=6, device="cpu", seed=2)
    before = env.state.clone()
    mask = torch.tensor([True, False, False, True, False, False])
    obs = env.reset_where(mask)["ship"]
    assert torch.equal(env.state[~mask], before[~mask]) and not torch.equal(env.state[mask], before[mask])
    x, y = env.state[:, 0] / 500 - 1, env.state[:, 1] / 500 - 1
    assert_close(obs[:, :2], torch.stack((x, y), -1))


def test_how_ways_and_headings_add_up_by_hand():
    cfg = ShipSteeringCfg(substeps=2, sampling_s=0.5, speed_m_s=4.0, time_constant_s=1.0)  # 2 m, half the lag at once
    headings = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.5, 0.0], [1.0, 0.75, 0.25]])
    assert_close(response(cfg), torch.cat((headings, torch.tensor([[0.0, 0.25, 0.75]]))))
    start, east, north = [10.0, 20.0], [1.0, 0.5], [0.0, -0.5]
    assert_close(
        odometry(cfg) @ torch.tensor([*start, *east, *north]), torch.tensor([10.0, 12.0, 13.0, 20.0, 20.0, 19.0])
    )


def test_angles_of_many_turns_are_wrapped():
    angle = torch.linspace(-20.0, 20.0, 999)
    wrapped = wrap(angle)
    assert wrapped.min() >= -math.pi - 1e-5 and wrapped.max() <= math.pi + 1e-5
    (
        assert_close(wrapped.sin(), angle.sin(), atol=1e-5, rtol=0),
        assert_close(wrapped.cos(), angle.cos(), atol=1e-5, rtol=0),
    )
