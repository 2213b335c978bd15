"""Batches of the top level over several decisions, and with targets reached later, by hand."""

import pytest
import torch
from torch.testing import assert_close

from isaachrl.learn.goals.config import NStepCfg
from isaachrl.learn.goals.updates.top_update import decisions_at
from tests.learn.goals.plane import Plane, collect, flat_learner, goes_on_alike, make_learner

THREE = {"n_step": {"decisions": 3, "until": 0.5}}


def test_decisions_fall_to_one_in_equal_parts():
    cfg = NStepCfg(decisions=3, until=0.3)
    assert [decisions_at(cfg, progress) for progress in (0.0, 0.09, 0.11, 0.19, 0.21, 0.31, 1.0)] == [
        3,
        3,
        2,
        2,
        1,
        1,
        1,
    ]
    assert decisions_at(NStepCfg(), 0.0) == 1


def learner(lengths, steps, **changes):
    """A learner with discount 0.5 and raw inputs; episodes of each environment with these lengths."""
    made = make_learner(
        Plane(num_envs=len(lengths), lengths=lengths), **THREE | {"inputs": "raw", "correction": "none"} | changes,
        manager={"discount": 0.5, "reward_scale": 1.0, "batch": 64},
    )  # fmt: skip
    collect(made, steps)
    replay = made.replays[0]
    replay.data["rewards"].fill_(0.0)
    replay.data["rewards"][:, 0] = 2.0 ** torch.arange(replay.capacity + 1.0).clamp(max=20)  # of row i: 2^i
    return made


def test_rewards_of_three_decisions_are_summed_up_to_the_end_of_the_episode():
    made = learner([12], 20)  # rows 0, 1 and 2 are an episode; 3 and 4 of the next one, which goes on
    rows = torch.arange(5)
    goal, context, states = made.replays[0].take(rows, "goal", "context", "states")
    batch = made.top_update.batch(rows, goal, context)
    assert batch.reward.tolist() == [1 + 0.5 * 2 + 0.25 * 4, 2 + 0.5 * 4, 4, 8 + 0.5 * 16, 16]
    assert batch.discount.tolist() == [0.125, 0.25, 0.5, 0.25, 0.5]
    ends = states[[2, 2, 2, 4, 4], 4]
    assert_close(batch.next_features, torch.cat((ends, context), 1))
    assert_close(batch.features, torch.cat((states[:, 0], context), 1))


def test_short_segments_are_discounted_by_their_share_and_terminal_ones_end_the_sum():
    made = learner([6], 18)  # each episode: a segment of four steps and one of two
    replay, rows = made.replays[0], torch.arange(4)
    assert replay.data["length"][:4].tolist() == [4, 2, 4, 2]
    replay.data["terminal"][1] = True
    goal, context = replay.take(rows, "goal", "context")
    batch = made.top_update.batch(rows, goal, context)
    assert batch.reward.tolist() == [1 + 0.5 * 2, 2, 4 + 0.5 * 8, 8]
    assert batch.discount.tolist() == pytest.approx([0.0, 0.0, 0.5 * 0.5**0.5, 0.5**0.5])


def test_centred_rewards_are_centred_in_every_segment():
    made = learner([12], 12, centre_reward=True)
    made.replays[0].data["rewards"][:, 0] = 1.0
    rows = torch.arange(3)
    goal, context = made.replays[0].take(rows, "goal", "context")
    assert_close(made.top_update.batch(rows, goal, context).reward, torch.zeros(3))


def test_resampled_targets_count_in_all_decisions():
    made = learner([12], 12)
    rows = torch.arange(3)
    goal, states = made.replays[0].take(rows, "goal", "states")
    context = torch.tensor([[3.0, 4.0]]).expand(3, 2)
    batch = made.top_update.batch(rows, goal, context, resampled=1)
    one, two, three = (-(states[i, 1:, :2] - context[:1]).norm(dim=-1).sum() for i in range(3))
    assert_close(batch.reward[0], one + 0.5 * two + 0.25 * three)
    assert batch.reward[1].item() == 2 + 0.5 * 4, "only the first row"


def test_the_learner_shortens_them_and_continues_bit_for_bit():
    changes = THREE | {"max_iterations": 8, "target_resampling": 0.5, "future_share": 0.5}
    straight, other = (make_learner(**changes, seed=seed) for seed in (0, 1))
    goes_on_alike(straight, other)
    assert straight.top_update.decisions == 1 and make_learner(**changes).top_update.decisions == 3


def test_two_threads_with_links_are_as_one_order():
    changes = THREE | {"threads": 2, "target_resampling": 0.5, "future_share": 0.5, "recent_share": 0.25}
    straight, other = (make_learner(**changes, seed=seed) for seed in (0, 1))
    goes_on_alike(straight, other)


@pytest.mark.parametrize("make", [make_learner, flat_learner])
def test_a_share_of_resampled_targets_was_reached_later_in_the_same_episode(make):
    made = make(Plane(num_envs=3, episode_steps=12), target_resampling=0.5, future_share=0.5)
    collect(made, 30)
    top, replay = made.top_update, made.replays[-1]
    rows = torch.arange(8)
    context, count = top._contexts(rows)
    own, env, step, length = replay.take(rows, "context", "env", "step", "length")
    assert count == 4 and torch.equal(context[4:], own[4:])
    track = top.places.places  # `(T, N, 2)` of all steps so far
    for row in range(2):
        episode_end = int(step[row]) // 12 * 12 + 12
        rest = track[int(step[row]) : episode_end, env[row]]
        assert (rest == context[row]).all(1).any(), "reached at the segment's end or later"
        end = replay.data["states"][row, int(length[row])]
        assert torch.equal(track[int(step[row]), env[row]], end[:2])
