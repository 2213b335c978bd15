"""Hierarchies declared as task graphs: HPG, MAXQ-Q and the hybrid, and the flat learners they are compared with."""

from collections.abc import Callable
from typing import Any

from isaachrl.envs.env import Env
from isaachrl.envs.task_graph import Subtask, TaskGraph, flat_graph
from isaachrl.learn.learner import Learner
from isaachrl.learn.registry import register_learner
from isaachrl.learn.task_graph.continuous.actor_critic import KondaActorCritic, KondaActorCriticCfg
from isaachrl.learn.task_graph.continuous.flat_pg import FlatPg, FlatPgCfg
from isaachrl.learn.task_graph.continuous.hybrid import Hybrid, HybridCfg
from isaachrl.learn.task_graph.continuous.learner import ContinuousLearner
from isaachrl.learn.task_graph.tabular.config import HpgCfg, ValueCfg, ValueIterationCfg
from isaachrl.learn.task_graph.tabular.hpg import Hpg
from isaachrl.learn.task_graph.tabular.learner import TabularLearner
from isaachrl.learn.task_graph.tabular.solver import ValueIteration
from isaachrl.learn.task_graph.tabular.tables import GraphTables, graph_of, tabular
from isaachrl.learn.task_graph.tabular.values import FlatQ, Maxq

__all__ = ["Subtask", "TaskGraph", "flat_graph", "make_flat_q", "make_hpg", "make_maxq"]


def make_hpg(env: Env, cfg: HpgCfg, seed: int) -> TabularLearner:
    """Hierarchical policy gradient on a tabular environment with a task graph."""
    tabular_env = tabular(env, "hpg")
    tables = GraphTables(graph_of(tabular_env, "hpg"), tabular_env.mdp, cfg.abstraction)
    return TabularLearner(tabular_env, tables, Hpg(tables, cfg, env.num_envs, env.episode_steps), cfg, seed)


def make_maxq(env: Env, cfg: ValueCfg, seed: int) -> TabularLearner:
    """MAXQ-Q on a tabular environment with a task graph."""
    tabular_env = tabular(env, "maxq")
    tables = GraphTables(graph_of(tabular_env, "maxq"), tabular_env.mdp, cfg.abstraction)
    return TabularLearner(tabular_env, tables, Maxq(tables, cfg), cfg, seed)


def make_flat_q(env: Env, cfg: ValueCfg, seed: int) -> TabularLearner:
    """Q-learning on a tabular environment."""
    tabular_env = tabular(env, "flat_q")
    tables = GraphTables(flat_graph(tabular_env.mdp.actions), tabular_env.mdp, cfg.abstraction)
    return TabularLearner(tabular_env, tables, FlatQ(tables, cfg), cfg, seed)


def make_value_iteration(env: Env, cfg: ValueIterationCfg, seed: int) -> ValueIteration:
    """Value iteration on a tabular environment."""
    return ValueIteration(tabular(env, "value_iteration"), cfg)


def _continuous(algorithm: type[Hybrid | FlatPg | KondaActorCritic]) -> Callable[[Env, Any, int], Learner]:
    """A function that builds the learner of an algorithm for continuous states."""
    return lambda env, cfg, seed: ContinuousLearner(env, algorithm(env, cfg), cfg.horizon, cfg.max_iterations, seed)


register_learner("hpg", HpgCfg, make_hpg)
register_learner("maxq", ValueCfg, make_maxq)
register_learner("flat_q", ValueCfg, make_flat_q)
register_learner("value_iteration", ValueIterationCfg, make_value_iteration)
register_learner("hybrid", HybridCfg, _continuous(Hybrid))
register_learner("flat_pg", FlatPgCfg, _continuous(FlatPg))
register_learner("actor_critic", KondaActorCriticCfg, _continuous(KondaActorCritic))
