"""PPO of other libraries as learners, through `isaachrl.adapters.agents`."""

from collections.abc import Callable
from typing import Any

from isaachrl.adapters.agents.config import RslRlCfg, SkrlCfg
from isaachrl.envs.env import Env
from isaachrl.learn.learner import Learner
from isaachrl.learn.registry import register_learner


def _make(name: str) -> Callable[[Env, Any, int], Learner]:
    """PPO of the library of that name, which is imported when a learner is built."""

    def make(env: Env, cfg: Any, seed: int) -> Learner:
        from isaachrl.learn.libraries.learner import LibraryLearner, agent_type

        return LibraryLearner(env, cfg, seed, agent_type(name))

    return make


register_learner("rsl_rl", RslRlCfg, _make("rsl_rl"))
register_learner("skrl", SkrlCfg, _make("skrl"))
