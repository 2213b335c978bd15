"""The two-level policy gradient on N environments, each with a subgoal and a timer of its own."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.envs.statistics import Statistics
from isaachrl.envs.subgoals import Subgoals
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.subgoals.config import SubgoalsCfg
from isaachrl.learn.subgoals.level import Level
from isaachrl.maths.returns import generalized_advantages, known_returns, semi_markov_advantages
from isaachrl.maths.seeds import Stream, sub_seed

USE = (
    "the low level sees the observation and the subgoal, one-hot, and takes the action with the greatest score; the"
    " high level chooses the subgoal with the greatest score among those that `achieved` gives 0 (if there are none,"
    " among all) when an episode begins, when its last choice is achieved, and after subgoal_steps steps; `achieved`"
    " sees the state itself, whose columns are those that the observation encodes"
)
Intrinsic = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass
class Moment:
    """One step of N environments, as both levels learn from it.

    Args:
        seen: `(N, size)` what the level below saw: the observation and its subgoal.
        next_seen: `(N, size)` the same after the step, before any reset, with the same subgoal.
        action: `(N,)`.
        intrinsic: `(N,)` reward of the level below.
        over: `(N,)` bool, the subgoal's time was over after it: achieved, given up, or the episode ended.
        achieved: `(N,)` bool.
        given_up: `(N,)` bool, its steps were used up.
        done, terminated: `(N,)` bool, of the episode.
        chosen_at: `(N, obs)` what the level above saw when it chose the present subgoal.
        allowed: `(N, K)` bool, which subgoals it could choose from.
        subgoal: `(N,)` what it chose.
        reward: `(N,)` discounted sum of the environment's rewards since then.
        discount: `(N,)` gamma to the number of steps since then.
        obs: `(N, obs)` observation after the step, before any reset.
    """

    seen: Tensor
    next_seen: Tensor
    action: Tensor
    intrinsic: Tensor
    over: Tensor
    achieved: Tensor
    given_up: Tensor
    done: Tensor
    terminated: Tensor
    chosen_at: Tensor
    allowed: Tensor
    subgoal: Tensor
    reward: Tensor
    discount: Tensor
    obs: Tensor


class SubgoalLearner(Learner):
    """The level above chooses one of K subgoals, the level below acts to reach it; both follow their own gradient.

    The level above sees a semi-Markov problem: a decision collects the discounted rewards of its steps and is followed
    by the next one discounted by gamma to their number. The level below is paid for reaching the subgoal.

    Args:
        env: with a choice of actions `(N, A)`, a `state` tensor and declared subgoals.
        cfg: see `SubgoalsCfg`.
        seed: of weights and exploration.
        intrinsic: states before and after a step `(N, F)` and subgoals `(N,)` -> reward of the level below `(N,)`; by
            default `achieved_reward` for reaching the subgoal, and `low_step_reward`.

    Raises:
        ConfigError: the environment declares no subgoals.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = ("episode/success_rate", "episode/length", "subgoal/achieved")

    def __init__(self, env: Env, cfg: SubgoalsCfg, seed: int, intrinsic: Intrinsic | None = None) -> None:
        found = getattr(env, "subgoals", None)
        if not isinstance(found, Subgoals):
            raise ConfigError("train=subgoals needs a task that declares subgoals, such as FourRooms")
        torch.manual_seed(sub_seed(seed, Stream.weights))
        self.env, self.cfg, self.subgoals = env, cfg, found
        self.intrinsic = intrinsic or self._pay
        self.max_iterations, self.iteration, self.samples = cfg.max_iterations, 0, 0
        self.count = len(found.names)
        width = env.policy_input_size
        self.above = Level(width, self.count, cfg, cfg.learning_rate, env.device)
        self.below = Level(width + self.count, env.action_size, cfg, cfg.low_learning_rate, env.device)
        self.statistics = Statistics(env)
        self._generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        self._seen = env.policy_input(env.reset())
        n, device = env.num_envs, env.device
        self.choosing = torch.ones(n, dtype=torch.bool, device=device)
        self.subgoal, self.timer = (torch.zeros(n, dtype=torch.long, device=device) for _ in range(2))
        self.chosen_at, self.reward = self._seen.clone(), torch.zeros(n, device=device)
        self.allowed = torch.ones(n, self.count, dtype=torch.bool, device=device)

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.horizon * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        with torch.no_grad():
            moments = [self._moment() for _ in range(self.cfg.horizon)]
            log = Moment(
                **{item.name: torch.stack([getattr(m, item.name) for m in moments]) for item in fields(Moment)}
            )
        signals = self._learn_below(log) | self._learn_above(log)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        return self.statistics.read() | signals

    def _moment(self) -> Moment:
        """One step of every environment."""
        env: Any = self.env
        before = env.state.clone()
        uniform = torch.rand(2, env.num_envs, generator=self._generator, device=env.device)
        self._choose(before, uniform[0])
        seen = join(self._seen, self.subgoal, self.count)
        action = self.below.draw(seen, self._any(seen), uniform[1])
        result = env.advance(action)
        self.statistics.add(result)
        moment = self._note(seen, action, before, env.state.clone(), result)
        self._seen = env.policy_input(env.reset_where(result.done))
        self.choosing = moment.over
        return moment

    def _choose(self, state: Tensor, uniform: Tensor) -> None:
        """Give a new subgoal to the environments that have none; none that is achieved already."""
        allowed = open_subgoals(self.subgoals, state)
        drawn = self.above.draw(self._seen, allowed, uniform)
        new = self.choosing
        self.subgoal, self.timer = torch.where(new, drawn, self.subgoal), self.timer.masked_fill(new, 0)
        self.chosen_at = torch.where(new.unsqueeze(-1), self._seen, self.chosen_at)
        self.allowed = torch.where(new.unsqueeze(-1), allowed, self.allowed)
        self.reward = self.reward.masked_fill(new, 0.0)

    def _note(self, seen: Tensor, action: Tensor, before: Tensor, after: Tensor, result: StepResult) -> Moment:
        """What both levels learn from a step; timers and sums go on."""
        self.reward = self.reward + self.cfg.gamma**self.timer * result.reward
        self.timer = self.timer + 1
        achieved = self.subgoals.achieved(after, self.subgoal)
        given_up = (self.timer >= self.cfg.subgoal_steps) & ~achieved
        over = achieved | given_up | result.done
        obs = self.env.policy_input(result.terminal_obs)
        self.statistics.count("subgoal/achieved", achieved.float(), over)
        self.statistics.count("subgoal/steps", self.timer.float(), over)
        return Moment(
            seen=seen,
            next_seen=join(obs, self.subgoal, self.count),
            action=action,
            intrinsic=self.intrinsic(before, after, self.subgoal),
            over=over,
            achieved=achieved,
            given_up=given_up,
            done=result.done,
            terminated=result.terminated,
            chosen_at=self.chosen_at,
            allowed=self.allowed,
            subgoal=self.subgoal,
            reward=self.reward,
            discount=self.cfg.gamma**self.timer,
            obs=obs,
        )

    def _pay(self, before: Tensor, after: Tensor, subgoal: Tensor) -> Tensor:
        """The default reward of the level below `(N,)`."""
        return self.cfg.low_step_reward + self.cfg.achieved_reward * self.subgoals.achieved(after, subgoal).float()

    def _any(self, seen: Tensor) -> Tensor:
        """Every action is allowed `(…, A)`."""
        return torch.ones(*seen.shape[:-1], self.env.action_size, dtype=torch.bool, device=seen.device)

    def _learn_below(self, log: Moment) -> dict[str, float]:
        """The level below: each subgoal's time is an episode of its own.

        It is final where the subgoal was achieved or the episode terminated. Where the subgoal's steps were used up, or
        the episode was cut off by time, the value of what would have come stands for it, since nothing in what the
        level below sees tells how much time is left. Without a baseline there is no such value: then a subgoal's steps
        are the whole task, and a return that ends with them is known.
        """
        final = log.achieved | log.terminated
        with torch.no_grad():
            value, following = self.below.value(log.seen), self.below.value(log.next_seen)
            following = following.masked_fill(final, 0.0)
            lam = self.cfg.lam if self.cfg.with_baseline else 1.0
            advantage = generalized_advantages(log.intrinsic, value, following, log.over, self.cfg.gamma, lam)
            known = known_returns(log.over, final | (log.given_up & ~log.done))
            counts = torch.ones_like(final) if self.cfg.with_baseline else known
        rows = (log.seen, self._any(log.seen), log.action, advantage, advantage + value, counts.float())
        return {
            f"low/{name}": signal for name, signal in self.below.learn(*(row.flatten(0, 1) for row in rows)).items()
        }

    def _learn_above(self, log: Moment) -> dict[str, float]:
        """The level above: one row for every subgoal whose time ended in this rollout."""
        with torch.no_grad():
            value, following = self.above.value(log.chosen_at), self.above.value(log.obs)
            following = following.masked_fill(log.terminated, 0.0)
            lam = self.cfg.lam if self.cfg.with_baseline else 1.0
            advantage = semi_markov_advantages(
                log.reward, log.discount, value, following, log.over, log.done, lam
            )  # fmt: skip
            counts = log.over if self.cfg.with_baseline else log.over & known_returns(log.done, log.terminated)
        rows = (log.chosen_at, log.allowed, log.subgoal, advantage, advantage + value, counts.float())
        return {
            f"meta/{name}": signal for name, signal in self.above.learn(*(row.flatten(0, 1) for row in rows)).items()
        }

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return SubgoalPolicy(self)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: both levels."""
        env: Any = self.env
        seen = env.policy_input(env.observe())[:1]
        contract = {
            "policy_input": {group: env.obs_sizes[group] for group in env.policy_groups},
            "layout": env.obs_layout,
            "action": env.action_contract,
            "subgoals": list(self.subgoals.names),
            "subgoal_steps": self.cfg.subgoal_steps,
            "use": USE,
        }
        low = join(seen, torch.zeros(1, dtype=torch.long, device=seen.device), self.count)
        state = env.state[:1].float()
        return [
            Exported("high_level", self.above.policy, {"policy_input": seen}, "subgoal_scores", contract),
            Exported("low_level", self.below.policy, {"policy_input_and_subgoal": low}, "action_scores", contract),
            Exported("achieved", _Achieved(self.subgoals), {"state": state}, "achieved", contract),
        ]

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        kept = {name: getattr(self, name).clone() for name in _KEPT}
        return kept | {
            "above": self.above.state_dict(),
            "below": self.below.state_dict(),
            "statistics": self.statistics.state_dict(),
            "generator": self._generator.get_state(),
            "counters": [self.iteration, self.samples],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`."""
        self.above.load_state_dict(state["above"])
        self.below.load_state_dict(state["below"])
        for name in _KEPT:
            setattr(self, name, state[name].to(self.env.device, copy=True))
        self.statistics.load_state_dict(state["statistics"])
        self._generator.set_state(state["generator"].cpu())
        self.iteration, self.samples = state["counters"]

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        above, below = self.above.weights(), self.below.weights()
        return {"above": above, "below": below, "counters": [self.iteration, self.samples]}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        self.above.load_weights(state["above"])
        self.below.load_weights(state["below"])
        self.iteration, self.samples = state["counters"]


