"""Hierarchies declared as task graphs: HPG, MAXQ-Q, the hybrid, and the flat learners they are compared with."""

from isaachrl.envs.env import Env
from isaachrl.envs.task_graph import Subtask, TaskGraph, flat_graph
from isaachrl.learn.learner import Learner
from isaachrl.learn.registry import register_learner
from isaachrl.learn.task_graph.config import HpgCfg, SolveCfg, ValueCfg
from isaachrl.learn.task_graph.continuous import ContinuousLearner
from isaachrl.learn.task_graph.flat_tiles import ActorCritic, ActorCriticCfg, FlatPg, FlatPgCfg
from isaachrl.learn.task_graph.hpg import Hpg
from isaachrl.learn.task_graph.hybrid import Hybrid, HybridCfg
from isaachrl.learn.task_graph.learner import GraphLearner
from isaachrl.learn.task_graph.solver import ValueIteration
from isaachrl.learn.task_graph.tables import GraphTables, graph_of, tabular
from isaachrl.learn.task_graph.values import FlatQ, Maxq

__all__ = ["Subtask", "TaskGraph", "flat_graph", "make_flat_q", "make_hpg", "make_maxq"]


def make_hpg(env: Env, cfg: HpgCfg, seed: int) -> Learner:
    """Hierarchical policy gradient on an environment that declares a task graph."""
    found = tabular(env, "hpg")
    tables = GraphTables(graph_of(found, "hpg"), found.mdp, cfg.abstraction)
    return GraphLearner(found, tables, Hpg(tables, cfg, env.num_envs, env.episode_steps), cfg, seed)


def make_maxq(env: Env, cfg: ValueCfg, seed: int) -> Learner:
    """MAXQ-Q on an environment that declares a task graph."""
    found = tabular(env, "maxq")
    tables = GraphTables(graph_of(found, "maxq"), found.mdp, cfg.abstraction)
    return GraphLearner(found, tables, Maxq(tables, cfg), cfg, seed)


def make_flat_q(env: Env, cfg: ValueCfg, seed: int) -> Learner:
    """Q-learning on any tabular environment."""
    found = tabular(env, "flat_q")
    tables = GraphTables(flat_graph(found.mdp.actions), found.mdp, cfg.abstraction)
    return GraphLearner(found, tables, FlatQ(tables, cfg), cfg, seed)


def make_solver(env: Env, cfg: SolveCfg, seed: int) -> Learner:
    """Value iteration on any tabular environment."""
    return ValueIteration(tabular(env, "value_iteration"), cfg)


def make_hybrid(env: Env, cfg: HybridCfg, seed: int) -> Learner:
    """The hierarchical hybrid on an environment of continuous states that declares a task graph."""
    return ContinuousLearner(env, Hybrid(env, cfg), cfg.horizon, cfg.max_iterations, seed)


def make_flat_pg(env: Env, cfg: FlatPgCfg, seed: int) -> Learner:
    """The policy gradient on tiles."""
    return ContinuousLearner(env, FlatPg(env, cfg), cfg.horizon, cfg.max_iterations, seed)


def make_actor_critic(env: Env, cfg: ActorCriticCfg, seed: int) -> Learner:
    """Actor and critic on tiles."""
    return ContinuousLearner(env, ActorCritic(env, cfg), cfg.horizon, cfg.max_iterations, seed)


register_learner("hpg", HpgCfg, make_hpg)
register_learner("maxq", ValueCfg, make_maxq)
register_learner("flat_q", ValueCfg, make_flat_q)
register_learner("value_iteration", SolveCfg, make_solver)
register_learner("hybrid", HybridCfg, make_hybrid)
register_learner("flat_pg", FlatPgCfg, make_flat_pg)
register_learner("actor_critic", ActorCriticCfg, make_actor_critic)
