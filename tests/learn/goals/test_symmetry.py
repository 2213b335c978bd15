"""Workers that see canonical states: acting, learning and exports agree on what is equivalent."""

import math

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.goals import GoalsCfg, GoalsLearner
from isaachrl.learn.goals.contract import NoSymmetry
from isaachrl.learn.goals.state_env import HeadingSymmetry
from isaachrl.maths import rotations

assert tasks
SMALL = {
    "goal_size": 2, "inputs": "scaled", "boundary": "carried", "warmup_steps": 20, "replay_steps": 2000,
    "worker": {"hidden": [16, 16], "batch": 32, "hiro_details": False, "small_last_layer": False},
    "manager": {"hidden": [16, 16], "batch": 32, "hiro_details": False, "small_last_layer": False},
}  # fmt: skip


def make_learner(**changes):
    env = isaachrl.make("AntMaze", 6, device="cpu", seed=0)
    learner = GoalsLearner(env, config.build(GoalsCfg, SMALL | {"worker_symmetry": True} | changes), 0)
    for _ in range(30):
        learner.collector.step()
    return learner


def turned(state, goal, angle):
    turn = rotations.from_yaw(torch.full((len(state),), angle))
    flat = rotations.rotate(turn, torch.cat((goal, torch.zeros_like(goal[:, :1])), 1))[:, :2]
    quat, velocity = rotations.multiply(turn, state[:, 3:7]), rotations.rotate(turn, state[:, 15:18])
    return torch.cat((state[:, :3], quat, state[:, 7:15], velocity, state[:, 18:]), 1), flat


@pytest.mark.parametrize("algorithm", ["td3", "sac"])
def test_the_worker_acts_alike_in_all_directions_and_values_it_alike(algorithm):
    learner = make_learner(worker=SMALL["worker"] | {"algorithm": algorithm})
    state, goal = learner.collector.obs["state"], learner.collector.segments[0].goal
    levels = learner.levels
    other = turned(state, goal, 2.0)
    for act in (levels.mean_action, levels.ema_action):
        assert_close(act(0, *other), act(0, state, goal), atol=1e-5, rtol=1e-5)
    action = levels.mean_action(0, state, goal)
    assert_close(levels.worker_value(*other, action), levels.worker_value(state, goal, action), atol=1e-5, rtol=1e-5)
    # a goal a quarter turn to the left: not the same legs
    left = torch.stack((-goal[:, 1], goal[:, 0]), 1)
    assert not torch.allclose(levels.mean_action(0, state, left), action, atol=1e-3)


def test_the_workers_value_is_that_of_the_canonical_state_and_action():
    """For goals in all directions, so that legs are renumbered in all ways."""
    levels = make_learner().levels
    generator = torch.Generator().manual_seed(1)
    state = make_learner().collector.obs["state"].repeat(16, 1)
    goal = 4.0 * torch.randn(len(state), 2, generator=generator)
    action = 2.0 * torch.rand(len(state), 8, generator=generator) - 1.0
    symmetry = levels.symmetries[0]
    canonical, canonical_goal, change = symmetry.canonical(state, goal)
    assert len(set(change.tolist())) == 8
    expected = levels.worker.critics.q1(
        levels.inputs.worker(canonical, canonical_goal), symmetry.to_canonical(action, change)
    )
    assert_close(levels.worker_value(state, goal, action), expected)
    assert not torch.allclose(
        levels.worker.critics.q1(levels.inputs.worker(canonical, canonical_goal), action), expected
    )


def test_without_the_symmetry_directions_differ():
    learner = make_learner(worker_symmetry=False)
    state, goal = learner.collector.obs["state"], learner.collector.segments[0].goal
    assert isinstance(learner.levels.symmetries[0], NoSymmetry)
    other = learner.levels.mean_action(0, *turned(state, goal, 2.0))
    assert not torch.allclose(other, learner.levels.mean_action(0, state, goal), atol=1e-3)


def test_updates_see_the_actions_that_canonical_states_led_to():
    """Without noise, the worker's actor on a batch's features gives the batch's actions."""
    learner = make_learner(
        worker=SMALL["worker"] | {"exploration": {"low": 1e-9, "high": 1e-9}}, goal_resampling=0.0, hide_position=True
    )
    worker = learner.trainers[0].update
    batch = worker.batch()
    kept = batch.weight > 0
    found = learner.levels.worker.actor(batch.features)
    assert int(kept.sum()) > 16
    assert_close(found[kept], batch.action[kept], atol=1e-4, rtol=1e-4)
    # the goal is ahead and to the left in all rows, before and after the step
    for features in (batch.features, batch.next_features):
        ahead, left = features[:, -2], features[:, -1]
        assert bool((left >= 0).all()) and bool((ahead >= left - 1e-6).all())


