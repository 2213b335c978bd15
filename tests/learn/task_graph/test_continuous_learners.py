"""Tile coding, the Gaussian policy on tiles, traces, and the learners of the ship."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import isaachrl.learn.task_graph  # noqa: F401 - registers its learners
import tasks
from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.registry import learner_entry
from isaachrl.learn.task_graph.continuous.actor_critic import KondaActorCriticCfg
from isaachrl.learn.task_graph.continuous.gaussian import GaussianCfg, GaussianTiles, Step
from isaachrl.learn.task_graph.continuous.hybrid import HybridCfg
from isaachrl.learn.task_graph.continuous.tiles import TileCoder, tile_step, value_of
from isaachrl.learn.task_graph.continuous.traces import Traces

assert tasks
CPU = torch.device("cpu")


def test_tiles_by_hand():
    coder = TileCoder(((0.0, 10.0), (0.0, 4.0)), [5, 2], 1, (), CPU)
    assert (coder.tiles, coder.size) == (10, 10)
    # along the first column tiles are 2 wide, along the second too: 5 to a row
    points = torch.tensor([[0.0, 0.0], [3.9, 0.0], [4.0, 2.0], [99.0, 99.0], [-5.0, 0.0]])
    assert coder(points).flatten().tolist() == [0, 1, 2 + 5, 9, 0]


def test_tilings_are_shifted_against_each_other():
    coder = TileCoder(((0.0, 10.0),), [5], 4, (), CPU)
    # shifts of 0, 1/4, 2/4, 3/4 of a tile: at 1.0, half a tile, two of them have gone on to the next
    assert coder(torch.tensor([[1.0]])).tolist() == [[0, 5, 11, 16]]
    assert len({tuple(row) for row in coder(torch.linspace(0, 7.9, 400).unsqueeze(-1)).tolist()}) == 16


def test_angles_wrap_and_positions_do_not():
    coder = TileCoder(((-math.pi, math.pi), (0.0, 1.0)), [36, 5], 9, (0,), CPU)
    near = torch.tensor([[math.pi - 1e-4, 0.5], [-math.pi + 1e-4, 0.5], [math.pi + 1e-4, 0.5]])
    left, right, beyond = coder(near)
    assert torch.equal(right, beyond)
    assert (left == right).sum() == 8, "neighbours across the seam share all tilings but the one with its edge there"


def test_every_tile_of_the_paper_is_counted():
    extent = ((0, 150), (0, 150), (-math.pi, math.pi), (-0.26, 0.26))
    coder = TileCoder(extent, [5, 5, 36, 5], 9, (2,), CPU)
    assert coder.tiles == 4500 and coder.size == 40_500
    tiles = coder(torch.rand(4000, 4) * 150)
    assert tiles.min() >= 0 and tiles.max() < 40_500
    assert torch.equal(tiles // 4500, torch.arange(9).expand(4000, 9))


def test_counts_must_fit_the_state():
    with pytest.raises(ConfigError):
        TileCoder(((0.0, 1.0),), [5, 5], 9, (), CPU)


def test_a_tile_step_changes_the_value_by_the_mean_amount():
    weights = torch.zeros(6)
    tiles = torch.tensor([[0, 3], [0, 3], [1, 4]])
    moved = tile_step(weights, tiles, torch.tensor([2.0, 4.0, 10.0]), rate=1.0, prior=0.0 + 1e-9)
    assert_close(value_of(moved, tiles), torch.tensor([3.0, 3.0, 10.0]))
    damped = tile_step(weights, tiles[2:], torch.tensor([10.0]), rate=1.0, prior=1.0)
    assert value_of(damped, tiles[2:]).item() == pytest.approx(5.0)
    amount, counts = torch.tensor([2.0, 0.0, 10.0]), torch.tensor([1.0, 0.0, 1.0])
    assert value_of(tile_step(weights, tiles, amount, 1.0, counts=counts), tiles).tolist() == [1.0, 1.0, 5.0]


def actor(**values):
    return GaussianTiles(4, (-2.0, 2.0), GaussianCfg(**values), CPU)


def test_the_action_is_a_squashed_gaussian():
    policy = actor()
    policy.mean[:2] = 0.5  # mean 1 at tiles 0 and 1
    tiles = torch.tensor([[0, 1]]).expand(20000, 2)
    action, noise = policy.sample(tiles, torch.Generator().manual_seed(0))
    assert_close(action, -2 + 4 * (1.0 + noise).sigmoid())
    assert noise.mean().abs() < 0.02 and abs(noise.std() - 1) < 0.02
    assert policy.mean_action(tiles[:1]).item() == pytest.approx(-2 + 4 / (1 + math.exp(-1)))


def test_the_step_follows_the_gradient_of_the_log_density():
    """Against autograd: the sum over steps of advantage times grad log N, divided by the tiles' visits."""
    policy = actor(baseline=False, gamma=0.5, lam=1.0, learning_rate=1.0, tilings=2)
    tiles = torch.tensor([[0, 2], [0, 3]])
    noise, reward = torch.tensor([[0.3, -1.0], [0.7, 0.2]]), torch.tensor([[1.0, 0.0], [2.0, -3.0]])
    over = torch.tensor([[False, False], [True, True]])
    for t in range(2):
        policy.steps.append(Step(tiles, tiles, noise[t], reward[t], over[t], over[t]))
    policy.learn(0)
    to_go = torch.stack((reward[0] + 0.5 * reward[1], reward[1]))
    scaled = to_go / to_go.square().mean().sqrt()
    weights = torch.zeros(4, requires_grad=True)
    drawn = noise  # the mean was zero
    log_density = -0.5 * (drawn - weights[tiles].sum(-1)).square()
    (scaled * log_density).sum().backward()
    visits = torch.tensor([4.0, 0.0, 2.0, 2.0])
    assert_close(policy.mean, weights.grad / (visits + 1.0) / 2)


