"""The replay of segments and the pool of corrected goals."""

from dataclasses import replace

import pytest
import torch

from isaachrl.errors import IsaacHRLError
from isaachrl.learn.goals.experience.replay import RelabelledPool, SegmentReplay, Sizes

SIZES = Sizes(steps=3, state=2, action=1, goal=1, context=1)


def make(capacity=4):
    return SegmentReplay(capacity, SIZES, torch.device("cpu"))


def generator():
    return torch.Generator().manual_seed(0)


def push(replay, values, keep=None, length=3, ended=None, **links):
    """One segment per value; all its entries follow from the value."""
    v = torch.tensor([float(value) for value in values])
    n = len(v)
    steps = torch.arange(4.0)
    replay.push(
        torch.tensor(keep if keep is not None else [True] * n),
        torch.tensor(ended if ended is not None else [False] * n),
        states=(v[:, None, None] * 10 + steps[None, :, None]).expand(n, 4, 2),
        actions=(v[:, None, None] * 10 + steps[None, :3, None]),
        rewards=v[:, None].expand(n, 3), flipped=torch.zeros(n, 3, dtype=torch.bool), goal=v[:, None],
        next_goal=-v[:, None], context=v[:, None], length=torch.full((n,), length), terminal=torch.zeros(n) > 0,
        **links,
    )  # fmt: skip


def test_only_marked_segments_are_kept_and_the_oldest_give_way():
    replay = make()
    push(replay, [1, 2, 3], keep=[True, False, True])
    assert replay.data["goal"][:4, 0].tolist() == [1, 3, 0, 0]
    push(replay, [4, 5, 6])
    assert replay.data["goal"][:4, 0].tolist() == [6, 3, 4, 5]
    assert int(replay.written) == 5


def test_draws_are_uniform_over_what_is_there():
    replay = make()
    push(replay, [1, 2])
    counts = replay.draw_rows(4000, generator()).bincount(minlength=4)
    assert counts[2:].sum() == 0
    assert (counts[:2].float() / 4000 - 0.5).abs().max() < 0.05


def test_steps_come_from_their_own_segment():
    replay = make()
    push(replay, [1, 2])
    rows, step = torch.tensor([1, 0, 1]), torch.tensor([0, 2, 2])
    assert replay.steps_at("states", rows, step + 1)[:, 0].tolist() == [21, 13, 23]
    assert replay.steps_at("actions", rows, step)[:, 0].tolist() == [20, 12, 22]


def test_steps_that_did_not_happen_are_marked():
    replay = make()
    push(replay, [1], length=2)
    assert replay.valid(torch.tensor([0])).tolist() == [[True, True, False]]


def test_an_empty_replay_says_so():
    with pytest.raises(IsaacHRLError, match="replay is empty"):
        make().draw_rows(2, generator())


def test_a_stored_replay_is_the_same():
    replay, other = make(), make()
    push(replay, [1, 2, 3])
    other.load_state_dict(replay.state_dict())
    assert int(other.written) == 3
    for name, values in replay.data.items():
        assert torch.equal(values[:3], other.data[name][:3]), name
    assert sorted(set(other.draw_rows(100, generator()).tolist())) == [0, 1, 2]


def test_a_pool_forgets_goals_of_segments_that_were_overwritten():
    replay = make(capacity=2)
    pool = RelabelledPool(2, 2, 1, replay)
    push(replay, [1, 2])
    pool.put(torch.tensor([0, 1]), torch.tensor([[100.0], [200.0]]))
    push(replay, [3])  # takes the place of 1
    rows, goal = pool.draw(200, torch.Generator().manual_seed(1))
    assert set(zip(rows.tolist(), goal[:, 0].tolist(), strict=True)) == {(0, 3.0), (1, 200.0)}


def test_a_pool_keeps_the_last_sets_alone():
    replay = make()
    pool = RelabelledPool(2, 1, 1, replay)
    push(replay, [1])
    for value in (7.0, 8.0, 9.0):
        pool.put(torch.tensor([0]), torch.tensor([[value]]))
    _, goal = pool.draw(100, torch.Generator().manual_seed(1))
    assert set(goal[:, 0].tolist()) == {8.0, 9.0}


def linked(capacity=6):
    return SegmentReplay(capacity, replace(SIZES, linked=True), torch.device("cpu"))


def push_linked(replay, values, **changes):
    number = torch.arange(len(values))
    push(replay, values, env=number, step=number, **changes)


def test_segments_know_what_followed_in_their_episode():
    replay = linked()
    push_linked(replay, [1, 2])  # rows 0 and 1
    push_linked(replay, [3, 4], keep=[True, False])  # row 2; the second environment's segment goes on
    push_linked(replay, [5, 6], ended=[True, False])  # rows 3 and 4
    assert replay.data["following"][:5].tolist() == [2, 4, 3, 6, 6], "6: none yet"
    push_linked(replay, [7, 8])  # rows 5, of a new episode, and 0
    assert replay.data["following"][:6].tolist() == [6, 4, 3, 6, 0, 6]


def test_a_segment_that_was_not_stored_ends_the_chain_with_its_episode():
    replay = linked()
    push_linked(replay, [1, 2])
    push_linked(replay, [3, 4], keep=[False, True], ended=[True, False])  # the first one diverged
    push_linked(replay, [5, 6])
    assert replay.data["following"][:5].tolist() == [6, 2, 4, 6, 6]


def test_links_and_order_survive_holding_back_and_storing():
    held, other = linked(), linked()
    for replay in (held, other):
        push_linked(replay, [1, 2])
    held.hold()
    values = torch.tensor([3.0, 4.0])
    push_linked(held, values)
    push_linked(held, [5, 6], ended=[True, True])
    assert int(held.written) == 2 and held.data["goal"][2:4, 0].tolist() == [0, 0]
    held.release()
    for numbers, ended in (([3, 4], [False, False]), ([5, 6], [True, True])):
        push_linked(other, numbers, ended=ended)
    assert int(held.written) == 6
    again = linked()
    again.load_state_dict(held.state_dict())
    for replay in (held, other, again):
        push_linked(replay, [7, 8])
    for name in held.data:
        assert torch.equal(held.data[name], other.data[name]), name
        assert torch.equal(held.data[name][:6], again.data[name][:6]), name


def test_what_is_held_back_is_a_copy():
    replay = make()
    goal = torch.tensor([[1.0]])
    replay.hold()
    fields = {name: values[:1].clone() for name, values in replay.data.items()} | {"goal": goal}
    replay.push(torch.tensor([True]), torch.tensor([False]), **fields)
    goal.fill_(2.0)
    replay.release()
    assert replay.data["goal"][0].tolist() == [1.0]


def test_a_share_of_the_draws_is_of_the_newest():
    replay = SegmentReplay(20, SIZES, torch.device("cpu"), recent_share=0.5)
    for value in range(25):
        push(replay, [value])
    shares = replay.draw_rows(20_000, generator()).bincount(minlength=20) / 20_000
    # the newest tenth of twenty are the rows 3 and 4: half of the draws for two, and the rest for all
    expected = torch.full((20,), 0.025)
    expected[3:5] += 0.25
    assert (shares - expected).abs().max() < 0.01
