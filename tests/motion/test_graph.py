"""The motion graph: ways worked by hand, and ways between the shipped motions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from isaachrl.maths import rotations
from isaachrl.motion import graph
from isaachrl.motion.clip import Clip
from isaachrl.motion.graph import MotionGraph
from isaachrl.motion.library import MotionLibrary
from isaachrl.motion.sources import load_motion


def gliding(robot, name: str, speed_mps, seconds: float = 2.0, loop: bool = True) -> Clip:
    """A stiff figure that glides ahead; `speed_mps` over the share of the clip."""
    frames = round(seconds * 30) + 1
    share = np.linspace(0.0, 1.0, frames)
    path = np.concatenate(([0.0], np.cumsum(speed_mps(0.5 * (share[1:] + share[:-1]))) / 30))
    pos = np.stack((path, 0 * path, np.full(frames, 0.9)), axis=1).astype(np.float32)
    still = np.tile(np.array([1, 0, 0, 0], np.float32), (frames, 1))
    joints = np.tile(still[:, None], (1, len(robot.joint_names), 1))
    return Clip(name, 30, robot.joint_names, robot.body_names, pos, still, joints, loop)


@pytest.fixture
def speeds(robot) -> MotionLibrary:
    """Standing, gliding at 3 m/s, and two clips of 2 s between them."""
    return MotionLibrary(
        [
            gliding(robot, "stand", lambda share: 0 * share),
            gliding(robot, "fast", lambda share: 0 * share + 3.0),
            replace(gliding(robot, "quicken", lambda share: 3.0 * share, loop=False), command=False),
            replace(gliding(robot, "brake", lambda share: 3.0 - 3.0 * share, loop=False), command=False),
        ],
        robot,
        "cpu",
    )


def state_of(library: MotionLibrary, clip: int, time_s: float) -> torch.Tensor:
    state = library.state(torch.tensor([clip]), torch.tensor([time_s]))
    velocity = graph.planar_velocity(state.root_quat_w, state.root_linvel_w, state.root_angvel_w)
    return graph.features(state.root_quat_w, state.body_pos_w, velocity)


def way(graph_: MotionGraph, library: MotionLibrary, goal: int, begin: torch.Tensor) -> list[tuple[str, float]]:
    """The clips on the way, and how long each is gone through in s."""
    goals = torch.tensor([goal])
    clip, time_s = graph_.enter(goals, begin)
    steps: list[tuple[str, float]] = []
    for _ in range(300):
        name = library.names[int(clip)]
        if not steps or steps[-1][0] != name:
            steps.append((name, 0.0))
        if int(clip) == int(graph_.clip[goal]):
            return steps
        steps[-1] = (name, steps[-1][1] + 1 / 30)
        clip, time_s = graph_.go(goals, clip, time_s + 1 / 30)
    raise AssertionError(f"no end: {steps}")


def test_a_speed_is_reached_through_the_clip_that_changes_it(speeds):
    made = MotionGraph(speeds, torch.arange(4))
    assert [name for name, _ in way(made, speeds, 1, state_of(speeds, 0, 0.5))] == ["quicken", "fast"]
    names, seconds = zip(*way(made, speeds, 0, state_of(speeds, 1, 0.5)), strict=True)
    assert names == ("brake", "stand") and 1.5 < seconds[0] < 2.1


def test_a_motion_that_is_near_is_joined_at_once(speeds):
    made = MotionGraph(speeds, torch.arange(4))
    assert way(made, speeds, 0, state_of(speeds, 3, 1.95)) == [("stand", 0.0)]


def test_what_a_way_costs_is_its_seconds_and_its_jumps(speeds):
    made = MotionGraph(speeds, torch.tensor([0]))
    # from half-way in `brake`: on to its end (half of it, but for half a moment at either side), then a jump
    moment = made._moments // 2
    rest_s = 2.0 - (moment + 0.5) * 2.0 / made._moments
    rest_m = float(graph.distance_m(state_of(speeds, 3, 2.0 - 1.0 / made._moments), state_of(speeds, 0, 1.0)))
    to_the_end = graph._SECONDS_M * (rest_s - 1.0 / made._moments) + graph._JUMP_M + rest_m
    assert float(made._cost_m[0, 3, moment]) <= to_the_end + 1e-5
    assert float(made._cost_m[0, 3, moment]) == pytest.approx(to_the_end, abs=0.03)  # leaving earlier may be cheaper
    assert float(made._cost_m[0, 0].abs().max()) == 0.0
    direct = float(graph.distance_m(state_of(speeds, 1, 0.5), state_of(speeds, 0, 1.0)))
    assert direct == pytest.approx(3.0 * graph._VELOCITY_S, abs=1e-4)


def test_features_are_distances_in_metres_and_know_no_place_or_heading(robot, speeds):
    state = speeds.state(torch.tensor([1]), torch.tensor([0.7]))
    velocity = torch.tensor([[1.0, 0.0, 0.0]])
    before = graph.features(state.root_quat_w, state.body_pos_w, velocity)
    turn = rotations.from_yaw(torch.tensor([2.0]))
    moved = rotations.rotate(turn.unsqueeze(1), state.body_pos_w) + torch.tensor([4.0, -2.0, 0.0])
    after = graph.features(rotations.multiply(turn, state.root_quat_w), moved, velocity)
    assert torch.allclose(before, after, atol=1e-5)
    raised = graph.features(state.root_quat_w, state.body_pos_w + torch.tensor([0.0, 0.0, 0.1]), velocity)
    assert float((raised - before).norm()) == pytest.approx(0.1, abs=1e-5)


def test_a_part_of_a_clip_is_a_goal(speeds):
    begin_s, end_s = torch.tensor([0.5, 1.5]), torch.tensor([1.0, 2.0])
    made = MotionGraph(speeds, torch.tensor([1, 1]), begin_s, end_s)
    clip, time_s = made.enter(torch.tensor([0, 1]), state_of(speeds, 1, 0.2).expand(2, -1))
    assert clip.tolist() == [1, 1]
    assert (time_s >= begin_s).all() and (time_s <= end_s).all()


def test_a_goal_that_is_a_part_is_not_left_by_a_jump(robot):
    long = gliding(robot, "long", lambda share: 0 * share + 1.0, seconds=12.0, loop=False)
    library = MotionLibrary([gliding(robot, "stand", lambda share: 0 * share), long], robot, "cpu")
    made = MotionGraph(library, torch.tensor([1]), torch.tensor([2.0]), torch.tensor([4.0]))
    for time_s in (1.0, 3.9, 4.1, 9.0):
        clip, same_s = made.go(torch.tensor([0]), torch.tensor([1]), torch.tensor([time_s]))
        assert int(clip) == 1 and float(same_s) == pytest.approx(time_s)
    alone = MotionLibrary([long], robot, "cpu")
    made = MotionGraph(alone, torch.tensor([0]), torch.tensor([5.0]), torch.tensor([5.001]))
    clip, time_s = made.enter(torch.tensor([0]), state_of(alone, 0, 8.0))
    assert int(clip) == 0 and 4.8 < float(time_s) < 5.2  # a part shorter than the spacing has a moment, too
    assert made.after[0].tolist() == [0]


def test_time_beyond_the_last_moment_of_a_clip_is_its_last_moment(robot, speeds):
    made = MotionGraph(speeds, torch.arange(4))
    at_end, beyond = (made.go(torch.tensor([1]), torch.tensor([2]), torch.tensor([s])) for s in (1.99, 2.3))
    assert int(at_end[0]) == int(beyond[0]) == 1


def test_the_only_motion_goes_on_after_every_clip(robot):
    clips = [
        gliding(robot, "stand", lambda share: 0 * share),
        replace(gliding(robot, "one", lambda share: 0 * share + 1.0, loop=False), command=False),
        replace(gliding(robot, "other", lambda share: 0 * share + 1.1, loop=False), command=False),
    ]
    library = MotionLibrary(clips, robot, "cpu")
    assert MotionGraph(library, torch.tensor([0])).after[0].tolist()[1:] == [0, 0]


def test_a_motion_without_loop_is_joined_at_its_begin(robot):
    clips = [
        gliding(robot, "one", lambda share: 0 * share + 1.0),
        gliding(robot, "once", lambda share: 0 * share + 1.0, loop=False),
    ]
    library = MotionLibrary(clips, robot, "cpu")
    _, time_s = MotionGraph(library, torch.tensor([1])).enter(torch.tensor([0]), state_of(library, 0, 0.9))
    assert float(time_s) < 0.1


def test_bodies_without_a_goal_go_on(speeds):
    made = MotionGraph(speeds, torch.arange(4))
    clip, time_s = torch.tensor([2, 1]), torch.tensor([1.9, 0.3])
    same, same_s = made.go(torch.tensor([-1, -1]), clip, time_s)
    assert torch.equal(same, clip) and torch.equal(same_s, time_s)


def test_what_goes_on_after_a_clip_can_be_asked_for(speeds):
    made = MotionGraph(speeds, torch.arange(4))
    assert [speeds.names[int(clip)] for clip in made.after[0]][2:] == ["fast", "stand"]


def test_ways_between_the_shipped_motions(robot):
    clips, weights = load_motion("versatile", robot)
    library = MotionLibrary(clips, robot, "cpu", weights)
    made = MotionGraph(library, torch.arange(library.num_clips))
    index = library.names.index

    def names(begin: str, goal: str) -> list[str]:
        return [name for name, _ in way(made, library, index(goal), state_of(library, index(begin), 0.5))]

    assert names("stand", "walk") == ["start", "walk"]
    assert names("walk", "stand") == ["stop", "stand"]
    assert names("stand", "run") == ["start", "accelerate", "run"]
    assert names("run", "stand") == ["brake", "stop", "stand"]
    assert names("stand", "side_left") == ["side_left"]
    for goal in range(library.num_clips):  # every motion is reached from every other one
        for begin in range(library.num_clips):
            way(made, library, goal, state_of(library, begin, float(library.durations_s[begin]) / 2))


def test_a_clip_that_ends_like_no_other_goes_on_in_its_own_most_similar_moment(robot):
    clips, _ = load_motion("cmu", robot)
    library = MotionLibrary(clips, robot, "cpu")
    clip, time_s = MotionGraph(library, torch.arange(len(clips))).after
    after = {name: (library.names[clip[i]], float(time_s[i])) for i, name in enumerate(library.names)}
    # it hops 0.42 m from there; a step earlier it walks as it does at the end, 0.04 m from there
    name, moment_s = after["cmu_walk"]
    assert name == "cmu_walk" and 1.4 < moment_s < 1.9
