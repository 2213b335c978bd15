"""The environment of a task on a simulation."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.boundary import check_state, check_tensor
from isaachrl.envs.disturbance import Disturbance
from isaachrl.envs.env import Env, Obs, StepResult, invalid_actions
from isaachrl.envs.task import Task
from isaachrl.envs.threads import limit_threads
from isaachrl.errors import ConfigError, nearest
from isaachrl.sim import Scene, Sim, make_sim


class TaskEnv(Env):
    """N episodes of a task, one in each world of a simulation.

    Args:
        task: the task, built on `sim`.
        sim: the worlds.
        generator: source of randomness, shared with the task.

    Raises:
        ConfigError: `cfg.reward` names a term that the task does not have, or lacks the weight of one, `STATE` names no
            tensor, or the task returns a tensor of another shape or type than it declares.
    """

    def __init__(self, task: Task[Any], sim: Sim, generator: torch.Generator) -> None:
        self.task, self.sim, self.generator = task, sim, generator
        self.num_envs, self.device = sim.num_envs, sim.device
        self.obs_sizes, self.policy_groups = task.obs_sizes, task.policy_groups
        self.obs_layout, self.step_s = task.obs_layout, task.cfg.step_s
        self.action_contract = task.action_contract
        self.action_size, self.episode_steps = task.action_size, task.cfg.limit_steps
        self.progress = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        disturb = task.cfg.disturb
        self.disturbance: Disturbance | None = None
        if disturb.active:
            self.disturbance = Disturbance(disturb, sim, task.cfg.step_s, generator, task.action_size, task.obs_layout)
        obs = self.reset()  # first, since reward terms are computed from a state
        self._weights = self._reward_weights()
        self._check_tensors(obs)

    def advance(self, action: Tensor) -> StepResult:
        """See `Env.advance`."""
        with limit_threads(self.num_envs, self.device):
            return self._advance(action, self.task.observe)

    def advance_within(self, action: Tensor) -> StepResult:
        """See `Env.advance_within`."""
        with limit_threads(self.num_envs, self.device):
            result = self._advance(action, self.task.observe_within)
            self.task.ended |= result.done  # these worlds run on until the high level resets them
            return result

    def _advance(self, action: Tensor, observe: Callable[[], Obs]) -> StepResult:
        invalid = invalid_actions(action)
        action = action.masked_fill(invalid.unsqueeze(-1), 0.0)
        if self.disturbance is not None:
            action = self.disturbance.delayed(action)
            self.disturbance.before_physics()
        self.task.apply(action)
        self.sim.step(self.task.cfg.substeps)
        self.sim.diverged.logical_or_(invalid)
        self.progress += 1
        self.task.after_physics()
        valid = ~self.sim.diverged
        unweighted = self.task.reward_terms()
        terms = {name: torch.where(valid, self._weights[name] * term, 0.0) for name, term in unweighted.items()}
        reward = torch.stack(list(terms.values())).sum(0) if terms else torch.zeros(self.num_envs, device=self.device)
        terminated = self.task.terminated() | self.sim.diverged
        truncated = (self.progress >= self.episode_steps) & ~terminated
        self.task.after_reward(unweighted)
        obs = self._sensed(observe())
        return StepResult(
            obs=obs,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            terminal_obs=obs,
            terms=terms,
            metrics=self.task.metrics() | {"diverged": self.sim.diverged.float()},
            discount_steps=torch.ones_like(reward),
        )

    def reset_where(self, mask: Tensor) -> Obs:
        """See `Env.reset_where`."""
        self.check_mask(mask)
        with limit_threads(self.num_envs, self.device):
            self.task.reset(mask)
            if self.disturbance is not None:
                self.disturbance.reset(mask)
            self.progress.masked_fill_(mask, 0)
            self.task.ended.masked_fill_(mask, False)
            return self._sensed(self.task.observe())

    def stagger(self, generator: torch.Generator, multiple: int = 1) -> None:
        """See `Env.stagger`."""
        periods = torch.randint(
            self.episode_steps // multiple, self.progress.shape, generator=generator, device=self.device
        )
        self.progress.copy_(periods * multiple)

    def observe(self) -> Obs:
        """See `Env.observe`."""
        with limit_threads(self.num_envs, self.device):
            return self._sensed(self.task.observe())

    def observe_within(self) -> Obs:
        """See `Env.observe_within`."""
        with limit_threads(self.num_envs, self.device):
            return self._sensed(self.task.observe_within())

    def _sensed(self, obs: Obs) -> Obs:
        """What the sensors say of an observation."""
        return obs if self.disturbance is None else self.disturbance.sense(obs)

    def parts(self) -> list[object]:
        """See `Env.parts`."""
        return [self, self.task, self.sim, *([] if self.disturbance is None else [self.disturbance])]

    def check_capacity(self) -> dict[str, int]:
        """See `Env.check_capacity`."""
        return self.sim.check_capacity()

    def make_room(self, shares: Mapping[str, float]) -> None:
        """See `Env.make_room`."""
        self.sim.make_room(shares)

    def evaluation_twin(self, num_envs: int, seed: int) -> "TaskEnv":
        """A second environment of the same task with the configuration for evaluations."""
        cfg = evaluation_cfg(self.task.cfg)
        sim = make_sim(task_scene(type(self.task), cfg), num_envs, self.sim.worlds.ENGINE, self.device)
        generator = torch.Generator(device=self.device).manual_seed(seed)
        return TaskEnv(type(self.task)(cfg, sim, generator), sim, generator)

    def state_dict(self) -> dict[str, Any]:
        """See `Env.state_dict`."""
        return {
            "sim": self.sim.state_dict(),
            "task": self.task.state_dict(),
            "progress": self.progress.clone(),
            "ended": self.task.ended.clone(),
            "generator": self.generator.get_state(),
            "disturbance": {} if self.disturbance is None else self.disturbance.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Env.load_state_dict`."""
        own = self.state_dict()
        stored = state.get("disturbance") if isinstance(state, Mapping) else None
        same = isinstance(stored, Mapping) and stored.keys() == own["disturbance"].keys()
        if isinstance(stored, Mapping) and not same:
            own["disturbance"] = stored  # a resumed run may switch disturbances on or off
        check_state(state, own)
        self.sim.load_state_dict(state["sim"])
        self.task.load_state_dict(state["task"])
        self.progress.copy_(state["progress"])
        self.task.ended.copy_(state["ended"])
        if self.disturbance is not None and same:
            self.disturbance.load_state_dict(state["disturbance"])
        self.generator.set_state(state["generator"].cpu())

    def _reward_weights(self) -> dict[str, float]:
        """Weight of every reward term of the task."""
        names, task = list(self.task.reward_terms()), type(self.task).__name__
        for name in self.task.cfg.reward:
            if name not in names:
                raise ConfigError(f"task.reward.{name}: {task}.reward_terms returns no {name!r}{nearest(name, names)}")
        if missing := [name for name in names if name not in self.task.cfg.reward]:
            raise ConfigError(
                f"task.reward has no weight for {', '.join(missing)} of {task}.reward_terms: add to the field"
                f" `reward` of {type(self.task.cfg).__name__} {missing[0]!r}: 1.0, or 0.0 for one that is only logged"
            )
        return {name: float(self.task.cfg.reward[name]) for name in names}

    def _check_tensors(self, obs: Obs) -> None:
        """Check once what the task returns, so that a slip in a task is named instead of failing in a learner."""
        task, n = self.task, self.num_envs
        name = type(task).__name__
        for attribute in task.STATE:
            if not isinstance(getattr(task, attribute, None), Tensor):
                tensors = [key for key, value in vars(task).items() if isinstance(value, Tensor)]
                raise ConfigError(f"{name}.STATE: {attribute!r} is no tensor of the task{nearest(attribute, tensors)}")
        if obs.keys() != task.obs_sizes.keys():
            raise ConfigError(f"{name}.observe returns {sorted(obs)}, and obs_sizes has {sorted(task.obs_sizes)}")
        for group, values in obs.items():
            parts = ", ".join(f"{part} {size}" for part, size, _ in task.obs_layout.get(group, ()))
            what = f"the observation {group!r} of {name}" + f" (obs_layout: {parts})" * bool(parts)
            check_tensor(values, what, (n, task.obs_sizes[group]), torch.float32, self.device)
        for term, values in task.reward_terms().items():
            check_tensor(values, f"the reward {term!r} of {name}", (n,), torch.float32, self.device)
        for metric, values in task.metrics().items():
            check_tensor(values, f"{name}.metrics: {metric!r}", (n,), torch.float32, self.device)
        check_tensor(task.terminated(), f"{name}.terminated", (n,), torch.bool, self.device)


def task_scene(task_type: type[Task[Any]], cfg: Any) -> Scene:
    """The scene of a task with the configured capacities and floor."""
    scene = task_type.scene(cfg)
    return replace(
        scene,
        nconmax=cfg.nconmax or scene.nconmax,
        njmax=cfg.njmax or scene.njmax,
        rough_m=cfg.disturb.rough_m,
    )


def evaluation_cfg(cfg: Any) -> Any:
    """The configuration of a task for evaluations: its `for_evaluation()`, if it has one."""
    return cfg.for_evaluation() if hasattr(cfg, "for_evaluation") else cfg
