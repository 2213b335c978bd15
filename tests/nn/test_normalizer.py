import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isaachrl.nn import RunningNorm


def test_the_first_batch_replaces_the_initial_statistics():
    norm = RunningNorm(2)
    norm.update(torch.tensor([[0.0, 10.0], [2.0, 10.0], [4.0, 10.0]]))
    torch.testing.assert_close(norm.mean, torch.tensor([2.0, 10.0]))
    torch.testing.assert_close(norm.var, torch.tensor([8.0 / 3.0, 0.0]))
    assert float(norm.count) == 3.0


def test_two_batches_by_hand():
    norm = RunningNorm(1)
    norm.update(torch.tensor([[0.0], [2.0]]))
    norm.update(torch.tensor([[4.0], [6.0], [8.0], [10.0]]))
    # 0 2 4 6 8 10: mean 5, squared distances 25 9 1 1 9 25
    torch.testing.assert_close(norm.mean, torch.tensor([5.0]))
    torch.testing.assert_close(norm.var, torch.tensor([70.0 / 6.0]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.floats(-50, 50), st.integers(0, 10**6))
def test_batches_in_any_cut_give_the_statistics_of_all_rows(sizes, shift, seed):
    rows = torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(seed)) * 4 + shift
    norm = RunningNorm(3)
    for part in rows.split(sizes):
        norm.update(part)
    torch.testing.assert_close(norm.mean, rows.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.var, rows.var(0, correction=0), rtol=1e-3, atol=1e-3)
    assert float(norm.count) == len(rows)


def test_leading_axes_are_rows():
    batch = torch.randn(5, 4, 2)
    a, b = RunningNorm(2), RunningNorm(2)
    a.update(batch)
    b.update(batch.flatten(0, 1))
    assert torch.equal(a.mean, b.mean) and torch.equal(a.var, b.var)


def test_seen_data_is_normalised_to_mean_zero_and_variance_one():
    batch = torch.randn(500, 3) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor([0.0, 100.0, -3.0])
    norm = RunningNorm(3)
    norm.update(batch)
    out = norm(batch)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(out.var(0, correction=0), torch.ones(3), rtol=2e-3, atol=0)
    torch.testing.assert_close(norm.restore(out), batch, rtol=1e-5, atol=1e-4)


def test_outliers_are_clamped_and_constants_do_not_explode():
    norm = RunningNorm(2, clip=5.0)
    norm.update(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
    out = norm(torch.tensor([[1e6, 1.0], [-1e6, 1.0]]))
    assert out.tolist() == [[5.0, 0.0], [-5.0, 0.0]]


def test_untouched_it_passes_numbers_on():
    x = torch.tensor([[-3.0, 0.5]])
    torch.testing.assert_close(RunningNorm(2)(x), x, rtol=1e-5, atol=0)


def test_normalising_does_not_update_and_the_state_can_be_loaded():
    norm = RunningNorm(2)
    norm.update(torch.randn(10, 2))
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    norm(torch.randn(10, 2))
    assert sorted(before) == ["count", "mean", "var"]
    assert all(torch.equal(before[name], tensor) for name, tensor in norm.state_dict().items())
    other = RunningNorm(2)
    other.load_state_dict(before)
    x, more = torch.randn(4, 2), torch.randn(7, 2)
    norm.update(more)
    other.update(more)
    assert torch.equal(norm(x), other(x))


def test_a_small_spread_far_from_zero_is_kept():
    norm = RunningNorm(1)
    rows = 1000.0 + torch.tensor([[-1.0], [1.0]]).repeat(50, 1)
    for part in rows.split(10):
        norm.update(part)
    torch.testing.assert_close(norm.var, torch.tensor([1.0]), rtol=1e-3, atol=0)