PLAIN = {"baseline": False, "gamma": 1.0, "learning_rate": 0.1, "tilings": 2}


def note(policy, noise, reward, over, final):
    """A step of two environments, one on tiles 0 and 2, the other on 1 and 3."""
    tiles = torch.tensor([[0, 2], [1, 3]])
    rows = (torch.tensor(row) for row in (noise, reward, over, final))
    policy.steps.append(Step(tiles, tiles, *rows))


def test_without_baseline_and_normalisation_it_is_equation_3():
    """Calls over several iterations, by hand; `lam` is not used."""
    policy = actor(normalize=False, **PLAIN)
    note(policy, [0.3, 0.5], [1.0, 5.0], [False, True], [False, True])
    note(policy, [0.7, 0.9], [2.0, 1.0], [False, False], [False, False])
    policy.learn(0)
    # the second environment's first call is over: 0.1 * 5 * 0.5; the others are open and not learned from yet
    assert policy.mean.tolist() == pytest.approx([0.0, 0.25, 0.0, 0.25])
    note(policy, [-1.0, 0.4], [-3.0, 1.0], [True, True], [True, False])  # the second is cut off by time
    policy.learn(1)
    # rewards-to-go 0, -1 and -3: 0.1 * (-1 * 0.7 + -3 * -1)
    assert policy.mean.tolist() == pytest.approx([0.23, 0.25, 0.23, 0.25])
    assert not policy.steps, "all calls are over"
    note(policy, [0.2, 0.6], [4.0, -2.0], [True, False], [True, False])
    policy.learn(2)
    assert policy.mean.tolist() == pytest.approx([0.31, 0.25, 0.31, 0.25])
    note(policy, [1.0, 0.1], [0.0, 7.0], [False, True], [False, True])
    policy.learn(3)
    # 7 - 2 and 7; the first environment's call of before is not learned from again
    assert policy.mean.tolist() == pytest.approx([0.31, 0.62, 0.31, 0.62])
    assert len(policy.steps) == 1


