"""Trainings that are long enough to tell whether something is learned; those of goals are in a file of their own."""

from statistics import mean

import pytest
import torch

import isaachrl
import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.learn.ppo.learner import PpoLearner
from isaachrl.learn.registry import learner_entry
from isaachrl.learn.skills import SkillsCfg, SkillsLearner
from isaachrl.learn.task_graph import make_hpg
from isaachrl.learn.task_graph.tabular.config import HpgCfg
from isaachrl.learn.task_graph.tabular.learner import greedy_means
from tests.learn import test_ppo, test_subgoals
from tests.small_mdp import corridor

SKILL_ITERATIONS = 120
SKILL = {
    "latents": "none", "horizon": 8, "minibatch": 1024, "max_iterations": SKILL_ITERATIONS, "log_std": -3.2,
    "hidden": [128, 64], "discriminator": {"hidden": [128, 64], "rows": 256},
}  # fmt: skip


@pytest.mark.learn
def test_a_humanoid_that_imitates_walking_stays_up_for_longer(seed, reached):
    """Mean length of episodes in the last ten of 120 iterations (246 k samples), over that in the first ten.

    Ten seeds: 1.36 to 1.60, median 1.52; the bound leaves a margin of 0.16.
    """
    env = isaachrl.make("HumanoidAMP", num_envs=256, device="cpu", seed=seed, cfg={"task": {"motion": "walk"}})
    learner = SkillsLearner(env, config.build(SkillsCfg, SKILL, "train"), seed)
    signals = [learner.iterate() for _ in range(SKILL_ITERATIONS)]
    lengths = [found["episode/length"] for found in signals if "episode/length" in found]  # none has ended at first
    reached(mean(lengths[-10:]) / mean(lengths[:10]), 1.2)


@pytest.mark.learn
def test_ppo_answers_with_the_number_that_it_sees(seed, reached):
    """Minus the mean error on nine numbers from -0.8 to 0.8.

    Ten seeds: -0.020 to -0.010, median -0.013; the bound leaves a margin of 0.02. Untrained: about -0.45.
    """
    cfg = PpoCfg(**test_ppo.SMALL | {"log_std": -2.0}, learning_rate=1e-3, epochs=6, max_learning_rate=1e-2)
    learner = PpoLearner(test_ppo.Mirror(), cfg, seed)
    marks = torch.linspace(-0.8, 0.8, 9).unsqueeze(1)
    for _ in range(60):
        learner.iterate()
    reached(-(learner.policy().act({"mark": marks}) - marks).abs().mean(), -0.04)


@pytest.mark.learn
@pytest.mark.parametrize(("natural", "bound"), [(True, 3.499), (False, -9.0)])
def test_hpg_finds_the_best_way_along_the_corridor(natural, bound, seed, reached):
    """Return of the greedy policy; the best is 3.5, a random policy has less than -20.

    Ten seeds: all reach 3.5 by the natural gradient, where rounding is the margin; by the plain one -7.25 to 3.5,
    median 3.5, and the bound leaves a margin of 1.75.
    """
    fading = {"entropy": 1.0, "entropy_end": 0.0, "entropy_iterations": 80}
    cfg = {"natural": natural, "horizon": 16, "learning_rate": 0.1} | fading
    learner = make_hpg(corridor(64), config.build(HpgCfg, cfg), seed)
    for _ in range(120):
        learner.iterate()
    reached(greedy_means(learner)[0], bound)


@pytest.mark.learn
def test_the_subtasks_of_a_hybrid_learn(seed, reached):
    """What the share of straight calls that arrive gains between the second and the last of 30 iterations.

    Ten seeds: 0.53 to 0.93, median 0.72; the bound leaves a margin of 0.13.
    """
    entry = learner_entry("hybrid")
    env = isaachrl.make("ShipSteering", num_envs=256, device="cpu", seed=seed)
    hybrid = entry.build(env, config.build(entry.cfg_type, {"max_iterations": 30}), seed)
    signals = [hybrid.iterate() for _ in range(30)]
    reached(signals[-1]["subtask/straight"] - signals[1]["subtask/straight"], 0.4)


def gain(signals, name):
    """What the mean of a signal gains from the first ten iterations to the last ten."""
    early, late = ([found.get(name, 0.0) for found in part] for part in (signals[:10], signals[-10:]))
    return mean(late) - mean(early)


@pytest.mark.learn
def test_the_level_below_learns_to_get_where_it_is_sent(seed, reached):
    """What the share of achieved subgoals gains in 80 iterations.

    Ten seeds: 0.24 to 0.34, median 0.28; the bound leaves a margin of 0.09.
    """
    cfg = {"hidden": [64], "horizon": 32, "subgoal_steps": 20, "low_learning_rate": 3e-3}
    learner = test_subgoals.make(128, seed, task={"random_goal": False}, **cfg)
    reached(gain([learner.iterate() for _ in range(80)], "subgoal/achieved"), 0.15)


@pytest.mark.learn
@pytest.mark.parametrize("variant", test_subgoals.ALL)
def test_every_variant_of_subgoals_learns_to_reach_the_goal(variant, seed, reached):
    """What the success rate gains in 60 iterations.

    Ten seeds of each variant: 0.45 to 0.64, medians 0.55 to 0.58; the bound leaves a margin of 0.10.
    """
    cfg = {"hidden": [64], "horizon": 64, "subgoal_steps": 20, "learning_rate": 3e-3, "low_learning_rate": 3e-3}
    learner = test_subgoals.make(64, seed, variant=variant, task={"random_goal": False}, **cfg)
    reached(gain([learner.iterate() for _ in range(60)], "episode/success_rate"), 0.35)
