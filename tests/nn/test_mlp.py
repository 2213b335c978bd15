import torch
from torch import nn

from isaachrl.nn import mlp


def kinds(net):
    return [type(layer).__name__ for layer in net]


def test_with_an_output_layer_nothing_follows_it():
    net = mlp(3, [5, 4], 2)
    assert kinds(net) == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [tuple(p.shape) for p in net.parameters()] == [(5, 3), (5,), (4, 5), (4,), (2, 4), (2,)]


def test_without_an_output_layer_it_ends_in_its_last_relu():
    net = mlp(3, [5])
    assert kinds(net) == ["Linear", "ReLU"]
    out = net(torch.randn(50, 3))
    assert out.shape == (50, 5) and bool((out >= 0).all()) and bool((out > 0).any())


def test_without_hidden_layers_it_is_linear():
    net = mlp(3, [], 2)
    assert kinds(net) == ["Linear"]
    x, y = torch.randn(2, 4, 3)
    torch.testing.assert_close(net(x + y), net(x) + net(y))  # no bias at the start either


def test_biases_start_at_zero_and_weights_do_not():
    layers = [layer for layer in mlp(3, [5, 4], 2) if isinstance(layer, nn.Linear)]
    assert all(not layer.bias.any() and bool(layer.weight.all()) for layer in layers)


def test_a_small_network_by_hand():
    net = mlp(2, [2], 1)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, -1.0], [2.0, 0.0]]))
        net[0].bias.copy_(torch.tensor([0.0, -1.0]))
        net[2].weight.copy_(torch.tensor([[3.0, -2.0]]))
        net[2].bias.copy_(torch.tensor([0.5]))
    # (2, 5) -> relu(-3, 3) = (0, 3) -> -6 + 0.5;  (2, 1) -> (1, 3) -> 3 - 6 + 0.5
    assert net(torch.tensor([[2.0, 5.0], [2.0, 1.0]])).tolist() == [[-5.5], [-2.5]]


def test_equal_seeds_give_equal_networks():
    nets = []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(mlp(4, [8], 2))
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))
