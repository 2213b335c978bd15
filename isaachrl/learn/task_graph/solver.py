"""Value iteration as a learner: the optimum that every curve is drawn against."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs.env import Obs
from isaachrl.envs.tabular import TabularEnv
from isaachrl.envs.task_graph import flat_graph
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.task_graph import oracle
from isaachrl.learn.task_graph.config import SolveCfg
from isaachrl.learn.task_graph.exports import table_exports
from isaachrl.learn.task_graph.tables import GraphTables


class ValueIteration(Learner):
    """One sweep over all states an iteration; no sample is drawn.

    Attributes:
        world: the environment, as the tabular one that it is.

    Args:
        env: whose tables it reads.
        cfg: see `SolveCfg`.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = ("value/starts", "value/change")

    def __init__(self, env: TabularEnv, cfg: SolveCfg) -> None:
        self.env = self.world = env
        self.cfg, self.max_iterations = cfg, cfg.max_iterations
        self.iteration = self.samples = 0
        self.value = torch.zeros(len(env.mdp.states), dtype=torch.float64, device=env.device)

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`: the look-ups of a sweep."""
        return self.world.mdp.next_state.numel()

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        after = oracle.sweep(self.world.mdp, self.value, self.cfg.gamma)
        change = float((after - self.value).abs().max())
        self.value = after
        self.iteration += 1
        self.samples += self.samples_per_iteration
        if change < oracle.TOLERANCE:
            self.max_iterations = self.iteration
        return {"value/starts": float(after[self.world.mdp.starts].mean()), "value/change": change}

    def greedy(self) -> Tensor:
        """The best policy `(S, A)`, one-hot."""
        return oracle.greedy(oracle.action_values(self.world.mdp, self.value, self.cfg.gamma))

    def outcome(self) -> dict[str, Any]:
        """Means of the best policy over all starts, of random actions, and of the best inside the task graph.

        Raises:
            ConfigError: there were too few sweeps to know it.
        """
        mdp = self.world.mdp
        change = float((oracle.sweep(mdp, self.value, self.cfg.gamma) - self.value).abs().max())
        if change >= oracle.TOLERANCE:
            raise ConfigError(
                f"after {self.iteration} sweeps a value still changed by {change:.3g}, so that the best policy is not"
                " known; type a greater max_iterations=, and train.gamma=0.99 if that does not help"
            )
        found: dict[str, Any] = oracle.evaluate(mdp, self.greedy()).plain()
        found["random"] = oracle.evaluate(mdp, oracle.uniform(mdp)).plain()
        found["starts"], found["sweeps"] = len(mdp.starts), self.iteration
        if mdp.task_graph is not None:
            tables = GraphTables(mdp.task_graph, mdp)
            found["hierarchical"] = {"mean_return": oracle.hierarchical_optimum(tables)}
            found["recursive"] = oracle.recursive_optimum(tables)[0].plain()
        return found

    def evaluate(self) -> dict[str, Any]:
        """See `Learner.evaluate`."""
        return {"all_starts": oracle.evaluate(self.world.mdp, self.greedy()).plain()}

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return _Greedy(self.world, self.greedy().argmax(-1))

    def exports(self) -> list[Exported]:
        """See `Learner.exports`."""
        graph = flat_graph(self.world.mdp.actions)
        row = torch.arange(len(self.value), device=self.env.device).unsqueeze(0)
        return table_exports(self.world.mdp, graph, row, self.greedy().float())

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        return {"value": self.value.clone(), "counters": [self.iteration, self.samples]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`."""
        if state["value"].shape != self.value.shape:
            raise ValueError(f"{len(state['value'])} states in the checkpoint, {len(self.value)} in this task")
        self.value = state["value"].to(self.env.device, copy=True)
        self.iteration, self.samples = state["counters"]

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        self.load_state_dict(state)


class _Greedy:
    """The best action of the present state."""

    def __init__(self, env: TabularEnv, best: Tensor) -> None:
        self.env, self.best = env, best

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        return self.best[self.env.index()]

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