def test_without_a_baseline_open_calls_are_not_learned_from():
    policy = actor(**PLAIN)
    for t in range(3):
        note(policy, [0.3, -0.2], [-1.0, -1.0], [False, t == 1], [False, False])
    assert policy.learn(0)["loss/advantage"] == 0.0 and policy.mean.abs().max() == 0.0
    note(policy, [0.5, -0.2], [6.0, -1.0], [True, False], [True, False])
    policy.learn(1)
    # rewards-to-go 3, 4, 5 and 6, in their root mean square; visits of open calls do not count
    moved = 0.1 / 2 * (0.3 * (3 + 4 + 5) + 0.5 * 6) / 21.5**0.5 / (4 + 1)
    assert policy.mean.tolist() == pytest.approx([moved, 0.0, moved, 0.0])


def test_without_a_baseline_a_loaded_value_table_is_not_used():
    policy = actor(normalize=False, **PLAIN)
    policy.load_weights({"mean": torch.zeros(4), "value": torch.full((4,), 2.5)})  # 5 at either pair of tiles
    note(policy, [1.0, 0.0], [2.0, 0.0], [True, True], [True, True])
    policy.learn(0)
    assert policy.mean.tolist() == pytest.approx([0.2, 0.0, 0.2, 0.0])  # 0.1 * 2 * 1
    assert policy.value.tolist() == [2.5] * 4, "kept for a continuation with a baseline"


def test_open_calls_are_part_of_the_state():
    first, second = actor(**PLAIN), actor(**PLAIN)
    note(first, [0.3, -0.2], [-1.0, -1.0], [False, True], [False, True])
    first.learn(0)
    second.load_state_dict(first.state_dict())
    for policy in (first, second):
        note(policy, [0.5, -0.2], [6.0, -1.0], [True, False], [True, False])
        policy.learn(1)
    assert torch.equal(first.mean, second.mean) and second.mean[0] > 0.0
    second.load_weights(first.state_dict())
    assert len(second.steps) == 1, "weights alone leave them as they are"


def test_the_baseline_learns_the_reward_to_go():
    policy = actor(gamma=1.0, lam=1.0, value_rate=1.0)
    tiles = torch.tensor([[0, 2]])
    for _ in range(60):
        policy.steps.append(
            Step(tiles, tiles, torch.randn(1), torch.full((1,), 6.0), torch.tensor([True]), torch.tensor([True]))
        )
        policy.learn(0)
    assert value_of(policy.value, tiles).item() == pytest.approx(6.0, abs=0.01)


def test_cells_of_the_root():
    states = torch.tensor([[0.0, 0.0, 0, 0], [49.9, 50.0, 0, 0], [50.0, 0.0, 3, 0], [1000.0, 1001.0, 0, 9]])
    places = learner("hybrid").algorithm
    assert places.cell(states).tolist() == [0, 20, 1, 399]
    headings = learner("hybrid", root_tiles=[20, 20, 8, 1]).algorithm
    assert len(headings.q) == 20 * 20 * 8 * 8
    assert headings.cell(states).tolist() == [1600, 1620, 1 + 400 * 7, 399 + 1600]
    opposite = torch.tensor([[0.0, 0.0, -3.14, 0], [0.0, 0.0, 3.14, 0], [0.0, 0.0, -3.14 - 0.3, 0]])
    assert headings.cell(opposite).tolist() == [0, 2800, 2800], "headings are periodic"


