"""The two-level policy gradient: the high level chooses subgoals, the low level reaches them."""

from isaachrl.learn.registry import register_learner
from isaachrl.learn.subgoals.config import SubgoalsCfg
from isaachrl.learn.subgoals.learner import SubgoalLearner

register_learner("subgoals", SubgoalsCfg, SubgoalLearner)
