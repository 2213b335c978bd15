"""Two levels of policy gradient: one chooses subgoals, the other reaches them."""

from isaachrl.learn.registry import register_learner
from isaachrl.learn.subgoals.config import SubgoalsCfg
from isaachrl.learn.subgoals.learner import SubgoalLearner

register_learner("subgoals", SubgoalsCfg, SubgoalLearner)