def test_traces_replace_decay_and_are_cleared():
    traces = Traces(2, 4, CPU)
    both = torch.tensor([True, True])
    traces.add(both, torch.tensor([7, 7]), torch.tensor([0.9, 0.9]))
    traces.add(torch.tensor([True, False]), torch.tensor([8, 8]), torch.tensor([0.9, 0.9]))
    traces.add(torch.tensor([True, False]), torch.tensor([7, 7]), torch.tensor([0.9, 0.9]))
    assert traces.entry[0].tolist()[:3] == [7, 8, 7]
    assert_close(traces.weight[0], torch.tensor([1.0, 0.9, 0.0, 0.0]))  # the older 7 is replaced, not added to
    assert traces.weight[1].tolist() == [1.0, 0.0, 0.0, 0.0]
    traces.add(both, torch.tensor([5, 5]), torch.zeros(2))  # after a random choice
    assert traces.weight[0].tolist() == [1.0, 0.0, 0.0, 0.0]
    traces.clear(torch.tensor([False, True]))
    assert traces.weight.sum(-1).tolist() == [1.0, 0.0]


def learner(name, num_envs=8, seed=0, **values):
    entry = learner_entry(name)
    env = isaachrl.make("ShipSteering", num_envs=num_envs, device="cpu", seed=seed)
    return entry.build(env, config.build(entry.cfg_type, values), seed)


def test_q_lambda_by_hand():
    root = learner("hybrid", 1).algorithm
    root.q[:] = 0.0
    root.q_entry = torch.tensor([3])
    root.call_reward = torch.tensor([-60.0])
    root.traces.entry[0, :2], root.traces.weight[0, :2] = torch.tensor([3, 11]), torch.tensor([1.0, 0.9])
    after = torch.tensor([[525.0, 525.0, 0.0, 0.0]])
    cell = int(root.cell(after))
    root.q[cell * 8 + 5] = 40.0
    root.ended = torch.tensor([True])
    root._learn_calls(after, torch.tensor([False]))
    # delta = -60 + 40 - 0; 0.1 of it where it was called, and for the older call as 0.9 steps of 0.1
    assert root.q[3].item() == pytest.approx(-2.0)
    assert root.q[11].item() == pytest.approx(-20.0 * (1 - 0.9**0.9))
    root.ended = torch.tensor([False])
    root._learn_calls(after, torch.tensor([False]))
    assert root.q[3].item() == pytest.approx(-2.0), "no call was over"


