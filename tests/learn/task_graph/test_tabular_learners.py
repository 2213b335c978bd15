"""HPG, MAXQ-Q and flat Q: updates by hand, and learning on the corridor."""

import pytest
import torch

from isaachrl import config
from isaachrl.envs.task_graph import flat_graph
from isaachrl.errors import ConfigError
from isaachrl.learn.task_graph import make_flat_q, make_hpg, make_maxq, make_value_iteration
from isaachrl.learn.task_graph.tabular import oracle
from isaachrl.learn.task_graph.tabular.algorithm import epsilon_greedy, mean_step
from isaachrl.learn.task_graph.tabular.config import HpgCfg, ValueCfg, ValueIterationCfg
from isaachrl.learn.task_graph.tabular.hpg import Hpg
from isaachrl.learn.task_graph.tabular.learner import TabularLearner, greedy_means
from isaachrl.learn.task_graph.tabular.stack import Chooser
from isaachrl.learn.task_graph.tabular.tables import GraphTables
from isaachrl.maths.shapes import stack_steps
from tests.small_mdp import corridor, corridor_graph

NO_ENTROPY = {"entropy": 0.0, "entropy_end": 0.0}
PAPER = NO_ENTROPY | {"natural": False, "baseline": False, "normalize": False, "decay_iterations": 0}


def hpg(num_envs=1, graph=None, **values):
    return make_hpg(corridor(num_envs, graph=graph), config.build(HpgCfg, values), seed=0)


def recorded(learner, ticks):
    """Ticks under constant parameters."""
    choose = Chooser(learner.algorithm.row, learner.algorithm.probabilities(0))
    return [learner._tick(choose) for _ in range(ticks)]


def eq3(learner, ticks, alpha):
    """Eq. 3 of the paper literally, with a trace for every open call, under constant parameters."""
    tables, theta = learner.tables, learner.algorithm.theta
    policy = learner.algorithm.probabilities(0)
    moved = torch.zeros_like(theta)
    traces = {}
    for tick in ticks:
        for d in range(len(tick.task)):
            for n in range(tick.task.shape[1]):
                if tick.decided[d, n]:
                    row = tables.row[tick.task[d, n], tick.entry[d, n]]
                    gradient = torch.zeros_like(theta)
                    gradient[row] -= policy[row]
                    gradient[row, tick.child[d, n]] += 1.0
                    traces[d, n] = traces.get((d, n), 0.0) + gradient  # z + grad log mu, before the reward
                if tick.returned[d, n]:
                    internal = tick.return_so_far[d, n] - tick.return_before[d, n] - tick.reward[d, n]
                    moved += alpha * (tick.reward[d, n] + internal) * traces[d, n]
                if tick.ended[d, n]:
                    traces.pop((d, n))  # and only then the reset
    return moved, traces


@pytest.mark.parametrize("internal", [None, lambda before, after: 0.5 * (after[:, 0] - before[:, 0]).float()])
def test_the_update_is_equation_3_under_constant_parameters(internal):
    learner = hpg(graph=corridor_graph(internal), learning_rate=0.01, horizon=64, **PAPER)
    learner.algorithm.theta = torch.randn(learner.algorithm.theta.shape, generator=torch.Generator().manual_seed(1))
    theta = learner.algorithm.theta.clone()
    learner.env.episode_steps = 100_000
    ticks = []
    while sum(int(tick.terminated) for tick in ticks) < 3:  # three episodes: at the end no call is open
        ticks += recorded(learner, 1)
    expected, left = eq3(learner, ticks, 0.01)
    assert not left
    fresh = Hpg(learner.tables, config.build(HpgCfg, {"learning_rate": 0.01, **PAPER}), 1, len(ticks))
    fresh.theta = theta.clone()
    fresh.learn(stack_steps(ticks), 0)
    torch.testing.assert_close(fresh.theta - theta, expected, rtol=1e-3, atol=1e-5)


