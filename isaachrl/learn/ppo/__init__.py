"""Proximal policy optimisation by rl_games; the only package that imports it."""

from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.learn.ppo.learner import PpoLearner
from isaachrl.learn.registry import register_learner

register_learner("ppo", PpoCfg, PpoLearner)
