"""Call stacks, tables and exact solutions on a corridor that can be solved by hand."""

import pytest
import torch

from isaachrl.envs.task_graph import Subtask, TaskGraph, flat_graph
from isaachrl.errors import ConfigError
from isaachrl.learn.task_graph.tabular import oracle
from isaachrl.learn.task_graph.tabular.stack import CallStack, Chooser
from isaachrl.learn.task_graph.tabular.tables import GraphTables
from tests.small_mdp import ACTIONS, corridor, corridor_graph, corridor_mdp

FETCH, TO_KEY, CARRY = 1, 2, 3


@pytest.fixture
def tables():
    return GraphTables(corridor_graph(), corridor_mdp())


def state(place, key):
    return 2 * place + key


def test_allowed_children_depend_on_the_state(tables):
    assert tables.allowed[0, state(2, 0)].tolist() == [True, False]  # nothing to carry yet
    assert tables.allowed[0, state(2, 1)].tolist() == [False, True]  # fetched already
    assert tables.allowed[FETCH, state(3, 0)].tolist() == [True, True]
    assert tables.allowed[FETCH, state(0, 0)].tolist() == [False, True]  # at the key already
    assert tables.primitives(FETCH) == [0, 1, 2]


def test_states_with_the_same_abstract_state_share_a_row(tables):
    assert tables.row[TO_KEY, state(2, 0)] == tables.row[TO_KEY, state(2, 1)]
    assert tables.row[TO_KEY, state(2, 0)] != tables.row[TO_KEY, state(3, 0)]
    assert tables.rows == 10 + 10 + 5 + 10
    whole = GraphTables(corridor_graph(), corridor_mdp(), abstract=False)
    assert whole.rows == 40 and whole.row[TO_KEY, state(2, 0)] != whole.row[TO_KEY, state(2, 1)]


def test_a_subtask_that_cannot_end_from_some_state_is_refused():
    stuck = TaskGraph(
        (Subtask("Root", ("Go", "Take")), Subtask("Go", ("Left",), lambda s: s[:, 0] == 3)), ACTIONS
    )  # from the left of place 3, walking left never gets there
    with pytest.raises(ConfigError, match=r"Go cannot terminate from the state \[0, 0\]"):
        GraphTables(stuck, corridor_mdp())


def test_an_abstraction_that_hides_what_decides_is_refused():
    blind = TaskGraph(
        (
            Subtask("Root", ("Fetch", "Right"), sees=("place",)),
            Subtask("Fetch", ("Left", "Take"), lambda s: s[:, 1] == 1),
        ),
        ACTIONS,
    )
    with pytest.raises(ConfigError, match="Root may call Fetch in some states only"):
        GraphTables(blind, corridor_mdp())


def test_exact_solutions_by_hand(tables):
    mdp = tables.mdp
    value = oracle.optimal_values(mdp)
    # from place p: p steps left, one to take, four right: 10 - (p + 5)
    assert [round(float(value[state(p, 0)]), 9) for p in range(4)] == [5.0, 4.0, 3.0, 2.0]
    best = oracle.evaluate(mdp, oracle.greedy(oracle.action_values(mdp, value)))
    assert (best.mean_return, best.mean_length) == (pytest.approx(3.5), pytest.approx(6.5))
    assert best.as_dict()["reward_per_step"] == pytest.approx(3.5 / 6.5)
    assert oracle.hierarchical_optimum(tables) == pytest.approx(3.5)
    recursive, outcomes = oracle.recursive_optimum(tables)
    assert (recursive.mean_return, recursive.mean_length) == (pytest.approx(3.5), pytest.approx(6.5))
    fetch = outcomes["Fetch"]
    assert (fetch.after[state(3, 0)].item(), fetch.steps[state(3, 0)].item()) == (state(0, 1), 4.0)


