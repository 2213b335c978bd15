"""Goal-conditioned hierarchies trained off-policy (HIRO, HRL, HRL-CG), and TD3 and SAC without a hierarchy."""

from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.learner import GoalsLearner
from isaachrl.learn.registry import register_learner

# one learner under the names that checkpoints carry; cfg/train/td3.yaml and sac.yaml set its keys
for _name in ("goals", "td3", "sac"):
    register_learner(_name, GoalsCfg, GoalsLearner)
