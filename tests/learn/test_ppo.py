"""PPO on environments small enough to know the answer of."""

import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl import config
from isaachrl.envs.env import Env, StepResult
from isaachrl.envs.registry import World
from isaachrl.errors import CheckpointError, ConfigError
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv, HierarchyCfg
from isaachrl.hierarchy.rescue import RescueController
from isaachrl.learn.ppo import PpoCfg, agent, version
from isaachrl.learn.ppo.adapter import EnvAdapter, EpisodeStatistics
from isaachrl.learn.ppo.learner import PpoLearner
from isaachrl.learn.registry import learner_entry
from tests.run.point import Point, PointCfg
from tests.tiny_skill import make_tiny_skill

assert tasks

SMALL: dict = {"hidden": [32], "horizon": 8, "minibatch": 128, "log_std": -1.0}


def point(num_envs=32, **cfg):
    generator = torch.Generator().manual_seed(1)
    return Point(PointCfg(**cfg), World(num_envs, "auto", torch.device("cpu"), generator))


class Mirror(Env):
    """One step long: the action should be the observed number; 1 minus the squared distance pays."""

    def __init__(self, num_envs=64):
        self.num_envs, self.device = num_envs, torch.device("cpu")
        self.generator = torch.Generator().manual_seed(0)
        self.obs_sizes, self.policy_groups, self.action_size, self.episode_steps = {"mark": 1}, ("mark",), 1, 1
        self.reset()

    def reset(self):
        return self.reset_where(torch.ones(self.num_envs, dtype=torch.bool))

    def advance(self, action):
        obs, done = self.observe(), torch.ones(self.num_envs, dtype=torch.bool)
        reward = 1 - (action - self.mark).square().sum(-1)
        return StepResult(obs, reward, done, ~done, obs, discount_steps=torch.ones(self.num_envs))

    def reset_where(self, mask):
        self.mark = 1.6 * torch.rand(self.num_envs, 1, generator=self.generator) - 0.8
        return self.observe()

    def observe(self):
        return {"mark": self.mark.clone()}

    def state_dict(self):
        return {"mark": self.mark.clone(), "generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.mark = state["mark"].clone()
        self.generator.set_state(state["generator"])


def test_a_seed_decides_everything_whatever_others_draw():
    a, b, other = (PpoLearner(point(), PpoCfg(**SMALL), seed) for seed in (4, 4, 5))
    first = a.iterate()
    torch.rand(3)  # as a user's own code may do in between
    assert b.iterate() == first
    assert other.iterate() != first


def test_two_threads_and_many_environments_learn_alike_bit_for_bit():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pair = [PpoLearner(point(num_envs=4096), PpoCfg(hidden=[32], horizon=2, epochs=2), seed=4) for _ in range(2)]
        assert pair[0].iterate() == pair[1].iterate()
    finally:
        torch.set_num_threads(threads)
    for name, weight in pair[0].agent.model.state_dict().items():
        assert torch.equal(weight, pair[1].agent.model.state_dict()[name]), name


def test_nothing_is_drawn_from_the_global_generator():
    learner = PpoLearner(point(), PpoCfg(**SMALL), seed=4)
    before = torch.get_rng_state()
    learner.iterate()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_odd_number_of_environments_gives_no_tiny_minibatches():
    learner = PpoLearner(point(num_envs=37), PpoCfg(**SMALL), seed=0)  # 8 * 37 rows; 128 at most
    assert len(learner.agent.dataset) == 3
    learner.iterate()


def saved(learner):
    """What a run keeps, through a file that may hold no code."""
    file = io.BytesIO()
    torch.save({"l": learner.state_dict(), "e": learner.env.state_dict()}, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_stopped_and_continued_equals_uninterrupted():
    learner = PpoLearner(point(), PpoCfg(**SMALL), seed=0)
    for _ in range(3):
        learner.iterate()
    state = saved(learner)
    straight = [learner.iterate() for _ in range(3)]
    again = PpoLearner(point(), PpoCfg(**SMALL), seed=9)
    again.env.load_state_dict(state["e"])
    again.load_state_dict(state["l"])
    assert [again.iterate() for _ in range(3)] == straight
    for name, weight in learner.agent.model.state_dict().items():
        assert torch.equal(weight, again.agent.model.state_dict()[name]), name
    assert (again.iteration, again.samples) == (6, 6 * 32 * 8)


def test_the_deviation_is_annealed_by_its_schedule_also_after_a_resume():
    cfg = PpoCfg(**SMALL, max_iterations=10, log_std_end=-3.0, anneal_from=0.5)
    learner = PpoLearner(point(), cfg, seed=0)
    found = [learner.iterate()["policy/std"] for _ in range(7)]
    again = PpoLearner(point(), cfg, seed=9)
    again.load_state_dict(saved(learner)["l"])
    found += [again.iterate()["policy/std"] for _ in range(5)]
    expected = torch.tensor([-1.0] * 6 + [-1.4, -1.8, -2.2, -2.6, -3.0, -3.0]).exp()
    assert_close(torch.tensor(found), expected)
    with pytest.raises(ConfigError, match=r"train.log_std_end=-3.0 sets .*type train.learn_std=false"):
        config.build(PpoCfg, {"log_std_end": -3.0, "learn_std": True}, "train")


def test_a_saved_state_does_not_change_with_the_learner():
    learner = PpoLearner(point(), PpoCfg(**SMALL), seed=0)
    learner.iterate()
    state = learner.state_dict()
    before = {name: value.clone() for name, value in state["agent"]["model"].items()}
    learner.iterate()
    assert all(torch.equal(before[name], value) for name, value in state["agent"]["model"].items())


def test_weights_go_to_another_number_of_environments():
    learner = PpoLearner(point(), PpoCfg(**SMALL), seed=0)
    learner.iterate()
    other = PpoLearner(point(num_envs=3), PpoCfg(**SMALL), seed=1)
    obs = other.env.observe()
    for state in (learner.state_dict(), learner.weights()):
        fresh = PpoLearner(point(num_envs=3), PpoCfg(**SMALL), seed=1)
        fresh.load_weights(state)
        assert torch.equal(fresh.policy().act(obs), learner.policy().act(obs))
    assert "optimizer" not in learner.weights()["agent"]


def test_weights_of_other_networks_are_refused_by_name():
    state = PpoLearner(point(), PpoCfg(**SMALL | {"hidden": [16]}), seed=0).state_dict()
    with pytest.raises(CheckpointError, match=r"actor_mlp.* is a tensor \(16, 2\) .*, expected a tensor \(32, 2\)"):
        PpoLearner(point(), PpoCfg(**SMALL), seed=0).load_weights(state)


class Cut(Mirror):
    """Three environments that end in their first step: a fall, time over, time over after 2/3 of a window."""

    def advance(self, action):
        result = super().advance(action)
        result.terminated = torch.tensor([True, False, False])
        result.truncated = ~result.terminated
        result.reward = torch.tensor([1.0, 1.0, 1.0])
        result.terminal_obs = {"mark": torch.tensor([[5.0], [7.0], [9.0]])}
        result.discount_steps = torch.tensor([1.0, 1.0, 2 / 3])
        return result


def test_time_limits_are_worth_the_value_of_the_last_observation():
    adapter = EnvAdapter(Cut(3), gamma=0.9)
    adapter.value = lambda policy_input: 10 * policy_input[:, 0]
    _, reward, done, _ = adapter.step(torch.zeros(3, 1))
    # the values are 50, 70 and 90; 0.9^(2/3) = 0.93217
    assert reward.tolist() == pytest.approx([1.0, 1 + 0.9 * 70, 1 + 0.9321698 * 90], rel=1e-5)
    assert done.tolist() == [True, True, True]
    assert adapter.statistics.read()["reward/total"] == 1.0  # what is reported is what the task paid


def test_the_value_is_the_agents_own():
    learner = PpoLearner(point(), PpoCfg(**SMALL), seed=0)
    for _ in range(2):
        learner.iterate()
    learner.agent.model.eval()
    x = torch.randn(32, 2)
    expected = learner.agent.model({"is_train": False, "obs": x.clone()})["values"]
    assert torch.equal(learner._value(x), expected.squeeze(-1))
    assert torch.equal(learner.agent.get_values({"obs": x}), expected)


def test_statistics_by_hand():
    statistics = EpisodeStatistics(Mirror(2))
    for reward, done, metric in (([1.0, 2.0], [False, True], [9.0, 1.0]), ([3.0, 4.0], [True, True], [torch.nan, 3.0])):
        ends = torch.tensor(done)
        value = torch.tensor(reward)
        statistics.add(StepResult({}, value, ends, ~ends & ends, {}, {"walk": 2 * value}, {"m": torch.tensor(metric)}))
    read = statistics.read()
    assert read == {
        "reward/total": 2.5,
        "reward/walk": 5.0,
        "episode/return": pytest.approx((2 + 4 + 4) / 3),
        "episode/length": pytest.approx((1 + 1 + 2) / 3),
        "episode/m": 2.0,  # 1 and 3; 9 was no end, and not-a-number is left out
    }
    statistics.add(StepResult({}, value, ends & ~ends, ends & ~ends, {}))
    assert statistics.read() == {"reward/total": 3.5}


def test_actions_and_their_mean_stay_in_range():
    env = Mirror()
    seen = []
    env.advance = lambda action, inner=env.advance: (seen.append(action), inner(action))[1]
    learner = PpoLearner(env, PpoCfg(**SMALL | {"log_std": 1.0}), seed=0)
    learner.iterate()
    assert max(action.abs().max().item() for action in seen) == 1.0
    assert learner.policy().act({"mark": torch.full((4, 1), 1e6)}).abs().max() <= 1


@pytest.mark.parametrize(("learn", "moves"), [(False, False), (True, True)])
def test_the_spread_is_learned_only_if_asked(learn, moves):
    learner = PpoLearner(point(), PpoCfg(**SMALL, learn_std=learn), seed=0)
    first = learner.iterate()["policy/std"]
    second = learner.iterate()["policy/std"]
    assert (first != second) is moves
    assert first == pytest.approx(0.3679, abs=0.02)


def test_it_leaves_no_files_and_prints_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    PpoLearner(point(), PpoCfg(**SMALL), seed=0).iterate()
    assert os.listdir(tmp_path) == [] and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "wrong", [{"horizon": 0}, {"hidden": []}, {"gamma": 1.5}, {"learning_rate": 0.0}, {"learning_rate": 0.1}]
)
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"^train\.{next(iter(wrong))}="):
        config.build(PpoCfg, wrong, "train")


