"""Places reached later in an episode."""

import torch

from isaachrl.learn.goals.experience.places import EpisodePlaces

LENGTHS = [[4, 4], [2, 3, 3]]  # of the episodes of two environments, of at most 4 steps


def filled(steps=12):
    """Places are 100 env + the number of the step."""
    places = EpisodePlaces(steps, 2, 1, 4, torch.device("cpu"))
    ends = [{sum(lengths[: i + 1]) - 1 for i in range(len(lengths))} for lengths in LENGTHS]
    for step in range(8):
        state = torch.tensor([[step, -1.0], [100.0 + step, -1.0]])
        places.add(state, torch.tensor([step in ends[0], step in ends[1]]))
    return places


def drawn(places, env, step, count=4000):
    found = places.later(torch.full((count,), env), torch.full((count,), step), torch.Generator().manual_seed(0))[:, 0]
    values, counts = found.long().unique(return_counts=True)
    return dict(zip(values.tolist(), (counts / count * 100).round().long().tolist(), strict=True))


def close(found, expected):
    return found.keys() == expected.keys() and all(abs(found[key] - expected[key]) <= 3 for key in found)


def test_they_are_uniform_over_the_rest_of_a_whole_episode():
    places = filled()
    assert close(drawn(places, 0, 0), {0: 25, 1: 25, 2: 25, 3: 25})
    assert close(drawn(places, 0, 2), {2: 50, 3: 50})
    assert drawn(places, 0, 3) == {3: 100}, "the last step: never of the next episode"
    assert close(drawn(places, 0, 5), {5: 33, 6: 33, 7: 33})


def test_where_an_episode_was_cut_short_the_present_place_counts_for_the_missing_ones():
    places = filled()
    assert close(drawn(places, 1, 0), {100: 75, 101: 25})
    assert close(drawn(places, 1, 2), {102: 50, 103: 25, 104: 25})
    # the present episode: 7 is the latest step
    assert close(drawn(places, 1, 6), {106: 50, 107: 50})


def test_a_full_ring_buffer_and_a_stored_one_go_on():
    places = filled(steps=6)
    assert close(drawn(places, 0, 5), {5: 33, 6: 33, 7: 33})
    other = EpisodePlaces(6, 2, 1, 4, torch.device("cpu"))
    other.load_state_dict(places.state_dict())
    assert drawn(other, 1, 6) == drawn(places, 1, 6) and other.age.tolist() == [0, 0]
