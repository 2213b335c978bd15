"""Matrix products in bfloat16 where rounding does no harm, on processors that are faster at it.

What decides is what the numbers are for. The mean of a narrow policy is compared with itself to a hundredth of a
standard deviation of 0.02: three digits would drown the divergence that PPO steers by, so the actor's outputs stay
in float32 and only its gradients are rounded. Critics and discriminators take rounded inputs throughout.
Parameters, optimisers and everything outside matrix products are float32 always.
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
    """How the matrix products of an update are made.

    `float32`: exactly. `mixed`: in bfloat16 as the module says. `auto`: mixed where the device is fast at it.
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
    """Contexts for the two kinds of network.

    Args:
        precision: `auto` is resolved for the device.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self._mixed = precision.resolve(device) is Precision.mixed
        self._device = device.type

    def everything(self) -> AbstractContextManager[Any]:
        """Inside, linear layers work in bfloat16, forwards and backwards; their outputs are bfloat16."""
        return torch.autocast(self._device, torch.bfloat16, enabled=self._mixed)

    @contextmanager
    def gradients(self) -> Iterator[None]:
        """Inside, linear layers work in float32, but the gradients that pass back through them are rounded."""
        if not self._mixed:
            yield
            return
        with _RoundedGradients():
            yield


class _RoundedGradients(TorchFunctionMode):
    """Replaces `functional.linear`."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.linear:
            return _Linear.apply(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class _Linear(torch.autograd.Function):
    """`x W^T + b` with gradients by products in bfloat16."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """`inputs (n, i)`, `weight (o, i)`, `bias (o)` or none."""
        ctx.save_for_backward(inputs, weight)
        ctx.with_bias = bias is not None
        return inputs @ weight.T if bias is None else torch.addmm(bias, inputs, weight.T)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Gradients of the three, float32; the bias's is exact."""
        inputs, weight = ctx.saved_tensors
        rounded = grads[0].bfloat16()
        to_inputs = (rounded @ weight.bfloat16()).float() if ctx.needs_input_grad[0] else None
        to_bias = grads[0].sum(0) if ctx.with_bias else None
        return to_inputs, (rounded.T @ inputs.bfloat16()).float(), to_bias


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are much faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)  # cards before Ampere emulate it, slowly
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
