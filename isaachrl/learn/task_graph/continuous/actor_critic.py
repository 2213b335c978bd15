"""Konda's actor-critic on tiles over the whole state, without a hierarchy."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from isaachrl.config import bounded, positive
from isaachrl.envs.env import Env, StepResult
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.learn.learner import Exported, Policy
from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.continuous.flat_pg import Acted, FlatPg, FlatPgCfg, outcome_reward
from isaachrl.learn.task_graph.continuous.learner import action_extent, continuous_graph
from isaachrl.learn.task_graph.continuous.tiles import TileCoder, tile_step, value_of
from isaachrl.maths.returns import generalized_advantages


@dataclass
class KondaActorCriticCfg(FlatPgCfg):
    """An actor with a critic of state-action pairs (Konda 2002).

    Args:
        critic_tiles: tiles along each column of the state, and along the action.
        critic_rate: step size of the critic.
    """

    critic_tiles: list[int] = bounded([5, 5, 36, 5, 30], 1, 1000)
    critic_rate: float = positive(0.3, 1.0)


class Pairs(NamedTuple):
    """What `act` knows: tiles and noise of the actor, and the critic's tiles `(N, tilings)` for two actions."""

    acted: Acted
    pair: Tensor  # of the state and the action taken
    mean_pair: Tensor  # of the state and the mean action


class KondaActorCritic(Stateful):
    """The actor follows the gradient of log mu times the critic's Q(s, a); the critic learns Q by SARSA(lambda).

    The weight of a gradient is Q(s, a) - Q(s, mean action). The subtracted term depends on the state alone and changes
    only the variance, since the gradient of log mu has mean zero in every state.

    Args:
        env: the environment.
        cfg: see `KondaActorCriticCfg`.
    """

    WEIGHTS: ClassVar = ("actor", "critic")

    def __init__(self, env: Env, cfg: KondaActorCriticCfg) -> None:
        root = continuous_graph(env, "actor_critic").root
        self.flat, self.cfg = FlatPg(env, cfg), cfg
        self.actor = self.flat.actor
        extent = (*root.extent, action_extent(env))
        self.coder = TileCoder(extent, cfg.critic_tiles, cfg.policy.tilings, root.wraps, env.device)
        self.critic = torch.zeros(self.coder.size, device=env.device)
        self._log: list[tuple[Tensor, ...]] = []

    def act(self, state: Tensor, generator: torch.Generator) -> tuple[Tensor, Pairs]:
        """See `ContinuousAlgorithm.act`."""
        action, acted = self.flat.act(state, generator)
        mean = self.actor.mean_action(acted.tiles)
        return action, Pairs(acted, self._pair(state, action), self._pair(state, mean.unsqueeze(-1)))

    def _pair(self, state: Tensor, action: Tensor) -> Tensor:
        """The critic's tiles `(N, tilings)` of states `(N, F)` and actions `(N, 1)`."""
        return self.coder(torch.cat((state, action), dim=-1))

    def observe(self, acted: Pairs, next_state: Tensor, result: StepResult, statistics: EpisodeStatistics) -> None:
        """See `ContinuousAlgorithm.observe`."""
        reward = result.reward + outcome_reward(result, self.cfg.goal_reward, self.cfg.failure_reward)
        mean = self.actor.mean_action(self.flat.coder(next_state))
        next_pair = self._pair(next_state, mean.unsqueeze(-1))
        (tiles, noise), pair, mean_pair = acted
        self._log.append((tiles, pair, mean_pair, next_pair, noise, reward, result.done, result.terminated))

    def learn(self, iteration: int) -> dict[str, float]:
        """See `ContinuousAlgorithm.learn`."""
        tiles, pair, mean_pair, next_pair, noise, reward, done, final = (
            torch.stack(rows) for rows in zip(*self._log, strict=True)
        )
        self._log = []
        cfg, actor = self.cfg.policy, self.actor
        q, mean_q, next_mean_q = (value_of(self.critic, tiled) for tiled in (pair, mean_pair, next_pair))
        # SARSA within an episode; where it or the rollout was cut, the next action is taken to be the mean
        next_q = torch.cat((torch.where(done[:-1], next_mean_q[:-1], q[1:]), next_mean_q[-1:])).masked_fill(final, 0.0)
        error = generalized_advantages(reward, q, next_q, done, cfg.gamma, cfg.lam)
        self.critic = tile_step(self.critic, pair.flatten(0, 1), error.flatten(), self.cfg.critic_rate)
        advantage = q - mean_q
        advantage = advantage / advantage.square().mean().sqrt().clamp_min(1e-6)
        actor.mean = tile_step(actor.mean, tiles.flatten(0, 1), (advantage * noise).flatten(), cfg.rate(iteration))
        return {"loss/critic": float(error.square().mean().sqrt()), "policy/mean": float(actor.mean.abs().mean())}

    def policy(self, env: Env) -> Policy:
        """See `ContinuousAlgorithm.policy`."""
        return self.flat.policy(env)

    def exports(self) -> list[Exported]:
        """See `ContinuousAlgorithm.exports`."""
        return self.flat.exports()
