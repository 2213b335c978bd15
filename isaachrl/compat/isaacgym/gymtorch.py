"""Tensors of the API as PyTorch's, and back: both share their memory."""

from torch import Tensor as TorchTensor

from isaachrl.errors import ConfigError

# a `Tensor` among the names of `import *` would hide TorchScript's
__all__ = ["unwrap_tensor", "wrap_tensor"]


class Tensor:
    """What the API hands out and takes: a PyTorch tensor.

    Args:
        tensor: the tensor.
    """

    def __init__(self, tensor: TorchTensor) -> None:
        self.tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes."""
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        """Number of sizes."""
        return self.tensor.dim()

    @property
    def dtype(self) -> object:
        """Data type."""
        return self.tensor.dtype

    @property
    def device(self) -> int:
        """Number of the GPU, -1 for the CPU."""
        return -1 if self.tensor.device.type == "cpu" else self.tensor.device.index

    @property
    def data_address(self) -> int:
        """Where the numbers are."""
        return self.tensor.data_ptr()


def wrap_tensor(tensor: Tensor | None, offsets: object = None, counts: object = None) -> TorchTensor | None:
    """The PyTorch tensor of one that `acquire_…` returned; None stays None.

    Raises:
        ConfigError: something else came.
    """
    if tensor is None:
        return None
    if not isinstance(tensor, Tensor):
        raise ConfigError(f"wrap_tensor needs a tensor of an acquire method; {type(tensor).__name__} came")
    return tensor.tensor


def unwrap_tensor(tensor: TorchTensor) -> Tensor:
    """A PyTorch tensor for a setter.

    Raises:
        ConfigError: it is not contiguous, or no tensor.
    """
    if not isinstance(tensor, TorchTensor):
        raise ConfigError(f"unwrap_tensor needs a PyTorch tensor; {type(tensor).__name__} came")
    if not tensor.is_contiguous():
        raise ConfigError("unwrap_tensor needs a contiguous tensor: pass tensor.contiguous()")
    return Tensor(tensor)
