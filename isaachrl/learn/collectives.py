"""Collective operations over the ranks of a distributed training. In a single process they change nothing."""

import io
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from isaachrl.learn.distributed import rank, size
from isaachrl.nn import RunningNorm


def copy_from_first(*modules: nn.Module) -> None:
    """Broadcast parameters and buffers from rank 0."""
    if size() == 1:
        return
    for module in modules:
        for values in module.state_dict().values():
            dist.broadcast(values, 0)


def mean(values: Tensor) -> Tensor:
    """Elementwise mean over the ranks, without gradient."""
    if size() == 1:
        return values
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / size()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their means over the ranks, in one message."""
    if size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    averaged = mean(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, new in zip(gradients, averaged.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(new.view_as(gradient))


def pool_moments(mean_of: Tensor, var: Tensor) -> None:
    """Replace means and variances of each rank's rows by those of all rows, in place; ranks have equally many rows.

    The pooled variance is the mean of the ranks' variances plus the variance of their means.
    """
    if size() == 1:
        return
    pooled = mean(mean_of)
    var.copy_(mean(var + (mean_of - pooled).square()))
    mean_of.copy_(pooled)


def update_norm(norm: RunningNorm, rows: Tensor) -> None:
    """Update a normaliser with the rows `(…, size)` of all ranks."""
    norm.update(rows)
    pool_moments(norm.mean, norm.var)


def mean_signals(signals: dict[str, float]) -> dict[str, float]:
    """Mean of each signal over the ranks that have it, on every rank."""
    if size() == 1:
        return signals
    gathered: list[dict[str, float]] = [{} for _ in range(size())]
    dist.all_gather_object(gathered, signals)
    names = dict.fromkeys(name for one in gathered for name in one)
    values = {name: [one[name] for one in gathered if name in one] for name in names}
    return {name: sum(numbers) / len(numbers) for name, numbers in values.items()}


def gather(state: dict[str, Any]) -> list[dict[str, Any]]:
    """On rank 0 the states of the other ranks in order, elsewhere nothing. Tensors, numbers and strings only."""
    if size() == 1:
        return []
    file = io.BytesIO()
    torch.save(state, file)
    gathered: list[bytes] = [b""] * size()
    dist.gather_object(file.getvalue() if rank() else b"", gathered if rank() == 0 else None)
    return [torch.load(io.BytesIO(data), map_location="cpu", weights_only=True) for data in gathered[1:] if data]


def max_over_ranks(*numbers: int) -> list[int]:
    """The maximum of each number over the ranks; of booleans, whether any rank has True."""
    if size() == 1:
        return list(numbers)
    values = torch.tensor(numbers, dtype=torch.int32)
    dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values.tolist()


def is_peer_failure(error: RuntimeError) -> bool:
    """Whether an error says that another rank has ended: a class of its own with NCCL, a message with gloo."""
    return isinstance(error, dist.DistError) or "gloo/transport" in str(error)
