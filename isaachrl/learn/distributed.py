"""Several processes train one learner together, each on its share of the environments; alone, nothing changes.

`torchrun --nproc-per-node=2 train.py …` starts them, and PyTorch's own engine joins them. Each process ("rank") steps
`num_envs / ranks` environments, on the GPU of its number where there are GPUs. The ranks meet where an update needs
what all of them saw: gradients and the moments of normalisers are averaged, so that parameters which begin alike stay
alike to the last bit. Every function here hands back what it was given where there is one process only.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from isaachrl.errors import ConfigError
from isaachrl.maths.seeds import rank_seed
from isaachrl.nn import RunningNorm


def rank() -> int:
    """Number of this process, 0 for the one that writes files and speaks."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def joined() -> Iterator[None]:
    """Inside, the processes that torchrun has started know each other; without torchrun nothing happens."""
    if not dist.is_torchelastic_launched() or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        if _local_rank() < torch.cuda.device_count():  # else only a training on GPUs is refused, see `own_device`
            torch.cuda.set_device(_local_rank())
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    yield
    dist.destroy_process_group()  # not after an error: the others may still wait, and torchrun ends them


def own_device(device: torch.device) -> torch.device:
    """The device of this rank: on GPUs the one of its number, whichever was named."""
    return torch.device("cuda", _own_gpu()) if size() > 1 and device.type == "cuda" else device


def _local_rank() -> int:
    """Number of this process among those of this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def _own_gpu() -> int:
    """Index of this rank's GPU.

    Raises:
        ConfigError: the machine has fewer GPUs than processes.
    """
    index, found = _local_rank(), torch.cuda.device_count()
    if index >= found:
        raise ConfigError(
            f"torchrun started process {index + 1} on a machine of {found} GPUs; type --nproc-per-node={found}"
        )
    return index


def own_share(count: int, name: str) -> int:
    """This rank's part of a total; all parts are of one size.

    Raises:
        ConfigError: it cannot be parted equally; `name` is the setting that gave it.
    """
    if count % size():
        possible = max(count // size(), 1) * size()
        raise ConfigError(f"{name}={count} cannot be shared by {size()} processes equally; type {name}={possible}")
    return count // size()


def own_rows(count: int) -> int:
    """This rank's part of a number of rows, at least one; all parts are of one size."""
    return max(count // size(), 1)


def own_part(rows: Tensor) -> Tensor:
    """This rank's part of rows `(n, …)` that all ranks hold; what cannot be shared equally is left out."""
    count = own_rows(len(rows))
    return rows[rank() * count :][:count]


def own_seed(seed: int) -> int:
    """A seed that differs between ranks; rank 0 keeps the given one. See `rank_seed`."""
    return rank_seed(seed, rank())


def part_ways(generator: torch.Generator) -> None:
    """From here on every rank draws other numbers from a generator that all began with the same seed."""
    if rank() > 0:
        generator.manual_seed(own_seed(generator.initial_seed()))


def copy_from_first(*modules: nn.Module) -> None:
    """Give every rank the parameters and buffers that rank 0 has."""
    if size() == 1:
        return
    for module in modules:
        for values in module.state_dict().values():
            dist.broadcast(values, 0)


def mean(values: Tensor) -> Tensor:
    """Mean over the ranks, entry by entry; no gradient passes."""
    if size() == 1:
        return values
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / size()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients by their means over the ranks, in one message."""
    if size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    averaged = mean(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, new in zip(gradients, averaged.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(new.view_as(gradient))


def pool_moments(mean_of: Tensor, var: Tensor) -> None:
    """Turn means and variances of equally many rows a rank into those of all rows together, in place.

    The whole variance is the mean of the ranks' own plus the variance of their means.
    """
    if size() == 1:
        return
    pooled = mean(mean_of)
    var.copy_(mean(var + (mean_of - pooled).square()))
    mean_of.copy_(pooled)


def take_in(norm: RunningNorm, rows: Tensor) -> None:
    """Let a normaliser see rows `(…, size)`, and what the other ranks give it."""
    norm.update(rows)
    pool_moments(norm.mean, norm.var)


def mean_signals(signals: dict[str, float]) -> dict[str, float]:
    """Mean of each named number over the ranks that have it, the same on every rank."""
    if size() == 1:
        return signals
    found: list[dict[str, float]] = [{} for _ in range(size())]
    dist.all_gather_object(found, signals)
    names = dict.fromkeys(name for one in found for name in one)
    having = {name: [one[name] for one in found if name in one] for name in names}
    return {name: sum(values) / len(values) for name, values in having.items()}


def gather(state: dict[str, Any]) -> list[dict[str, Any]]:
    """What the other ranks hand in, in their order, for rank 0; nothing for them. Tensors, numbers and strings only."""
    if size() == 1:
        return []
    file = io.BytesIO()
    torch.save(state, file)
    found: list[bytes] = [b""] * size()
    dist.gather_object(file.getvalue() if rank() else b"", found if rank() == 0 else None)
    return [torch.load(io.BytesIO(data), map_location="cpu", weights_only=True) for data in found[1:] if data]


def greatest(*numbers: int) -> list[int]:
    """Each number's greatest value over the ranks; of a yes or no, whether some rank says yes."""
    if size() == 1:
        return list(numbers)
    values = torch.tensor(numbers, dtype=torch.int32)
    dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values.tolist()


def ended_elsewhere(error: RuntimeError) -> bool:
    """Whether an error says that another rank is gone: PyTorch has a class for that with NCCL, and a text with gloo."""
    return isinstance(error, dist.DistError) or "gloo/transport" in str(error)
