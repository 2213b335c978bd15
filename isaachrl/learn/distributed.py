"""Distributed data-parallel training: the process group, and each rank's share of devices, environments and seeds.

`torchrun --nproc-per-node=2 train.py …` starts several processes ("ranks"). Each steps `num_envs / ranks` environments,
on its own GPU if there are GPUs, and an update averages gradients and the moments of normalisers over the ranks (see
`isaachrl.learn.collectives`), so that parameters with the same initial values stay the same to the last bit. In a
single process every function here returns its argument unchanged.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.maths.seeds import rank_seed


def rank() -> int:
    """Index of this process; rank 0 writes files and logs."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def process_group() -> Iterator[None]:
    """Context with a process group if torchrun started this process; does nothing otherwise."""
    if not dist.is_torchelastic_launched() or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        if _local_rank() < torch.cuda.device_count():  # else a training on GPUs fails in `own_device`
            torch.cuda.set_device(_local_rank())
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    yield
    dist.destroy_process_group()  # not after an error: other ranks may be waiting, and torchrun ends them


def own_device(device: torch.device) -> torch.device:
    """The device of this rank: with several ranks on GPUs, the GPU of its local rank.

    Raises:
        ConfigError: the machine has fewer GPUs than processes.
    """
    if size() == 1 or device.type != "cuda":
        return device
    index, found = _local_rank(), torch.cuda.device_count()
    if index >= found:
        raise ConfigError(
            f"torchrun started process {index + 1} on a machine of {found} GPUs; type --nproc-per-node={found}"
        )
    return torch.device("cuda", index)


def _local_rank() -> int:
    """Index of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def own_share(count: int, name: str) -> int:
    """This rank's share of a total; all shares are equal.

    Raises:
        ConfigError: it is not divisible by the number of ranks; `name` is its key.
    """
    if count % size():
        possible = max(count // size(), 1) * size()
        raise ConfigError(f"{name}={count} cannot be shared by {size()} processes equally; type {name}={possible}")
    return count // size()


def own_rows(count: int) -> int:
    """This rank's share of a number of rows, at least one; all shares are equal."""
    return max(count // size(), 1)


def own_part(rows: Tensor) -> Tensor:
    """This rank's part of rows `(n, …)` that all ranks have; a remainder is dropped."""
    count = own_rows(len(rows))
    return rows[rank() * count :][:count]


def own_seed(seed: int) -> int:
    """A seed that differs between ranks; rank 0 keeps the given one. See `rank_seed`."""
    return rank_seed(seed, rank())


def decorrelate_seed(generator: torch.Generator) -> None:
    """Reseed a generator, which has the same seed on all ranks, so that each rank draws other numbers."""
    if rank() > 0:
        generator.manual_seed(own_seed(generator.initial_seed()))
