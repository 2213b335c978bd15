"""One level without managers: its replay, its warm-up, and resets of bodies on their back."""

from pathlib import Path

import pytest
import torch
import yaml

import isaachrl
import tasks
from isaachrl import config
from isaachrl.envs.cuda_graph import WARM_UP, StepGraph
from isaachrl.learn.goals import GoalsCfg, GoalsLearner
from tests.learn.goals.plane import SAC, STEP_M, Plane, flat_learner, goes_on_alike, make_learner, segments
from tests.tape import TapeRecorder

assert tasks
CFG = Path(__file__).resolve().parents[3] / "cfg" / "train"


@pytest.mark.parametrize("level", [{}, SAC])
def test_it_stores_single_steps_and_continues_bit_for_bit(level):
    straight, other = (
        flat_learner(
            Plane(seed=1, flip_above=0.0), 1, level | {"exploration": {"low": 0.01}}, flips={"reset_steps": 10}
        )
        for _ in range(2)
    )
    goes_on_alike(straight, other)
    for one in segments(straight):
        assert one["length"] == 1 and one["goal"].shape == (0,)
        assert (one["states"].diff(dim=0).abs()[:, :2] <= STEP_M + 1e-4).all()


def test_a_body_on_its_back_is_reset_and_its_value_is_bootstrapped():
    learner, times = flat_learner(Plane(num_envs=2, episode_steps=99, flip_above=-1e9), flips={"reset_steps": 3}), []
    for _ in range(7):
        learner.collector.step()
        times.append(learner.env.time.tolist())
    assert times == [[1, 1], [2, 2], [0, 0], [1, 1], [2, 2], [0, 0], [1, 1]]
    assert not learner.replays[0].data["terminal"].any(), "cut short by the learner"
    assert learner.collector.episodes.read()["episode/length"] == 3


@pytest.mark.parametrize("flip_reset_steps", [0, 3])
def test_steps_can_be_graphs_and_segments_store_the_state_before_the_reset(flip_reset_steps):
    env = Plane(num_envs=2, lengths=[2, 99], flip_above=-1e9)
    learner, calls, times = flat_learner(env, flips={"reset_steps": flip_reset_steps}), [], []

    def replayed(action):
        calls.append(1)
        return env.step_eagerly(action)

    env.step_graph = replayed
    for _ in range(4):
        learner.collector.step()
        times.append(env.time.tolist())
        assert torch.equal(learner.collector.obs["state"], env.observe()["state"])
    # the first world ends by itself after two steps, the second is cut short after three, if at all
    assert len(calls) == 4
    assert times == ([[1, 1], [0, 2], [1, 0], [0, 1]] if flip_reset_steps else [[1, 1], [0, 2], [1, 3], [0, 4]])
    assert learner.collector.steps_on_back.tolist() == ([0, 1] if flip_reset_steps else [0, 4])
    states, data = learner.replays[0].data["states"][:8], learner.replays[0].data
    assert (states[:, 1, 2] - states[:, 0, 2]).tolist() == pytest.approx(
        [0.1] * 8
    )  # the step after, and no new episode
    assert not data["terminal"][:8].any()


@pytest.mark.parametrize("flip_reset_steps", [0, 4])
def test_it_learns_the_same_from_replayed_steps(flip_reset_steps):
    made = []

    def signals(replayed):
        env = Plane(seed=1, episode_steps=7, flip_above=-1e9)
        if replayed:
            made.append(TapeRecorder(env))
            env.step_graph = StepGraph(env, lambda: made[-1])
        learner = flat_learner(env, 1, flips={"reset_steps": flip_reset_steps})
        return [learner.iterate() for _ in range(2)], learner.replays[0].data["states"].clone()

    (plain, states), (replayed, again) = signals(False), signals(True)
    assert replayed == plain and torch.equal(states, again)
    assert made[0].replays == 2 * 8 - WARM_UP


@pytest.mark.parametrize("uniform", [True, False])
def test_the_flat_baseline_may_warm_up_with_uniform(uniform):
    quiet = {"exploration": {"low": 1e-6, "high": 1e-6}, "small_last_layer": True}
    learner = flat_learner(Plane(num_envs=50), warmup_uniform=uniform, worker=quiet, replay_steps=1000)
    learner.iterate()
    learner.collector.uniform = False
    learner.collector.step()
    action = learner.replays[0].data["actions"][:450, 0]
    # a policy that starts within 0.003 stays near 0
    assert (action[:400].abs().mean().item() > 0.4) == uniform and action[400:].abs().max() < 0.1
    if uniform:
        assert action[:400].abs().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_parallel_recipe_runs_and_resets_an_ant_on_its_back():
    file = yaml.safe_load((CFG / "td3.yaml").read_text())
    recipe, base = file.pop("recipes")["parallel"]["train"], {key: file[key] for key in ("meta_periods", "correction")}
    worker = recipe["worker"] | {"hidden": [8], "batch": 4, "small_last_layer": False, "hiro_details": False}
    values = base | recipe | {"warmup_steps": 15, "replay_steps": 100, "worker": worker, "eval_every": 0}
    env = isaachrl.make("AntMaze", 2, device="cpu", seed=0)
    env.task.flipped = lambda: torch.tensor([True, False])
    learner = GoalsLearner(env, config.build(GoalsCfg, values), 0)
    for _ in range(3):
        signals = learner.iterate()
    # after thirty steps on its back the first ant is reset; the other is in its first episode
    assert env.progress.tolist() == [0, 30]
    assert learner.levels.top.updates == 4 * 15 and signals["policy/critic_loss"] >= 0


@pytest.mark.parametrize("make", [make_learner, flat_learner])
def test_a_training_shorter_than_its_warm_up_warns(make, caplog):
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
    assert "type max_iterations=7 or more" in caplog.text, "without its replay it warms up again"
