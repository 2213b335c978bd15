"""skrl steps and trains on our environments."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

pytest.importorskip("skrl", reason='skrl is not installed: pip install -e ".[skrl]"')

from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.agents.torch.sac import SAC_CFG
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer

from isaachrl.adapters.skrl import SkrlEnv
from isaachrl.errors import ConfigError
from tests.adapters.clock import LAST, STEPS, Clock
from tests.small_mdp import corridor

HALF = torch.full((2, 1), 0.5)


class Gaussian(GaussianMixin, Model):
    def __init__(self, observation_space, action_space, device):
        Model.__init__(self, observation_space=observation_space, action_space=action_space, device=device)
        GaussianMixin.__init__(self)
        self.net = nn.Linear(self.num_observations, self.num_actions)
        self.log_std = nn.Parameter(torch.zeros(self.num_actions))

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Categorical(CategoricalMixin, Model):
    def __init__(self, observation_space, action_space, device):
        Model.__init__(self, observation_space=observation_space, action_space=action_space, device=device)
        CategoricalMixin.__init__(self)
        self.net = nn.Linear(self.num_observations, self.num_actions)

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {}


class Critic(DeterministicMixin, Model):
    def __init__(self, observation_space, action_space, device):
        Model.__init__(self, observation_space=observation_space, action_space=action_space, device=device)
        DeterministicMixin.__init__(self)
        self.net = nn.Linear(self.num_observations, 1)

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {}


def agent(env, policy, **changes):
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space, "device": env.device}
    torch.manual_seed(0)
    changes = {"rollouts": STEPS, "mini_batches": 1, "discount_factor": 0.5} | changes
    cfg = PPO_CFG(**changes)
    cfg.experiment.write_interval = cfg.experiment.checkpoint_interval = 0
    models = {"policy": policy(**spaces), "value": Critic(**spaces)}
    return PPO(models=models, memory=RandomMemory(memory_size=STEPS, num_envs=env.num_envs), cfg=cfg, **spaces)


def test_ends_without_a_bootstrap():
    env = SkrlEnv(Clock())
    obs, _ = env.reset()
    assert obs.tolist() == [[0.0, 0.0], [0.0, 1.0]] and env.num_envs == 2
    for _ in range(STEPS):
        obs, reward, terminated, truncated, _ = env.step(HALF)
    assert terminated.tolist() == [[True], [False]] and truncated.tolist() == [[False], [True]]
    assert obs.tolist() == [[0.0, 0.0], [0.0, 1.0]] and reward.tolist() == [[0.5], [0.5]]


def test_the_value_of_the_last_observation_is_folded_into_the_reward():
    env = SkrlEnv(Clock())
    learner = agent(env, Gaussian)
    env.bootstrap_from(learner)
    env.reset()
    for _ in range(STEPS):
        _, reward, terminated, truncated, _ = env.step(HALF)
    value = learner.value.net(torch.tensor([3.0, 1.0])).item()
    torch.testing.assert_close(reward, torch.tensor([[0.5], [0.5 + 0.5**LAST * value]]))
    assert terminated.all() and truncated.tolist() == [[False], [True]] and abs(value) > 1e-3


def test_a_second_bootstrap_and_other_agents_are_refused():
    env = SkrlEnv(Clock())
    off_policy = SimpleNamespace(cfg=SAC_CFG())
    for learner in (agent(env, Gaussian, time_limit_bootstrap=True), off_policy):
        with pytest.raises(ConfigError, match="expected PPO or A2C.*time_limit_bootstrap=False"):
            env.bootstrap_from(learner)


@pytest.mark.parametrize(("inner", "policy"), [(Clock, Gaussian), (corridor, Categorical)])
def test_the_trainer_trains(inner, policy):
    env = SkrlEnv(inner(num_envs=4))
    learner = agent(env, policy)
    env.bootstrap_from(learner)
    before = learner.policy.net.weight.detach().clone()
    options = {
        "timesteps": 2 * STEPS,
        "headless": True,
        "disable_progressbar": True,
        "close_environment_at_exit": False,
    }
    SequentialTrainer(env=env, agents=learner, cfg=options).train()
    assert not torch.equal(before, learner.policy.net.weight)
