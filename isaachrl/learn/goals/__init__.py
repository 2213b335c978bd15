"""Goal-conditioned hierarchies whose levels all learn off-policy, and the flat baseline."""

from isaachrl.learn.goals.config import FlatCfg, FlatSacCfg, GoalsCfg
from isaachrl.learn.goals.flat import FlatLearner
from isaachrl.learn.goals.learner import GoalsLearner
from isaachrl.learn.registry import register_learner

register_learner("goals", GoalsCfg, GoalsLearner)
register_learner("td3", FlatCfg, FlatLearner)
register_learner("sac", FlatSacCfg, FlatLearner)