def test_random_actions_have_the_means_of_a_simulation():
    env = corridor(num_envs=4000, episode_steps=100_000)
    exact = oracle.evaluate(env.mdp, oracle.uniform(env.mdp))
    total, length = torch.zeros(4000), torch.zeros(4000)
    alive = torch.ones(4000, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    while alive.any():
        result = env.advance(torch.randint(3, (4000,), generator=generator))
        total, length = total + result.reward * alive, length + alive
        alive &= ~result.terminated
    assert float(length.mean()) == pytest.approx(exact.mean_length, rel=0.05)
    assert float(total.mean()) == pytest.approx(exact.mean_return, rel=0.06)


def test_a_policy_that_never_ends_is_refused():
    mdp = corridor_mdp()
    left = torch.zeros(10, 3, dtype=torch.float64)
    left[:, 0] = 1.0
    with pytest.raises(ConfigError, match="never ends"):
        oracle.evaluate(mdp, left)


def test_endless_policies_are_found_without_iteration(monkeypatch):
    mdp = corridor_mdp()
    best = oracle.greedy(oracle.action_values(mdp, oracle.optimal_values(mdp)))
    assert not oracle.endless(mdp, best)[mdp.starts].any()
    assert not oracle.endless(mdp, oracle.uniform(mdp)).any()
    stuck = best.clone()
    stuck[state(2, 0)] = torch.tensor([0.5, 0.0, 0.5])  # now and then it takes nothing at 2, and goes on
    assert not oracle.endless(mdp, stuck)[mdp.starts].any()
    stuck[state(1, 1)] = torch.tensor([0.0, 0.0, 1.0])  # on the way back with the key it stays at 1 for good
    assert oracle.endless(mdp, stuck)[mdp.starts].all() and not oracle.endless(mdp, stuck)[state(2, 1)]
    monkeypatch.setattr(oracle, "MAX_SWEEPS", 0)
    with pytest.raises(ConfigError, match="never ends"):
        oracle.evaluate(mdp, stuck)


def best_chooser(tables):
    """Calls as the recursive optimum does."""
    _, outcomes = oracle.recursive_optimum(tables)
    rows = torch.arange(tables.num_subtasks * tables.num_states).view(tables.num_subtasks, -1)
    table = torch.stack([outcomes[subtask.name].child for subtask in tables.graph.subtasks])
    return Chooser(rows, torch.nn.functional.one_hot(table, tables.width).flatten(0, 1).float())


def test_stacks_of_different_depth_in_one_batch(tables):
    stack, choose, generator = CallStack(tables, 3), best_chooser(tables), torch.Generator()
    index = torch.tensor([state(2, 0), state(0, 0), state(3, 1)])
    action, decided = stack.descend(index, choose, generator)
    assert action.tolist() == [0, 2, 1]  # on the way to the key, taking it, carrying it
    assert stack.height.tolist() == [3, 2, 2]
    assert stack.task[:, 0].tolist() == [0, FETCH, TO_KEY]
    assert (stack.task[1, 1], stack.task[1, 2]) == (FETCH, CARRY)
    assert decided.tolist() == [[True] * 3, [True] * 3, [True, False, False]]
    after = tables.mdp.next_state[index, action]
    returned, ended = stack.ascend(torch.tensor([-1.0, -1.0, 9.0]), after, torch.tensor([False, False, True]))
    # the first goes on walking; the second has fetched; the third's episode is over
    assert ended.tolist() == [[False, False, True], [False, True, True], [False, False, False]]
    assert returned.tolist() == [[False, True, True], [False, True, True], [True, False, False]]
    assert stack.height.tolist() == [3, 1, 0]
    assert stack.return_so_far[0].tolist() == [-1.0, -1.0, 9.0]


def test_rewards_add_up_on_every_level(tables):
    stack, choose, generator = CallStack(tables, 1), best_chooser(tables), torch.Generator()
    index, totals = torch.tensor([state(2, 0)]), []
    for _ in range(7):
        action, _ = stack.descend(index, choose, generator)
        after = tables.mdp.next_state[index, action]
        over = tables.mdp.terminated[index, action]
        stack.ascend(tables.mdp.reward[index, action], after, over)
        totals.append(stack.return_so_far[:, 0].tolist())
        index = after
    assert totals[1][2] == -2.0  # to the key: two steps
    assert totals[2][:2] == [-3.0, -3.0]  # and one to take it
    assert totals[6][:2] == [3.0, 6.0]  # carried: -4 + 10; the root: all of it
    assert stack.height.item() == 0


def test_environment_i_is_the_same_among_many(tables):
    choose = best_chooser(tables)
    many, one = CallStack(tables, 4096), CallStack(tables, 1)
    index = torch.randint(10, (4096,), generator=torch.Generator().manual_seed(1))
    index[77], single = state(3, 0), torch.tensor([state(3, 0)])
    for _ in range(8):
        actions, _ = many.descend(index, choose, torch.Generator())
        action, _ = one.descend(single, choose, torch.Generator())
        assert actions[77] == action[0]
        index, single = tables.mdp.next_state[index, actions], tables.mdp.next_state[single, action]
        over = torch.zeros(4096, dtype=torch.bool)
        many.ascend(torch.ones(4096), index, over), one.ascend(torch.ones(1), single, over[:1])
        assert torch.equal(many.return_so_far[:, 77], one.return_so_far[:, 0]) and many.height[77] == one.height[0]


def test_rounding_never_selects_a_child_of_probability_zero():
    choose = Chooser(torch.zeros(1, 1, dtype=torch.long), torch.tensor([[0.3, 0.7 - 1e-7, 0.0]]))
    zero = torch.zeros(4, dtype=torch.long)
    assert choose(zero, zero, torch.tensor([0.0, 0.29, 0.31, 0.99999994])).tolist() == [0, 0, 1, 1]


def test_the_flat_graph_is_one_level(tables):
    flat = GraphTables(flat_graph(ACTIONS), tables.mdp)
    assert flat.graph.depth == 1 and flat.rows == 10 and flat.row_allowed.all()
