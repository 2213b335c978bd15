import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isaachrl.maths import returns
from isaachrl.maths.returns import generalized_advantages


def column(*values):
    dtype = torch.bool if isinstance(values[0], bool) else torch.float64
    return torch.tensor(values, dtype=dtype).unsqueeze(1)


def naive(reward, value, next_value, done, discount, lam):
    """One environment and one step at a time: the sum of later errors up to the end of the episode."""
    steps, envs = reward.shape
    advantage = torch.zeros_like(reward)
    for n in range(envs):
        for t in range(steps):
            weight = 1.0
            for later in range(t, steps):
                error = reward[later, n] + discount * next_value[later, n] - value[later, n]
                advantage[t, n] += weight * error
                if done[later, n]:
                    break
                weight *= discount * lam
    return advantage


def test_an_unbroken_rollout_by_hand():
    # errors: 1 + 0.5*4 - 2 = 1;  2 + 0.5*6 - 4 = 1;  3 + 0.5*8 - 6 = 1; each carried back by 0.5 * 0.5
    advantage = generalized_advantages(
        column(1, 2, 3), column(2, 4, 6), column(4, 6, 8), torch.zeros(3, 1, dtype=torch.bool), 0.5, 0.5
    )
    torch.testing.assert_close(advantage, column(1 + 0.25 * 1.25, 1.25, 1.0))


def test_a_fall_and_a_time_limit_inside_the_rollout_by_hand():
    done = torch.tensor([[False, False], [True, True], [False, False]])
    reward = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    value = torch.full((3, 2), 2.0)
    # the left one fell: nothing follows; the right one ran out of time: the value of what it last saw follows
    next_value = torch.tensor([[2.0, 2.0], [0.0, 6.0], [4.0, 4.0]])
    advantage = generalized_advantages(reward, value, next_value, done, discount=0.5, lam=1.0)
    # last: 1 + 2 - 2 = 1, and none of it reaches the episode before
    # middle: 1 + 0 - 2 = -1 and 1 + 3 - 2 = 2;  first: 1 + 1 - 2 = 0 and half of the middle
    torch.testing.assert_close(advantage, torch.tensor([[-0.5, 1.0], [-1.0, 2.0], [1.0, 1.0]]))


def test_without_lambda_only_the_own_error_counts():
    reward, value, following = torch.randn(3, 5, 4).unbind(0)
    done = torch.rand(5, 4) < 0.3
    advantage = generalized_advantages(reward, value, following, done, 0.9, 0.0)
    torch.testing.assert_close(advantage, reward + 0.9 * following - value)


def test_with_full_lambda_it_is_the_return_minus_the_value():
    reward, value = torch.randn(2, 6, 1, dtype=torch.float64).unbind(0)
    following = torch.cat((value[1:], torch.tensor([[7.0]], dtype=torch.float64)))
    advantage = generalized_advantages(reward, value, following, torch.zeros(6, 1, dtype=torch.bool), 0.9, 1.0)
    future = torch.tensor([7.0], dtype=torch.float64)
    for t in range(5, -1, -1):
        future = reward[t] + 0.9 * future
        torch.testing.assert_close(advantage[t], future - value[t])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 10**6))
def test_it_equals_a_loop_over_environments(steps, envs, discount, lam, seed):
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(3, steps, envs, generator=generator, dtype=torch.float64)
    done = torch.rand(steps, envs, generator=generator) < 0.3
    next_value = numbers[2].masked_fill(done & (torch.rand(steps, envs, generator=generator) < 0.5), 0.0)
    arguments = (numbers[0], numbers[1], next_value, done, discount, lam)
    before = [tensor.clone() for tensor in arguments[:4]]
    torch.testing.assert_close(generalized_advantages(*arguments), naive(*arguments))
    assert all(torch.equal(a, b) for a, b in zip(before, arguments[:4], strict=True))  # a pure function


def test_decisions_of_one_step_are_ordinary_advantages():
    generator = torch.Generator().manual_seed(0)
    reward, value, following = (torch.randn(7, 3, generator=generator) for _ in range(3))
    done = torch.rand(7, 3, generator=generator) < 0.3
    expected = returns.generalized_advantages(reward, value, following, done, 0.9, 0.8)
    every, discount = torch.ones_like(done), torch.full_like(reward, 0.9)
    found = returns.semi_markov_advantages(reward, discount, value, following, every, done, 0.8)
    torch.testing.assert_close(found, expected)


def test_the_next_decision_counts_with_the_discount_of_this_ones_steps():
    # the first takes three steps, the second two; then the episode is over
    found = returns.semi_markov_advantages(
        reward=column(0.0, 0.0, 1.0, 0.0, 5.0),
        discount=column(0.5, 0.25, 0.125, 0.5, 0.25),
        value=column(0.0, 0.0, 0.0, 0.0, 0.0),
        next_value=column(0.0, 0.0, 0.0, 0.0, 0.0),
        ended=column(False, False, True, False, True),
        done=column(False, False, False, False, True),
        lam=1.0,
    )
    torch.testing.assert_close(found, column(0.0, 0.0, 1.0 + 0.125 * 5.0, 0.0, 5.0))


def test_nothing_is_carried_over_the_end_of_an_episode():
    found = returns.semi_markov_advantages(
        reward=column(1.0, 100.0),
        discount=column(0.5, 0.5),
        value=column(0.0, 0.0),
        next_value=column(4.0, 0.0),  # the first was cut off by time, and this is what would have followed
        ended=column(True, True),
        done=column(True, True),
        lam=1.0,
    )
    torch.testing.assert_close(found, column(1.0 + 0.5 * 4.0, 100.0))


def test_a_return_is_known_up_to_a_final_end_only():
    ended = column(False, True, False, True, False, False)
    final = column(False, True, False, False, False, False)
    assert returns.known_returns(ended, final).flatten().tolist() == [True, True, False, False, False, False]