def test_the_exported_worker_acts_as_the_worker():
    learner = make_learner()
    state, goal = learner.collector.obs["state"], learner.collector.segments[0].goal
    low = learner.exports()[-1]
    assert low.name == "low_level"
    assert_close(low.module(state, goal), learner.levels.ema_action(0, state, goal))


def test_the_connected_gradient_passes_through_the_change():
    learner = make_learner()
    state = learner.collector.obs["state"]
    goal = learner.collector.segments[0].goal.clone().requires_grad_(True)
    value = learner.levels.worker_value(state, goal, torch.zeros(6, 8))
    (slope,) = torch.autograd.grad(value.sum(), goal)
    step = 1e-2 * slope / slope.norm(dim=1, keepdim=True)
    with torch.no_grad():
        values = [learner.levels.worker_value(state, goal + sign * step, torch.zeros(6, 8)) for sign in (1, -1)]
    assert_close((values[0] - values[1]) / 2e-2, slope.norm(dim=1), atol=1e-3, rtol=0.05)


@pytest.mark.parametrize("before", [False, True])
def test_weights_of_a_worker_that_saw_other_states_are_refused(before):
    trained, new = make_learner(worker_symmetry=before), make_learner(worker_symmetry=not before)
    word = str(before).lower()
    message = rf"trained with train\.worker_symmetry={word}.*type train\.worker_symmetry={word}"
    for take, state in (
        (new.start_from, trained.state_dict()), (new.load_weights, trained.weights()),
        (new.load_state_dict, trained.state_dict()),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            take(state)
    trained.load_state_dict(trained.state_dict())


def test_weights_from_before_there_were_symmetries_fit_without():
    trained, new = make_learner(worker_symmetry=False), make_learner(worker_symmetry=False)
    state = trained.weights()
    del state["levels"]["worker_symmetry"]
    new.load_weights(state)
    with pytest.raises(ConfigError, match=r"trained with train\.worker_symmetry=false"):
        make_learner().load_weights(state)


def test_a_symmetry_that_cannot_be_exported_is_refused(monkeypatch):
    class Plain:
        canonical = to_canonical = from_canonical = None

    monkeypatch.setattr("tasks.ant_course.AntSymmetry", lambda: Plain())
    monkeypatch.setattr(Plain, "to", lambda self, device: self, raising=False)
    with pytest.raises(ConfigError, match=r"`symmetry` is a Plain; expected a torch\.nn\.Module"):
        make_learner()


def test_a_manager_above_a_skill_commands_it_alike_in_all_directions():
    """Bodies that differ in heading alone, with goals turned by as much."""
    from tests.learn.goals.test_state_env import Walker  # a body whose actions are in its heading frame

    changes = {
        "worker_symmetry": True, "meta_periods": [2], "flips": {}, "warmup_steps": 4, "replay_steps": 200,
        "steps_per_iteration": 10, "max_iterations": 2, "eval_every": 0,
    }  # fmt: skip
    learner = GoalsLearner(Walker(), config.build(GoalsCfg, SMALL | changes), 0)
    assert isinstance(learner.levels.symmetries[0], HeadingSymmetry)
    learner.iterate()
    env = learner.env
    actions = []
    for yaw in (0.0, 1.0, -2.0):
        env.inner.first_yaw = yaw
        state = env.reset_where(torch.ones(2, dtype=torch.bool))["state"]
        goal = 2.0 * torch.tensor([[math.cos(yaw + 0.5), math.sin(yaw + 0.5)]]).expand(2, 2)
        actions.append(learner.levels.mean_action(0, state, goal))
    assert_close(actions[1], actions[0], atol=1e-5, rtol=1e-5)
    assert_close(actions[2], actions[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"hide_position": False}, {"goal_size": 15}, {"goal_size": 1}, {"meta_periods": []}],
    ids=["place", "pose", "line", "flat"],
)
def test_a_symmetry_without_what_it_needs_is_refused(changes):
    with pytest.raises(ConfigError, match=r"train\.worker_symmetry=true.*type train\.worker_symmetry=false"):
        config.build(GoalsCfg, SMALL | {"worker_symmetry": True} | changes)


def test_goals_of_other_bodies_are_turned_into_the_heading_frame():
    symmetry = HeadingSymmetry()
    # at (3, 4), heading along y: what is to the north is ahead, what is to the east is to the right
    state = torch.tensor([[3.0, 4.0, math.cos(math.pi / 2), math.sin(math.pi / 2), 0.5]]).expand(2, 5)
    found, goal, change = symmetry.canonical(state, torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    assert_close(found[:, 2:], torch.tensor([[1.0, 0.0, 0.5]] * 2))
    assert_close(goal, torch.tensor([[2.0, 0.0], [0.0, -1.0]]), atol=1e-6, rtol=0.0)
    action = torch.randn(2, 3)
    assert symmetry.to_canonical(action, change) is action and symmetry.from_canonical(action, change) is action
