"""Flat learners on tiles over the whole state: the policy gradient, and Konda's actor-critic."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.envs.statistics import Statistics
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Exported, Policy
from isaachrl.learn.task_graph.algorithms import like
from isaachrl.learn.task_graph.config import check
from isaachrl.learn.task_graph.continuous import continuous_graph
from isaachrl.learn.task_graph.exports import TiledMean, tile_export, told_of
from isaachrl.learn.task_graph.gaussian import GaussianCfg, GaussianTiles, Step
from isaachrl.learn.task_graph.tiles import TileCoder, tile_step, value_of
from isaachrl.maths.returns import generalized_advantages


@dataclass
class FlatPgCfg:
    """The policy gradient without a hierarchy.

    Args:
        max_iterations: iterations; they make as many steps as those of the hybrid.
        horizon: steps of every environment in an iteration.
        goal_reward: for success, beside what the environment pays.
        failure_reward: for an episode that terminates without it.
        policy: see `GaussianCfg`.
    """

    max_iterations: int = 225
    horizon: int = bounded(64, 0, 10_000)
    goal_reward: float = 100.0
    failure_reward: float = -500.0
    policy: GaussianCfg = field(default_factory=lambda: GaussianCfg(tiles=[20, 20, 36, 5]))

    def __post_init__(self) -> None:
        """Refuse numbers nothing can come of."""
        if self.max_iterations < 1 or self.horizon < 1:
            raise ConfigError(
                f"train: max_iterations={self.max_iterations} and horizon={self.horizon} must be positive"
            )


@dataclass
class ActorCriticCfg(FlatPgCfg):
    """An actor with a critic of states and actions (Konda 2002).

    Args:
        critic_tiles: along each column of the state, and along the action.
        critic_rate: share of the critic's error taken up at once.
    """

    critic_tiles: list[int] = bounded([5, 5, 36, 5, 30], 1, 1000)
    critic_rate: float = 0.3

    def __post_init__(self) -> None:
        """Refuse numbers nothing can come of."""
        super().__post_init__()
        check(self, ("critic_rate",), ("critic_rate",))


def outcome_reward(result: StepResult, goal: float, failure: float) -> Tensor:
    """What an episode's end pays `(N,)` beside the environment's own reward."""
    success = result.metrics["success_rate"]
    return goal * success + failure * result.terminated * (1.0 - success)


class FlatPg:
    """The policy gradient on the whole task, of which every episode is one call.

    With the default configuration each action's gradient is weighed by a generalised advantage estimate; see
    `GaussianCfg` for Eq. 3 of Ghavamzadeh and Mahadevan 2003.

    Args:
        env: what it acts in.
        cfg: see `FlatPgCfg`.
    """

    def __init__(self, env: Env, cfg: FlatPgCfg) -> None:
        root = continuous_graph(env, "flat_pg").root
        self.cfg = cfg
        self.coder = TileCoder(root.extent, cfg.policy.tiles, cfg.policy.tilings, root.wraps, env.device)
        self._told = told_of(env)
        extent: Any = getattr(env, "action_extent")  # noqa: B009 - the contract of continuous_graph
        self.actor = GaussianTiles(self.coder.size, extent, cfg.policy, env.device)

    def act(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """See `Method.act`."""
        self._tiles = self.coder(state)
        action, self._noise = self.actor.draw(self._tiles, generator)
        return action.unsqueeze(-1)

    def observe(self, before: Tensor, after: Tensor, result: StepResult, statistics: Statistics) -> None:
        """See `Method.observe`."""
        reward = result.reward + outcome_reward(result, self.cfg.goal_reward, self.cfg.failure_reward)
        step = Step(self._tiles, self.coder(after), self._noise, reward, result.done, result.terminated)
        self.actor.steps.append(step)

    def learn(self, iteration: int) -> dict[str, float]:
        """See `Method.learn`."""
        return self.actor.learn(iteration)

    def policy(self, env: Env) -> Policy:
        """See `Method.policy`."""
        return TilesPolicy(env, self.coder, self.actor)

    def exports(self) -> list[Exported]:
        """See `Method.exports`."""
        module = TiledMean(self.coder, self.actor.mean, self.actor.extent).cpu()
        return [tile_export("policy", module, "state", self._told)]

    def state_dict(self) -> dict[str, Any]:
        """See `Method.state_dict`."""
        return self.actor.state_dict()

    def weights(self) -> dict[str, Any]:
        """See `Method.weights`."""
        return self.actor.weights()

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Method.load_weights`."""
        self.actor.load_weights(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Method.load_state_dict`."""
        self.actor.load_state_dict(state)


class ActorCritic:
    """The actor climbs the gradient of log mu times the critic's Q(s, a); the critic learns Q by SARSA(lambda).

    Q(s, a) less Q(s, mean action) weighs each gradient: the mean of log mu's gradient is zero in every state, so that
    what depends on the state alone changes only the noise.

    Args:
        env: what it acts in.
        cfg: see `ActorCriticCfg`.
    """

    def __init__(self, env: Env, cfg: ActorCriticCfg) -> None:
        root = continuous_graph(env, "actor_critic").root
        self.flat, self.cfg = FlatPg(env, cfg), cfg
        action: Any = getattr(env, "action_extent")  # noqa: B009 - the contract of continuous_graph
        extent = (*root.extent, action)
        self.coder = TileCoder(extent, cfg.critic_tiles, cfg.policy.tilings, root.wraps, env.device)
        self.critic = torch.zeros(self.coder.size, device=env.device)
        self._log: list[tuple[Tensor, ...]] = []

    def act(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """See `Method.act`."""
        action = self.flat.act(state, generator)
        mean = self.flat.actor.best(self.flat._tiles).unsqueeze(-1)
        self._pair, self._mean_pair = (self.coder(torch.cat((state, chosen), dim=-1)) for chosen in (action, mean))
        return action

    def observe(self, before: Tensor, after: Tensor, result: StepResult, statistics: Statistics) -> None:
        """See `Method.observe`."""
        reward = result.reward + outcome_reward(result, self.cfg.goal_reward, self.cfg.failure_reward)
        last = self.flat.actor.best(self.flat.coder(after)).unsqueeze(-1)
        next_pair = self.coder(torch.cat((after, last), dim=-1))
        pairs = (self._pair, self._mean_pair, next_pair)
        self._log.append((self.flat._tiles, *pairs, self.flat._noise, reward, result.done, result.terminated))

    def learn(self, iteration: int) -> dict[str, float]:
        """See `Method.learn`."""
        tiles, pair, mean_pair, next_pair, noise, reward, done, final = (
            torch.stack(rows) for rows in zip(*self._log, strict=True)
        )
        self._log = []
        cfg, actor = self.cfg.policy, self.flat.actor
        q, middle, last = (value_of(self.critic, tiled) for tiled in (pair, mean_pair, next_pair))
        # within an episode the next action is known, at its cut it is taken to be the actor's mean
        following = torch.cat((torch.where(done[:-1], last[:-1], q[1:]), last[-1:])).masked_fill(final, 0.0)
        error = generalized_advantages(reward, q, following, done, cfg.gamma, cfg.lam)
        self.critic = tile_step(self.critic, pair.flatten(0, 1), error.flatten(), self.cfg.critic_rate)
        worth = q - middle
        worth = worth / worth.square().mean().sqrt().clamp_min(1e-6)
        actor.mean = tile_step(actor.mean, tiles.flatten(0, 1), (worth * noise).flatten(), cfg.rate(iteration))
        return {"loss/critic": float(error.square().mean().sqrt()), "policy/mean": float(actor.mean.abs().mean())}

    def policy(self, env: Env) -> Policy:
        """See `Method.policy`."""
        return self.flat.policy(env)

    def exports(self) -> list[Exported]:
        """See `Method.exports`."""
        return self.flat.exports()

    def state_dict(self) -> dict[str, Any]:
        """See `Method.state_dict`."""
        return self.flat.state_dict() | {"critic": self.critic.clone()}

    def weights(self) -> dict[str, Any]:
        """See `Method.weights`."""
        return self.flat.weights() | {"critic": self.critic.clone()}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Method.load_weights`."""
        self.flat.load_weights(state)
        self.critic = like(self.critic, state["critic"], "critic")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Method.load_state_dict`."""
        self.load_weights(state)


class TilesPolicy:
    """The mean action at the environment's state, which the observation encodes in full."""

    def __init__(self, env: Env, coder: TileCoder, actor: GaussianTiles) -> None:
        self.env: Any = env
        self._coder, self._actor = coder, actor

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        return self._actor.best(self._coder(self.env.state)).unsqueeze(-1)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`: nothing is remembered."""