def test_it_is_registered():
    assert learner_entry("ppo").cfg_type is PpoCfg


def test_a_plain_task_exports_its_policy():
    learner = PpoLearner(point(), PpoCfg(**SMALL), seed=0)
    learner.iterate()
    (exported,) = learner.exports()
    traced = torch.jit.trace(exported.module, tuple(exported.inputs.values()))
    obs = learner.env.observe()
    assert exported.name == "policy" and exported.contract["policy_input"] == {"place": 2}
    assert_close(traced(obs["place"]), learner.policy().act(obs))
    # the copy normalises as the agent's own model does
    learner.agent.model.eval()
    mean = learner.agent.model({"is_train": False, "obs": obs["place"].clone()})["mus"]
    assert_close(learner.policy().act(obs), mean)


class Sign(nn.Module):
    """A skill for `Point`: pushes along the first number of the latent."""

    latent_size = 2

    def project(self, command):
        return nn.functional.normalize(command, dim=-1)

    def act(self, proprioception, latent):
        return latent[:, :1]


def test_loading_the_learners_does_not_import_rl_games():
    code = "import sys, isaachrl.run.config.learners as l; l.load_learners(); print('rl_games' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_importing_the_agent_does_not_import_a_compiler():
    code = "import sys, torch; own = torch.compile; import isaachrl.learn.ppo.agent; print(torch.compile is own)"
    code += "; print(any(name.startswith('torch._inductor.compile') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\nFalse\n"