_KEPT = ("_seen", "choosing", "subgoal", "timer", "chosen_at", "reward", "allowed")


def join(obs: Tensor, subgoal: Tensor, count: int) -> Tensor:
    """What the level below sees `(n, size + K)`: the observation `(n, size)` and its subgoal `(n,)`, one-hot."""
    return torch.cat((obs, functional.one_hot(subgoal, count).to(obs.dtype)), dim=-1)


def open_subgoals(subgoals: Subgoals, state: Tensor) -> Tensor:
    """`(n, K)` bool: subgoals that are not achieved at states `(n, F)`; all, should there be none."""
    count = len(subgoals.names)
    numbers = torch.arange(count, device=state.device).repeat(len(state))
    there = subgoals.achieved(state.repeat_interleave(count, 0), numbers).view(-1, count)
    return ~there | there.all(-1, keepdim=True)


class _Achieved(nn.Module):
    """States `(n, F)` to 1 where a subgoal is achieved, else 0 `(n, K)`."""

    def __init__(self, subgoals: Subgoals) -> None:
        super().__init__()
        self.subgoals = subgoals

    def forward(self, state: Tensor) -> Tensor:
        first = torch.zeros_like(state[:, 0], dtype=torch.long)
        there = [self.subgoals.achieved(state, first + number) for number in range(len(self.subgoals.names))]
        return torch.stack(there, dim=-1).float()


class SubgoalPolicy:
    """The likeliest choices of both levels.

    Attributes:
        subgoal: `(N,)` the present one.
        timer: `(N,)` steps since it was chosen.
    """

    def __init__(self, learner: SubgoalLearner) -> None:
        self.env: Any = learner.env
        self._learner = learner
        n, device = learner.env.num_envs, learner.env.device
        self.subgoal, self.timer = (torch.zeros(n, dtype=torch.long, device=device) for _ in range(2))
        self._began = torch.ones(n, dtype=torch.bool, device=device)

    @torch.no_grad()
    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        learner, state = self._learner, self.env.state
        seen = learner.env.policy_input(obs)
        over = learner.subgoals.achieved(state, self.subgoal) | (self.timer >= learner.cfg.subgoal_steps) | self._began
        best = learner.above.best(seen, open_subgoals(learner.subgoals, state))
        self.subgoal = torch.where(over, best, self.subgoal)
        self.timer = self.timer.masked_fill(over, 0) + 1
        self._began = torch.zeros_like(self._began)
        both = join(seen, self.subgoal, learner.count)
        return learner.below.best(both, learner._any(both))

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._began = self._began | mask
