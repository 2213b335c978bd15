"""Rounded matrix products: what is rounded, what is exact, and who chooses."""

import pytest
import torch
from torch.nn import functional

from isaachrl.nn import Precision, Rounding, mlp

CPU = torch.device("cpu")


def gradients(rounding: Rounding, kind: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Output and gradients of a small network under one of the two contexts."""
    torch.manual_seed(0)
    net, inputs = mlp(6, [16, 8], 2), torch.randn(32, 6)
    with getattr(rounding, kind)():
        output = net(inputs)
    output.float().square().sum().backward()
    return output.detach(), [parameter.grad for parameter in net.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("kind", ["gradients", "everything"])
def test_mixed_gradients_are_close_and_float32(kind: str) -> None:
    output, exact = gradients(Rounding(Precision.float32, CPU), kind)
    mixed_output, mixed = gradients(Rounding(Precision.mixed, CPU), kind)
    assert output.dtype == torch.float32
    if kind == "gradients":
        assert torch.allclose(output, mixed_output, atol=1e-6), "the actor's own output must not be rounded"
    else:
        assert mixed_output.dtype == torch.bfloat16
    assert len(exact) == len(mixed) == 6
    assert not all(torch.equal(one, other) for one, other in zip(exact, mixed, strict=True)), "nothing was rounded"
    for one, other in zip(exact, mixed, strict=True):
        assert other.dtype == torch.float32
        assert functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999


def test_outside_the_context_nothing_is_rounded() -> None:
    torch.manual_seed(0)
    net, inputs = mlp(3, [4], 1), torch.randn(5, 3)
    with Rounding(Precision.mixed, CPU).gradients():
        pass
    assert torch.equal(net(inputs), net(inputs))
    assert net(inputs).dtype == torch.float32


def test_auto_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, chosen in ((True, Precision.mixed), (False, Precision.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": able}, raising=False)
        assert Precision.auto.resolve(CPU) is chosen
    assert Precision.float32.resolve(CPU) is Precision.float32
    assert Precision.mixed.resolve(CPU) is Precision.mixed


@pytest.mark.parametrize(("native", "chosen"), [(True, Precision.mixed), (False, Precision.float32)])
def test_a_gpu_that_only_emulates_bfloat16_keeps_float32(
    monkeypatch: pytest.MonkeyPatch, native: bool, chosen: Precision
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert Precision.auto.resolve(torch.device("cuda", 0)) is chosen
