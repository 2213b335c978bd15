"""The hierarchical hybrid (Ghavamzadeh and Mahadevan 2003): Q(lambda) above, a policy gradient below."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.envs.statistics import Statistics
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Exported, Policy
from isaachrl.learn.task_graph.algorithms import like, mean_step
from isaachrl.learn.task_graph.continuous import continuous_graph
from isaachrl.learn.task_graph.exports import CALLS, CellScores, TiledMean, call_exports, tile_export, told_of
from isaachrl.learn.task_graph.flat_tiles import outcome_reward
from isaachrl.learn.task_graph.gaussian import GaussianCfg, GaussianTiles, Step
from isaachrl.learn.task_graph.tiles import TileCoder
from isaachrl.learn.task_graph.views import Views


@dataclass
class HybridCfg:
    """Q(lambda) on a coarse grid of the first two columns, over subtasks that learn by policy gradient.

    Args:
        max_iterations: iterations; with 1024 ships these make the 50,000 episodes of the paper.
        horizon: steps of every environment in an iteration.
        cells: of the grid, along both columns.
        learning_rate: of Q.
        lam: lambda of its replacing traces.
        gamma: discount of a call.
        epsilon: share of random calls at first. Above the 0.1 of the paper: what was tried while the subtasks were bad
            has to be tried again.
        epsilon_decay: what it is divided by every 50 episodes, once the subtasks succeed.
        epsilon_from: share of successful calls from which on it falls.
        epsilon_end: below this it does not fall.
        goal_reward: for success.
        failure_reward: for an episode that terminates without it. The paper has none; then it is better, from most
            starts, to leave the sea at once than to pay for the way to the gate.
        call_steps: a call is cut off after so many steps.
        trace: calls that a trace goes back at most.
        policy: of the subtasks, see `GaussianCfg`.
    """

    max_iterations: int = 450
    horizon: int = bounded(32, 0, 10_000)
    cells: int = bounded(20, 0, 1000)
    learning_rate: float = 0.1
    lam: float = 0.9
    gamma: float = 1.0
    epsilon: float = 1.0
    epsilon_decay: float = 1.01
    epsilon_from: float = 0.9
    epsilon_end: float = 0.01
    goal_reward: float = 100.0
    failure_reward: float = -500.0
    call_steps: int = 200
    trace: int = bounded(16, 0, 1000)
    policy: GaussianCfg = field(default_factory=lambda: GaussianCfg(learning_rate=1.5, decay_iterations=80))

    def __post_init__(self) -> None:
        """Refuse numbers nothing can come of."""
        counts = ("max_iterations", "horizon", "cells", "call_steps", "trace")
        for name in counts:
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name}={getattr(self, name)}: expected 1 or more")
        shares = ("learning_rate", "lam", "gamma", "epsilon", "epsilon_end", "epsilon_from")
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"train.{name}={getattr(self, name)}: expected 0 to 1")
        if self.epsilon_decay < 1:
            raise ConfigError(f"train.epsilon_decay={self.epsilon_decay}: expected 1 or more")


class Grid:
    """Number of the cell, among `cells` by `cells`, that the first two columns of a state lie in.

    Args:
        extent: of the state's columns.
        cells: along each.
        device: of the tensors.
    """

    def __init__(self, extent: tuple[tuple[float, float], ...], cells: int, device: torch.device) -> None:
        self.cells = cells
        self._low, high = torch.tensor(extent[:2], device=device).T
        self._per_unit = cells / (high - self._low)

    def __call__(self, state: Tensor) -> Tensor:
        """Cells `(n,)` of states `(n, F)`; beyond the edge, the one at the edge."""
        place = ((state[:, :2] - self._low) * self._per_unit).long().clamp(0, self.cells - 1)
        return place[:, 0] * self.cells + place[:, 1]


class Traces:
    """The last calls of every environment with their eligibilities, replacing ones.

    Attributes:
        entry: `(N, L)` number of the value that each call belongs to.
        weight: `(N, L)` its eligibility; 0 where there is none.

    Args:
        num_envs: N.
        length: L.
        device: of the tensors.
    """

    def __init__(self, num_envs: int, length: int, device: torch.device) -> None:
        self.entry = torch.zeros(num_envs, length, dtype=torch.long, device=device)
        self.weight = torch.zeros(num_envs, length, device=device)

    def call(self, where: Tensor, entry: Tensor, decay: Tensor) -> None:
        """Add calls in the environments of `where (N,)`; older ones fade, and a repeated one is replaced.

        Args:
            where: `(N,)` bool.
            entry: `(N,)` number of the called value.
            decay: `(N,)` by which the older ones are multiplied; 0 forgets them.
        """
        older = self.weight * decay.unsqueeze(-1) * (self.entry != entry.unsqueeze(-1))
        entries = torch.cat((entry.unsqueeze(-1), self.entry[:, :-1]), dim=-1)
        weights = torch.cat((torch.ones_like(older[:, :1]), older[:, :-1]), dim=-1)
        self.entry = torch.where(where.unsqueeze(-1), entries, self.entry)
        self.weight = torch.where(where.unsqueeze(-1), weights, self.weight)

    def restart(self, mask: Tensor) -> None:
        """Forget the calls of the environments of `mask (N,)`."""
        self.weight = self.weight.masked_fill(mask.unsqueeze(-1), 0.0)


class Hybrid:
    """The root learns which subtask to call, and the subtasks, by kind, how to sail.

    Only the environment's reward goes up; what a subtask pays itself stays in it.

    Args:
        env: what it acts in.
        cfg: see `HybridCfg`.
    """

    _KEPT = ("task", "entry", "steps", "paid", "calling", "called", "calls")

    def __init__(self, env: Env, cfg: HybridCfg) -> None:
        graph = continuous_graph(env, "hybrid")
        n, device = env.num_envs, env.device
        self.cfg, self.views = cfg, Views(graph, device)
        self.grid = Grid(graph.root.extent, cfg.cells, device)
        self.coder = TileCoder(self.views.extent, cfg.policy.tiles, cfg.policy.tilings, self.views.wraps, device)
        extent: Any = getattr(env, "action_extent")  # noqa: B009 - the contract of continuous_graph
        self._told = told_of(env)
        self._middle = torch.tensor(graph.root.extent).mean(-1).unsqueeze(0)
        self.actor = GaussianTiles(self.coder.size * len(self.views.kinds), extent, cfg.policy, device)
        self.width = len(self.views.subtasks)
        self.q = torch.zeros(cfg.cells**2 * self.width, device=device)
        self.traces = Traces(n, cfg.trace, device)
        self.task, self.steps, self.called, self.calls = (
            torch.zeros(n, dtype=torch.long, device=device) for _ in "1234"
        )
        self.entry, self.paid = torch.zeros(n, len(graph.root.extent), device=device), torch.zeros(n, device=device)
        self.calling = torch.ones(n, dtype=torch.bool, device=device)
        self.epsilon = torch.full((), cfg.epsilon, device=device)
        self._tally = torch.zeros(3, device=device)  # episodes, calls and successful calls of this iteration

    def tiles(self, kind: Tensor, view: Tensor) -> Tensor:
        """Numbers `(n, tilings)` of the tiles of views `(n, F)`; every kind has its own."""
        return self.coder(view) + (kind * self.coder.size).unsqueeze(-1)

    def act(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """See `Method.act`."""
        self._call(state, generator)
        self._kind = self.views.kind[self.task]
        self._view = self.views(self.task, self.entry, state)
        self._tiles = self.tiles(self._kind, self._view)
        action, self._noise = self.actor.draw(self._tiles, generator)
        return action.unsqueeze(-1)

    def _call(self, state: Tensor, generator: torch.Generator) -> None:
        """Choose a subtask where none is under way."""
        draw = torch.rand(2, len(state), generator=generator, device=state.device)
        cell = self.grid(state)
        best = self.q.view(-1, self.width)[cell].argmax(-1)
        random = (draw[1] * self.width).long().clamp_max(self.width - 1)
        chosen = torch.where(draw[0] < self.epsilon, random, best)
        called = cell * self.width + chosen
        # Watkins: after a choice that was not the best, what came before is no longer a sample of the best
        decay = self.cfg.gamma * self.cfg.lam * (chosen == best)
        self.traces.call(self.calling, called, decay)
        self.task = torch.where(self.calling, chosen, self.task)
        self.called = torch.where(self.calling, called, self.called)
        self.entry = torch.where(self.calling.unsqueeze(-1), state, self.entry)
        self.paid, self.steps = self.paid.masked_fill(self.calling, 0.0), self.steps.masked_fill(self.calling, 0)
        self.calls = self.calls + self.calling

    def observe(self, before: Tensor, after: Tensor, result: StepResult, statistics: Statistics) -> None:
        """See `Method.observe`."""
        view = self.views(self.task, self.entry, after)
        done, succeeded = self.views.ends(self._kind, view)
        self.steps = self.steps + 1
        own = result.terms["step"] + self.views.internal_reward(self._kind, self._view, view)
        over = done | result.done | (self.steps >= self.cfg.call_steps)
        final = done | result.terminated
        self.actor.steps.append(Step(self._tiles, self.tiles(self._kind, view), self._noise, own, over, final))
        self.paid = self.paid + result.reward + outcome_reward(result, self.cfg.goal_reward, self.cfg.failure_reward)
        self._learn_calls(after, over, result.terminated)
        self._count(result, over, done, succeeded, statistics)
        self.traces.restart(result.done)
        self.calling, self.calls = over, self.calls.masked_fill(result.done, 0)

    def _learn_calls(self, after: Tensor, over: Tensor, terminated: Tensor) -> None:
        """Q(lambda) in the environments whose call is over."""
        best = self.q.view(-1, self.width)[self.grid(after)].amax(-1).masked_fill(terminated, 0.0)
        error = self.paid + self.cfg.gamma * best - self.q[self.called]
        entry, weight = self.traces.entry, self.traces.weight * over.unsqueeze(-1)
        target = self.q[entry] + error.unsqueeze(-1)
        self.q = mean_step(self.q, entry.flatten(), target.flatten(), weight.flatten(), self.cfg.learning_rate)

    def _count(self, result: StepResult, over: Tensor, done: Tensor, succeeded: Tensor, statistics: Statistics) -> None:
        """Calls an episode, and which of them reached their goal; calls that the episode's end cut off do not count."""
        judged = done & ~result.done
        for number, name in enumerate(self.views.kinds):
            statistics.count(f"subtask/{name}", succeeded.float(), judged & (self._kind == number))
        statistics.count("subtask/steps", self.steps.float(), over)
        statistics.count("episode/calls", self.calls.float(), result.done)
        statistics.count("episode/steps_to_goal", statistics.finished_lengths, result.metrics["success_rate"] > 0)
        self._tally = self._tally + torch.stack((result.done.sum(), judged.sum(), (judged & succeeded).sum()))

    def learn(self, iteration: int) -> dict[str, float]:
        """See `Method.learn`."""
        episodes, judged, succeeded = self._tally.unbind()
        falls = succeeded >= self.cfg.epsilon_from * judged.clamp_min(1.0)
        lower = (self.epsilon * self.cfg.epsilon_decay ** (-episodes / 50.0)).clamp_min(self.cfg.epsilon_end)
        self.epsilon = torch.where(falls, lower, self.epsilon)
        self._tally = torch.zeros_like(self._tally)
        return self.actor.learn(iteration) | {"policy/epsilon": float(self.epsilon)}

    def policy(self, env: Env) -> Policy:
        """See `Method.policy`."""
        return HybridPolicy(env, self)

    def exports(self) -> list[Exported]:
        """See `Method.exports`: one network a kind of subtask, and what the root's calls need."""
        size, extent = self.coder.size, self.actor.extent
        contract = self._told | {"call_steps": self.cfg.call_steps, "use": CALLS}
        root = CellScores(self.grid, self.q.view(-1, self.width)).cpu()
        found = call_exports(self.views, root, (self._middle, self.coder.middle().cpu()), contract)
        for number, kind in enumerate(self.views.kinds):
            module = TiledMean(self.coder, self.actor.mean[number * size : (number + 1) * size], extent).cpu()
            found.append(tile_export(kind, module, "view", contract))
        return found

    def state_dict(self) -> dict[str, Any]:
        """See `Method.state_dict`."""
        kept = {name: getattr(self, name).clone() for name in self._KEPT}
        traces = {"entry": self.traces.entry.clone(), "weight": self.traces.weight.clone()}
        return self.weights() | {"actor": self.actor.state_dict(), "kept": kept, "traces": traces}

    def weights(self) -> dict[str, Any]:
        """See `Method.weights`."""
        return {"actor": self.actor.weights(), "q": self.q.clone(), "epsilon": self.epsilon.clone()}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Method.load_weights`."""
        self.actor.load_weights(state["actor"])
        self.q = like(self.q, state["q"], "q")
        self.epsilon = state["epsilon"].to(self.q.device, copy=True)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Method.load_state_dict`."""
        self.load_weights(state)
        self.actor.load_state_dict(state["actor"])
        for name in self._KEPT:
            setattr(self, name, like(getattr(self, name), state["kept"][name], name))
        self.traces.entry = like(self.traces.entry, state["traces"]["entry"], "entry")
        self.traces.weight = like(self.traces.weight, state["traces"]["weight"], "weight")


class HybridPolicy:
    """The best call in each cell and the mean action of each subtask.

    Attributes:
        task: `(N,)` the subtask under way.
        entry: `(N, F)` the state in which it was called.
        calls: `(N,)` calls of the present episode.
    """

    def __init__(self, env: Env, method: Hybrid) -> None:
        self.env: Any = env
        self._method = method
        self.task = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        self.steps, self.calls = torch.zeros_like(self.task), torch.zeros_like(self.task)
        self.entry = self.env.state.clone()
        self._began = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        method, state = self._method, self.env.state
        done, _ = method.views.ends(method.views.kind[self.task], method.views(self.task, self.entry, state))
        calling = done | self._began | (self.steps >= method.cfg.call_steps)
        best = method.q.view(-1, method.width)[method.grid(state)].argmax(-1)
        self.task = torch.where(calling, best, self.task)
        self.entry = torch.where(calling.unsqueeze(-1), state, self.entry)
        self.calls = self.calls.masked_fill(self._began, 0) + calling
        self.steps = self.steps.masked_fill(calling, 0) + 1
        self._began = torch.zeros_like(self._began)
        view = method.views(self.task, self.entry, state)
        return method.actor.best(method.tiles(method.views.kind[self.task], view)).unsqueeze(-1)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._began = self._began | mask