def test_torch_compile_is_disabled_inside_rl_games():
    compiler = torch.compile

    def plain(x):
        return x

    with agent._compile_disabled():
        assert torch.compile(plain) is plain
        assert torch.compile(mode="max-autotune", dynamic=True)(plain) is plain
    assert torch.compile is compiler


def test_a_bare_humanoid_exports_what_its_motors_do():
    cfg = {"task": {"skill": "none", "start_motion": "stand", "episode_steps": 20}}
    learner = PpoLearner(isaachrl.make("HumanoidHRLMaze", 4, device="cpu", cfg=cfg), PpoCfg(**SMALL), seed=0)
    (exported,) = learner.exports()
    told, action = exported.contract["action"], torch.rand(4, 28) * 2 - 1
    learner.env.task.apply(action)
    expected = torch.tensor(told["offset"]) + torch.tensor(told["scale"]) * action
    assert_close(learner.env.sim.ctrl, expected)
    assert told["unit"] == "rad" and told["motors"][0] == learner.env.sim.robot.dof_names[0]


def test_a_hierarchy_is_trained_like_any_environment():
    env = point(lengths=[6, 8])
    env.obs_sizes, inner = {"proprioception": 2}, env.observe
    env.observe = lambda: {"proprioception": inner()["place"]}
    env.policy_groups = ("proprioception",)
    top = HierarchicalEnv(env, Sign(), HierarchyCfg(steps=4, style_weight=0.0))
    learner = PpoLearner(top, PpoCfg(**SMALL), seed=0)
    first = learner.iterate()
    assert first["episode/length"] == 2.0  # six steps are one window and a half
    before = learner.agent.model.a2c_network.mu.weight.clone()
    learner.iterate()
    assert not torch.equal(learner.agent.model.a2c_network.mu.weight, before)
    assert [exported.name for exported in learner.exports()] == ["high_level"]


