"""State dicts from the names of attributes: what is copied, what is loaded, and what is refused."""

import pytest
import torch

from isaachrl.errors import CheckpointError
from isaachrl.learn.state import Stateful


class Part(Stateful):
    WEIGHTS = ("table",)
    STATE = ("trace",)

    def __init__(self, value=0.0):
        self.table, self.trace = torch.full((3,), value), torch.full((2,), value)


class Whole(Stateful):
    WEIGHTS = ("part", "network", "value", "steps")
    STATE = ("optimizer", "generator")

    def __init__(self, value=0.0, with_value=True):
        self.part, self.steps = Part(value), int(value)
        self.network = torch.nn.Linear(2, 1)
        self.value = torch.nn.Linear(2, 1) if with_value else None
        self.optimizer = torch.optim.Adam(self.network.parameters())
        self.generator = torch.Generator().manual_seed(int(value))

    def learn(self):
        self.optimizer.zero_grad()
        self.network(torch.rand(4, 2, generator=self.generator)).square().sum().backward()
        self.optimizer.step()
        self.part.table += 1.0
        self.steps += 1


def test_a_loaded_state_continues_exactly():
    first, second = Whole(3.0), Whole(7.0)
    first.learn()
    state = first.state_dict()
    first.learn()  # must not change what was stored
    second.load_state_dict(state)
    assert second.steps == 4 and second.part.trace.tolist() == [3.0, 3.0]
    second.learn()
    assert torch.equal(first.network.weight, second.network.weight) and torch.equal(first.part.table, second.part.table)
    assert torch.equal(first.generator.get_state(), second.generator.get_state())
    third = Whole()
    third.load_state_dict(state)  # nor must training of the second
    assert third.steps == 4 and third.part.table.tolist() == [4.0] * 3
    assert third.optimizer.state_dict()["state"][0]["step"].item() == 1.0


@pytest.mark.parametrize("form", ["weights", "state_dict"])
def test_weights_leave_the_state_alone(form):
    first, second = Whole(3.0), Whole(7.0)
    before = second.generator.get_state()
    second.load_weights(getattr(first, form)())
    assert torch.equal(first.network.weight, second.network.weight) and second.steps == 3
    assert second.part.table.tolist() == [3.0] * 3 and second.part.trace.tolist() == [7.0, 7.0]
    assert torch.equal(second.generator.get_state(), before)
    assert set(first.weights()) == set(Whole.WEIGHTS) and set(first.weights()["part"]) == {"table"}


def test_attributes_that_are_none_are_left_out():
    without = Whole(with_value=False)
    assert "value" not in without.state_dict()
    without.load_state_dict(Whole(5.0).state_dict())  # what it does not have it does not take
    assert without.value is None and without.steps == 5


def test_a_missing_attribute_is_named_with_what_to_do():
    state = Whole(with_value=False).state_dict()
    for load in (Whole().load_state_dict, Whole().load_weights):
        with pytest.raises(CheckpointError, match=r"has part, network.*but not 'value'.*train again, or use"):
            load(state)


def test_a_tensor_of_another_shape_is_refused():
    state = Part().state_dict() | {"table": torch.zeros(4)}
    with pytest.raises(ValueError, match=r"table is a tensor \(4,\) of float32, expected a tensor \(3,\)"):
        Part().load_weights(state)


def test_a_tensor_without_rows_takes_any_number_of_rows():
    part = Part()
    part.trace = torch.zeros(0, 2)
    part.load_state_dict(Part().state_dict() | {"trace": torch.ones(5, 2)})
    assert part.trace.shape == (5, 2)
