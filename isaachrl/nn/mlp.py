"""Multi-layer perceptrons."""

from collections.abc import Sequence

from torch import nn


def mlp(input_size: int, hidden: Sequence[int], output_size: int | None = None) -> nn.Sequential:
    """Linear layers, each hidden one followed by ReLU, and a linear output layer if `output_size` is given.

    Biases are initialised to zero, weights by PyTorch's default.
    """
    layers: list[nn.Module] = []
    size = input_size
    for width in hidden:
        layers += [nn.Linear(size, width), nn.ReLU(inplace=True)]
        size = width
    if output_size is not None:
        layers.append(nn.Linear(size, output_size))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
