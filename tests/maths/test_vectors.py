import torch

from isaachrl.maths.vectors import on_sphere


def test_vectors_are_scaled_to_length_one_and_zero_is_the_first_axis():
    v = torch.tensor([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0], [0.0, 1e-6, 0.0], [0.0, 0.0, -1e-20]])
    expected = [[0.6, 0.0, -0.8], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    torch.testing.assert_close(on_sphere(v), torch.tensor(expected))


def test_vectors_without_numbers_stay_so():
    assert on_sphere(torch.zeros(5, 0)).shape == (5, 0)
