"""The two-level policy gradient on N environments, each with a subgoal and a timer of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.envs.subgoals import Subgoals
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.state import Stateful
from isaachrl.learn.subgoals.config import SubgoalsCfg
from isaachrl.learn.subgoals.level import Level
from isaachrl.maths.returns import generalized_advantages, known_returns, semi_markov_advantages
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.maths.shapes import stack_steps

USE = (
    "the low level sees the observation and the subgoal, one-hot, and takes the action with the greatest score; the"
    " high level chooses the subgoal with the greatest score among those that `achieved` gives 0 (if there are none,"
    " among all) when an episode begins, when its last choice is achieved, and after subgoal_steps steps; `achieved`"
    " sees the state itself, whose columns are those that the observation encodes"
)
Intrinsic = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass
class Transition:
    """One step of N environments, with the fields of both levels.

    Args:
        inputs: `(N, size)` of the low level: observation and subgoal.
        next_inputs: `(N, size)` after the step, before any reset, with the same subgoal.
        action: `(N,)`.
        intrinsic: `(N,)` reward of the low level.
        ended: `(N,)` bool, the subgoal ended: achieved, timed out, or the episode ended.
        achieved: `(N,)` bool.
        timed_out: `(N,)` bool, not achieved within its steps.
        done, terminated: `(N,)` bool, of the episode.
        start_obs: `(N, obs)` observation in which the high level chose the subgoal.
        allowed: `(N, K)` bool, subgoals it could choose from.
        subgoal: `(N,)` its choice.
        reward: `(N,)` discounted sum of the environment's rewards since then.
        discount: `(N,)` gamma to the number of steps since then.
        next_obs: `(N, obs)` observation after the step, before any reset.
    """

    inputs: Tensor
    next_inputs: Tensor
    action: Tensor
    intrinsic: Tensor
    ended: Tensor
    achieved: Tensor
    timed_out: Tensor
    done: Tensor
    terminated: Tensor
    start_obs: Tensor
    allowed: Tensor
    subgoal: Tensor
    reward: Tensor
    discount: Tensor
    next_obs: Tensor


class SubgoalLearner(Stateful, Learner):
    """The high level chooses one of K subgoals, the low level acts to reach it; both follow a policy gradient.

    The high level solves a semi-Markov problem: a decision collects the discounted rewards of its k steps, and the next
    one is discounted by gamma^k. The low level has an intrinsic reward for reaching the subgoal.

    Args:
        env: an environment with discrete actions, scores `(N, A)`, a `state` tensor and declared subgoals.
        cfg: see `SubgoalsCfg`.
        seed: of weights and exploration.
        intrinsic: states before and after a step `(N, F)` and subgoals `(N,)` -> reward of the low level `(N,)`. By
            default `low_step_reward`, plus `achieved_reward` for reaching the subgoal.

    Raises:
        ConfigError: the environment declares no subgoals.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = ("episode/success_rate", "episode/length", "subgoal/achieved")
    WEIGHTS: ClassVar = ("high", "low", "iteration", "samples")
    STATE: ClassVar = (
        *("obs", "choosing", "subgoal", "timer", "start_obs", "reward", "allowed"),
        *("statistics", "generator"),
    )

    def __init__(self, env: Env, cfg: SubgoalsCfg, seed: int, intrinsic: Intrinsic | None = None) -> None:
        subgoals = getattr(env, "subgoals", None)
        if not isinstance(subgoals, Subgoals):
            raise ConfigError("train=subgoals needs a task that declares subgoals, such as FourRooms")
        torch.manual_seed(sub_seed(seed, Stream.weights))
        self.env, self.cfg, self.subgoals = env, cfg, subgoals
        self.intrinsic = intrinsic or self._intrinsic_reward
        self.max_iterations, self.iteration, self.samples = cfg.max_iterations, 0, 0
        self.count = len(subgoals.names)
        width = env.policy_input_size
        self.high = Level(width, self.count, cfg, cfg.learning_rate, env.device)
        self.low = Level(width + self.count, env.action_size, cfg, cfg.low_learning_rate, env.device)
        self.statistics = EpisodeStatistics(env)
        self.generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        self.obs = env.policy_input(env.reset())
        n, device = env.num_envs, env.device
        self.choosing = torch.ones(n, dtype=torch.bool, device=device)
        self.subgoal, self.timer = (torch.zeros(n, dtype=torch.long, device=device) for _ in range(2))
        self.start_obs, self.reward = self.obs.clone(), torch.zeros(n, device=device)
        self.allowed = torch.ones(n, self.count, dtype=torch.bool, device=device)

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.horizon * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        with torch.no_grad():
            rollout = stack_steps([self._step() for _ in range(self.cfg.horizon)])
        low, high = self._learn_low(rollout), self._learn_high(rollout)
        signals = {f"low/{name}": signal for name, signal in low.items()}
        signals |= {f"meta/{name}": signal for name, signal in high.items()}
        self.iteration += 1
        self.samples += self.samples_per_iteration
        return self.statistics.read() | signals

    def _step(self) -> Transition:
        """One step of every environment."""
        env: Any = self.env
        state = env.state.clone()
        uniform = torch.rand(2, env.num_envs, generator=self.generator, device=env.device)
        self._choose(state, uniform[0])
        inputs = join(self.obs, self.subgoal, self.count)
        action = self.low.sample(inputs, self._all_actions(inputs), uniform[1])
        result = env.advance(action)
        self.statistics.add(result)
        transition = self._record(inputs, action, state, env.state.clone(), result)
        self.obs = env.policy_input(env.reset_where(result.done))
        self.choosing = transition.ended
        return transition

    def _choose(self, state: Tensor, uniform: Tensor) -> None:
        """Choose a subgoal that is not achieved yet in the environments of `choosing`."""
        allowed = open_subgoals(self.subgoals, state)
        subgoal = self.high.sample(self.obs, allowed, uniform)
        new = self.choosing
        self.subgoal, self.timer = torch.where(new, subgoal, self.subgoal), self.timer.masked_fill(new, 0)
        self.start_obs = torch.where(new.unsqueeze(-1), self.obs, self.start_obs)
        self.allowed = torch.where(new.unsqueeze(-1), allowed, self.allowed)
        self.reward = self.reward.masked_fill(new, 0.0)

    def _record(
        self, inputs: Tensor, action: Tensor, state: Tensor, next_state: Tensor, result: StepResult
    ) -> Transition:
        """The transition of a step; advances timers and sums of rewards."""
        self.reward = self.reward + self.cfg.gamma**self.timer * result.reward
        self.timer = self.timer + 1
        achieved = self.subgoals.achieved(next_state, self.subgoal)
        timed_out = (self.timer >= self.cfg.subgoal_steps) & ~achieved
        ended = achieved | timed_out | result.done
        next_obs = self.env.policy_input(result.terminal_obs)
        self.statistics.count("subgoal/achieved", achieved.float(), ended)
        self.statistics.count("subgoal/steps", self.timer.float(), ended)
        return Transition(
            inputs=inputs,
            next_inputs=join(next_obs, self.subgoal, self.count),
            action=action,
            intrinsic=self.intrinsic(state, next_state, self.subgoal),
            ended=ended,
            achieved=achieved,
            timed_out=timed_out,
            done=result.done,
            terminated=result.terminated,
            start_obs=self.start_obs,
            allowed=self.allowed,
            subgoal=self.subgoal,
            reward=self.reward,
            discount=self.cfg.gamma**self.timer,
            next_obs=next_obs,
        )

    def _intrinsic_reward(self, state: Tensor, next_state: Tensor, subgoal: Tensor) -> Tensor:
        """The default reward of the low level `(N,)`."""
        return self.cfg.low_step_reward + self.cfg.achieved_reward * self.subgoals.achieved(next_state, subgoal).float()

    def _all_actions(self, inputs: Tensor) -> Tensor:
        """The mask `(…, A)` that allows every action."""
        return torch.ones(*inputs.shape[:-1], self.env.action_size, dtype=torch.bool, device=inputs.device)

    def _learn_low(self, rollout: Transition) -> dict[str, float]:
        """Update the low level; the steps of a subgoal are an episode of its own.

        It terminates where the subgoal was achieved or the environment's episode terminated. Where the subgoal timed
        out or the episode was truncated it bootstraps, since the low level does not observe the time left. Without a
        baseline it cannot: then the time limit of a subgoal is part of its task, and a return that ends there is
        complete.
        """
        final = rollout.achieved | rollout.terminated
        with torch.no_grad():
            value, next_value = self.low.value(rollout.inputs), self.low.value(rollout.next_inputs)
            advantage = generalized_advantages(
                rollout.intrinsic, value, next_value.masked_fill(final, 0.0), rollout.ended, self.cfg.gamma, self._lam
            )
            known = known_returns(rollout.ended, final | (rollout.timed_out & ~rollout.done))
            counts = torch.ones_like(final) if self.cfg.with_baseline else known
        allowed = self._all_actions(rollout.inputs)
        rows = (rollout.inputs, allowed, rollout.action, advantage, advantage + value, counts.float())
        return self.low.learn(*(row.flatten(0, 1) for row in rows))

    def _learn_high(self, rollout: Transition) -> dict[str, float]:
        """Update the high level; every subgoal that ended in the rollout is a sample."""
        ended, done = rollout.ended, rollout.done
        with torch.no_grad():
            value, next_value = self.high.value(rollout.start_obs), self.high.value(rollout.next_obs)
            next_value = next_value.masked_fill(rollout.terminated, 0.0)
            advantage = semi_markov_advantages(
                rollout.reward, rollout.discount, value, next_value, ended, done, self._lam
            )
            counts = ended if self.cfg.with_baseline else ended & known_returns(done, rollout.terminated)
        rows = (rollout.start_obs, rollout.allowed, rollout.subgoal, advantage, advantage + value, counts.float())
        return self.high.learn(*(row.flatten(0, 1) for row in rows))

    @property
    def _lam(self) -> float:
        """Lambda of the advantages; 1, which gives plain returns, without a baseline."""
        return self.cfg.lam if self.cfg.with_baseline else 1.0

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return SubgoalPolicy(self)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: both levels, and the test whether a subgoal is achieved."""
        env: Any = self.env
        obs = env.policy_input(env.observe())[:1]
        contract = {
            "policy_input": {group: env.obs_sizes[group] for group in env.policy_groups},
            "layout": env.obs_layout,
            "action": env.action_contract,
            "subgoals": list(self.subgoals.names),
            "subgoal_steps": self.cfg.subgoal_steps,
            "use": USE,
        }
        inputs = join(obs, torch.zeros(1, dtype=torch.long, device=obs.device), self.count)
        state = env.state[:1].float()
        return [
            Exported("high_level", self.high.policy, {"policy_input": obs}, "subgoal_scores", contract),
            Exported("low_level", self.low.policy, {"policy_input_and_subgoal": inputs}, "action_scores", contract),
            Exported("achieved", _Achieved(self.subgoals), {"state": state}, "achieved", contract),
        ]


def join(obs: Tensor, subgoal: Tensor, count: int) -> Tensor:
    """Inputs of the low level `(n, size + K)`: the observation `(n, size)` and the subgoal `(n,)`, one-hot."""
    return torch.cat((obs, functional.one_hot(subgoal, count).to(obs.dtype)), dim=-1)


def open_subgoals(subgoals: Subgoals, state: Tensor) -> Tensor:
    """`(n, K)` bool: subgoals that are not achieved at states `(n, F)`; all of them where none is left."""
    count = len(subgoals.names)
    numbers = torch.arange(count, device=state.device).repeat(len(state))
    achieved = subgoals.achieved(state.repeat_interleave(count, 0), numbers).view(-1, count)
    return ~achieved | achieved.all(-1, keepdim=True)


class _Achieved(nn.Module):
    """States `(n, F)` -> `(n, K)`, 1 where a subgoal is achieved, else 0."""

    def __init__(self, subgoals: Subgoals) -> None:
        super().__init__()
        self.subgoals = subgoals

    def forward(self, state: Tensor) -> Tensor:
        first = torch.zeros_like(state[:, 0], dtype=torch.long)
        achieved = [self.subgoals.achieved(state, first + number) for number in range(len(self.subgoals.names))]
        return torch.stack(achieved, dim=-1).float()


class SubgoalPolicy:
    """The most probable choices of both levels.

    Attributes:
        subgoal: `(N,)` the present one.
        timer: `(N,)` steps since it was chosen.
    """

    def __init__(self, learner: SubgoalLearner) -> None:
        self.env: Any = learner.env
        self._learner = learner
        n, device = learner.env.num_envs, learner.env.device
        self.subgoal, self.timer = (torch.zeros(n, dtype=torch.long, device=device) for _ in range(2))
        self._new_episode = torch.ones(n, dtype=torch.bool, device=device)

    @torch.no_grad()
    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        learner, state = self._learner, self.env.state
        policy_input = learner.env.policy_input(obs)
        ended = learner.subgoals.achieved(state, self.subgoal) | (self.timer >= learner.cfg.subgoal_steps)
        choosing = ended | self._new_episode
        best = learner.high.best(policy_input, open_subgoals(learner.subgoals, state))
        self.subgoal = torch.where(choosing, best, self.subgoal)
        self.timer = self.timer.masked_fill(choosing, 0) + 1
        self._new_episode = torch.zeros_like(self._new_episode)
        inputs = join(policy_input, self.subgoal, learner.count)
        return learner.low.best(inputs, learner._all_actions(inputs))

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._new_episode = self._new_episode | mask
