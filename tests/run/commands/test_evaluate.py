"""Evaluation counts whole episodes, as many of each environment, and means what it says."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from isaachrl.envs.registry import World
from isaachrl.errors import ConfigError
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.run.rollout import Episodes, RandomPolicy, run_episodes, split_episodes
from tests.run.point import GreedyPolicy, Point, PointCfg


class Still(GreedyPolicy):
    """Never pushes."""

    def act(self, obs):
        return torch.zeros(self.env.num_envs, 1)


def make(lengths):
    return Point(PointCfg(lengths=lengths), World(len(lengths), "auto", torch.device("cpu"), torch.Generator()))


def test_every_environment_gives_the_same_number_of_episodes():
    env = make([2, 9])  # counting the first six to end anywhere would give a mean length below (2 + 9) / 2
    policy = Still(None, env)
    episodes = run_episodes(env, policy, per_env=3)
    assert episodes.lengths.tolist() == [[2.0, 2.0, 2.0], [9.0, 9.0, 9.0]]
    assert episodes.summary()["length_mean"] == 5.5
    # 27 steps: the first environment went on to its 13th episode, and the policy heard of every one
    assert policy.restarted.tolist() == [1 + 13, 1 + 3]


def test_returns_are_the_sums_of_the_rewards_of_the_counted_episodes():
    env = make([2, 3])
    rewards = []
    episodes = run_episodes(env, Still(None, env), per_env=1, on_step=lambda result: rewards.append(result.reward))
    torch.testing.assert_close(episodes.returns[0, 0], rewards[0][0] + rewards[1][0])
    torch.testing.assert_close(episodes.returns[1, 0], rewards[0][1] + rewards[1][1] + rewards[2][1])


def test_metrics_that_an_episode_does_not_have_are_left_out():
    env = make([2, 6])
    summary = run_episodes(env, Still(None, env), per_env=2).summary()
    assert summary["steps_walked"] == 4.0
    assert summary["only_if_long"] == 1.0  # the short episodes give nan and are no zeros
    assert math.isnan(summary["never"])


def test_summary_of_hand_made_episodes():
    metrics = {
        "success_rate": torch.tensor([[1.0, 0.0], [math.nan, 1.0]]),
        "hits_per_minute": torch.tensor([[6.0, math.nan], [2.0, 5.0]]),
    }
    episodes = Episodes(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.tensor([[4.0, 4.0], [4.0, 8.0]]), metrics)
    assert episodes.summary() == {
        "episodes": 4, "return_mean": 3.0, "length_mean": 5.0, "success_rate": pytest.approx(2 / 3),
        "hits_per_minute": pytest.approx((4 * 6 + 4 * 2 + 8 * 5) / 16),  # all hits over all the time
    }  # fmt: skip


@pytest.mark.parametrize(
    ("episodes", "num_envs", "expected"), [(256, 64, (64, 4)), (10, 64, (10, 1)), (10, 4, (4, 3)), (1, 1, (1, 1))]
)
def test_share(episodes, num_envs, expected):
    assert split_episodes(episodes, num_envs) == expected


def test_command_prints_json_last_and_writes_it(launch, capsys):
    launch(max_iterations=1, run_dir="run", seed=3)
    capsys.readouterr()
    launch(mode="evaluate", checkpoint="run", episodes=8)
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == json.loads(Path("run/evaluate.json").read_text())
    assert printed["episodes"] == 8 and printed["length_mean"] == 8.0 and printed["iteration"] == 1
    assert printed["never"] is None
    assert printed["seed"] == sub_seed(3, Stream.evaluation), "episodes that no training has seen"


def test_it_says_what_was_evaluated_and_keeps_out_of_folders_that_are_no_run(launch, capsys):
    launch(max_iterations=1, run_dir="run")
    Path("shipped").mkdir()
    shutil.copy("run/checkpoints/last.pt", "shipped/best.pt")
    capsys.readouterr()
    launch(mode="evaluate", checkpoint="shipped/best.pt", episodes=4, task={"episode_steps": 3})
    printed = json.loads(Path("runs/Point/best/evaluate.json").read_text())
    assert printed["checkpoint"] == "shipped/best.pt" and printed["typed"]["task"]["episode_steps"] == 3
    assert [path.name for path in Path("shipped").iterdir()] == ["best.pt"]


def test_typed_seed_is_used(launch, capsys):
    launch(max_iterations=1, run_dir="run", seed=3)
    assert launch(mode="evaluate", checkpoint="run", episodes=2, seed=3)["seed"] == 3


def test_without_a_checkpoint_it_says_what_to_type(launch):
    with pytest.raises(ConfigError, match="mode=evaluate needs a trained run: type checkpoint=runs/Point/"):
        launch(mode="evaluate")


def test_random_actions_repeat_by_seed():
    env = make([2, 3])
    one, two = (RandomPolicy(env, seed=5) for _ in range(2))
    actions = one.act({})
    assert actions.shape == (2, env.action_size) and actions.abs().max().item() <= 1.0
    assert torch.equal(actions, two.act({})) and not torch.equal(actions, one.act({}))


def test_random_actions_are_not_the_environments_own_numbers():
    env = make([2, 3])
    of_the_environment = torch.rand(2, env.action_size, generator=torch.Generator().manual_seed(5))
    assert not torch.equal(RandomPolicy(env, seed=5).act({}), 2.0 * of_the_environment - 1.0)


def test_random_actions_are_evaluated_without_a_checkpoint(launch, capsys):
    summary = launch(mode="evaluate", policy="random", episodes=4, run_dir="out")
    assert summary["episodes"] == 4 and summary["policy"] == "random" and "iteration" not in summary
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == json.loads(
        Path("out/evaluate_random.json").read_text()
    )