def test_one_call_by_hand():
    """Two decisions with rewards -1 and then 9: their rewards-to-go are 8 and 9."""
    learner = hpg(learning_rate=1.0, horizon=8, **PAPER)
    tables = learner.tables
    carry, row = 3, learner.tables.row
    learner.env.state = torch.tensor([[2, 1]])
    theta = torch.zeros_like(learner.algorithm.theta)
    theta[row[carry, 5]] = torch.tensor([-30.0, 30.0])
    theta[row[carry, 7]] = torch.tensor([0.0, 0.0])
    learner.algorithm.theta = theta.clone()
    tick = recorded(learner, 1)[0]
    assert tick.next_state.item() == 7 and not tick.ended[0, 0]
    theta[row[carry, 7]] = torch.tensor([-30.0, 30.0])  # the next step goes right
    rest = learner.algorithm.theta
    learner.algorithm.theta = theta
    last = recorded(learner, 1)[0]
    learner.algorithm.theta = rest
    assert last.terminated.item() and last.step_reward.item() == 9.0
    learner.algorithm.learn(stack_steps([tick, last]), 0)
    moved = learner.algorithm.theta - rest
    # choice at place 3, reward-to-go 9, both children even: 9 (1 - 1/2) to the right and -9 / 2 to the left
    assert moved[row[carry, 7]].tolist() == [-4.5, 4.5]
    assert moved[row[carry, 5]].abs().max() < 1e-6  # its choice was certain
    assert moved[row[0, 5]].abs().max() < 1e-6, "the root had one thing to call"
    assert tables.allowed[0, 5].tolist() == [False, True]


def test_internal_rewards_stay_in_their_subtask():
    graph = corridor_graph(lambda before, after: torch.full((len(after),), 100.0))
    learner = hpg(graph=graph, horizon=8, **PAPER)
    ticks = stack_steps(recorded(learner, 200))
    root, fetch = ticks.return_so_far[:, 0, 0], ticks.return_so_far[:, 1, 0]
    inside = (ticks.task[:, 1, 0] == 1) & ticks.returned[:, 1, 0]
    assert inside.any() and (fetch[inside] > 50).all(), "Fetch has it"
    assert (root <= 10).all(), "and the root does not"


def test_truncated_calls_are_not_learned_from():
    env = corridor(1, episode_steps=3)
    learner = make_hpg(env, config.build(HpgCfg, {"horizon": 3, "learning_rate": 1.0, **PAPER}), 0)
    env.state = torch.tensor([[3, 0]])
    before = learner.algorithm.theta.clone()
    learner.algorithm.theta[learner.tables.row[2]] = torch.tensor([-50.0, 50.0])  # away from the key
    before = learner.algorithm.theta.clone()
    learner.iterate()
    assert torch.equal(learner.algorithm.theta, before)


def sure(learner, *choices):
    """A chooser of the first child everywhere, except in the subtasks of `(subtask, child)`."""
    table = torch.zeros_like(learner.algorithm.theta)
    table[:, 0] = 1.0
    for subtask, child in choices:
        table[learner.tables.row[subtask]] = torch.eye(2)[child]
    return Chooser(learner.algorithm.row, table)