def test_the_value_of_a_state_alone_does_not_change_the_actor():
    """A critic with equal values for all actions of a state, and different values for states."""
    found = learner("actor_critic", horizon=4).algorithm
    of_state = torch.linspace(-50.0, 50.0, found.coder.tiles // 30)  # 30 tiles along the action, the last column
    found.critic = of_state.expand(found.coder.tilings, 30, -1).flatten()
    state, done = torch.rand(8, 4) * torch.tensor([1000.0, 1000.0, 3.0, 0.2]), torch.zeros(8, dtype=torch.bool)
    result = SimpleNamespace(
        reward=torch.zeros(8), done=done, terminated=done, metrics={"success_rate": torch.zeros(8)}
    )
    generator = torch.Generator().manual_seed(0)

    def moved():
        _, acted = found.act(state, generator)
        found.observe(acted, state, result, None)
        found.learn(0)
        return found.actor.mean.abs().max().item()

    assert moved() == 0.0
    found.critic = torch.randn(found.coder.size, generator=generator)
    assert moved() > 0.0


def test_internal_rewards_do_not_reach_the_root():
    hybrid = learner("hybrid", 64)
    for _ in range(20):
        hybrid.iterate()
        assert (hybrid.algorithm.call_reward >= -500.0 - 200.0).all() and (hybrid.algorithm.call_reward <= 100.0).all()
        whole = hybrid.algorithm.call_reward + hybrid.algorithm.steps  # -1 a step, 100 or -500 at the end of an episode
        assert all(
            abs(v - w) < 1e-3 for v in whole.tolist() for w in [min((0.0, 100.0, -500.0), key=lambda e: abs(e - v))]
        )


@pytest.mark.parametrize(
    ("name", "policy"),
    [("hybrid", {}), ("hybrid", {"baseline": False}), ("flat_pg", {}), ("flat_pg", {"baseline": False}),
     ("actor_critic", {})],
)  # fmt: skip
def test_a_stored_state_continues_bit_for_bit(name, policy):
    first, second = (learner(name, seed=seed, horizon=8, policy=policy) for seed in (0, 1))
    for _ in range(3):
        first.iterate()
    env_state, state = first.env.state_dict(), first.state_dict()
    straight = [first.iterate() for _ in range(2)]
    second.env.load_state_dict(env_state)
    second.load_state_dict(state)
    assert straight == [second.iterate() for _ in range(2)]
    kept = [found.state_dict()["algorithm"] for found in (first, second)]  # with the steps of open calls
    assert_close(*kept, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("name", ["hybrid", "flat_pg", "actor_critic"])
def test_policies_act_and_exports_agree(name):
    found = learner(name, horizon=8)
    found.iterate()
    policy, env = found.policy(), found.env
    policy.restart(torch.ones(8, dtype=torch.bool))
    action = policy.act(env.observe())
    assert action.shape == (8, 1) and (action.abs() <= env.action_extent[1]).all()
    exported = found.exports()
    assert [name for name, _, _ in exported[0].contract["layout"]["state"]] == ["x, y", "heading", "turn rate"]
    if name != "hybrid":
        assert [item.name for item in exported] == ["policy"]
        assert_close(exported[0].module(env.state), action)


def sail(exported, env, steps):
    """Act with the exported networks as their contract says, one ship at a time; yields the actions of every step."""
    networks = {item.name: item.module for item in exported}
    contract = exported[0].contract
    count, kinds = env.num_envs, contract["kinds"]
    entry, scores, calls = (
        env.state.clone(),
        torch.zeros(count, len(contract["children"])),
        [contract["call_steps"]] * count,
    )
    for _ in range(steps):
        action = torch.zeros(count, 1)
        for i in range(count):
            state = env.state[i : i + 1]
            kind = contract["kind_of_child"][int(scores[i].argmax())]
            over = networks["ends"](networks["view"](scores[i : i + 1], entry[i : i + 1], state))[0, kind] > 0
            if over or calls[i] == contract["call_steps"]:
                entry[i], scores[i], calls[i] = state[0], networks["root"](state)[0], 0
                kind = contract["kind_of_child"][int(scores[i].argmax())]
            calls[i] += 1
            action[i] = networks[kinds[kind]](networks["view"](scores[i : i + 1], entry[i : i + 1], state))[0]
        yield action


def test_the_exported_hybrid_acts_as_its_policy():
    found = learner("hybrid", horizon=32, call_steps=25)
    for _ in range(6):
        found.iterate()
    found.algorithm.q.normal_(generator=torch.Generator().manual_seed(0))  # so that cells call different subtasks
    env, policy, exported = found.env, found.policy(), found.exports()
    assert [item.name for item in exported] == ["root", "view", "ends", "straight", "diagonal"]
    env.reset()
    env.state[:, :2] = 600.0 + 10.0 * torch.arange(8.0).unsqueeze(-1)  # far from the edge and from the gate
    policy.restart(torch.ones(8, dtype=torch.bool))
    calls = policy.calls.clone()
    for action in sail(exported, env, 60):
        assert_close(policy.act({}), action)
        assert not env.step(action).done.any()
    assert (policy.calls - calls > 2).all() and policy.task.unique().numel() > 1


@pytest.mark.parametrize("rate", [0.0, 1.5])
def test_a_critic_rate_out_of_range_is_refused(rate):
    with pytest.raises(ConfigError, match=f"train.critic_rate={rate}"):
        config.build(KondaActorCriticCfg, {"critic_rate": rate}, "train")


def test_a_taxi_cannot_be_steered():
    env = isaachrl.make("TaxiFuel", num_envs=1, device="cpu")
    with pytest.raises(ConfigError, match="continuous"):
        learner_entry("hybrid").build(env, HybridCfg(), 0)
