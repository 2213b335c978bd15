import numpy as np
import pytest

from isaachrl.maths.seeds import Stream, rank_seed, sub_seed


def test_a_sub_seed_is_that_of_numpys_child():
    children = np.random.SeedSequence(7).spawn(len(Stream))
    assert [sub_seed(7, stream) for stream in Stream] == [int(child.generate_state(1)[0]) for child in children]


def test_no_stream_is_another_ones_nor_that_of_a_seed_nearby():
    seeds = [sub_seed(seed, stream) for seed in range(50) for stream in Stream]
    assert len({*seeds, *range(100)}) == len(seeds) + 100
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_ranks_have_seeds_of_their_own_and_the_first_keeps_the_given_one():
    assert [rank_seed(seed, 0) for seed in range(5)] == list(range(5))
    others = [rank_seed(seed, rank) for seed in range(50) for rank in range(1, 9)]
    streams = [sub_seed(seed, stream) for seed in range(50) for stream in Stream]
    assert len({*others, *streams, *range(100)}) == len(others) + len(streams) + 100
    # that of another rank under another seed: sums of seed and rank would meet
    assert rank_seed(1_000_003, 1) != rank_seed(0, 2)
    assert rank_seed(7, 2) == int(np.random.SeedSequence(7, spawn_key=(len(Stream), 2)).generate_state(1)[0])


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        sub_seed(-1, Stream.learner)