def test_a_truncated_call_is_not_credited_with_the_rewards_of_a_later_one():
    """The later call begins one window after the first, in the same slot of the ring."""
    env = corridor(1, episode_steps=4)
    learner = make_hpg(env, config.build(HpgCfg, {"horizon": 4, "learning_rate": 1.0, **PAPER}), 0)
    assert learner.algorithm.open.window == 8
    left, right = sure(learner, (0, 1), (3, 0)), sure(learner, (0, 1), (3, 1))
    ticks = []

    def tick(place, choose):
        env.state = torch.tensor([[place, 1]])  # with the key in hand: the root calls Carry, which moves
        ticks.append(learner._tick(choose))
        if len(ticks) == 4:
            learner.algorithm.learn(stack_steps(ticks), 0)
            ticks.clear()

    env.progress[:] = 2
    for _ in range(2):
        tick(2, left)  # an episode of two ticks
    for place in (3, 2, 1, 0):  # Carry is called in tick 2 and cut off after tick 5
        tick(place, left)
    for _ in range(4):  # and so is another one
        tick(2, left)
    assert learner.stack.started_at[0, 0].item() == 10 and learner.algorithm.theta.abs().max() == 0.0
    tick(3, right)  # Carry is called in tick 10 and earns 9
    tick(2, left)
    row = learner.tables.row[3]
    earned = learner.algorithm.theta[row[7]].clone()
    assert earned.tolist() == [-4.5, 4.5]  # both choices even: 9 (1 - 1/2) to the right, -9 / 2 to the left
    learner.algorithm.theta[row[7]] = 0.0
    assert learner.algorithm.theta.abs().max() == 0.0, "no other decision changed"


def test_a_choice_has_the_gradient_of_the_policy_that_made_it():
    """One Carry over two iterations: its first choice was made by even odds, and is learned from under other ones."""
    learner = hpg(horizon=1, learning_rate=1.0, **PAPER)
    algorithm, row = learner.algorithm, learner.tables.row[3]
    learner.env.state = torch.tensor([[2, 1]])
    right = sure(learner, (0, 1), (3, 1))
    algorithm.learn(stack_steps([learner._tick(right)]), 0)
    assert algorithm.theta.abs().max() == 0.0, "the call is open"
    odds = torch.tensor([0.0, 3.0])
    algorithm.theta[row[5]], algorithm.theta[row[7]] = odds, odds
    algorithm.learn(stack_steps([learner._tick(right)]), 1)
    moved = algorithm.theta[row[torch.tensor([5, 7])]] - odds
    # rewards-to-go 8 and 9; probabilities 1/2 then, and sigmoid(3) = 0.9526 for the choice made under the odds
    torch.testing.assert_close(moved[0], torch.tensor([-4.0, 4.0]))
    torch.testing.assert_close(moved[1], 9.0 * torch.tensor([-0.0474259, 0.0474259]))


def test_mean_step_is_as_many_steps_towards_the_mean():
    table = torch.tensor([0.0, 5.0])
    moved = mean_step(table, torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0, 9.0]), torch.tensor([1.0, 1.0, 0.0]), 0.5)
    assert moved.tolist() == [pytest.approx(0.75 * 2.0), 5.0]


def test_epsilon_is_shared_by_what_is_allowed():
    probabilities = epsilon_greedy(torch.tensor([[3.0, 1.0, 9.0]]), torch.tensor([[True, True, False]]), 0.2)
    torch.testing.assert_close(probabilities, torch.tensor([[0.9, 0.1, 0.0]]))


def test_q_learning_by_hand():
    env = corridor(1)
    learner = make_flat_q(env, config.build(ValueCfg, {"horizon": 1, "learning_rate": 0.5}), 0)
    env.state = torch.tensor([[3, 1]])
    learner.algorithm.q[8 - 1] = torch.tensor([-9.0, 4.0, -9.0])
    learner.algorithm.probabilities = lambda iteration: torch.eye(3)[1].expand(10, 3)  # always right
    learner.iterate()
    assert learner.algorithm.q[7].tolist() == [-9.0, 4.0 + 0.5 * (9.0 - 4.0), -9.0]


@pytest.mark.parametrize("name", ["maxq", "flat_q"])
def test_values_converge_and_equal_the_return_of_their_policy(name):
    make = make_maxq if name == "maxq" else make_flat_q
    cfg = config.build(ValueCfg, {"horizon": 16, "learning_rate": 1.0, "epsilon_iterations": 60})
    learner = make(corridor(64), cfg, 0)
    for _ in range(120):
        learner.iterate()
    assert greedy_means(learner) == (pytest.approx(3.5), pytest.approx(6.5))
    if name == "maxq":  # V(root, s), put together from V and C of all levels, is the flat value of the same policy
        value = learner.algorithm.value
        assert value[0, learner.tables.mdp.starts].tolist() == pytest.approx([5.0, 4.0, 3.0, 2.0], abs=1e-3)
        assert value[1, 2 * 3].item() == pytest.approx(-4.0, abs=1e-3)  # Fetch from place 3: three steps and the taking


