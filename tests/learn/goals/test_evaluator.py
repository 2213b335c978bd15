"""Evaluation during training: one episode in each environment, always the same ones."""

import torch

import isaachrl
import tasks
from isaachrl.learn.goals.evaluator import Evaluator
from tests.learn.goals.plane import Plane, make_learner

assert tasks


class Still:
    """Zero actions."""

    def __init__(self, env):
        self.env = env

    def act(self, obs):
        return torch.zeros(self.env.num_envs, self.env.action_size)

    def restart(self, mask):
        pass


def test_an_evaluation_counts_one_episode_of_each_environment_and_always_the_same():
    env = Plane(num_envs=2)
    before = env.state_dict()
    evaluate = Evaluator(env, 6, 0, Still)
    first, again = evaluate(), evaluate()
    assert first == again and first["eval/length"] == 12
    assert first["eval/return"] < 0
    after = env.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the training environments are untouched"


def test_evaluations_in_the_maze_have_the_same_targets_though_these_rotate_over_episodes():
    env = isaachrl.make("AntMaze", 1, device="cpu", seed=0, cfg={"task": {"episode_steps": 3}})
    evaluate = Evaluator(env, 2, 0, Still)  # two environments, three points
    first, again = evaluate(), evaluate()
    assert first == again and len([name for name in first if name.startswith("eval/success_at_")]) == 2


def test_the_goals_marker_moves_in_play_and_not_in_evaluations():
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
