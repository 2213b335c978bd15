"""Off-policy learners on environments that know nothing of goals."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import isaachrl
import tasks
from isaachrl import config
from isaachrl.envs.env import Env, StepResult
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.learn.goals import GoalsCfg, GoalsLearner
from isaachrl.learn.goals.config import Inputs
from isaachrl.learn.goals.contract import NetworkInputs
from isaachrl.learn.goals.state_env import StateEnv, with_state
from isaachrl.maths import rotations
from tests.learn.goals.plane import Plane
from tests.tiny_skill import make_tiny_skill

assert tasks


class Walker(Env):
    """A body whose actions are velocities in m/s along its heading and rad/s about it; it ends beyond x = 2."""

    def __init__(self, num_envs=2, yaw=0.0):
        self.num_envs, self.device, self.episode_steps, self.step_s = num_envs, torch.device("cpu"), 20, 1.0
        self.generator = torch.Generator().manual_seed(0)
        self.obs_sizes, self.policy_groups, self.action_size = {"body": 2, "goal": 1, "style": 3}, ("body", "goal"), 2
        self.obs_layout = {"body": [("linvel", 1, "m/s, heading frame"), ("angvel", 1, "rad/s")]}
        self.sim = SimpleNamespace(root_pos_w=torch.zeros(num_envs, 3), root_quat_w=torch.zeros(num_envs, 4))
        self.yaw, self.first_yaw, self.speeds = torch.zeros(num_envs), yaw, torch.zeros(num_envs, 2)
        self.reset()

    def evaluation_twin(self, num_envs, seed):
        return Walker(num_envs, self.first_yaw)

    def observe(self):
        style = torch.full((self.num_envs, 3), 7.0)
        return {"body": self.speeds.clone(), "goal": self.sim.root_pos_w[:, :1] + 5.0, "style": style}

    def advance(self, action):
        self.speeds = action
        self.yaw = self.yaw + action[:, 1]
        ahead = torch.stack((self.yaw.cos(), self.yaw.sin(), torch.zeros_like(self.yaw)), 1)
        self.sim.root_pos_w = self.sim.root_pos_w + action[:, :1] * ahead
        self.sim.root_quat_w = rotations.from_yaw(self.yaw)
        over, obs = self.sim.root_pos_w[:, 0] > 2.0, self.observe()
        return StepResult(obs, action[:, 0], over, torch.zeros_like(over), obs, {"speed": action[:, 0]})

    def reset_where(self, mask):
        self.yaw = torch.where(mask, self.first_yaw, self.yaw)
        self.sim.root_pos_w = torch.where(mask.unsqueeze(1), 0.0, self.sim.root_pos_w)
        self.sim.root_quat_w = rotations.from_yaw(self.yaw)
        return self.observe()

    def state_dict(self):
        return {"pos": self.sim.root_pos_w.clone(), "yaw": self.yaw.clone()}

    def load_state_dict(self, state):
        self.sim.root_pos_w, self.yaw = state["pos"], state["yaw"]
        self.sim.root_quat_w = rotations.from_yaw(self.yaw)


@pytest.fixture(scope="module")
def skill_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("skill") / "tiny.pt"
    make_tiny_skill().save(path)
    return path


def test_a_manager_sees_place_and_heading_before_what_policies_observe():
    env = StateEnv(Walker(yaw=math.pi / 2), places=True)
    assert env.obs_layout["state"][:2] == [("root_xy_w", 2, "m"), ("heading", 2, "cosine and sine")]
    assert env.obs_sizes == {"state": 7}
    env.reset()
    # a quarter turn to the left from facing y, so that it walks along minus x
    state = env.step(torch.tensor([[1.5, math.pi / 2], [0.5, 0.0]])).obs["state"]
    assert state[0].tolist() == pytest.approx([-1.5, 0.0, -1.0, 0.0, 1.5, math.pi / 2, 3.5], abs=1e-6)
    assert state[1].tolist() == pytest.approx([0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 5.0], abs=1e-6)


def test_one_level_sees_what_other_policies_observe():
    env = StateEnv(Walker(), places=False)
    result = env.step(torch.tensor([[1.0, 0.25], [0.5, 0.0]]))
    assert env.position_size == 0
    assert torch.equal(result.obs["state"], env.inner.policy_input(env.inner.observe()))


def test_one_level_takes_the_steps_of_a_graph():
    env = StateEnv(Walker(), places=False)
    calls = []

    def replayed(action):
        calls.append(1)
        return env.inner.step_eagerly(action)

    env.inner.step_graph = replayed
    result = env.step(torch.tensor([[2.5, 0.0], [0.5, 0.0]]))
    assert calls == [1]
    assert result.obs["state"][:, 2].tolist() == [5.0, 5.5], "of the next episode where one ended"
    assert result.terminal_obs["state"][:, 2].tolist() == [7.5, 5.5]


def test_the_last_state_of_an_episode_is_that_before_its_reset():
    env = StateEnv(Walker(), places=True)
    result = env.step(torch.tensor([[2.5, 0.0], [0.5, 0.0]]))
    assert result.terminated.tolist() == [True, False]
    assert result.terminal_obs["state"][:, 0].tolist() == [2.5, 0.5]
    assert result.obs["state"][:, 0].tolist() == [0.0, 0.5]
    assert env.advance(torch.zeros(2, 2)).terminal_obs["state"][:, 0].tolist() == [0.0, 0.5]
    ended = env.advance(torch.tensor([[2.5, 0.0], [0.5, 0.0]]))
    assert ended.terminal_obs["state"][:, 0].tolist() == [2.5, 1.0]
    assert env.reset_where(ended.done)["state"][:, 0].tolist() == [0.0, 1.0]


def test_networks_see_velocities_in_typical_sizes_and_no_place():
    env = StateEnv(Walker(), places=True)
    inputs = NetworkInputs(env, Inputs.scaled, True, env.goal_limits)
    state = torch.tensor([[30.0, -20.0, 1.0, 0.0, 1.5, 8.0, 0.5]])
    expected = [0.0, 0.0, 1.0, 0.0, 1.5, 2.0, 0.5]
    assert inputs.top(state, state[:, :0])[0].tolist() == expected
    assert inputs.worker(state, torch.tensor([[3.0, -1.5]]))[0].tolist() == [*expected, 1.0, -0.5]
    assert inputs.middle(state, torch.tensor([[3.0, -1.5]]))[0].tolist() == [*expected, 1.0, -0.5]


def test_only_bodies_without_a_state_are_wrapped():
    plane = Plane()
    assert with_state(plane, flat=False) is plane
    assert isinstance(with_state(Walker(), flat=True), StateEnv)
    bodiless = Walker()
    bodiless.sim = None
    assert with_state(bodiless, flat=True) is bodiless, "the learner says what it lacks"
    for meta_periods in ((), (4,)):
        with pytest.raises(ConfigError, match="goals can be about, and it has no bodies"):
            learner(bodiless, meta_periods)


def learner(env, meta_periods=(), seed=3, **changes):
    small = {"hidden": [16, 16], "batch": 32, "small_last_layer": False}
    values = {
        "meta_periods": list(meta_periods), "goal_size": 2, "inputs": "scaled", "correction": "none",
        "warmup_steps": 8, "warmup_uniform": True, "replay_steps": 4000, "steps_per_iteration": 16,
        "max_iterations": 40, "eval_every": 0, "eval_episodes": 4, "worker": small, "manager": small,
    }  # fmt: skip
    return GoalsLearner(env, config.build(GoalsCfg, values | changes, "train"), seed=seed)


def test_one_level_learns_to_turn_round_and_walk_on():
    """Forwards leads over the edge at x = 2 after two steps; the reward is the way walked in twenty."""
    level = {
        "hidden": [32, 32], "batch": 64, "updates_per_step": 2, "actor_learning_rate": 1e-3,
        "critic_learning_rate": 1e-3, "small_last_layer": False, "exploration": {"low": 0.1, "high": 0.5},
    }  # fmt: skip
    trained = learner(Walker(8), worker=level)
    for _ in range(30):
        trained.iterate()
    env, policy = trained.env, trained.policy()
    obs, total, alive = env.reset(), torch.zeros(env.num_envs), torch.ones(env.num_envs)
    for _ in range(20):
        result = env.step(policy.act(obs))
        total, alive, obs = total + alive * result.reward, alive * (~result.terminated).float(), result.obs
    assert float(total.mean()) > 8.0


def test_learners_run_above_a_frozen_skill(skill_file):
    cfg = {"task": {"skill": str(skill_file), "layout": "umaze"}}
    for meta_periods in ((), (4,)):
        env = isaachrl.make("HumanoidHRLMaze", num_envs=2, seed=1, cfg=cfg)
        assert isinstance(env, HierarchicalEnv)
        made = learner(env, meta_periods, eval_every=1, steps_per_iteration=12)
        signals = made.iterate()
        assert 0.0 <= signals["eval/success_rate"] <= 1.0
        assert all(math.isfinite(value) for name, value in signals.items() if "critic_loss" in name)
        assert made.env.obs_sizes["state"] == env.policy_input_size + (4 if meta_periods else 0)
        action = made.policy().act(made.env.observe())
        assert action.shape == (2, env.action_size)


@pytest.mark.parametrize(
    "controller", [{"rescue": "assets/skills/rising.pt"}, {"options": {"a": "assets/skills/humanoid.pt:walk"}}]
)
def test_an_evaluation_leaves_the_controller_of_the_training_alone(controller):
    hierarchy = {"style_weight": 0.0} if "options" in controller else {}
    env = isaachrl.make("HumanoidLocation", num_envs=2, cfg={"task": controller | {"hierarchy": hierarchy}})
    made = learner(env, eval_every=1, steps_per_iteration=2, eval_episodes=3)
    for _ in range(2):
        env.step(torch.zeros(2, env.action_size))
    before = {name: value.clone() for name, value in env.skill.state_dict().items()}
    made.evaluator()
    after = env.skill.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert made.evaluator._env.inner.skill is not env.skill


def test_one_level_above_a_skill_is_exported_as_other_policies_are(skill_file):
    env = isaachrl.make("HumanoidHRLMaze", num_envs=2, cfg={"task": {"skill": str(skill_file)}})
    made = learner(env)
    exported = {one.name: one for one in made.exports()}
    assert list(exported) == ["high_level", "low_level", "fused"]
    obs = env.observe()
    latent = exported["high_level"].module(env.policy_input(obs))
    action = made.policy().act(made.env.observe())
    assert torch.allclose(latent, env.skill.project(action), atol=1e-5)
    targets = exported["fused"].module(env.policy_input(obs))
    assert torch.allclose(targets, exported["low_level"].module(obs["proprioception"], latent), atol=1e-5)


def test_a_twin_of_a_hierarchy_has_its_controller_and_the_configuration_of_evaluations(skill_file):
    cfg = {"task": {"skill": str(skill_file), "layout": "ogbench_medium", "hierarchy": {"steps": 3}}}
    env = isaachrl.make("HumanoidHRLMaze", num_envs=2, cfg=cfg)
    twin = env.evaluation_twin(3, seed=5)
    assert twin.skill is env.skill and twin.cfg == env.cfg and twin.num_envs == 3
    assert twin.inner.task.cfg == replace(env.inner.task.cfg, routes=type(env.inner.task.cfg.routes).fixed)
