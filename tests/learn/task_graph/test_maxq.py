"""MAXQ-Q: targets for all states that a call passes through, and the meaning of its values."""

import pytest
import torch

import isaachrl
import tasks
from isaachrl import config
from isaachrl.learn.task_graph import make_maxq
from isaachrl.learn.task_graph.tabular import oracle
from isaachrl.learn.task_graph.tabular.config import ValueCfg
from isaachrl.learn.task_graph.tabular.learner import greedy_means
from isaachrl.learn.task_graph.tabular.stack import CallStack, Chooser, Tick
from isaachrl.maths.shapes import stack_steps
from tests.small_mdp import corridor

assert tasks
ROOT, FETCH, TO_KEY, CARRY = range(4)
EAGER = {"learning_rate": 1.0}


def state(place, key):
    return 2 * place + key


def maxq(num_envs=1, episode_steps=40, **values):
    return make_maxq(corridor(num_envs, episode_steps=episode_steps), config.build(ValueCfg, EAGER | values), 0)


def play(learner, start, *calls):
    """Ticks of one corridor from a start; each of `calls` maps subtasks to the child they call in this tick."""
    algorithm = learner.algorithm
    learner.env.state = torch.tensor([start])
    learner.stack.restart(torch.ones(1, dtype=torch.bool))
    ticks = []
    for children in calls:
        table = torch.zeros(algorithm.row.numel(), learner.tables.width)
        for task in range(4):
            table[algorithm.row[task], children.get(task, 0)] = 1.0
        ticks.append(learner._tick(Chooser(algorithm.row, table)))
    return ticks


def entry(learner, task, index, child):
    return learner.tables.row[task, index] * learner.tables.width + child


FETCHING = ({FETCH: 0}, {FETCH: 0}, {FETCH: 1})  # walk, walk, take


def test_all_states_that_a_call_passes_are_samples():
    learner = maxq(gamma=0.5)
    learner.algorithm.value[ROOT, state(0, 1)] = 8.0  # what the root expects with the key in hand
    learner.algorithm.value[FETCH, state(0, 0)] = -3.0
    ticks = play(learner, [2, 0], *FETCHING)
    assert [tick.action.item() for tick in ticks] == [0, 0, 2]
    learner.algorithm.learn(stack_steps(ticks), 0)
    completion = learner.algorithm.completion
    # Fetch took three steps from place 2, two from place 1, one from the key's
    assert completion[entry(learner, ROOT, state(2, 0), 0)].item() == pytest.approx(0.125 * 8.0)
    assert completion[entry(learner, ROOT, state(1, 0), 0)].item() == pytest.approx(0.25 * 8.0)
    assert completion[entry(learner, ROOT, state(0, 0), 0)].item() == pytest.approx(0.5 * 8.0)
    # inside Fetch: after ToKey comes the taking, from place 2 after two steps, from place 1 after one
    assert completion[entry(learner, FETCH, state(2, 0), 0)].item() == pytest.approx(0.25 * -3.0)
    assert completion[entry(learner, FETCH, state(1, 0), 0)].item() == pytest.approx(0.5 * -3.0)
    assert completion[entry(learner, FETCH, state(0, 0), 1)].item() == 0.0, "nothing is collected after its own end"


def test_open_calls_are_not_learned_from():
    learner = maxq(gamma=1.0)
    learner.algorithm.value[:] = 7.0
    ticks = play(learner, [3, 0], {FETCH: 0}, {FETCH: 0})
    learner.algorithm.learn(stack_steps(ticks), 0)
    completion = learner.algorithm.completion
    for place in (3, 2):
        assert completion[entry(learner, ROOT, state(place, 0), 0)].item() == 0.0
        assert completion[entry(learner, FETCH, state(place, 0), 0)].item() == 0.0
        # the primitive steps did come back: ToKey goes on from the next place
        assert completion[entry(learner, TO_KEY, state(place, 0), 0)].item() == 7.0


def test_a_call_that_began_before_the_rollout_is_learned_from_within_it():
    learner = maxq(gamma=1.0)
    ticks = play(learner, [3, 0], {FETCH: 0}, *FETCHING)
    learner.algorithm.value[ROOT, state(0, 1)] = 5.0
    learner.algorithm.learn(stack_steps(ticks[1:]), 0)
    completion = learner.algorithm.completion
    assert completion[entry(learner, ROOT, state(2, 0), 0)].item() == 5.0
    assert completion[entry(learner, ROOT, state(3, 0), 0)].item() == 0.0, "that was before the first tick"


def test_a_truncated_call_is_not_learned_from_by_its_callers():
    learner = maxq(episode_steps=2, gamma=1.0)
    learner.algorithm.value[:] = 7.0
    learner.env.reset()
    ticks = play(learner, [3, 0], {FETCH: 0}, {FETCH: 0})
    assert not ticks[-1].terminated.item() and ticks[-1].ended[0].item(), "the episode was truncated"
    learner.algorithm.learn(stack_steps(ticks), 0)
    assert learner.algorithm.completion[entry(learner, ROOT, state(3, 0), 0)].item() == 0.0
    assert learner.algorithm.completion[entry(learner, FETCH, state(3, 0), 0)].item() == 0.0


