"""Many independent streams of random numbers from the one seed of a run."""

from enum import IntEnum

import numpy as np

LARGEST_SEED = 2**63 - 1  # that PyTorch's generators and whatever stores whole numbers take alike


class Stream(IntEnum):
    """Who draws. The environment itself takes the run's seed as it is; everybody else takes a seed derived from it."""

    foreign = 0  # the global generators, for code that asks nobody
    weights = 1
    learner = 2  # exploration, and the order of rows
    random_policy = 3
    evaluation = 4
    check = 5


def sub_seed(seed: int, stream: Stream) -> int:
    """The seed of a stream, below 2**32: practically never that of another stream, or of one under another seed.

    Two streams that were told apart by adding to the seed would be those of the next seed's run. This is what
    `numpy.random.SeedSequence(seed).spawn` gives to its children.
    """
    return _derived(seed, int(stream))


def rank_seed(seed: int, rank: int) -> int:
    """The seed of a process that trains together with others, below 2**32; the first, of rank 0, keeps the given one.

    It is practically never that of a stream, of another rank, or of any rank under another seed.
    """
    return _derived(seed, len(Stream), rank) if rank > 0 else seed


def _derived(seed: int, *key: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])
