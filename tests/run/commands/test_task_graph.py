"""Drawing a task graph: one row a level, who calls above who is called."""

import imageio.v3 as iio

from isaachrl.run.commands.task_graph import draw, positions
from tests.small_mdp import corridor_graph


def test_callers_stand_above_those_they_call():
    graph = corridor_graph()
    where = positions(graph)
    assert set(where) == {"Root", "Fetch", "ToKey", "Carry", "Left", "Right", "Take"}
    for subtask in graph.subtasks:
        for child in subtask.children:
            assert where[child][1] < where[subtask.name][1]


def test_actions_share_the_lowest_row():
    where = positions(corridor_graph())
    rows = {where[name][1] for name in ("Left", "Right", "Take")}
    assert len(rows) == 1
    assert rows.pop() == min(y for _, y in where.values())


def test_no_two_nodes_stand_in_the_same_place():
    where = positions(corridor_graph())
    assert len(set(where.values())) == len(where)


def test_the_picture_is_one():
    picture = iio.imread(draw(corridor_graph(), "corridor"))
    assert picture.shape[0] > 300 and picture.shape[1] > 400
    assert (picture[..., :3] != 255).any()
