"""PPO by rl_games; the only package that imports it."""

from isaachrl.envs.env import Env
from isaachrl.learn.learner import Learner
from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.learn.registry import register_learner


def make_ppo(env: Env, cfg: PpoCfg, seed: int) -> Learner:
    """PPO on any environment."""
    # importing rl_games takes seconds
    from isaachrl.learn.ppo.learner import PpoLearner

    return PpoLearner(env, cfg, seed)


register_learner("ppo", PpoCfg, make_ppo)
