"""Checks in the course of a training: one episode of each world, always the same ones."""

import torch

import isaachrl
import tasks
from isaachrl.learn.goals.evaluator import Evaluator
from tests.learn.goals.plane import Plane, make_learner

assert tasks


class Still:
    """Stands still."""

    def __init__(self, env):
        self.env = env

    def act(self, obs):
        return torch.zeros(self.env.num_envs, self.env.action_size)

    def restart(self, mask):
        pass


def test_a_check_counts_one_episode_of_each_world_and_always_the_same():
    env = Plane(num_envs=2)
    before = env.state_dict()
    check = Evaluator(env, 6, 0, Still)
    first, again = check(), check()
    assert first == again and first["eval/length"] == 12
    assert first["eval/return"] < 0
    after = env.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the training's worlds are left alone"


def test_checks_in_the_maze_start_alike_though_targets_go_round_from_episode_to_episode():
    env = isaachrl.make("AntMaze", 1, device="cpu", seed=0, cfg={"task": {"episode_steps": 3}})
    check = Evaluator(env, 2, 0, Still)  # two worlds, three points
    first, again = check(), check()
    assert first == again and len([name for name in first if name.startswith("eval/success_at_")]) == 2


def test_the_goals_marker_is_moved_when_playing_and_not_in_checks():
    learner = make_learner(eval_every=0)
    shown = []

    def twin(num_envs, seed):
        env = Plane(num_envs, seed)
        env.task.show_goal = shown.append
        return env

    learner.env.evaluation_twin = twin
    learner.env.task.show_goal = shown.append
    learner.evaluator()
    assert shown == []
    learner.policy().act(learner.env.observe())
    assert len(shown) == 1 and shown[0].shape == (4, 2)