def test_an_internal_reward_affects_its_subtask_alone():
    # the internal reward of Fetch for having the key must not change the values of the root
    internal = lambda before, after: 50.0 * (after[:, 1] == 1).float()  # noqa: E731
    cfg = config.build(ValueCfg, {"horizon": 16, "learning_rate": 1.0, "epsilon_iterations": 60})
    learner = make_maxq(corridor(64, graph=corridor_graph(internal)), cfg, 0)
    for _ in range(120):
        learner.iterate()
    assert learner.algorithm.value[0, learner.tables.mdp.starts].mean().item() == pytest.approx(3.5, abs=1e-3)
    row = learner.tables.row[1, 0] * learner.tables.width + 1
    assert learner.algorithm.inner_completion[row].item() == pytest.approx(50.0)
    assert learner.algorithm.completion[row].item() == pytest.approx(0.0)


def test_value_iteration_stops_when_it_has_converged():
    solver = make_value_iteration(corridor(1), ValueIterationCfg(), 0)
    while solver.iteration < solver.max_iterations:
        solver.iterate()
    assert solver.iteration < 15
    outcome = solver.outcome()
    assert outcome["mean_return"] == pytest.approx(3.5) and outcome["mean_length"] == pytest.approx(6.5)
    assert outcome["hierarchical"]["mean_return"] == pytest.approx(3.5)
    assert outcome["random"]["mean_return"] < -20


def test_value_iteration_that_has_not_converged_has_no_outcome():
    solver = make_value_iteration(corridor(1), ValueIterationCfg(max_iterations=6), 0)
    while solver.iteration < solver.max_iterations:
        solver.iterate()
    with pytest.raises(ConfigError, match="after 6 sweeps .* greater max_iterations="):
        solver.outcome()


def test_the_natural_gradient_keeps_no_policies_and_the_plain_one_those_of_the_last_iterations():
    natural = hpg(8, horizon=4)
    natural.iterate()
    assert natural.algorithm.policies is None and "policies" not in natural.algorithm.state_dict()
    plain = hpg(8, horizon=4, natural=False)
    algorithm = plain.algorithm
    kept = len(algorithm.policies)
    drawn = []
    for iteration in range(kept + 2):
        drawn.append(algorithm.probabilities(iteration))
        plain.iterate()
    expected = torch.stack(drawn[kept:] + drawn[2:kept])  # the oldest two are overwritten
    assert torch.equal(algorithm.policies, expected) and not torch.equal(drawn[0], drawn[-1])
    assert torch.equal(algorithm.state_dict()["policies"], expected)


@pytest.mark.parametrize(
    ("make", "cfg"),
    [(make_hpg, HpgCfg()), (make_hpg, HpgCfg(natural=False)), (make_maxq, ValueCfg()), (make_flat_q, ValueCfg())],
)
def test_a_stored_state_continues_bit_for_bit(make, cfg):
    first, second = (make(corridor(8, seed=s), cfg, s) for s in (0, 1))
    for _ in range(5):
        first.iterate()
    env_state, state = first.env.state_dict(), first.state_dict()
    straight = [first.iterate() for _ in range(3)]
    second.env.load_state_dict(env_state)
    second.load_state_dict(state)
    assert straight == [second.iterate() for _ in range(3)]


