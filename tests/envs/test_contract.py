"""What every registered task has to keep, whatever it is about."""

import io

import pytest
import torch
from torch.testing import assert_close

import tasks
from isaachrl.envs import TaskEnv, registry
from isaachrl.envs.env import innermost
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from tests.envs.conftest import OVERRIDES

assert tasks
every_task = pytest.mark.parametrize("name", registry.names())

# entries that are constant by construction: in the heading frame, the root's x axis has no part to the side; and of
# each of the four hinges about y, neither axis has one: nine zeros in a frame of style
CONSTANT = {
    "AntPush": {"context": 2},  # the target always stands in the same place
    "AntFall": {"context": 3},
    "HumanoidAMP": {"proprioception": 1, "style": 2 * 9},
    "HumanoidRise": {"style": 2 * 9},
    "HumanoidTracking": {"proprioception": 1, "reference": 2 * 2},  # the root's own place
    "HumanoidHRLMaze": {"proprioception": 1, "style": 2 * 9},
    "HumanoidProgram": {"proprioception": 1},
    **{f"Humanoid{name}": {"proprioception": 1} for name in ("Dodge", "Location", "Reach", "Steering", "Trajectory")},
    "HumanoidDribble": {"proprioception": 1, "task": 3},  # the velocity of a ball that is not reached
    "HumanoidPush": {"proprioception": 1, "task": 2},  # the velocity of a box that is not reached
    "HumanoidTopple": {"proprioception": 1, "task": 6},  # velocity and axis of a standing pillar, and it is not near
}


# on the engine for GPUs, which is slow on a CPU, one task for each kind of scene; all of them are tested there in
# test_no_sync.py and test_cuda_graph.py
SAME_SCENE = {
    "HumanoidTracking": "HumanoidAMP",
    "HumanoidReach": "HumanoidLocation",
    "HumanoidSteering": "HumanoidLocation",
    "HumanoidTrajectory": "HumanoidLocation",
    "HumanoidTopple": "HumanoidPush",
    "HumanoidDribble": "HumanoidDodge",
    "HumanoidProgram": "HumanoidLocation",
}


@pytest.fixture
def build(build, engine, request):
    name = request.node.callspec.params.get("name")
    if engine == "mujoco_warp" and name in SAME_SCENE:
        pytest.skip(f"{SAME_SCENE[name]} has the same kind of scene")
    return build


