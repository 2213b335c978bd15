"""The policy gradient on tiles over the whole state, without a hierarchy."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.learn.learner import Exported, Policy
from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.continuous.exports import TiledMean, action_export, state_contract
from isaachrl.learn.task_graph.continuous.gaussian import GaussianCfg, GaussianTiles, Step
from isaachrl.learn.task_graph.continuous.learner import action_extent, continuous_graph
from isaachrl.learn.task_graph.continuous.tiles import TileCoder


@dataclass
class FlatPgCfg:
    """The policy gradient without a hierarchy.

    Args:
        max_iterations: iterations. The default makes as many steps as that of the hybrid.
        horizon: steps of every environment per iteration.
        goal_reward: for success, in addition to the environment's reward.
        failure_reward: for an episode that terminates without success.
        policy: see `GaussianCfg`.
    """

    max_iterations: int = bounded(225, 1)
    horizon: int = bounded(64, 1, 10_000)
    goal_reward: float = 100.0
    failure_reward: float = -500.0
    policy: GaussianCfg = field(default_factory=lambda: GaussianCfg(tiles=[20, 20, 36, 5]))


def outcome_reward(result: StepResult, goal: float, failure: float) -> Tensor:
    """Reward `(N,)` for the end of an episode: `goal` for success, `failure` for termination without."""
    success = result.metrics["success_rate"]
    return goal * success + failure * result.terminated * (1.0 - success)


class Acted(NamedTuple):
    """The tiles `(N, tilings)` of the states that were acted in, and the noise `(N,)` of the actions."""

    tiles: Tensor
    noise: Tensor


class FlatPg(Stateful):
    """The policy gradient on the whole task; every episode is one call.

    By default actions are weighted by generalised advantages; see `GaussianCfg` for Eq. 3 of Ghavamzadeh and Mahadevan
    2003.

    Args:
        env: the environment.
        cfg: see `FlatPgCfg`.
    """

    WEIGHTS: ClassVar = ("actor",)

    def __init__(self, env: Env, cfg: FlatPgCfg) -> None:
        root = continuous_graph(env, "flat_pg").root
        self.cfg = cfg
        self.coder = TileCoder(root.extent, cfg.policy.tiles, cfg.policy.tilings, root.wraps, env.device)
        self.actor = GaussianTiles(self.coder.size, action_extent(env), cfg.policy, env.device)
        self._contract = state_contract(env)

    def act(self, state: Tensor, generator: torch.Generator) -> tuple[Tensor, Acted]:
        """See `ContinuousAlgorithm.act`."""
        tiles = self.coder(state)
        action, noise = self.actor.sample(tiles, generator)
        return action.unsqueeze(-1), Acted(tiles, noise)

    def observe(self, acted: Acted, next_state: Tensor, result: StepResult, statistics: EpisodeStatistics) -> None:
        """See `ContinuousAlgorithm.observe`."""
        reward = result.reward + outcome_reward(result, self.cfg.goal_reward, self.cfg.failure_reward)
        step = Step(
            tiles=acted.tiles,
            next_tiles=self.coder(next_state),
            noise=acted.noise,
            reward=reward,
            done=result.done,
            final=result.terminated,
        )
        self.actor.steps.append(step)

    def learn(self, iteration: int) -> dict[str, float]:
        """See `ContinuousAlgorithm.learn`."""
        return self.actor.learn(iteration)

    def policy(self, env: Env) -> Policy:
        """See `ContinuousAlgorithm.policy`."""
        return TilesPolicy(env, self.coder, self.actor)

    def exports(self) -> list[Exported]:
        """See `ContinuousAlgorithm.exports`."""
        module = TiledMean(self.coder, self.actor.mean, self.actor.extent).cpu()
        return [action_export("policy", module, "state", self._contract)]


class TilesPolicy:
    """The mean action. It reads the state from the environment; the observation encodes the same."""

    def __init__(self, env: Env, coder: TileCoder, actor: GaussianTiles) -> None:
        self.env: Any = env
        self._coder, self._actor = coder, actor

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        return self._actor.mean_action(self._coder(self.env.state)).unsqueeze(-1)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`: there is no state."""
