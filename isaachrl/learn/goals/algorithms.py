"""The algorithms that a level can learn with, by name."""

import torch
from torch import Tensor

from isaachrl.learn.goals.actor_critic import ActorCritic
from isaachrl.learn.goals.config import Algorithm, LevelCfg
from isaachrl.learn.goals.sac import Sac
from isaachrl.learn.goals.td3 import Td3
from isaachrl.nn import Rounding

ALGORITHMS: dict[Algorithm, type[ActorCritic]] = {Algorithm.td3: Td3, Algorithm.sac: Sac}


def make_level(
    features: int, limits: Tensor, show_raw: bool, cfg: LevelCfg, rounding: Rounding, generator: torch.Generator
) -> ActorCritic:
    """A level that learns as its configuration says; for the arguments see `ActorCritic`."""
    return ALGORITHMS[cfg.algorithm](features, limits, show_raw, cfg, rounding, generator)
