"""Independent random streams from the seed of a run."""

from enum import IntEnum

import numpy as np

LARGEST_SEED = 2**63 - 1  # the largest that PyTorch's generators accept and files store


class Stream(IntEnum):
    """The users of random numbers. The environment uses the run's seed itself, all others a seed derived from it."""

    foreign = 0  # the global generators of Python, NumPy and PyTorch
    weights = 1
    learner = 2  # exploration and minibatches
    random_policy = 3
    evaluation = 4
    goal_evaluation = 5


def sub_seed(seed: int, stream: Stream) -> int:
    """The seed of a stream, below 2**32, as by `numpy.random.SeedSequence(seed).spawn`.

    Unlike sums of seed and stream, these seeds practically never coincide, also under different seeds.
    """
    return _derived(seed, int(stream))


def rank_seed(seed: int, rank: int) -> int:
    """The seed of a rank in distributed training, below 2**32; rank 0 keeps the run's seed.

    It practically never coincides with that of a stream or of another rank, also under different seeds.
    """
    return _derived(seed, len(Stream), rank) if rank > 0 else seed


def _derived(seed: int, *key: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])
