"""Task graphs: validation, order, and text."""

import pytest
import torch

from isaachrl.envs.task_graph import Subtask, TaskGraph, flat_graph
from isaachrl.errors import ConfigError
from tests.small_mdp import ACTIONS, corridor_graph


def always(states):
    return torch.ones(len(states), dtype=torch.bool)


def graph(*subtasks):
    return TaskGraph(subtasks, ("a", "b"))


@pytest.mark.parametrize(
    ("subtasks", "message"),
    [
        ([Subtask("Root", ("Sub",))], "Root calls 'Sub'"),
        ([Subtask("Root", ())], "Root has no children"),
        ([Subtask("Root", ("Sub",)), Subtask("Sub", ("a",))], "Sub cannot terminate"),
        ([Subtask("Root", ("a",)), Subtask("Sub", ("a",), always)], "Sub is never called"),
        ([Subtask("Root", ("a",), always)], "Root is the root, which ends with the episode"),
        ([Subtask("Root", ("a",)), Subtask("a", ("b",), always)], "two nodes have the name a"),
        (
            [Subtask("Root", ("One",)), Subtask("One", ("Two",), always), Subtask("Two", ("a", "One"), always)],
            "cycle, One -> Two -> One",
        ),
    ],
)
def test_graphs_that_cannot_be_executed_are_refused(subtasks, message):
    with pytest.raises(ConfigError, match=message):
        graph(*subtasks)


def test_a_misspelt_child_is_offered_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean Navigate"):
        graph(Subtask("Root", ("Navigat",)), Subtask("Navigate", ("a",), always))


def test_paths_depth_and_order():
    found = corridor_graph()
    assert found.paths() == [("Root",), ("Root", "Fetch"), ("Root", "Carry"), ("Root", "Fetch", "ToKey")]
    assert found.depth == 3
    order = [subtask.name for subtask in found.bottom_up()]
    assert order[-1] == "Root" and order.index("ToKey") < order.index("Fetch")


def test_a_shared_child_is_written_out_once():
    shared = graph(
        Subtask("Root", ("One", "Two")),
        Subtask("One", ("Walk",), always),
        Subtask("Two", ("Walk", "b"), always),
        Subtask("Walk", ("a",), always, sees=("x",)),
    )
    assert shared.text().splitlines() == [
        "Root", "  One", "    Walk  (sees x)", "      a", "  Two", "    Walk  (sees x)  (above)", "    b",
    ]  # fmt: skip
    assert flat_graph(ACTIONS).text().splitlines() == ["Root", "  Left", "  Right", "  Take"]
