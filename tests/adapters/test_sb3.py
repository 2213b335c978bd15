"""Stable-Baselines3 steps and trains on our environments."""

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason='Stable-Baselines3 is not installed: pip install -e ".[sb3]"')

from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from isaachrl.adapters.sb3 import Sb3VecEnv
from isaachrl.errors import ConfigError
from tests.adapters.clock import LAST, STEPS, Clock
from tests.small_mdp import corridor

HALF = np.full((2, 1), 0.5, np.float32)


def test_ends_and_the_last_observation():
    env = Sb3VecEnv(Clock())
    assert env.reset().tolist() == [[0.0, 0.0], [0.0, 1.0]]
    for _ in range(STEPS):
        obs, reward, done, infos = env.step(HALF)
    assert obs.tolist() == [[0.0, 0.0], [0.0, 1.0]] and reward.tolist() == [0.5, 0.5] and done.all()
    assert [info["TimeLimit.truncated"] for info in infos] == [False, True]
    assert [info["terminal_observation"].tolist() for info in infos] == [[3.0, 0.0], [3.0, 1.0]]
    assert [info["time"] for info in infos] == [3.0, 3.0]


@pytest.mark.parametrize("normalize", [False, True])
def test_what_the_library_adds_and_what_is_folded_make_the_discount_of_a_short_step(normalize):
    """A rollout of one episode: the return of its last step is its reward and the discounted value of what follows."""
    env = Sb3VecEnv(Clock())
    wrapped, last = env, [[3.0, 1.0]]
    if normalize:
        wrapped = VecNormalize(env, training=False, norm_reward=False, epsilon=0.0)
        wrapped.obs_rms.mean, last = np.array([5.0, -1.0]), [[-2.0, 2.0]]
    model = A2C("MlpPolicy", wrapped, n_steps=STEPS, gamma=0.5, gae_lambda=0.0, device="cpu", seed=0)
    env.bootstrap_from(model)
    rollouts = []
    model.train = lambda: rollouts.append((model.rollout_buffer.rewards.copy(), model.rollout_buffer.actions.copy()))
    model.learn(2 * STEPS)
    (rewards, actions), value = rollouts[0], model.policy.predict_values(torch.tensor(last)).item()
    taken = actions[-1].flatten().clip(-1.0, 1.0)
    np.testing.assert_allclose(rewards[-1], taken + [0.0, 0.5**LAST * value], rtol=1e-5)
    assert abs(value) > 1e-3


def test_models_for_which_nothing_can_be_folded_are_refused():
    env = Sb3VecEnv(Clock())
    models = [SAC("MlpPolicy", env, buffer_size=20), A2C("MlpPolicy", VecNormalize(env), device="cpu")]
    for model in models:
        with pytest.raises(ConfigError, match="norm_reward=False"):
            env.bootstrap_from(model)


def test_ppo_trains_on_discrete_actions():
    env = Sb3VecEnv(corridor(num_envs=8))
    model = PPO("MlpPolicy", VecMonitor(env), n_steps=32, batch_size=128, device="cpu", seed=0)
    env.bootstrap_from(model)
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(2 * 32 * 8)
    assert any(not torch.equal(old, new) for old, new in zip(before, model.policy.parameters(), strict=True))
    assert max(episode["l"] for episode in model.ep_info_buffer) <= env.env.episode_steps


def test_an_off_policy_model_stores_the_last_observation():
    env = Sb3VecEnv(Clock())
    model = SAC("MlpPolicy", env, learning_starts=100, buffer_size=20, device="cpu", seed=0)
    model.learn(2 * STEPS)
    buffer = model.replay_buffer
    assert buffer.next_observations[STEPS - 1].tolist() == [[3.0, 0.0], [3.0, 1.0]]
    assert buffer.dones[STEPS - 1].tolist() == [1.0, 1.0] and buffer.timeouts[STEPS - 1].tolist() == [0.0, 1.0]


def test_a_seed_determines_the_episodes():
    first, second = Sb3VecEnv(corridor()), Sb3VecEnv(corridor(seed=7))
    for env in (first, second):
        env.seed(3)
    assert np.array_equal(first.reset(), second.reset())
