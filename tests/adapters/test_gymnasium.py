"""Gymnasium's own functions on our environments."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils import env_checker, env_match
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import isaachrl.adapters.gymnasium as adapter
import tasks  # noqa: F401
from isaachrl.envs import registry
from tests.adapters.clock import LAST, STEPS, Clock
from tests.small_mdp import corridor

TAXI = "isaachrl/TaxiFuel-v0"


@pytest.fixture
def clock(monkeypatch):
    """The clock, built by Gymnasium."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    monkeypatch.setattr(registry, "_LISTENERS", [])
    monkeypatch.setattr(registry, "make", lambda name, num_envs, **kwargs: Clock(num_envs))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return adapter.GymnasiumVectorEnv("Clock", 2)


def test_every_task_is_registered_also_later(monkeypatch):
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    assert {f"isaachrl/{name}-v0" for name in registry.names()} <= gymnasium.registry.keys()
    registry.register("Later", object, lambda cfg, world: corridor())
    assert gymnasium.registry.pop("isaachrl/Later-v0").kwargs == {"name": "Later"}


def test_a_humanoid_is_made_by_gymnasium(skill_file):
    cfg = {"task": {"skill": skill_file, "episode_steps": 3, "hierarchy": {"steps": 2}}}
    envs = gymnasium.make_vec("isaachrl/HumanoidHRLMaze-v0", num_envs=2, device="cpu", cfg=cfg)
    envs.action_space.seed(0)
    obs, _ = envs.reset(seed=0)
    assert obs in envs.observation_space and envs.num_envs == 2
    _, _, _, truncated, info = envs.step(envs.action_space.sample())
    assert not truncated.any() and (info["discount_steps"] == 1.0).all()
    obs, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
    assert truncated.all() and not terminated.any() and info["_final_obs"].all()
    assert info["discount_steps"].tolist() == [0.5, 0.5], "3 control steps: a step of 2, and half a step"
    assert obs in envs.observation_space and reward.dtype == np.float64
    assert info["final_obs"][0].shape == obs[0].shape and not np.array_equal(info["final_obs"][0], obs[0])


def test_ends_and_the_last_observation(clock):
    clock.reset()
    for _ in range(STEPS):
        obs, reward, terminated, truncated, info = clock.step(np.full((2, 1), 0.5, np.float32))
        assert reward.tolist() == [0.5, 0.5]
    assert terminated.tolist() == [True, False] and truncated.tolist() == [False, True]
    assert obs.tolist() == [[0.0, 0.0], [0.0, 1.0]], "of the new episodes"
    assert [row.tolist() for row in info["final_obs"]] == [[3.0, 0.0], [3.0, 1.0]]
    assert info["discount_steps"].tolist() == [1.0, LAST]
    assert info["final_info"]["time"].tolist() == [3.0, 3.0]
    assert "final_obs" not in clock.step(np.zeros((2, 1), np.float32))[-1]


def test_statistics_of_gymnasium_read_our_ends(clock):
    envs = RecordEpisodeStatistics(clock)
    envs.reset()
    for _ in range(STEPS):
        info = envs.step(np.full((2, 1), 0.5, np.float32))[-1]
    assert info["episode"]["l"].tolist() == [STEPS, STEPS] and info["episode"]["r"].tolist() == [1.5, 1.5]


@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is -?infinity")  # as theirs
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [TAXI, "isaachrl/HumanoidLocation-v0"])
def test_gymnasiums_checker_passes_without_a_warning(name, skill_file):
    cfg = {"task": {"skill": skill_file}} if "Humanoid" in name else {}
    env = gymnasium.make(name, device="cpu", cfg=cfg, disable_env_checker=True).unwrapped
    env_checker.check_env(env)


def test_the_last_step_of_a_single_environment_has_the_metrics_of_its_episode():
    env = gymnasium.make(TAXI, device="cpu", cfg={"task": {"episode_steps": 2}}, disable_env_checker=True)
    env.reset(seed=0)
    assert env.step(0)[-1] == {"discount_steps": 1.0}
    *_, truncated, info = env.step(0)
    assert truncated and info["discount_steps"] == 1.0 and info["success_rate"] == 0.0


def test_one_of_many_is_what_gymnasium_makes_of_one():
    ours = gymnasium.make_vec(TAXI, num_envs=1, device="cpu", cfg={"task": {"episode_steps": 5}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = lambda: gymnasium.make(TAXI, device="cpu", cfg={"task": {"episode_steps": 5}})  # noqa: E731
        theirs = SyncVectorEnv([one], autoreset_mode=AutoresetMode.SAME_STEP)
    env_match.check_environments_match(ours, theirs, num_steps=23, seed=3, info_comparison="skip", skip_render=True)


def test_the_seed_of_a_reset_determines_what_follows():
    envs = gymnasium.make_vec(TAXI, num_envs=16, device="cpu")
    first, second, other = (envs.reset(seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, other)
