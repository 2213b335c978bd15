"""Random numbers of libraries that draw from the global generators."""

import torch

from isaachrl.adapters.agents.agent import LibraryRandom

CPU = torch.device("cpu")


def test_numbers_continue_where_they_ended_and_leave_the_global_ones_alone():
    one, other = LibraryRandom(3, CPU), LibraryRandom(3, CPU)
    before = torch.get_rng_state()
    with one.active():
        first = torch.rand(4)
    torch.rand(1)
    with one.active():
        second = torch.rand(4)
    torch.set_rng_state(before)
    with other.active():
        assert torch.equal(torch.rand(8), torch.cat((first, second)))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_state_is_continued():
    one, other = LibraryRandom(3, CPU), LibraryRandom(4, CPU)
    with one.active():
        torch.rand(5)
    other.load_state_dict(one.state_dict())
    with one.active():
        expected = torch.rand(3)
    with other.active():
        assert torch.equal(torch.rand(3), expected)
