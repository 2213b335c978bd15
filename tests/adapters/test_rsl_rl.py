"""rsl_rl steps and trains on our environments."""

import pytest
import torch

pytest.importorskip("rsl_rl", reason='rsl_rl is not installed: pip install -e ".[rsl-rl]"')

from rsl_rl.runners import OnPolicyRunner

from isaachrl.adapters.rsl_rl import RslRlVecEnv
from isaachrl.errors import ConfigError
from tests.adapters.clock import LAST, STEPS, Clock
from tests.small_mdp import corridor

HALF = torch.full((2, 1), 0.5)


def cfg(**algorithm):
    """The smallest configuration of PPO."""
    model = {"class_name": "MLPModel", "hidden_dims": [16], "activation": "elu"}
    gaussian = {"class_name": "GaussianDistribution", "init_std": 1.0}
    return {
        "num_steps_per_env": STEPS,
        "save_interval": 100,
        "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
        "algorithm": {"class_name": "PPO", "num_mini_batches": 1} | algorithm,
        "actor": model | {"distribution_cfg": gaussian},
        "critic": dict(model),
    }


def test_ends_and_time_outs():
    env = RslRlVecEnv(Clock())
    assert env.get_observations()["policy"].tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert (env.num_envs, env.num_actions, env.max_episode_length) == (2, 1, STEPS)
    for _ in range(STEPS - 1):
        env.step(HALF)
    assert env.episode_length_buf.tolist() == [2, 2]
    obs, reward, done, extras = env.step(HALF)
    assert done.all() and extras["time_outs"].tolist() == [False, True] and reward.tolist() == [0.5, 0.5]
    assert obs["policy"].tolist() == [[0.0, 0.0], [0.0, 1.0]] and env.episode_length_buf.tolist() == [0, 0]


def test_the_value_of_the_last_observation_is_folded_into_the_reward():
    env = RslRlVecEnv(Clock())
    torch.manual_seed(0)
    runner = OnPolicyRunner(env, cfg(gamma=0.5), device="cpu")
    env.bootstrap_from(runner)
    for _ in range(STEPS):
        _, reward, _, extras = env.step(HALF)
    value = runner.alg.critic(env._groups({"clock": torch.tensor([[3.0, 0.0], [3.0, 1.0]])}))[1].item()
    torch.testing.assert_close(reward, torch.tensor([0.5, 0.5 + 0.5**LAST * value]))
    assert abs(value) > 1e-3 and "time_outs" not in extras


def test_a_recurrent_critic_remembers_what_it_acted_on_alone():
    """The value that is folded in is the one after the last observation; the critic has then seen each step once."""
    recurrent = cfg(gamma=1.0)
    recurrent["critic"] |= {"class_name": "RNNModel", "rnn_type": "gru", "rnn_hidden_dim": 4}
    env = RslRlVecEnv(Clock())
    torch.manual_seed(0)
    runner = OnPolicyRunner(env, recurrent, device="cpu")
    env.bootstrap_from(runner)
    critic, rewards = runner.alg.critic, []
    with torch.inference_mode():
        for _ in range(STEPS):
            critic(env.get_observations())
            rewards.append(env.step(HALF)[1])
        seen = critic.get_hidden_state().clone()
        critic.reset()
        for step in range(STEPS):
            critic(env._groups({"clock": torch.tensor([[step, 0.0], [step, 1.0]])}))
        torch.testing.assert_close(seen, critic.get_hidden_state())
        last = critic(env._groups({"clock": torch.tensor([[STEPS, 0.0], [STEPS, 1.0]])}))[1].item()
    assert rewards[-1][1].item() == pytest.approx(0.5 + last) and abs(last) > 1e-3


def test_the_runner_trains_and_leaves_the_environment_usable():
    env = RslRlVecEnv(corridor(num_envs=8))
    torch.manual_seed(0)
    runner = OnPolicyRunner(env, cfg(), device="cpu")
    env.bootstrap_from(runner)
    before = [parameter.clone() for parameter in runner.alg.actor.parameters()]
    runner.learn(2)
    assert any(not torch.equal(old, new) for old, new in zip(before, runner.alg.actor.parameters(), strict=True))
    env.step(torch.zeros(8, 3))  # in place, on tensors that were made in inference mode
    env.env.state[:, 0] = 2


def test_random_episode_lengths_are_refused():
    env = RslRlVecEnv(Clock())
    with pytest.raises(ConfigError, match="init_at_random_ep_len=False"):
        OnPolicyRunner(env, cfg(), device="cpu").learn(1, init_at_random_ep_len=True)
