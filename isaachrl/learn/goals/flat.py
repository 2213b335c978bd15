"""State and target in one level, by TD3 or SAC: what the hierarchies are compared with."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs.env import Env, Obs
from isaachrl.learn.goals.actor_critic import Batch
from isaachrl.learn.goals.algorithms import make_level
from isaachrl.learn.goals.check import Check
from isaachrl.learn.goals.config import FlatCfg, Inputs
from isaachrl.learn.goals.contract import Views, context_of, goal_task
from isaachrl.learn.goals.exploration import Exploration
from isaachrl.learn.goals.policy import flat_exports
from isaachrl.learn.goals.replay import SegmentReplay, Sizes
from isaachrl.learn.goals.schedule import Schedule, warn_if_nothing_was_learned
from isaachrl.learn.goals.tally import EpisodeTally, Tally
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.nn import Rounding


class FlatLearner(Learner):
    """One policy from state and target to torques.

    Args:
        env: an environment whose task says what goals are about.
        cfg: its configuration.
        seed: of weights, exploration and draws.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = ("check/success_rate", "check/return", "episode/success_rate")

    def __init__(self, env: Env, cfg: FlatCfg, seed: int) -> None:
        self.env, self.cfg = env, cfg
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = self.steps = 0
        torch.manual_seed(sub_seed(seed, Stream.weights))
        self.generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        task = self.task = goal_task(env)
        self.views = Views(env, cfg.inputs, False, task.goal_limits, False)
        rounding, limits = Rounding(cfg.precision, env.device), task.action_limits.to(env.device)
        raw = cfg.inputs is Inputs.raw
        self.level = make_level(self.views.flat_size, limits, raw, cfg.policy, rounding, self.generator)
        sizes = Sizes(1, env.obs_sizes["state"], env.action_size, 0, env.obs_sizes.get("context", 0))
        self.replay = SegmentReplay(max(cfg.replay_steps, env.num_envs), sizes, env.device, self.generator)
        self.noise = Exploration(cfg.policy, limits, env.num_envs, self.generator)
        self.tally, self.episodes, self.obs = Tally("policy/"), EpisodeTally(env), env.observe()
        self.check = Check(env, cfg.check_episodes, seed, lambda where: FlatPolicy(self))
        self.lain = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        self._due, self._learn_from = Schedule(cfg.policy.updates_per_step), cfg.warmup_steps

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.steps_per_iteration * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        self.level.slow_down(self.iteration / self.cfg.max_iterations)
        for _ in range(self.cfg.steps_per_iteration):
            self._step()
            self.steps += 1
            for _ in range(self._due.updates() if self.steps > self._learn_from else 0):
                self.level.update(self._batch(), self.tally)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        if self.iteration == self.cfg.max_iterations:
            warn_if_nothing_was_learned(self.steps, self._learn_from, self.cfg.steps_per_iteration)
        signals = self.episodes.read() | self.tally.read()
        if self.cfg.check_every > 0 and self.iteration % self.cfg.check_every == 0:
            signals |= self.check()
        return signals

    def act(self, obs: Obs) -> Tensor:
        """Action `(N, A)` without noise, of the averaged actor if there is one."""
        return self.level.averaged(self.views.manager(obs["state"], context_of(obs)))

    @torch.no_grad()
    def _step(self) -> None:
        """One step of all environments, remembered."""
        obs, cfg = self.obs, self.cfg
        every = torch.ones(self.env.num_envs, dtype=torch.bool, device=self.env.device)
        features = self.views.manager(obs["state"], context_of(obs))
        noisy = self.noise(self.level.draw(features, self.generator), every)
        action = self.noise.uniform() if cfg.warmup_uniform and self.steps < cfg.warmup_steps else noisy
        result = self.env.step(action)
        self.obs, ended, none = result.obs, result.done, obs["state"][:, :0]
        if cfg.flip_reset_steps > 0:
            # where an episode ended a new one is seen here, whose count begins anew whatever it shows
            self.lain = torch.where(self.task.flipped() & ~ended, self.lain + 1, 0)
            # cut short by the learner, not by the task: the future goes on to count, as after a time limit
            cut = self.lain >= cfg.flip_reset_steps
            self.obs, ended = self.env.reset_where(cut), ended | cut
            self.lain = self.lain.masked_fill(cut, 0)
        self.episodes.add(result, ended)
        self.noise.restart(ended)
        self.replay.push(
            result.metrics.get("diverged", torch.zeros_like(result.reward)) == 0,
            states=torch.stack((obs["state"], result.terminal_obs["state"]), dim=1), actions=action.unsqueeze(1),
            rewards=result.reward.unsqueeze(1), goal=none, next_goal=none, context=context_of(obs),
            length=every.long(), terminal=result.terminated,
        )  # fmt: skip

    @torch.no_grad()
    def _batch(self) -> Batch:
        """Rows drawn uniformly; the first ones with targets drawn anew, if so configured."""
        cfg = self.cfg.policy
        rows = self.replay.draw_rows(cfg.batch)
        states, action, reward, context, terminal = self.replay.take(
            rows, "states", "actions", "rewards", "context", "terminal"
        )
        reward = reward[:, 0]
        count = int(self.cfg.target_resampling * len(rows)) if context.shape[1] else 0
        if count > 0:
            context = torch.cat((self.task.draw_contexts(count, self.generator), context[count:]))
            reward = torch.cat((self.task.context_reward(states[:count, 1], context[:count]), reward[count:]))
        return Batch(
            features=self.views.manager(states[:, 0], context),
            action=action[:, 0],
            reward=cfg.reward_scale * reward,
            discount=cfg.discount * (~terminal).float(),
            next_features=self.views.manager(states[:, 1], context),
            weight=torch.ones_like(reward),
        )

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return FlatPolicy(self)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`."""
        return flat_exports(self.env, self.level.averaged, self.views)

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        state = {
            "level": self.level.state_dict(),
            "noise": self.noise.state_dict(),
            "lain": self.lain.clone(),
            "generator": self.generator.get_state(),
            "obs": {name: values.clone() for name, values in self.obs.items()},
            "returns": self.episodes.returns,
            "lengths": self.episodes.lengths,
            "owed": self._due.owed,
            "learn_from": self._learn_from,
            "iteration": self.iteration,
            "samples": self.samples,
            "steps": self.steps,
        }
        return state | {"replay": self.replay.state_dict()} if self.cfg.checkpoint_replay else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`. Without a stored replay, a new one fills up before the next update."""
        device = self.env.device
        self.level.load_state_dict(state["level"])
        self.noise.load_state_dict(state["noise"])
        self.lain = state["lain"].to(device, copy=True)
        self.obs = {name: values.to(device, copy=True) for name, values in state["obs"].items()}
        self.episodes.returns = state["returns"].to(device, copy=True)
        self.episodes.lengths = state["lengths"].to(device, copy=True)
        self.iteration, self.samples, self.steps = state["iteration"], state["samples"], state["steps"]
        self._due.owed, self._learn_from = state["owed"], state["learn_from"]
        if "replay" in state:
            self.replay.load_state_dict(state["replay"])
        else:
            self._learn_from = self.steps + self.cfg.warmup_steps
        self.generator.set_state(state["generator"].cpu())

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        return {"level": self.level.weights(), "iteration": self.iteration, "samples": self.samples}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        self.level.load_weights(state["level"])
        self.iteration, self.samples = state["iteration"], state["samples"]


class FlatPolicy:
    """The deterministic controller; it remembers nothing between steps."""

    def __init__(self, learner: FlatLearner) -> None:
        self._learner = learner

    @torch.no_grad()
    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        return self._learner.act(obs)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
