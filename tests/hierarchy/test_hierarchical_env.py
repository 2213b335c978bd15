"""The window of a hierarchical step, with numbers worked by hand."""

import pytest
import torch

from isaachrl import config
from isaachrl.envs.env import Env, StepResult
from isaachrl.errors import ConfigError, SkillError
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv, HierarchyCfg

NEVER = 99


class Script(Env):
    """Pays t in step t of an episode; ends as told: `ends[i] = (step, kind)`, and falls two steps later anyway."""

    def __init__(self, ends, style=True):
        self.num_envs, self.device = len(ends), torch.device("cpu")
        self.generator = torch.Generator()
        self.obs_sizes = {"proprioception": 1, "goal": 1} | ({"style": 1} if style else {})
        self.policy_groups, self.action_size, self.episode_steps = ("proprioception", "goal"), 2, 8
        self.end = torch.tensor([step for step, _ in ends])
        self.falls = torch.tensor([kind == "fall" for _, kind in ends])
        self.time = torch.zeros(self.num_envs)
        self.actions, self.masks = [], []

    def reset(self):
        return self.reset_where(torch.ones(self.num_envs, dtype=torch.bool))

    def advance(self, action):
        self.actions.append(action)
        self.time = self.time + 1
        terminated = ((self.time == self.end) & self.falls) | (self.time == self.end + 2)
        obs = self.observe()
        return StepResult(
            obs=obs,
            reward=3 * self.time,
            terminated=terminated,
            truncated=(self.time >= self.end) & ~terminated,
            terminal_obs=obs,
            terms={"walk": self.time.clone(), "goal": 2 * self.time},
            metrics={"time": self.time.clone()},
            discount_steps=torch.ones(self.num_envs),
        )

    def reset_where(self, mask):
        self.masks.append(mask)
        self.time = self.time.masked_fill(mask, 0.0)
        return self.observe()

    def observe(self):
        column = self.time.unsqueeze(1)
        shown = {"proprioception": column.clone(), "goal": -column, "style": column + 0.5}
        return {name: shown[name] for name in self.obs_sizes}

    def state_dict(self):
        return {"time": self.time.clone()}

    def load_state_dict(self, state):
        self.time = state["time"].clone()


class FakeSkill:
    """Acts with (proprioception, first number of the latent); style pays 2 per unit of the window."""

    latent_size = 2

    def __init__(self):
        self.style_calls = 0

    def project(self, command):
        return torch.nn.functional.normalize(command, dim=-1)

    def act(self, proprioception, latent):
        return torch.cat((proprioception, latent[:, :1]), dim=-1)

    def style_reward(self, window, latent):
        self.style_calls += 1
        return 2.0 * window[:, 0]


def wide(env):
    return torch.tensor([[3.0, 0.0]]).repeat(env.num_envs, 1)


@pytest.fixture
def window():
    """Three steps at weights 0.5 and 0.25 of: no end, a fall in step 2, time over in step 2, a fall in step 3."""
    inner = Script([(NEVER, ""), (2, "fall"), (2, "time"), (3, "fall")])
    env = HierarchicalEnv(inner, FakeSkill(), HierarchyCfg(steps=3, task_weight=0.5, style_weight=0.25))
    env.reset()
    return env, env.step(torch.tensor([[3.0, 0.0]] * 4))


def test_reward_is_the_sum_of_steps_before_the_end_divided_by_k(window):
    # a step t pays 0.5 * 3 t + 0.25 * 2 (t + 0.5) = 2 t + 0.25: 2.25, 4.25, 6.25
    assert window[1].reward.tolist() == pytest.approx([12.75 / 3, 6.5 / 3, 6.5 / 3, 12.75 / 3])


def test_terms_have_their_weights_and_sum_to_the_reward(window):
    terms = window[1].terms
    assert terms["walk"].tolist() == pytest.approx([0.5 * 6 / 3, 0.5 * 3 / 3, 0.5 * 3 / 3, 0.5 * 6 / 3])
    assert terms["style"].tolist() == pytest.approx([0.25 * 15 / 3, 0.25 * 8 / 3, 0.25 * 8 / 3, 0.25 * 15 / 3])
    torch.testing.assert_close(sum(terms.values()), window[1].reward)


def test_the_first_end_decides(window):
    # the third environment would be truncated again in step 3 and fall in step 4: only its first end counts
    assert window[1].terminated.tolist() == [False, True, False, True]
    assert window[1].truncated.tolist() == [False, False, True, False]


def test_terminal_observation_and_metrics_are_those_of_the_first_end(window):
    assert window[1].terminal_obs["proprioception"].flatten().tolist() == [3, 2, 2, 3]
    assert window[1].terminal_obs["goal"].flatten().tolist() == [-3, -2, -2, -3]
    assert window[1].metrics["time"].tolist() == [3, 2, 2, 3]


def test_discount_steps_is_the_share_of_the_window_before_the_end(window):
    assert window[1].discount_steps.tolist() == pytest.approx([1, 2 / 3, 2 / 3, 1])
    assert (0.99 ** window[1].discount_steps)[2] == pytest.approx(0.9933222, abs=1e-6)


def test_episodes_start_anew_at_a_decision_only(window):
    env, result = window
    assert [mask.tolist() for mask in env.inner.masks] == [[True] * 4, [False, True, True, True]]
    assert result.obs["proprioception"].flatten().tolist() == [3, 0, 0, 0]