def level(rows):
    """`(T, 1, 1)` of one level of one environment."""
    return torch.tensor(rows).view(-1, 1, 1)


def test_completion_targets_by_hand():
    """Two calls of one level: over three ticks and over one; then one that is not over."""
    learner = maxq(gamma=0.5)
    empty = torch.zeros(5, 1, 1, dtype=torch.long)
    flags = {
        "decided": level([True, False, False, True, True]),
        "returned": level([False, False, True, True, False]),
        "ended": level([False] * 5),
    }
    others = {name: empty for name in Tick.__annotations__ if name not in flags}
    ticks = Tick(**(others | flags | {"next_state": empty[:, 0], "terminated": torch.zeros(5, 1, dtype=torch.bool)}))
    target, counts = learner.algorithm._completion_targets(ticks, level([0.0, 0.0, 16.0, 6.0, 99.0]))
    assert target.flatten().tolist()[:4] == [2.0, 4.0, 8.0, 3.0]
    assert counts.flatten().tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]


def follow(learner, starts):
    """Return of the greedy policy from each start in numbers `(K,)`, and whether it came to an end."""
    tables, mdp = learner.tables, learner.tables.mdp
    stack, choose = CallStack(tables, len(starts)), Chooser(learner.algorithm.row, learner.algorithm.best())
    index, total = starts.clone(), torch.zeros(len(starts))
    alive = torch.ones(len(starts), dtype=torch.bool)
    for _ in range(120):
        action, _ = stack.descend(index, choose, torch.Generator())
        reward, over = mdp.reward[index, action], mdp.terminated[index, action]
        total, index = total + reward * alive, mdp.next_state[index, action]
        stack.ascend(reward, index, over)
        stack.restart(over)
        alive = alive & ~over
    return total, ~alive


def test_the_decomposed_value_is_the_flat_value_of_the_same_policy():
    """V(root, s), put together from V and C of three levels, beside what its policy earns from s, start by start."""
    env = isaachrl.make("TaxiFuel", num_envs=512, device="cpu", seed=0)
    values = EAGER | {"epsilon_iterations": 25, "epsilon_end": 0.0, "epsilon_share": 0.1}
    learner = make_maxq(env, config.build(ValueCfg, values), 0)
    for _ in range(70):  # with no exploration left for the last 45, the values are those of one policy
        learner.iterate()
    starts = learner.tables.mdp.starts
    earned, over = follow(learner, starts)
    value = learner.algorithm.value[ROOT, starts]
    same = (value - earned).abs() < 0.5
    assert over.all() and same.float().mean() > 0.97, f"{same.float().mean()} of the starts"
    best = oracle.optimal_values(learner.tables.mdp)[starts]
    assert (earned <= best + 1e-3).all(), "no return is above the optimum"
    assert earned.std() > 1.0, "the starts differ"


def test_exploration_ends_below_before_it_ends_at_the_root():
    cfg = config.build(
        ValueCfg, {"epsilon": 0.5, "epsilon_end": 0.1, "epsilon_iterations": 10, "epsilon_share": 0.2, "horizon": 4}
    )
    assert [cfg.epsilon_at(0, k) for k in (0, 5, 10, 50)] == pytest.approx([0.5, 0.3, 0.1, 0.1])
    assert [cfg.epsilon_at(1, k) for k in (0, 5, 10, 50)] == pytest.approx([0.08, 0.04, 0.0, 0.0])
    assert [cfg.epsilon_at(2, k) for k in (0, 10)] == pytest.approx([0.016, 0.0])
    learner = make_maxq(corridor(1), cfg, 0)
    table = learner.algorithm.probabilities(10).view(4, 10, -1)
    assert sorted(table[FETCH, state(3, 0), :2].tolist()) == [0.0, 1.0]


def test_the_recursive_optimum_is_learned_from_every_start():
    learner = maxq(64, episode_steps=60, horizon=16, epsilon_iterations=40)
    for _ in range(80):
        learner.iterate()
    best, outcomes = oracle.recursive_optimum(learner.tables)
    assert greedy_means(learner) == (pytest.approx(best.mean_return), pytest.approx(best.mean_length))
    fetched = learner.algorithm.value[FETCH, state(3, 0)].item()
    assert fetched == pytest.approx(outcomes["Fetch"].reward[state(3, 0)].item(), abs=1e-3)


@pytest.mark.parametrize("many", [2, 4096])
def test_an_update_does_not_depend_on_other_environments(many):
    """The update of one corridor's ticks is not changed by those of others that pass other states."""
    alone, among = maxq(1, gamma=1.0), maxq(many, gamma=1.0)
    ticks = stack_steps(play(alone, [2, 0], *FETCHING))
    wide = {}
    for name in Tick.__annotations__:
        value = getattr(ticks, name)
        rest = torch.zeros_like(value).expand(*value.shape[:-1], many - 1)
        wide[name] = torch.cat((value, rest), dim=-1)
    for learner, rollout in ((alone, ticks), (among, Tick(**wide))):
        learner.algorithm.value[ROOT, state(0, 1)] = 5.0
        learner.algorithm.learn(rollout, 0)
    for place in (2, 1):
        at = entry(alone, ROOT, state(place, 0), 0)
        assert alone.algorithm.completion[at] == among.algorithm.completion[at] == 5.0