def test_a_choice_among_options_is_trained_and_exported():
    options = {"walk": "walk", "rise": "assets/skills/rising.pt"}
    cfg = {"task": {"start_motion": "stand", "episode_steps": 20, "options": options}}
    learner = PpoLearner(isaachrl.make("HumanoidLocation", 4, device="cpu", cfg=cfg), PpoCfg(**SMALL), seed=0)
    before = learner.agent.model.a2c_network.mu.weight.clone()
    assert learner.iterate()["episode/length"] == 4  # decisions
    assert not torch.equal(learner.agent.model.a2c_network.mu.weight, before)
    (exported,) = learner.exports()
    obs = learner.env.observe()
    assert_close(exported.module(learner.env.policy_input(obs)), learner.policy().act(obs))
    assert exported.contract["action"]["actions"] == ["walk", "rise"]


def test_first_episodes_end_at_different_decisions_if_staggered():
    cfg = {"task": {"start_motion": "stand", "episode_steps": 20}}
    ends = {}
    for stagger in (False, True):
        learner = PpoLearner(isaachrl.make("HumanoidLocation", 16, cfg=cfg), PpoCfg(**SMALL, stagger=stagger), seed=0)
        progress = learner.env.inner.progress.clone()
        assert (progress % 5 == 0).all() and (progress < 20).all()
        ends[stagger] = sorted((4 - progress // 5).tolist())
        steps = [learner.env.step(torch.zeros(16, learner.env.action_size)) for _ in range(5)]
        done = torch.stack([step.done for step in steps])
        assert sorted((done.int().argmax(0) + 1).tolist()) == ends[stagger]
        assert (torch.stack([step.truncated for step in steps]) == done).all() and done.any(0).all()
        assert (learner.env.inner.progress == 5 * done.flip(0).int().argmax(0)).all(), "later episodes are whole"
    assert ends[False] == [4] * 16 and set(ends[True]) == {1, 2, 3, 4}


@pytest.fixture(params=["alone", "with_rescue"])
def maze_learner(request, tmp_path):
    make_tiny_skill().save(tmp_path / "skill.pt")
    make_tiny_skill(latent_size=0).save(tmp_path / "rise.pt")
    rescue = {} if request.param == "alone" else {"rescue": str(tmp_path / "rise.pt")}
    cfg = {"task": {"skill": str(tmp_path / "skill.pt"), "start_motion": "stand", "episode_steps": 20} | rescue}
    return PpoLearner(isaachrl.make("HumanoidHRLMaze", 4, device="cpu", cfg=cfg), PpoCfg(**SMALL), seed=0)


def test_a_maze_under_a_skill_is_trained_and_says_how_it_went(maze_learner):
    signals = maze_learner.iterate()
    assert {"episode/success_rate", "episode/fall_rate", "reward/style", "reward/progress"} <= set(signals)
    assert 1 <= signals["episode/length"] <= 4  # decisions


def test_both_levels_and_their_fusion_are_exported(maze_learner):
    maze_learner.iterate()
    high, low, fused = maze_learner.exports()
    assert (high.name, low.name, fused.name) == ("high_level", "low_level", "fused")
    seen = maze_learner.env.policy_input(maze_learner.env.observe())
    latent = high.module(seen)
    assert_close(latent.norm(dim=-1), torch.ones(4))
    assert_close(fused.module(seen), low.module(seen[:, :223], latent))
    # what is exported moves the motors as the environment does
    inner, skill = maze_learner.env.inner, maze_learner.env.skill
    skill = skill.skill if isinstance(skill, RescueController) else skill
    assert_close(low.module(seen[:, :223], latent), inner.task.action_map(skill.act(seen[:, :223], latent)))
    assert (high.contract["action_size"], fused.contract["action_size"]) == (4, 28)
    assert low.contract["use"].startswith("the output is in rad") and "its direction counts" in low.contract["use"]
    assert_close(low.module(seen[:, :223], 3.0 * latent), low.module(seen[:, :223], latent))
    assert fused.contract["inner_steps"] == 5 and fused.contract["low_level"]["latent_size"] == 4
    for exported in (high, low, fused):
        assert exported.module(*exported.inputs.values()).shape[0] == 1


def other_version(folder, number, content):
    """A package rl_games with this version's metadata, and a module."""
    (folder / "rl_games" / "common").mkdir(parents=True)
    (folder / "rl_games" / "__init__.py").write_text("")
    (folder / "rl_games" / "common" / "ivecenv.py").write_text(content)
    if number:
        (folder / f"rl_games-{number}.dist-info").mkdir()
        (folder / f"rl_games-{number}.dist-info" / "METADATA").write_text(f"Name: rl_games\nVersion: {number}\n")


@pytest.mark.parametrize(
    ("number", "content", "came"),
    [
        ("1.6.0", "IVecEnv = object", "rl_games 1.6.0 came, from {}"),
        ("1.6.10", "import rl_games.none", "rl_games 1.6.10 came, from {}"),
        ("2.0", "IVecEnv = object", "rl_games 2.0 came, from {}"),
        (None, "", "rl_games of an unknown version came, from {}"),
    ],
)
def test_another_version_of_rl_games_is_answered_with_what_to_type(number, content, came, tmp_path):
    other_version(tmp_path, number, content)
    code = "import isaachrl.errors as e\ntry:\n    import isaachrl.learn.ppo.learner\nexcept e.ConfigError as error:\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}    print(error)"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
    )  # fmt: skip
    what = 'type pip install "rl-games>=1.6.5,<2"'
    end = f"; train=ppo needs version 1.6.5 or newer, below 2: {what}, and take {tmp_path} out of PYTHONPATH\n"
    assert done.stdout == came.format(tmp_path) + end, done.stderr


def test_rl_games_may_be_missing_and_its_own_imports_too(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    what = r'^rl_games is missing; .* type pip install "rl-games>=1\.6\.5,<2"$'
    with pytest.raises(ConfigError, match=what), version.checked_import():
        pass
    monkeypatch.undo()
    with pytest.raises(ModuleNotFoundError, match="nowhere"), version.checked_import():
        import nowhere  # noqa: F401 # pyright: ignore


def test_the_version_of_rl_games_is_that_of_the_installation():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert f"rl-games>={version.FROM},<{version.BELOW}" in project["dependencies"]
