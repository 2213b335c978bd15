"""Adversarial skill learning on any environment with reference motions: AMP, ASE, and motion latents."""

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs, StepResult, TaskEnv
from isaachrl.envs.registry import name_of
from isaachrl.hierarchy.skill import Skill, refuse_mismatch
from isaachrl.hierarchy.style import style_reward
from isaachrl.learn import distributed
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.skills import losses
from isaachrl.learn.skills.buffers import Replay, Rollout
from isaachrl.learn.skills.commands import CommandSource
from isaachrl.learn.skills.config import Latents, SkillsCfg
from isaachrl.learn.skills.contract import make_contract
from isaachrl.learn.skills.critic import Critic
from isaachrl.learn.skills.examine import Examination
from isaachrl.learn.skills.monitor import Monitor
from isaachrl.learn.skills.motions import Demonstrations, imitation_task
from isaachrl.learn.skills.pace import PaceReward
from isaachrl.learn.skills.policy import SkillPolicy
from isaachrl.learn.skills.update import PolicyUpdate, Signals, StyleUpdate
from isaachrl.maths.returns import generalized_advantages
from isaachrl.nn import RunningNorm

_SAME_COMMAND = 0.9  # cosine above which two commands ask for much the same motion
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
        self.generator = torch.Generator(device=device).manual_seed(seed + 1)
        self.demos = Demonstrations(self.task, cfg.discriminator.demo_windows, cfg.latent.segment_s, self.generator)
        self.commands = CommandSource(cfg.latents, cfg.latent, self.demos, self.generator, device)
        self.pace: PaceReward | None = None
        if cfg.latents is Latents.motion and cfg.reward.pace > 0:
            self.pace = PaceReward(self.task, self.commands.space, cfg.latent.temperature)
        torch.manual_seed(seed)
        self.skill = Skill(make_contract(env, self.task, cfg, self.demos.names, self.commands.size)).to(device)
        self.skill.space = self.commands.space
        self.skill.actor.start_from(self.task.mean_action())
        self.skill.actor.requires_grad_(True)
        self.skill.discriminator.requires_grad_(True)
        self.critic = Critic(env.obs_sizes["proprioception"], self.commands.size, cfg.hidden).to(device)
        self.value_norm = RunningNorm(1, clip=1e6).to(device)
        self.policy_update = PolicyUpdate(cfg, self.skill, self.critic, self.commands)
        self.style_update = StyleUpdate(cfg, self.skill)
        distributed.copy_from_first(self.skill, self.critic)
        distributed.part_ways(self.generator)
        self._allocate()
        self.obs = env.observe()
        self._restart_commands(torch.ones(env.num_envs, dtype=torch.bool, device=device))
        self._take_in(self.skill.discriminator.norm, distributed.own_part(self.demos.windows.flatten(0, 1)))
        self._take_in(self.skill.obs_norm, self.obs["proprioception"])

    def _allocate(self) -> None:
        """Memory for rollout, replay, commands and the monitor."""
        n, device, d = self.env.num_envs, self.env.device, self.commands.size
        sizes = self.env.obs_sizes
        fields = {
            "obs": (sizes["proprioception"],), "next_obs": (sizes["proprioception"],), "window": (sizes["style"],),
            "latent": (d,), "action": (self.env.action_size,), "mean": (self.env.action_size,),
            "log_prob": (), "value": (), "next_value": (), "task_reward": (), "noisy": (),
            "terminated": (), "truncated": (), "advantage": (), "target": (),
        }  # fmt: skip
        self.rollout = Rollout(self.cfg.horizon, n, fields, ("terminated", "truncated"), device)
        replay = self.cfg.discriminator
        self.replay = Replay(distributed.own_rows(replay.replay_size), sizes["style"], d, replay.replay_keep, device)
        self.latent = torch.zeros(n, d, device=device)
        self.hold = torch.zeros(n, dtype=torch.long, device=device)
        self.monitor = Monitor(n, self.task.style_size, self.demos, self.commands.space, device)
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
        result = distributed.mean_signals(signals.means() | self.monitor.read())
        self.policy_update.adapt_step_size(result["policy/kl"])
        update = self.policy_update
        return result | {"policy/learning_rate": update.learning_rate, "policy/log_std": update.log_std}

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
                self._judge(batch, signals)
        self._after_update(rows)

    def _step(self, step: int) -> None:
        """One control step of all environments, written into the rollout."""
        obs = self.obs["proprioception"]
        normalized = self.skill.obs_norm(obs)
        mean = self.skill.actor(normalized, self.latent)
        noise = torch.randn(mean.shape, generator=self.generator, device=mean.device)
        noisy = torch.rand(len(mean), generator=self.generator, device=mean.device) <= self.noisy_share
        action = mean + noise * noisy.unsqueeze(-1) * math.exp(self.policy_update.log_std)
        value = self.critic(normalized, self.latent)
        result = self.env.step(action)
        self.rollout.put(
            step,
            obs=obs,
            next_obs=result.terminal_obs["proprioception"],
            window=result.terminal_obs["style"],
            latent=self.latent,
            action=action,
            mean=mean,
            log_prob=losses.gaussian_log_prob(action, mean, self.policy_update.log_std),
            value=self.value_norm.restore(value.unsqueeze(-1)).squeeze(-1),
            task_reward=result.reward,
            noisy=noisy.float(),
            terminated=result.terminated,
            truncated=result.truncated,
        )
        self._observe_episodes(result)
        self.obs = result.obs

    def _observe_episodes(self, result: StepResult) -> None:
        """Log what ended, and give new commands where an episode or a command's time ended."""
        newest = result.terminal_obs["style"][:, : self.task.style_size]
        self.monitor.after_step(result, newest, self.latent, self.by_mean & ~self.task.down)
        self.hold -= 1
        self._restart_commands(result.done)
        self._renew_commands(self.hold <= 0)

    def _restart_commands(self, mask: Tensor) -> None:
        """New commands for the episodes of `mask (N,)` that just began."""
        pieces = self.demos.piece_of(self.task.start_clip, self.task.start_time_s)
        self._set_commands(mask, self.commands.draw_at_start(pieces))

    def _renew_commands(self, mask: Tensor) -> None:
        """New commands in the middle of an episode."""
        self._set_commands(mask, self.commands.draw(len(mask)))

    def _set_commands(self, mask: Tensor, latent: Tensor) -> None:
        self.latent = torch.where(mask.unsqueeze(-1), latent, self.latent)
        self.hold = torch.where(mask, self.commands.draw_hold(len(mask)), self.hold)
        self.monitor.restart(mask)

    def _finish_rollout(self, signals: Signals) -> None:
        """Rewards, values of what followed, advantages and targets of the whole rollout."""
        data, cfg, net = self.rollout, self.cfg, self.skill.discriminator
        seen, latents = data["window"].flatten(0, 1), data["latent"].flatten(0, 1)
        windows = net.norm(seen)
        ase = cfg.latents is Latents.ase
        logit, guess = net.opinions(windows, latents) if ase else (net.logit(windows, latents), latents)
        style = style_reward(logit, cfg.discriminator.judgement).view_as(data["value"])
        reward = cfg.reward.style * style + cfg.reward.task * data["task_reward"]
        if cfg.reward.task:
            signals.add(**{"reward/task": data["task_reward"].mean()})
        if ase:
            encoder = (guess * latents).sum(-1).clamp_min(0.0).view_as(style)
            reward = reward + cfg.reward.encoder * encoder
            signals.add(**{"reward/encoder": encoder.mean()})
        if self.pace is not None:
            pace = self.pace(seen, latents).view_as(style)
            reward = reward + cfg.reward.pace * pace
            signals.add(**{"reward/pace": pace.mean()})
        data["next_value"].copy_(self._next_values())
        done = data["terminated"] | data["truncated"]
        advantage = generalized_advantages(reward, data["value"], data["next_value"], done, cfg.discount, cfg.lam)
        target = advantage + data["value"]
        self._take_in(self.value_norm, target.unsqueeze(-1))
        data["target"].copy_(self.value_norm(target.unsqueeze(-1)).squeeze(-1))
        count = distributed.mean(data["noisy"].sum())
        mean = distributed.mean(losses.masked_mean(advantage, data["noisy"], count))
        square = (advantage - mean).square()
        deviation = distributed.mean(losses.masked_mean(square, data["noisy"], count)).sqrt()
        data["advantage"].copy_((advantage - mean) / (deviation + 1e-8))
        if self._some_act_by_mean:
            signals.add(**{"reward/style_of_mean": losses.masked_mean(style, self.by_mean.float().expand_as(style))})
        signals.add(
            **{"reward/style": style.mean(), "reward/total": reward.mean(), "policy/value": data["value"].mean()}
        )

    def _next_values(self) -> Tensor:
        """Values `(T, N)` of what followed each step: 0 after a fall, the last observation's value after a timeout.

        Where the episode went on, the next step's value is at hand. A renewed command is part of what follows, so
        that value is taken under the new command, as the critic met it.
        """
        data = self.rollout
        last = self._value(self.obs["proprioception"], self.latent)
        following = torch.cat((data["value"][1:], last.unsqueeze(0)))
        following.masked_fill_(data["terminated"], 0.0)
        # the iteration's one host sync: only the few episodes that ran out of time need another value
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

    def _judge(self, batch: dict[str, Tensor], signals: Signals) -> None:
        """Train discriminator and encoder on the first rows of a minibatch, replayed rows and demonstrations.

        With `motion` latents a third kind of wrong row is shown: demonstrations under the command of another row.
        Without them the judge tells imitation from demonstration by its jitter alone and never looks at the
        command, so that standing still is as good an answer to `walk` as any.
        """
        rows = min(distributed.own_rows(self.cfg.discriminator.rows), len(batch["window"]))
        window, latent = batch["window"][:rows], batch["latent"][:rows]
        wrong = [(window, latent)]
        if self.replay.filled:
            wrong.append(self.replay.draw(rows, self.generator))
        demo = self.commands.demonstrations(latent)
        if self.cfg.latents is Latents.motion and self.cfg.discriminator.mismatched > 0:
            wrong.append(self._mismatched(demo, latent, int(rows * self.cfg.discriminator.mismatched)))
        agent, agent_latent = (torch.cat(parts) for parts in zip(*wrong, strict=True))
        self.style_update.step(agent, agent_latent, demo, latent, rows, signals)

    def _mismatched(self, demo: Tensor, latent: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Demonstrations under the command of another row; where that asks for nearly the same, an imitated window.

        Rows are replaced rather than left out, so that sizes never depend on values.
        """
        other = latent.roll(1, 0)
        same = ((latent * other).sum(-1) > _SAME_COMMAND).unsqueeze(-1)
        window, windows_latent = self.replay.draw(len(demo), self.generator) if self.replay.filled else (demo, other)
        usable = ~same if self.replay.filled else torch.ones_like(same)
        return torch.where(usable, demo, window)[:count], torch.where(usable, other, windows_latent)[:count]

    def _after_update(self, rows: dict[str, Tensor]) -> None:
        """Move the normalisers and the replay on by this rollout, once all of its updates are done."""
        window = rows["window"]
        self.replay.add(window, rows["latent"], self.generator)
        self._take_in(self.skill.obs_norm, self.rollout["obs"])
        sample = window[: distributed.own_rows(self.cfg.minibatch)]
        demo = self.commands.demonstrations(rows["latent"][: len(sample)])
        self._take_in(self.skill.discriminator.norm, torch.cat((sample, demo)))

    @staticmethod
    def _take_in(norm: RunningNorm, rows: Tensor) -> None:
        """Let a normaliser see rows `(…, size)`, and what the other ranks give it."""
        norm.update(rows)
        distributed.pool_moments(norm.mean, norm.var)

    def policy(self) -> Policy:
        """See `Learner.policy`: commands are drawn and held as in training."""
        return SkillPolicy(self.skill, self.commands, self.demos, self.task, self.env)

    def examine(self) -> dict[str, Any]:
        """See `Learner.examine`: what each motion's command gives, see `Examination.report`.

        Nothing where there are no commands, or where bodies begin on the floor and cannot show a motion.
        """
        if self.cfg.latents is Latents.none or self.task.some_rise:
            return {}
        assert isinstance(self.env, TaskEnv)
        return Examination(self.skill, self.env, self.task, self.demos).report(self.commands.draw)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: the low level."""
        contract = self.skill.contract
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
                contract.__dict__,
            )
        ]

    def save_products(self, folder: Path) -> None:
        """Write `skill.pt`."""
        self.skill.contract.training.update(
            task=name_of(self.task.cfg), motion=self.task.cfg.motion,
            samples=self.samples, iterations=self.iteration, seed=self.seed,
        )  # fmt: skip
        self.skill.save(folder / "skill.pt")

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        return {
            "skill": self.skill.state_dict(),
            "contract": dataclasses.asdict(self.skill.contract),
            "critic": self.critic.state_dict(),
            "value_norm": self.value_norm.state_dict(),
            "policy_optimizer": self.policy_update.optimizer.state_dict(),
            "style_optimizer": self.style_update.optimizer.state_dict(),
            "replay": self.replay.state_dict(),
            "monitor": self.monitor.state_dict(),
            "latent": self.latent,
            "hold": self.hold,
            "demo_windows": self.demos.windows,
            "generator": self.generator.get_state(),
            "iteration": self.iteration,
            "samples": self.samples,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`."""
        self.load_weights(state)
        self.policy_update.optimizer.load_state_dict(state["policy_optimizer"])
        self.style_update.optimizer.load_state_dict(state["style_optimizer"])
        self.replay.load_state_dict(state["replay"])
        self.monitor.load_state_dict(state["monitor"])
        device = self.env.device
        self.latent, self.hold = (state[name].to(device, copy=True) for name in ("latent", "hold"))
        self.demos.windows = state["demo_windows"].to(device, copy=True)
        self.generator.set_state(state["generator"].cpu())
        self.obs: Obs = self.env.observe()

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        names = ("skill", "contract", "critic", "value_norm", "iteration", "samples")
        state = self.state_dict()
        return {name: state[name] for name in names}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        weights = state["skill"]
        if "contract" in state:  # checkpoints of earlier versions have none
            ours = dataclasses.asdict(self.skill.contract)
            if self.cfg.latents is not Latents.motion:
                ours.pop("motions")
            refuse_mismatch(state["contract"], ours)
        if self.cfg.latents is not Latents.motion:  # commands do not depend on the motions: others may be shown now
            weights = weights | {f"space.{key}": value for key, value in self.skill.space.state_dict().items()}
        self.skill.load_state_dict(weights)
        if "critic" in state:  # a skill file has none
            self.critic.load_state_dict(state["critic"])
            self.value_norm.load_state_dict(state["value_norm"])
        self.iteration, self.samples = state["iteration"], state["samples"]
