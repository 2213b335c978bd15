import numpy as np
import pytest

from isaachrl.maths.seeds import Stream, sub_seed


def test_a_sub_seed_is_that_of_numpys_child():
    children = np.random.SeedSequence(7).spawn(len(Stream))
    assert [sub_seed(7, stream) for stream in Stream] == [int(child.generate_state(1)[0]) for child in children]


def test_no_stream_is_another_ones_nor_that_of_a_seed_nearby():
    seeds = [sub_seed(seed, stream) for seed in range(50) for stream in Stream]
    assert len({*seeds, *range(100)}) == len(seeds) + 100
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        sub_seed(-1, Stream.learner)
