import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isaachrl.maths.sampling import draw_categories


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_shares_that_need_not_sum_to_one_become_frequencies():
    shares = torch.tensor([1.0, 0.0, 2.0, 5.0]).expand(40_000, 4)
    count = torch.bincount(draw_categories(shares, generator()), minlength=4) / 40_000
    # four standard deviations of a share of 5/8 are 0.0097
    torch.testing.assert_close(count, torch.tensor([0.125, 0.0, 0.25, 0.625]), rtol=0, atol=0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(0, 10**6))
def test_a_category_without_a_share_is_never_drawn(size, seed):
    shares = torch.rand(200, size, generator=generator(seed))
    shares *= torch.rand(200, size, generator=generator(seed + 1)) < 0.5
    shares[torch.arange(200), torch.randint(size, (200,), generator=generator(seed))] = 0.3
    drawn = draw_categories(shares, generator(seed))
    assert drawn.shape == (200,)
    assert bool((shares[torch.arange(200), drawn] > 0).all())


def test_every_row_has_its_own_shares():
    drawn = draw_categories(torch.eye(5)[[3, 1, 4, 1, 0]], generator())
    assert drawn.tolist() == [3, 1, 4, 1, 0]


def test_the_same_seed_draws_the_same():
    shares = torch.rand(100, 6)
    assert torch.equal(draw_categories(shares, generator(5)), draw_categories(shares, generator(5)))
    assert not torch.equal(draw_categories(shares, generator(5)), draw_categories(shares, generator(6)))
