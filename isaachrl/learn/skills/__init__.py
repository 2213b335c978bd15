"""Adversarial skill learning: AMP, ASE, and skills with a latent for every motion."""

from isaachrl.learn.registry import register_learner
from isaachrl.learn.skills.config import SkillsCfg
from isaachrl.learn.skills.learner import SkillsLearner

register_learner("skills", SkillsCfg, SkillsLearner)
