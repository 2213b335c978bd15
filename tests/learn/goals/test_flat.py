"""The flat baselines: what they remember, how they warm up, when an ant on its back begins anew."""

import io
from pathlib import Path

import pytest
import torch
import yaml

import isaachrl
import tasks
from isaachrl import config
from isaachrl.envs.cuda_graph import WARM_UP, StepGraph
from isaachrl.learn.goals import FlatCfg, FlatLearner, FlatSacCfg
from tests.learn.goals.plane import SMALL_LEVEL, STEP_M, Plane, make_learner, segments
from tests.tape import TapeRecorder

assert tasks
CFG = Path(__file__).resolve().parents[3] / "cfg" / "train"


def flat(seed=0, kind=FlatCfg, env=None, **changes):
    values = {"steps_per_iteration": 8, "warmup_steps": 8, "replay_steps": 400, "check_every": 0}
    policy = SMALL_LEVEL | changes.pop("policy", {})
    return FlatLearner(env or Plane(seed=seed), config.build(kind, values | {"policy": policy} | changes), seed)


@pytest.mark.parametrize("kind", [FlatCfg, FlatSacCfg])
def test_the_flat_baseline_remembers_steps_and_continues_bit_for_bit(kind):
    straight, other = (
        flat(1, kind, Plane(seed=1, flip_above=0.0), flip_reset_steps=10, policy={"noise_low": 0.01}) for _ in range(2)
    )
    for _ in range(3):
        straight.iterate()
    state, env_state = straight.state_dict(), straight.env.state_dict()
    state = torch.load(_stored(state), weights_only=True)
    expected = straight.iterate()
    other.env.load_state_dict(env_state)
    other.load_state_dict(state)
    assert other.iterate() == expected
    for one in segments(straight):
        assert (one["states"].diff(dim=0).abs()[:, :2] <= STEP_M + 1e-4).all()


def test_the_flat_baseline_begins_anew_on_its_back_and_goes_on_past_that():
    learner, times = flat(env=Plane(num_envs=2, episode_steps=99, flip_above=-1e9), flip_reset_steps=3), []
    for _ in range(7):
        learner._step()
        times.append(learner.env.time.tolist())
    assert times == [[1, 1], [2, 2], [0, 0], [1, 1], [2, 2], [0, 0], [1, 1]]
    assert not learner.replay.data["terminal"].any(), "cut short by the learner: the future counts on"
    assert learner.episodes.read()["episode/length"] == 3


@pytest.mark.parametrize("flip_reset_steps", [0, 3])
def test_the_flat_baseline_steps_through_what_replays_steps_and_remembers_what_came_before_a_reset(flip_reset_steps):
    env = Plane(num_envs=2, lengths=[2, 99], flip_above=-1e9)
    learner, calls, times = flat(env=env, flip_reset_steps=flip_reset_steps), [], []

    def replayed(action):
        calls.append(1)
        return env.step_eagerly(action)

    env.step_graph = replayed
    for _ in range(4):
        learner._step()
        times.append(env.time.tolist())
        assert torch.equal(learner.obs["state"], env.observe()["state"])
    # the first world ends by itself after two steps, the second is cut short after three, if at all
    assert len(calls) == 4
    assert times == ([[1, 1], [0, 2], [1, 0], [0, 1]] if flip_reset_steps else [[1, 1], [0, 2], [1, 3], [0, 4]])
    assert (learner.lain == (torch.tensor([0, 1]) if flip_reset_steps else 0)).all()
    states, data = learner.replay.data["states"][:8], learner.replay.data
    assert (states[:, 1, 2] - states[:, 0, 2]).tolist() == pytest.approx(
        [0.1] * 8
    )  # the step after, and no new episode
    assert not data["terminal"][:8].any()


@pytest.mark.parametrize("flip_reset_steps", [0, 4])
def test_the_flat_baseline_learns_the_same_from_replayed_steps(flip_reset_steps):
    made = []

    def signals(replayed):
        env = Plane(seed=1, episode_steps=7, flip_above=-1e9)
        if replayed:
            made.append(TapeRecorder(env))
            env.step_graph = StepGraph(env, lambda: made[-1])
        learner = flat(1, FlatCfg, env, flip_reset_steps=flip_reset_steps)
        return [learner.iterate() for _ in range(2)], learner.replay.data["states"].clone()

    (plain, states), (replayed, again) = signals(False), signals(True)
    assert replayed == plain and torch.equal(states, again)
    assert made[0].replays == 2 * 8 - WARM_UP


@pytest.mark.parametrize("uniform", [True, False])
def test_the_flat_baseline_may_warm_up_with_uniform_actions(uniform):
    quiet = {"noise_low": 1e-6, "noise_high": 1e-6, "small_last_layer": True}
    learner = flat(env=Plane(num_envs=50), warmup_uniform=uniform, policy=quiet, replay_steps=1000)
    learner.iterate(), learner._step()
    action = learner.replay.data["actions"][:450, 0]
    # a policy that starts within 0.003 stays near 0
    assert (action[:400].abs().mean().item() > 0.4) == uniform and action[400:].abs().max() < 0.1
    if uniform:
        assert action[:400].abs().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_flat_baseline_runs_with_its_parallel_recipe_on_an_ant_on_its_back():
    recipe = yaml.safe_load((CFG / "td3.yaml").read_text())["recipes"]["parallel"]["train"]
    small = {"hidden": [8], "batch": 4}
    values = recipe | {"warmup_steps": 15, "replay_steps": 100, "policy": recipe["policy"] | small, "check_every": 0}
    env = isaachrl.make("AntMaze", 2, device="cpu", seed=0)
    env.task.flipped = lambda: torch.tensor([True, False])
    learner = FlatLearner(env, config.build(FlatCfg, values), 0)
    for _ in range(3):
        signals = learner.iterate()
    # after thirty steps on its back the first ant begins anew; the other is in its first episode
    assert env.progress.tolist() == [0, 30]
    assert learner.level.updates == 4 * 15 and signals["policy/critic_loss"] >= 0


def _stored(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


@pytest.mark.parametrize("make", [make_learner, flat])
def test_who_trains_for_less_than_the_warm_up_is_told(make, caplog):
    changes = {"warmup_steps": 30, "steps_per_iteration": 10, "checkpoint_replay": False}
    short, longer, resumed = (make(max_iterations=count, **changes) for count in (3, 4, 6))
    for _ in range(3):
        short.iterate()
    assert "nothing was learned" in caplog.text and "type max_iterations=4 or more" in caplog.text
    caplog.clear()
    for _ in range(4):
        longer.iterate()
    assert "nothing was learned" not in caplog.text
    resumed.load_state_dict(short.state_dict())
    for _ in range(3):
        resumed.iterate()
    assert "type max_iterations=7 or more" in caplog.text, "without its memory it warms up anew"
