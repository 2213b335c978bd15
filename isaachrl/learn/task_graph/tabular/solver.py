"""Value iteration as a learner: the optimum of a tabular task, against which learning curves are drawn."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs.env import Obs
from isaachrl.envs.tabular import TabularEnv
from isaachrl.envs.task_graph import flat_graph
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.tabular import oracle
from isaachrl.learn.task_graph.tabular.config import ValueIterationCfg
from isaachrl.learn.task_graph.tabular.exports import table_exports
from isaachrl.learn.task_graph.tabular.tables import GraphTables


class ValueIteration(Stateful, Learner):
    """One sweep over all states per iteration; no samples are drawn.

    Args:
        env: the environment, of which only the tables are used.
        cfg: see `ValueIterationCfg`.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = ("value/starts", "value/change")
    WEIGHTS: ClassVar = ("value", "iteration", "samples")

    def __init__(self, env: TabularEnv, cfg: ValueIterationCfg) -> None:
        self.env = self._env = env
        self.mdp = env.mdp
        self.cfg, self.max_iterations = cfg, cfg.max_iterations
        self.iteration = self.samples = 0
        self.value = torch.zeros(len(self.mdp.states), dtype=torch.float64, device=env.device)

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`: here the state-action pairs of a sweep."""
        return self.mdp.next_state.numel()

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        after = oracle.sweep(self.mdp, self.value, self.cfg.gamma)
        change = float((after - self.value).abs().max())
        self.value = after
        self.iteration += 1
        self.samples += self.samples_per_iteration
        if change < oracle.TOLERANCE:
            self.max_iterations = self.iteration
        return {"value/starts": float(after[self.mdp.starts].mean()), "value/change": change}

    def greedy(self) -> Tensor:
        """The greedy policy `(S, A)`, one-hot."""
        return oracle.greedy(oracle.action_values(self.mdp, self.value, self.cfg.gamma))

    def outcome(self) -> dict[str, Any]:
        """Exact means of the optimal and the random policy over all starts, and the optima within the task graph.

        Raises:
            ConfigError: the values have not converged.
        """
        mdp = self.mdp
        change = float((oracle.sweep(mdp, self.value, self.cfg.gamma) - self.value).abs().max())
        if change >= oracle.TOLERANCE:
            raise ConfigError(
                f"after {self.iteration} sweeps a value still changed by {change:.3g}, so that the best policy is not"
                " known; type a greater max_iterations=, and train.gamma=0.99 if that does not help"
            )
        means: dict[str, Any] = oracle.evaluate(mdp, self.greedy()).as_dict()
        means["random"] = oracle.evaluate(mdp, oracle.uniform(mdp)).as_dict()
        means["starts"], means["sweeps"] = len(mdp.starts), self.iteration
        if mdp.task_graph is not None:
            tables = GraphTables(mdp.task_graph, mdp)
            means["hierarchical"] = {"mean_return": oracle.hierarchical_optimum(tables)}
            means["recursive"] = oracle.recursive_optimum(tables)[0].as_dict()
        return means

    def evaluate(self) -> dict[str, Any]:
        """See `Learner.evaluate`."""
        return {"all_starts": oracle.evaluate(self.mdp, self.greedy()).as_dict()}

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return _Greedy(self._env, self.greedy().argmax(-1))

    def exports(self) -> list[Exported]:
        """See `Learner.exports`."""
        graph = flat_graph(self.mdp.actions)
        row = torch.arange(len(self.value), device=self.env.device).unsqueeze(0)
        return table_exports(self.mdp, graph, row, self.greedy().float())


class _Greedy:
    """The policy that takes the greedy action in the present state."""

    def __init__(self, env: TabularEnv, best: Tensor) -> None:
        self.env, self.best = env, best

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        return self.best[self.env.index()]

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