def test_exported_tables_match_the_policy():
    learner = make_maxq(corridor(32), ValueCfg(), 0)
    for _ in range(30):
        learner.iterate()
    exported = {item.name: item for item in learner.exports()}
    assert set(exported) == {"Root", "Fetch", "ToKey", "Carry", "ends"}
    mdp = learner.tables.mdp
    chosen = exported["Fetch"].module(mdp.obs).argmax(-1)
    best = learner.algorithm.best().view(4, 10, -1)[1, :, :2].argmax(-1)
    assert torch.equal(chosen, best)


def test_exported_tables_and_their_contract_reproduce_the_policy():
    """A stack of calls in plain Python, driven by nothing but the networks and their contracts."""
    learner = make_hpg(corridor(1), HpgCfg(), 0)
    for _ in range(20):
        learner.iterate()
    exported = {item.name: item for item in learner.exports()}
    files = exported["ends"].contract["subtasks"]
    names = list(files)
    env, policy = learner.env, learner.policy()
    obs, done, open_calls, deepest = env.reset(), True, [], 0
    for _ in range(60):
        policy.restart(torch.tensor([done]))
        observed = obs["state"]
        open_calls = [names[0]] if done else open_calls
        ended = dict(zip(names, exported["ends"].module(observed)[0] > 0, strict=True))
        over = [level for level, name in enumerate(open_calls) if ended[name]]
        open_calls = open_calls[: over[0]] if over else open_calls
        while (name := open_calls[-1]) in files:
            network = exported[files[name]]
            open_calls.append(network.contract["children"][int(network.module(observed).argmax())])
        action = exported["ends"].contract["action"]["actions"].index(open_calls.pop())
        deepest = max(deepest, len(open_calls))
        chosen = policy.act(obs)
        assert int(chosen.reshape(-1)[0] if chosen.numel() == 1 else chosen.argmax()) == action
        result = env.step(chosen)
        obs, done = result.obs, bool(result.done)
    assert deepest == 3


def test_a_task_without_a_graph_is_refused():
    env = corridor(1)
    object.__setattr__(env.mdp, "task_graph", None)
    with pytest.raises(ConfigError, match="declares a task graph"):
        make_hpg(env, HpgCfg(), 0)


@pytest.mark.parametrize(
    ("cfg_type", "values"),
    [
        (HpgCfg, {"learning_rate": 0.0}),
        (HpgCfg, {"horizon": 0}),
        (HpgCfg, {"entropy": -1.0}),
        (ValueCfg, {"gamma": 1.5}),
        (ValueCfg, {"epsilon": 0.01, "epsilon_end": 0.1}),
        (ValueIterationCfg, {"gamma": 0.0}),
    ],
)
def test_impossible_numbers_are_refused(cfg_type, values):
    with pytest.raises(ConfigError):
        config.build(cfg_type, values)


def test_learners_share_one_class_and_one_graph():
    flat = make_flat_q(corridor(2), ValueCfg(), 0)
    assert isinstance(flat, TabularLearner) and flat.tables.graph == flat_graph(flat.env.mdp.actions)
    assert GraphTables(flat.tables.graph, flat.env.mdp).rows == oracle.uniform(flat.env.mdp).shape[0]


def test_optimistic_initial_values_explore():
    values = {"horizon": 8, "learning_rate": 1.0, "epsilon": 0.0, "epsilon_end": 0.0}
    optimist = make_flat_q(corridor(32), config.build(ValueCfg, values | {"initial": 10.0}), 0)
    for _ in range(400):
        optimist.iterate()
    assert greedy_means(optimist)[0] == pytest.approx(3.5)
    reached = ~optimist.tables._unreachable()
    assert (optimist.algorithm.q[reached] < 10.0).any(-1).all(), "every reachable state was tried"