def steps_of(env, control_steps):
    """Steps that take at least so many control steps."""
    return -(-control_steps // env.cfg.steps) if isinstance(env, HierarchicalEnv) else control_steps


def actions(env, steps, seed=0):
    """Random actions in [-1, 1], one `(N, A)` a step."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(steps, env.num_envs, env.action_size, generator=generator) - 1


def play(env, steps, seed=0):
    """Rewards, ends and policy inputs of random steps, as one list of tensors to compare."""
    seen = []
    for action in actions(env, steps, seed):
        result = env.step(action)
        seen += [
            result.reward,
            result.terminated,
            result.truncated,
            *(result.obs[group] for group in sorted(result.obs)),
        ]
    return seen


def equal(one, other):
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@every_task
def test_sizes_and_types(build, name):
    env = build(name, num_envs=3)
    obs, result = env.reset(), env.step(torch.zeros(3, env.action_size))
    for shown in (obs, result.obs, result.terminal_obs):
        assert {group: values.shape[1] for group, values in shown.items()} == env.obs_sizes
        assert all(values.shape[0] == 3 and values.dtype == torch.float32 for values in shown.values())
    assert env.policy_input(obs).shape == (3, env.policy_input_size)
    for values in (result.reward, *result.terms.values(), *result.metrics.values(), result.discount_steps):
        assert values.shape == (3,) and values.dtype == torch.float32
    assert result.terminated.dtype == result.truncated.dtype == torch.bool
    assert env.episode_steps >= 1 and env.action_size >= 1


@every_task
def test_many_random_steps(build, engine, name):
    env = build(name)
    env.reset()
    lowest = {group: torch.full((size,), torch.inf) for group, size in env.obs_sizes.items()}
    highest = {group: -low for group, low in lowest.items()}
    ends = torch.zeros(2)
    slow = engine == "mujoco_warp" and isinstance(innermost(env), TaskEnv)  # as Warp's physics are on the CPU
    for action in actions(env, steps_of(env, 60 if slow else 200)):
        result = env.step(action)
        for group, values in result.obs.items():
            assert values.isfinite().all() and result.terminal_obs[group].isfinite().all(), group
            lowest[group] = torch.minimum(lowest[group], values.amin(0))
            highest[group] = torch.maximum(highest[group], values.amax(0))
            assert torch.equal(values[~result.done], result.terminal_obs[group][~result.done])
        assert result.reward.isfinite().all()
        assert not (result.terminated & result.truncated).any()
        assert_close(torch.stack(list(result.terms.values())).sum(0), result.reward, rtol=1e-4, atol=1e-5)
        assert ((result.discount_steps > 0) & (result.discount_steps <= 1)).all()
        ends += torch.stack((result.terminated.sum(), result.truncated.sum()))
    assert ends.sum() > 8, "episodes end and begin again"
    for group, low in lowest.items():
        constant = (highest[group] - low < 1e-6).nonzero().flatten().tolist()
        layout = [part for part, size, _ in env.obs_layout.get(group, ()) for _ in range(size)]
        named = [layout[index] for index in constant] if len(layout) == len(low) else constant
        assert len(constant) <= CONSTANT.get(name, {}).get(group, 0), f"constant entries of {group}: {named}"


@every_task
def test_a_seed_decides_everything(build, name):
    first, again, other = (play(env, steps_of(env, 30)) for env in (build(name, seed=seed) for seed in (5, 5, 6)))
    assert equal(first, again)
    assert not equal(first, other)


@every_task
def test_starts_are_random(build, name):
    env = build(name, num_envs=16)
    first = env.policy_input(env.reset())
    again = env.policy_input(env.reset())
    assert len({tuple(row.tolist()) for row in first}) == 16
    assert not torch.equal(first, again)


@every_task
def test_observations_share_no_memory(build, name):
    env, twin = build(name), build(name)
    kept = []
    for action in actions(env, 12):
        result, expected = env.step(action), twin.step(action)
        assert equal(list(env.observe().values()), list(expected.obs.values()))
        kept.append((result.obs, expected.obs))
        for values in (*env.observe().values(), *result.terminal_obs.values()):
            values.fill_(1e9)  # a caller may do what it likes with what it was given
        assert equal(list(env.observe().values()), list(expected.obs.values()))
    for shown, expected in kept:
        assert equal(list(shown.values()), list(expected.values())), "an observation changed after it was given"


@every_task
def test_resetting_one_environment_leaves_the_others_alone(build, name):
    steady = {"hold_s": [30.0, 30.0]} if "hold_s" in OVERRIDES.get(name, {}) else {}  # a new target is another draw
    env, twin = build(name, **steady), build(name, **steady)
    play(env, 2), play(twin, 2)
    before = env.observe()
    mask = torch.arange(env.num_envs) == 3
    after = env.reset_where(mask)
    for group in before:
        assert torch.equal(before[group][~mask], after[group][~mask])
    assert not torch.equal(env.policy_input(before)[mask], env.policy_input(after)[mask])
    action = actions(env, 1, seed=9)[0]
    result, expected = env.advance(action), twin.advance(action)
    assert torch.equal(result.reward[~mask], expected.reward[~mask])
    for group in before:
        assert torch.equal(result.obs[group][~mask], expected.obs[group][~mask])


@every_task
def test_resetting_none_changes_nothing(build, name):
    env = build(name)
    play(env, 2)
    before = env.observe()
    assert equal(list(before.values()), list(env.reset_where(torch.zeros(8, dtype=torch.bool)).values()))


@every_task
def test_a_stored_state_continues_bit_for_bit(build, name):
    env, other = build(name, seed=1), build(name, seed=1)
    play(env, 7), play(other, 3, seed=8)
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    file.seek(0)
    straight = play(env, steps_of(env, 25), seed=3)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert equal(straight, play(other, steps_of(env, 25), seed=3))


@every_task
def test_a_stored_state_is_a_copy(build, name):
    env = build(name)
    state = env.state_dict()
    straight = play(env, 10)
    env.load_state_dict(state)
    assert equal(straight, play(env, 10))


@every_task
@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_a_broken_action_ends_its_own_episode_and_touches_no_other(build, engine, name, broken):
    env, twin = build(name, num_envs=5), build(name, num_envs=5)
    others = torch.arange(5) != 2
    for step, action in enumerate(actions(env, 4, seed=4)):
        spoilt = action.clone()
        if step == 1:
            spoilt[2, -1] = broken
        if step == 2:
            spoilt[2] = broken
        result, expected = env.advance(spoilt), twin.advance(action)
        if step in (1, 2):
            assert result.diverged.tolist() == (~others).tolist()
            assert result.terminated[2] and not result.truncated[2] and result.reward[2] == 0
        for shown in (result.obs, result.terminal_obs, result.terms, {"reward": result.reward}):
            assert all(values.isfinite().all() for values in shown.values())
        assert equal([result.reward[others], result.done[others]], [expected.reward[others], expected.done[others]])
        for group, values in result.obs.items():
            assert torch.equal(values[others], expected.obs[group][others])
        ended = torch.arange(5) == 2
        assert all(values.isfinite().all() for values in env.reset_where(ended).values())
        twin.reset_where(ended)