def test_the_latent_is_projected_and_held_and_the_observation_fresh(window):
    actions = window[0].inner.actions
    assert [action[0].tolist() for action in actions] == [[0, 1], [1, 1], [2, 1]]


def test_the_command_is_clamped_before_it_is_projected():
    env = HierarchicalEnv(Script([(NEVER, "")]), FakeSkill())
    env.step(torch.tensor([[3.0, 1.0]]))  # clamped to (1, 1)
    assert env.inner.actions[0][0, 1].item() == pytest.approx(0.5**0.5)


def test_a_fall_after_the_time_was_over_does_not_count():
    env = HierarchicalEnv(Script([(1, "time")]), FakeSkill(), HierarchyCfg(steps=4))
    result = env.step(wide(env))  # time over in step 1, the body falls in step 3
    assert result.truncated.item() and not result.terminated.item()


def test_style_weight_zero_leaves_the_discriminator_alone():
    env = HierarchicalEnv(Script([(NEVER, "")], style=False), FakeSkill(), HierarchyCfg(steps=2, style_weight=0.0))
    result = env.step(wide(env))
    assert env.skill.style_calls == 0 and "style" not in result.terms
    assert result.reward.item() == pytest.approx(0.9 * (3 + 6) / 2)


def test_not_a_number_after_the_end_stays_out():
    class Broken(Script):
        def advance(self, action):
            result = super().advance(action)
            result.reward = torch.where(self.time > 1, torch.nan, result.reward)
            return result

    env = HierarchicalEnv(Broken([(1, "fall")]), FakeSkill(), HierarchyCfg(steps=3, style_weight=0.0))
    assert env.step(wide(env)).reward.item() == pytest.approx(0.9 * 3 / 3)


def test_levels_nest():
    inner = HierarchicalEnv(Script([(NEVER, ""), (3, "time")]), FakeSkill(), HierarchyCfg(2, 1.0, 0.0))
    env = HierarchicalEnv(inner, FakeSkill(), HierarchyCfg(2, 1.0, 0.0))
    result = env.step(wide(env))
    assert result.reward.tolist() == pytest.approx([3 * (1 + 2 + 3 + 4) / 4, 3 * (1 + 2 + 3) / 4])
    assert result.discount_steps.tolist() == pytest.approx([1.0, 0.75])
    assert result.truncated.tolist() == [False, True]
    assert result.terminal_obs["proprioception"].flatten().tolist() == [4, 3]
    assert result.obs["proprioception"].flatten().tolist() == [4, 0]
    assert (inner.episode_steps, env.episode_steps) == (4, 2)


def test_episode_steps_count_decisions_and_round_up():
    assert HierarchicalEnv(Script([(NEVER, "")]), FakeSkill(), HierarchyCfg(steps=3)).episode_steps == 3


def test_the_observer_sees_every_inner_step():
    env = HierarchicalEnv(Script([(NEVER, "")]), FakeSkill(), HierarchyCfg(steps=3))
    seen = []
    env.observer = lambda: seen.append(env.inner.time.item())
    env.step(wide(env))
    assert seen == [1, 2, 3]


def test_no_gradient_is_recorded():
    env = HierarchicalEnv(Script([(NEVER, "")]), FakeSkill())
    assert not env.step(wide(env).requires_grad_()).reward.requires_grad


def test_state_goes_through():
    env = HierarchicalEnv(Script([(NEVER, "")]), FakeSkill())
    env.step(wide(env))
    state = env.state_dict()
    first = env.step(wide(env)).reward
    env.load_state_dict(state)
    assert torch.equal(env.step(wide(env)).reward, first)


def test_an_environment_without_the_groups_of_the_skill_is_refused():
    with pytest.raises(SkillError, match="'style'.*proprioception, goal"):
        HierarchicalEnv(Script([(NEVER, "")], style=False), FakeSkill())


def test_windows_longer_than_an_episode_are_refused():
    assert HierarchicalEnv(Script([(NEVER, "")]), FakeSkill(), HierarchyCfg(steps=8)).episode_steps == 1
    with pytest.raises(
        ConfigError, match=r"^task.hierarchy.steps=9: .* ends after 8 steps; type task.hierarchy.steps=5"
    ):
        HierarchicalEnv(Script([(NEVER, "")]), FakeSkill(), HierarchyCfg(steps=9))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"task_weight": -1.0}, {"style_weight": -0.1}])
def test_impossible_windows_are_refused(wrong):
    with pytest.raises(ConfigError, match="task.hierarchy.*: expected a number from"):
        config.build(HierarchyCfg, wrong, "task.hierarchy")


def test_a_diverged_world_gets_no_style_reward():
    env = Script([(2, "fall"), (NEVER, "")])
    advance = env.advance

    def broken(action):
        result = advance(action)
        result.metrics["diverged"] = (env.time == env.end).float()
        return result

    env.advance = broken
    top = HierarchicalEnv(env, FakeSkill(), HierarchyCfg(steps=3, task_weight=0.0, style_weight=0.5))
    result = top.advance(torch.ones(2, 2))
    # style pays 2 * (t + 0.5) in step t, weighed 0.5: 1.5, and 2.5 and 3.5 for who goes on; over three steps
    torch.testing.assert_close(result.reward, torch.tensor([1.5 / 3, (1.5 + 2.5 + 3.5) / 3]))
