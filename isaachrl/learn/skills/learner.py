"""Adversarial skill learning on any environment with reference motions: AMP, ASE, and motion latents."""

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs, StepResult, TaskEnv
from isaachrl.hierarchy.latents import Latents
from isaachrl.hierarchy.skill import Skill, refuse_mismatch
from isaachrl.learn import distributed
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.skills import losses
from isaachrl.learn.skills.buffers import Rollout
from isaachrl.learn.skills.commands import CommandSource, HeldCommands
from isaachrl.learn.skills.config import SkillsCfg
from isaachrl.learn.skills.contract import make_contract
from isaachrl.learn.skills.critic import Critic
from isaachrl.learn.skills.examine import Examination
from isaachrl.learn.skills.judge import Judge
from isaachrl.learn.skills.monitor import Monitor
from isaachrl.learn.skills.motions import Demonstrations, imitation_task
from isaachrl.learn.skills.pace import PaceReward
from isaachrl.learn.skills.policy import SkillPolicy
from isaachrl.learn.skills.update import PolicyUpdate, Signals
from isaachrl.maths.returns import generalized_advantages
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.nn import RunningNorm

_ROW_FIELDS = ("obs", "latent", "action", "log_prob", "mean", "advantage", "target", "noisy", "window")


class SkillsLearner(Learner):
    """PPO whose reward is a discriminator's opinion.

    Args:
        env: an environment whose task has motions (see `ImitationTask`).
        cfg: its configuration.
        seed: of the learner's own randomness.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = (
        "episode/length",
        "episode/forward_speed_mps",
        "reward/style_of_mean",
        "skill/coverage",
    )
    DISTRIBUTED: ClassVar[bool] = True

    def __init__(self, env: Env, cfg: SkillsCfg, seed: int) -> None:
        self.env, self.cfg, self.seed = env, cfg, seed
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = 0
        self.task = imitation_task(env)
        device = env.device
        self.generator = torch.Generator(device=device).manual_seed(sub_seed(seed, Stream.learner))
        self.demos = Demonstrations(self.task, cfg.discriminator.demo_windows, cfg.latent.segment_s, self.generator)
        self.commands = CommandSource(cfg.latents, cfg.latent, self.demos, self.generator, device)
        self.pace: PaceReward | None = None
        if cfg.latents is Latents.motion and cfg.reward.pace > 0:
            self.pace = PaceReward(self.task, self.commands.space, cfg.latent.temperature)
        torch.manual_seed(sub_seed(seed, Stream.weights))
        self.skill = Skill(make_contract(env, self.task, cfg, self.demos.names, self.commands.size)).to(device)
        self.skill.space = self.commands.space
        self.skill.actor.start_from(self.task.mean_action())
        self.skill.actor.requires_grad_(True)
        self.skill.discriminator.requires_grad_(True)
        self.critic = Critic(env.obs_sizes["proprioception"], self.commands.size, cfg.hidden).to(device)
        self.value_norm = RunningNorm(1, clip=1e6).to(device)
        self._critic_known = True
        self.policy_update = PolicyUpdate(cfg, self.skill, self.critic, self.commands)
        self.judge = Judge(cfg, self.skill, self.commands, self.generator)
        distributed.copy_from_first(self.skill, self.critic)
        distributed.part_ways(self.generator)
        self._allocate()
        self.obs = env.observe()
        self.held.restart(torch.ones(env.num_envs, dtype=torch.bool, device=device))
        distributed.take_in(self.skill.discriminator.norm, distributed.own_part(self.demos.windows.flatten(0, 1)))
        distributed.take_in(self.skill.obs_norm, self.obs["proprioception"])

    def _allocate(self) -> None:
        """Memory for the rollout, the commands and the monitor."""
        n, device, d = self.env.num_envs, self.env.device, self.commands.size
        sizes = self.env.obs_sizes
        fields = {
            "obs": (sizes["proprioception"],), "next_obs": (sizes["proprioception"],), "window": (sizes["style"],),
            "latent": (d,), "action": (self.env.action_size,), "mean": (self.env.action_size,),
            "log_prob": (), "value": (), "next_value": (), "task_reward": (), "noisy": (),
            "terminated": (), "truncated": (), "diverged": (), "advantage": (), "target": (),
        }  # fmt: skip
        self.rollout = Rollout(self.cfg.horizon, n, fields, ("terminated", "truncated", "diverged"), device)
        self.held = HeldCommands(self.commands, self.task, n)
        self.monitor = Monitor(n, self.task.style_size, self.commands.space, device)
        share = losses.stochastic_share(n, device) if self.cfg.exploration_mix else torch.ones(n, device=device)
        self.by_mean = torch.arange(n, device=device) >= n - int(n * self.cfg.mean_share)
        self._some_act_by_mean = int(n * self.cfg.mean_share) > 0
        self.noisy_share = share.masked_fill(self.by_mean, -1.0)

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner`."""
        return self.cfg.horizon * self.env.num_envs * distributed.size()

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        signals = Signals.empty()
        self.policy_update.anneal(self.iteration)
        with torch.no_grad():
            for step in range(self.cfg.horizon):
                self._step(step)
        self._learn(signals)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        self._note_training()
        result = distributed.mean_signals(signals.means() | self.monitor.read())
        self.policy_update.adapt_step_size(result["policy/kl"])
        update = self.policy_update
        return result | {"policy/learning_rate": update.learning_rate, "policy/log_std": update.log_std}

    def _note_training(self) -> None:
        """Write into the contract how the skill was made up to now."""
        self.skill.contract.training.update(
            task=self.env.name, motion=self.task.cfg.motion, segment_s=self.cfg.latent.segment_s,
            substeps=self.task.cfg.substeps, timestep_s=self.task.cfg.timestep_s,
            samples=self.samples, iterations=self.iteration, seed=self.seed,
        )  # fmt: skip

    def _learn(self, signals: Signals) -> None:
        """All updates that follow from a full rollout."""
        with torch.no_grad():
            self._finish_rollout(signals)
        rows, minibatch = self._rows(), distributed.own_rows(self.cfg.minibatch)
        for _ in range(self.cfg.epochs):
            order = torch.randperm(len(rows["obs"]), generator=self.generator, device=self.env.device)
            for chosen in order.tensor_split(-(-len(order) // minibatch)):
                # rows[chosen] is the same and takes seven times as long
                batch = {name: data.index_select(0, chosen) for name, data in rows.items()}
                self.policy_update.step(batch, signals)
                self.judge.learn(batch["window"], batch["latent"], signals)
        self._after_update(rows)

    def _step(self, step: int) -> None:
        """One control step of all environments, written into the rollout."""
        obs = self.obs["proprioception"]
        normalized = self.skill.obs_norm(obs)
        mean = self.skill.actor(normalized, self.held.latent)
        noise = torch.randn(mean.shape, generator=self.generator, device=mean.device)
        noisy = torch.rand(len(mean), generator=self.generator, device=mean.device) <= self.noisy_share
        action = mean + noise * noisy.unsqueeze(-1) * math.exp(self.policy_update.log_std)
        value = self.critic(normalized, self.held.latent)
        before, result = self.obs["style"], self.env.step(action)
        # a world that broke has leapt back to its origin, which is no motion to learn from: the window before stands in
        window = torch.where(result.diverged.unsqueeze(-1), before, result.terminal_obs["style"])
        self.rollout.put(
            step,
            obs=obs,
            next_obs=result.terminal_obs["proprioception"],
            window=window,
            latent=self.held.latent,
            action=action,
            mean=mean,
            log_prob=losses.gaussian_log_prob(action, mean, self.policy_update.log_std),
            value=self.value_norm.restore(value.unsqueeze(-1)).squeeze(-1),
            task_reward=result.reward,
            noisy=noisy.float(),
            terminated=result.terminated,
            truncated=result.truncated,
            diverged=result.diverged,
        )
        self._observe_episodes(result, window)
        self.obs = result.obs

    def _observe_episodes(self, result: StepResult, window: Tensor) -> None:
        """Log what ended and was seen, and give new commands where an episode or a command's time ended."""
        newest = window[:, : self.task.style_size]
        self.monitor.after_step(result, newest, self.held.latent, self.by_mean & ~self.task.recovering)
        self.held.count_step()
        self.held.restart(result.done)
        self.monitor.restart(result.done | self.held.renew())

    def _finish_rollout(self, signals: Signals) -> None:
        """Rewards, values of what followed, advantages and targets of the whole rollout."""
        data, cfg = self.rollout, self.cfg
        reward = self._reward(signals)
        data["next_value"].copy_(self._next_values())
        done = data["terminated"] | data["truncated"]
        advantage = generalized_advantages(reward, data["value"], data["next_value"], done, cfg.discount, cfg.lam)
        target = advantage + data["value"]
        distributed.take_in(self.value_norm, target.unsqueeze(-1))
        data["target"].copy_(self.value_norm(target.unsqueeze(-1)).squeeze(-1))
        count = distributed.mean(data["noisy"].sum())
        mean = distributed.mean(losses.masked_mean(advantage, data["noisy"], count))
        square = (advantage - mean).square()
        deviation = distributed.mean(losses.masked_mean(square, data["noisy"], count)).sqrt()
        data["advantage"].copy_((advantage - mean) / (deviation + 1e-8))
        signals.add({"reward/total": reward.mean(), "policy/value": data["value"].mean()})

    def _reward(self, signals: Signals) -> Tensor:
        """Rewards `(T, N)` of the rollout: style, what the task pays, and by the latents' kind encoder or pace.

        A step in which the world broke pays nothing.
        """
        data, weights = self.rollout, self.cfg.reward
        style, encoder = self.judge.opinions(data["window"], data["latent"])
        reward = weights.style * style + weights.task * data["task_reward"]
        signals.add({"reward/style": style.mean()})
        if self._some_act_by_mean:
            signals.add({"reward/style_of_mean": losses.masked_mean(style, self.by_mean.float().expand_as(style))})
        if weights.task:
            signals.add({"reward/task": data["task_reward"].mean()})
        if encoder is not None:
            reward = reward + weights.encoder * encoder
            signals.add({"reward/encoder": encoder.mean()})
        if self.pace is not None:
            pace = self.pace(data["window"].flatten(0, 1), data["latent"].flatten(0, 1)).view_as(style)
            reward = reward + weights.pace * pace
            signals.add({"reward/pace": pace.mean()})
        return reward.masked_fill(data["diverged"], 0.0)

    def _next_values(self) -> Tensor:
        """Values `(T, N)` of what followed each step: 0 after a fall, the last observation's value after a timeout.

        Where the episode went on, the next step's value is at hand. A renewed command is part of what follows, so
        that value is taken under the new command, as the critic met it.
        """
        data = self.rollout
        last = self._value(self.obs["proprioception"], self.held.latent)
        following = torch.cat((data["value"][1:], last.unsqueeze(0)))
        following.masked_fill_(data["terminated"], 0.0)
        # a host sync, once an iteration: only the few episodes that ran out of time need another value
        step, index = data["truncated"].nonzero(as_tuple=True)
        if len(step):
            following[step, index] = self._value(data["next_obs"][step, index], data["latent"][step, index])
        return following

    def _value(self, proprioception: Tensor, latent: Tensor) -> Tensor:
        """Value `(n,)` in units of the reward."""
        value = self.critic(self.skill.obs_norm(proprioception), latent)
        return self.value_norm.restore(value.unsqueeze(-1)).squeeze(-1)

    def _rows(self) -> dict[str, Tensor]:
        """The rollout as rows, with observations normalised as the policy saw them."""
        rows = self.rollout.rows()
        chosen = {name: rows[name] for name in _ROW_FIELDS}
        chosen["obs"] = self.skill.obs_norm(chosen["obs"])
        return chosen

    def _after_update(self, rows: dict[str, Tensor]) -> None:
        """Move the normalisers and the judge's memory on by this rollout, once all of its updates are done."""
        self.judge.remember(rows["window"], rows["latent"])
        distributed.take_in(self.skill.obs_norm, self.rollout["obs"])

    def policy(self) -> Policy:
        """See `Learner.policy`: commands are drawn and held as in training."""
        return SkillPolicy(self.skill, HeldCommands(self.commands, self.task, self.env.num_envs))

    def examine(self) -> dict[str, Any]:
        """See `Learner.examine`: what each motion's command gives, see `Examination.report`.

        Nothing where there are no commands, or where bodies begin on the floor and cannot show a motion.
        """
        if self.cfg.latents is Latents.none or self.task.recovery_enabled:
            return {}
        assert isinstance(self.env, TaskEnv)
        return Examination(self.skill, self.env, self.task, self.demos).report(self.commands.draw)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: the low level."""
        inputs = {
            "proprioception": self.obs["proprioception"][:1].cpu(),
            "latent": self.commands.draw(1).cpu(),
        }
        return [
            Exported(
                "low_level",
                copy.deepcopy(self.skill.controller_module()).cpu(),
                inputs,
                "joint_targets",
                self.skill.controller_contract(),
            )
        ]

    def save_products(self, folder: Path) -> None:
        """Write `skill.pt`."""
        self.skill.save(folder / "skill.pt")

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        state = {
            **self.weights(),
            "policy_optimizer": self.policy_update.optimizer.state_dict(),
            "style_optimizer": self.judge.optimizer.state_dict(),
            "monitor": self.monitor.state_dict(),
            **self.held.state_dict(),
            "demo_windows": self.demos.windows.clone(),
            "generator": self.generator.get_state(),
        }
        return state | {"replay": self.judge.replay.state_dict()} if self.cfg.checkpoint_replay else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`. Without a stored replay, a new one fills up from the next rollout on."""
        self.load_weights(state)
        self.policy_update.optimizer.load_state_dict(state["policy_optimizer"])
        self.judge.optimizer.load_state_dict(state["style_optimizer"])
        if "replay" in state:
            self.judge.replay.load_state_dict(state["replay"])
        self.monitor.load_state_dict(state["monitor"])
        self.held.load_state_dict(state)
        self.demos.windows = state["demo_windows"].to(self.env.device, copy=True)
        self.generator.set_state(state["generator"].cpu())
        self.obs: Obs = self.env.observe()

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        weights = {"skill": self.skill.state_dict(), "contract": dataclasses.asdict(self.skill.contract)}
        if self._critic_known:
            weights |= {"critic": self.critic.state_dict(), "value_norm": self.value_norm.state_dict()}
        return weights | {"iteration": self.iteration, "samples": self.samples}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        weights = state["skill"]
        if "contract" in state:  # checkpoints of earlier versions have none
            ours = dataclasses.asdict(self.skill.contract)
            if self.cfg.latents is not Latents.motion:
                ours.pop("motions")
            refuse_mismatch(state["contract"], ours)
            self.skill.contract.training.update(state["contract"].get("training", {}))
        if self.cfg.latents is not Latents.motion:  # commands do not depend on the motions: others may be shown now
            weights = weights | {f"space.{key}": value for key, value in self.skill.space.state_dict().items()}
        self.skill.load_state_dict(weights)
        self._critic_known = "critic" in state
        if self._critic_known:  # a skill file has none
            self.critic.load_state_dict(state["critic"])
            self.value_norm.load_state_dict(state["value_norm"])
        self.iteration, self.samples = state["iteration"], state["samples"]
