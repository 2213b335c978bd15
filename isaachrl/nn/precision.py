"""Mixed precision: matrix products in bfloat16 on processors with fast bfloat16.

Critics and discriminators use bfloat16 in both passes. The actor's forward pass stays in float32 and only its backward
pass uses bfloat16: PPO's KL divergence compares means to a hundredth of a standard deviation of 0.02, for which three
digits are not enough. Parameters, optimisers and everything but matrix products are float32.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class Precision(Enum):
    """Precision of the matrix products in an update.

    `mixed`: bfloat16 as described in this module. `auto`: `mixed` on devices with fast bfloat16, else `float32`.
    """

    auto = "auto"
    float32 = "float32"
    mixed = "mixed"

    def resolve(self, device: torch.device) -> "Precision":
        """`float32` or `mixed`."""
        if self is not Precision.auto:
            return self
        return Precision.mixed if _fast_bfloat16(device) else Precision.float32


class Rounding:
    """Contexts for the two kinds of networks.

    Args:
        precision: `auto` is resolved for the device.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self._mixed = precision.resolve(device) is Precision.mixed
        self._device = device.type

    def everything(self) -> AbstractContextManager[Any]:
        """Linear layers use bfloat16 in both passes; their outputs are bfloat16."""
        return torch.autocast(self._device, torch.bfloat16, enabled=self._mixed)

    @contextmanager
    def gradients(self) -> Iterator[None]:
        """Linear layers use float32 in the forward and bfloat16 in the backward pass."""
        if not self._mixed:
            yield
            return
        with _RoundedGradients():
            yield


class _RoundedGradients(TorchFunctionMode):
    """Replaces `functional.linear` by `_Linear`."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.linear:
            return _Linear.apply(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class _Linear(torch.autograd.Function):
    """`x W^T + b` with a backward pass in bfloat16."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """`inputs (n, i)`, `weight (o, i)`, `bias (o)` or none."""
        ctx.save_for_backward(inputs, weight)
        ctx.with_bias = bias is not None
        return inputs @ weight.T if bias is None else torch.addmm(bias, inputs, weight.T)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """float32 gradients of the three arguments; the bias's is not rounded."""
        inputs, weight = ctx.saved_tensors
        rounded = grads[0].bfloat16()
        to_inputs = (rounded @ weight.bfloat16()).float() if ctx.needs_input_grad[0] else None
        to_bias = grads[0].sum(0) if ctx.with_bias else None
        return to_inputs, (rounded.T @ inputs.bfloat16()).float(), to_bias


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is much faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)  # GPUs before Ampere emulate it slowly
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