def test_exploration_falls_with_the_iterations_and_with_the_level():
    cfg = config.build(ValueCfg, {"epsilon": 0.5, "epsilon_end": 0.1, "epsilon_iterations": 10, "epsilon_share": 0.5})
    assert [cfg.epsilon_at(0, k) for k in (0, 5, 10, 99)] == pytest.approx([0.5, 0.3, 0.1, 0.1])
    learner = make_maxq(corridor(1), cfg, 0)
    table = learner.algorithm.probabilities(0).view(4, 10, -1)
    # Fetch at place 3: two things to do, epsilon (0.5 - 0.1) / 2; ToKey below it half as much
    assert sorted(table[1, 6, :2].tolist()) == pytest.approx([0.1, 0.9])
    assert sorted(table[2, 6, :2].tolist()) == pytest.approx([0.05, 0.95])


def test_step_sizes_decay():
    cfg = config.build(HpgCfg, {"learning_rate": 1.0, "decay_iterations": 50})
    assert [cfg.decayed_rate(k) for k in (0, 50, 150)] == pytest.approx([1.0, 0.5, 0.25])
    assert config.build(HpgCfg, {"learning_rate": 0.3}).decayed_rate(1000) == 0.3


def test_the_entropy_pulls_towards_even_choices_and_fades():
    learner = hpg(learning_rate=1.0, horizon=8, **(PAPER | {"entropy": 1.0, "entropy_iterations": 10}))
    algorithm = learner.algorithm
    row = learner.tables.row[3, 5]
    algorithm.theta[row] = torch.tensor([0.0, 2.0])
    share = algorithm._entropy_coefficient(0)
    assert share.shape == (learner.tables.rows, 1) and share[row].item() == 1.0
    pull = algorithm._entropy_gradient(row.unsqueeze(0), torch.ones(1), share)[row]
    # d H / d theta = -p (log p + H), for p = sigmoid(2)
    p = torch.tensor([1 - 0.8807970, 0.8807970])
    entropy = -(p * p.log()).sum()
    torch.testing.assert_close(pull, -p * (p.log() + entropy), atol=1e-5, rtol=1e-4)
    assert pull[0] > 0 > pull[1]
    assert (
        algorithm._entropy_gradient(row.unsqueeze(0), torch.ones(1), algorithm._entropy_coefficient(10)).abs().max()
        == 0.0
    )


def test_advantages_are_scaled_by_the_root_mean_square_of_their_subtask():
    learner = hpg(learning_rate=1.0, horizon=8, baseline=False, **NO_ENTROPY)
    algorithm = learner.algorithm
    rows = torch.stack((learner.tables.row[0, 5], learner.tables.row[3, 5]))
    algorithm.mean_square = torch.tensor([400.0, 1.0, 1.0, 4.0])
    scale = algorithm._scale(rows, torch.tensor([20.0, 2.0]), torch.zeros(2))
    torch.testing.assert_close(scale, torch.tensor([20.0, 2.0]))


def test_a_checkpoint_of_another_size_is_refused():
    learner, other = hpg(), hpg(abstraction=False)
    with pytest.raises(ValueError, match="theta is a tensor"):
        learner.load_weights(other.state_dict())


def test_weights_serve_any_number_of_environments():
    learner, other = hpg(8), hpg(2)
    for _ in range(3):
        learner.iterate()
    other.load_weights(learner.state_dict())
    assert torch.equal(other.algorithm.theta, learner.algorithm.theta)
    assert other.iteration == 3
    policy = other.policy()
    policy.restart(torch.ones(2, dtype=torch.bool))
    assert policy.act(other.env.observe()).shape == (2,)


def test_a_new_episode_clears_the_call_stack_of_a_policy():
    learner = hpg(2)
    policy = learner.policy()
    policy.restart(torch.ones(2, dtype=torch.bool))
    learner.env.state = torch.tensor([[3, 0], [3, 0]])
    policy.act(learner.env.observe())
    assert policy._stack.height.tolist()[0] > 1
    learner.env.state = torch.tensor([[2, 1], [3, 0]])
    policy.restart(torch.tensor([True, False]))
    policy.act(learner.env.observe())
    assert policy._stack.task[1, 0].item() == 3, "with the key in hand, the new episode carries it"
