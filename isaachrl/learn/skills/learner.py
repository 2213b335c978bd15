"""Adversarial skill learning on any environment with reference motions: AMP, ASE, and latents computed from motions."""

import copy
import dataclasses
import logging
import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs, StepResult, TaskEnv
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.hierarchy.skill import Skill, check_match
from isaachrl.learn import collectives, distributed
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.skills import losses
from isaachrl.learn.skills.buffers import Rollout
from isaachrl.learn.skills.config import DistillationCfg, SkillsCfg
from isaachrl.learn.skills.contract import make_contract
from isaachrl.learn.skills.critic import Critic
from isaachrl.learn.skills.discriminator import DiscriminatorTrainer
from isaachrl.learn.skills.distillation import Distillation, rising_teacher
from isaachrl.learn.skills.evaluation import SkillEvaluation, likeness_report
from isaachrl.learn.skills.latent_source import HeldLatents, LatentSource
from isaachrl.learn.skills.monitor import Monitor
from isaachrl.learn.skills.motions import Demonstrations, imitation_task
from isaachrl.learn.skills.policy import SkillPolicy
from isaachrl.learn.skills.priorities import Priorities
from isaachrl.learn.skills.update import PolicyUpdate, Signals
from isaachrl.learn.skills.velocity import VelocityReward
from isaachrl.learn.skills.warm_start import is_of_other_motions, with_inputs, with_latents_of
from isaachrl.maths.returns import generalized_advantages
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.nn import RunningNorm
from isaachrl.sim import Control

log = logging.getLogger(__name__)

_ROW_FIELDS = (
    "obs", "known", "latent", "action", "log_prob", "mean", "advantage", "target", "explores", "window", "style_latent",
    "rising",
)  # fmt: skip


class SkillsLearner(Learner):
    """PPO with the style reward of a discriminator.

    Args:
        env: an environment whose task has motions (see `ImitationTask`).
        cfg: the learner's configuration.
        seed: of the learner's own randomness.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = (
        "episode/length",
        "episode/forward_speed_mps",
        "reward/style_deterministic",
        "skill/coverage",
    )
    DISTRIBUTED: ClassVar[bool] = True

    def __init__(self, env: Env, cfg: SkillsCfg, seed: int) -> None:
        self.env, self.cfg, self.seed = env, cfg, seed
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = 0
        self.task = imitation_task(env)
        self._disturbance = env.disturbance if isinstance(env, TaskEnv) else None
        device = env.device
        self.generator = torch.Generator(device=device).manual_seed(sub_seed(seed, Stream.learner))
        self._track_weight = self.task.cfg.reward.get("track", 0.0)
        of_motions = cfg.latents is LatentKind.motion
        self._follows = of_motions and (cfg.reward.following > 0 or cfg.distillation.tracker is not None)
        if self._follows and not self._track_weight > 0:
            raise ConfigError(
                "train.distillation and train.reward.following need the tracking error; type task.reward.track=1"
            )
        if self._follows and cfg.distillation.tracker and self.task.cfg.control is Control.torque:
            raise ConfigError("train.distillation.tracker gives joint targets; type train.distillation.tracker=null")
        if self.task.cfg.track_lost_s > 0 and not self._follows:
            raise ConfigError(
                "task.track_lost_s ends episodes in which a commanded motion is not followed; type"
                " train.reward.following=1 and train.latents=motion, or task.track_lost_s=0"
            )
        self._rises = cfg.rising.separate and cfg.latents is LatentKind.motion
        self.demos = Demonstrations(
            self.task, cfg.discriminator.demo_windows, cfg.latent.segment_s, self.generator, self._rises
        )
        self.source = LatentSource(cfg.latents, cfg.latent, self.demos, self.generator, device)
        self.velocity_reward: VelocityReward | None = None
        if cfg.latents is LatentKind.motion and cfg.reward.velocity > 0:
            self.velocity_reward = VelocityReward(self.task, self.source.embedding, cfg.latent.temperature)
        self.priorities: Priorities | None = None
        if cfg.latents is LatentKind.motion and cfg.latent.prioritize > 0:
            self.priorities = Priorities(self.demos.weights, self.source.embedding.prototypes, cfg.latent.prioritize)
            self.task.start_weights = self.task.library.weights.clone()
        torch.manual_seed(sub_seed(seed, Stream.weights))
        self.skill = Skill(make_contract(env, self.task, cfg, self.demos.names, self.source.size)).to(device)
        self.skill.embedding = self.source.embedding
        self.skill.actor.initialize_output(self.task.mean_action())
        self.skill.actor.requires_grad_(True)
        self.skill.discriminator.requires_grad_(True)
        self._known_size = 1 + self.task.reference_observation().shape[1] if self._follows else 0
        sizes = env.obs_sizes["proprioception"], self._known_size, self.source.size
        self.critic = Critic(*sizes, cfg.hidden).to(device)
        self.value_norm = RunningNorm(1, clip=1e6).to(device)
        self._has_critic = True  # False if the weights were loaded from a skill file, which has no critic
        self.teacher = rising_teacher(cfg.rising, self.skill) if self._rises else None
        self.policy_update = PolicyUpdate(cfg, self.skill, self.critic, self.source)
        self.discriminator = DiscriminatorTrainer(cfg, self.skill, self.source, self.generator)
        collectives.copy_from_first(self.skill, self.critic)
        distributed.decorrelate_seed(self.generator)
        self._is_taught = of_motions and cfg.distillation.tracker is not None
        if cfg.distillation.tracker is None and cfg.distillation != DistillationCfg():
            log.warning("nothing is learned from a tracker: there is no train.distillation.tracker=RUN")
        self._distillation: Distillation | None = None  # made when it is needed: a trained skill needs no teacher
        self._allocate()
        self.obs = env.observe()
        self.held.restart(torch.ones(env.num_envs, dtype=torch.bool, device=device))
        collectives.update_norm(self.skill.discriminator.norm, distributed.own_part(self.demos.windows.flatten(0, 1)))
        collectives.update_norm(self.skill.obs_norm, self.obs["proprioception"])

    def _allocate(self) -> None:
        """Allocate the rollout buffer, the latents and the monitor, and choose how often environments explore."""
        n, device, d = self.env.num_envs, self.env.device, self.source.size
        sizes = self.env.obs_sizes
        fields = {
            "obs": (sizes["proprioception"],), "next_obs": (sizes["proprioception"],), "window": (sizes["style"],),
            "known": (self._known_size,), "latent": (d,),
            "action": (self.env.action_size,), "mean": (self.env.action_size,),
            "log_prob": (), "value": (), "next_value": (), "task_reward": (), "explores": (),
            "terminated": (), "truncated": (), "diverged": (), "advantage": (), "target": (),
            "style_latent": (d,), "rising": (), "matched": (),
        }  # fmt: skip
        if self._follows:
            fields |= {"tracks": ()}
        if self._is_taught:
            fields |= {"taught": (self.env.action_size,), "counts": ()}
        flags = ("terminated", "truncated", "diverged", "rising", "matched", "counts")
        self.rollout = Rollout(self.cfg.horizon, n, fields, flags, device)
        self.held = HeldLatents(self.source, self.task, n, self._follows)
        self.monitor = Monitor(n, self.task.style_size, self.source.embedding, device)
        probability = (
            losses.explore_probability(n, device) if self.cfg.exploration_mix else torch.ones(n, device=device)
        )
        # the last environments always act with the policy's mean: `_step` explores where a random number in [0, 1) is
        # not above `explore_probability`, which is -1 there, so never
        self.deterministic = torch.arange(n, device=device) >= n - int(n * self.cfg.deterministic_share)
        self._any_deterministic = int(n * self.cfg.deterministic_share) > 0
        self.explore_probability = probability.masked_fill(self.deterministic, -1.0)

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner`."""
        return self.cfg.horizon * self.env.num_envs * distributed.size()

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        signals = Signals.empty()
        self.source.at_clip = 1.0 if self._distils() else self.cfg.latent.at_clip
        self.policy_update.anneal(self.iteration, self._distils(), self._disturbance)
        if self._is_taught and self.iteration == self.cfg.distillation.iterations:
            self.policy_update.take_over()
            if not self._asks_tracker():
                self._distillation = None  # its stored states take much memory
        with torch.no_grad():
            for step in range(self.cfg.horizon):
                self._step(step)
        self._learn(signals)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        self._note_training()
        result = collectives.mean_signals(signals.means() | self.monitor.read())
        if "policy/kl" in result:
            self.policy_update.adapt_learning_rate(result["policy/kl"])
        update = self.policy_update
        return result | {"policy/learning_rate": update.learning_rate, "policy/log_std": update.log_std}

    @property
    def distillation(self) -> Distillation:
        """The teachers, which only a training has."""
        if self._distillation is None:
            parts = self.cfg.distillation, self.skill, self.task, self.teacher, self.generator
            self._distillation = Distillation(*parts)
        return self._distillation

    def _distils(self) -> bool:
        """Whether the policy only learns from its teachers in this iteration."""
        return self._is_taught and self.iteration < self.cfg.distillation.iterations

    def _asks_tracker(self) -> bool:
        """Whether the policy learns from the tracker in this iteration, alone or beside its reward."""
        return self._distils() or (self._is_taught and self.cfg.distillation.weight > 0)

    def _note_training(self) -> None:
        """Write into the contract how the skill has been trained so far."""
        self.skill.contract.training.update(
            task=self.env.name, robot=self.task.cfg.robot, motion=self.task.cfg.motion,
            substeps=self.task.cfg.substeps, timestep_s=self.task.cfg.timestep_s, segment_s=self.cfg.latent.segment_s,
            samples=self.samples, iterations=self.iteration, seed=self.seed,
            min_height_m=dict(self.task.cfg.min_height_m), rising_separate=self._rises,
        )  # fmt: skip

    def _learn(self, signals: Signals) -> None:
        """All updates that follow from a full rollout."""
        with torch.no_grad():
            self._finish_rollout(signals)
        rows, minibatch, distils = self._rows(), distributed.own_rows(self.cfg.minibatch), self._distils()
        for _ in range(1 if distils else self.cfg.epochs):
            order = torch.randperm(len(rows["obs"]), generator=self.generator, device=self.env.device)
            for chosen in order.tensor_split(-(-len(order) // minibatch)):
                # `data[chosen]` gives the same and takes seven times as long
                batch = {name: data.index_select(0, chosen) for name, data in rows.items()}
                (self.policy_update.fit_critic if distils else self.policy_update.step)(batch, signals)
                self.discriminator.learn(batch["window"], batch["style_latent"], signals)
        if distils:
            self.distillation.learn(self.iteration, self.rollout.rows(), signals)
        self._after_update(rows)

    def _step(self, step: int) -> None:
        """One control step of all environments, written into the rollout."""
        obs = self.obs["proprioception"]
        normalized = self.skill.obs_norm(obs)
        mean = self.skill.actor(normalized, self.held.latent)
        noise = torch.randn(mean.shape, generator=self.generator, device=mean.device)
        explores = torch.rand(len(mean), generator=self.generator, device=mean.device) <= self.explore_probability
        action = mean + noise * explores.unsqueeze(-1) * math.exp(self.policy_update.log_std)
        if self._distils():
            self.distillation.find_lost(self.held)
        matched, known = self._followed()
        value = self.critic(normalized, known, self.held.latent)
        rising = self.task.recovering.clone() if self._rises else torch.zeros_like(self.deterministic)
        if self._asks_tracker():
            taught, counts = self.distillation.taught(obs, matched, rising)
            self.rollout.put(step, taught=taught, counts=counts)
        before, result = self.obs["style"], self.env.step(action)
        # the engine has reset a diverged world: store the previous window, since the new one shows that jump
        window = torch.where(result.diverged.unsqueeze(-1), before, result.terminal_obs["style"])
        self.rollout.put(
            step,
            obs=obs,
            next_obs=result.terminal_obs["proprioception"],
            window=window,
            known=known,
            latent=self.held.latent,
            style_latent=self.held.latent.masked_fill(rising.unsqueeze(-1), 0.0),
            rising=rising,
            matched=matched,
            action=action,
            mean=mean,
            log_prob=losses.gaussian_log_prob(action, mean, self.policy_update.log_std),
            value=self.value_norm.restore(value.unsqueeze(-1)).squeeze(-1),
            task_reward=result.reward,
            explores=explores.float(),
            terminated=result.terminated,
            truncated=result.truncated,
            diverged=result.diverged,
        )
        if self._follows:
            self.rollout.put(step, tracks=result.terms["track"] / self._track_weight)
        self._observe_episodes(result, window)
        self.obs = result.obs

    def _observe_episodes(self, result: StepResult, window: Tensor) -> None:
        """Update the monitor, and draw new latents where an episode or a latent's hold time ended."""
        newest = window[:, : self.task.style_size]
        self.monitor.after_step(result, newest, self.held.latent, self.deterministic)
        self.held.count_step()
        self.held.restart(result.done)
        renewed = self.held.renew()
        # while a body gets up, it does not do what is commanded
        self.monitor.restart(result.done | renewed | self.task.recovering if self._rises else result.done | renewed)

    def _finish_rollout(self, signals: Signals) -> None:
        """Compute rewards, next values, advantages and value targets of the whole rollout."""
        data, cfg = self.rollout, self.cfg
        reward = self._reward(signals)
        if self.priorities is not None:
            self._prioritize(self.priorities, reward, signals)
        goes_on = (~data["terminated"]).float()
        reward = reward + cfg.reward.alive * goes_on  # equal for all motions, it would only level their priorities
        signals.add({"reward/alive": goes_on.mean()})
        data["next_value"].copy_(self._next_values())
        done = data["terminated"] | data["truncated"]
        advantage = generalized_advantages(reward, data["value"], data["next_value"], done, cfg.discount, cfg.lam)
        target = advantage + data["value"]
        collectives.update_norm(self.value_norm, target.unsqueeze(-1))
        data["target"].copy_(self.value_norm(target.unsqueeze(-1)).squeeze(-1))
        count = collectives.mean(data["explores"].sum())
        mean = collectives.mean(losses.masked_mean(advantage, data["explores"], count))
        square = (advantage - mean).square()
        deviation = collectives.mean(losses.masked_mean(square, data["explores"], count)).sqrt()
        data["advantage"].copy_((advantage - mean) / (deviation + 1e-8))
        signals.add({"reward/total": reward.mean(), "policy/value": data["value"].mean()})

    def _reward(self, signals: Signals) -> Tensor:
        """Rewards `(T, N)` of the rollout: style and task, plus encoder (`ase` latents) or velocity (`motion` latents).

        The reward of a step in which the world diverged is 0.
        """
        data, weights = self.rollout, self.cfg.reward
        style, encoder = self.discriminator.rewards(data["window"], data["style_latent"])
        reward = weights.style * style + weights.task * data["task_reward"]
        signals.add({"reward/style": style.mean()})
        if self._any_deterministic:
            deterministic = self.deterministic.float().expand_as(style)
            signals.add({"reward/style_deterministic": losses.masked_mean(style, deterministic)})
        if self._follows:
            reward = reward + weights.following * data["tracks"] * data["matched"]
            signals.add({"reward/following": losses.masked_mean(data["tracks"], data["matched"].float())})
        if weights.task:
            signals.add({"reward/task": data["task_reward"].mean()})
        if encoder is not None:
            reward = reward + weights.encoder * encoder
            signals.add({"reward/encoder": encoder.mean()})
        if self.velocity_reward is not None:
            velocity = self.velocity_reward(data["window"].flatten(0, 1), data["latent"].flatten(0, 1)).view_as(style)
            velocity = velocity.masked_fill(data["rising"], 0.0)
            reward = reward + weights.velocity * velocity
            signals.add({"reward/velocity": velocity.mean()})
        if self._rises:
            reward = reward + self.cfg.rising.task_reward * data["task_reward"] * data["rising"]
            for name, term in (("style", style), ("task", data["task_reward"])):
                signals.add({f"reward/{name}_rising": losses.masked_mean(term, data["rising"].float())})
        return reward.masked_fill(data["diverged"], 0.0)

    def _prioritize(self, priorities: Priorities, reward: Tensor, signals: Signals) -> None:
        """Find how often each motion is practised from now on."""
        data = self.rollout
        counted = ~data["rising"] & data["matched"] if self._follows else ~data["rising"]
        rows = (data["latent"], reward, data["terminated"], counted)
        priorities.update(*(values.flatten(0, 1) for values in rows))
        self._practise(priorities)
        named = zip(self.demos.names, priorities.means().unbind(), strict=True)
        signals.add({f"motion/{name}": mean for name, mean in named})

    def _practise(self, priorities: Priorities) -> None:
        """Command motions, and begin episodes in them, as often as the priorities say."""
        given, commanded, weights = self.task.library.weights, self.demos.commanded, priorities.shares()
        of_clips = torch.zeros_like(given).index_add_(0, self.demos.clips, weights)
        self.source.weights.copy_(weights)
        assert self.task.start_weights is not None
        self.task.start_weights.copy_(torch.where(commanded, (given * commanded).sum() * of_clips, given))

    def _next_values(self) -> Tensor:
        """Values `(T, N)` after each step: 0 after a termination, of the last observation after a truncation.

        Otherwise it is the next step's value, under the latent of that step, which may be a new one.
        """
        data = self.rollout
        last = self._value(self.obs["proprioception"], self._followed()[1], self.held.latent)
        following = torch.cat((data["value"][1:], last.unsqueeze(0)))
        following.masked_fill_(data["terminated"], 0.0)
        # a host sync once an iteration, to evaluate the few truncated episodes only
        step, index = data["truncated"].nonzero(as_tuple=True)
        if len(step):
            # what the critic knew before the step: only in the observation does a step count
            known = data["known"][step, index]
            following[step, index] = self._value(data["next_obs"][step, index], known, data["latent"][step, index])
        return following

    def _followed(self) -> tuple[Tensor, Tensor]:
        """Which bodies `(N,)` are compared with the motion commanded, and what the critic knows of it `(N, ·)`.

        That is whether, and where the motion goes: a value that knows it varies less (Pinto et al. 2018).
        """
        matched = self.held.matched
        if not self._follows:
            return matched, matched.new_zeros(len(matched), 0, dtype=torch.float)
        known = torch.cat((torch.ones_like(self.task.tracking).unsqueeze(1), self.task.reference_observation()), dim=1)
        return matched, matched.unsqueeze(1) * known

    def _value(self, proprioception: Tensor, known: Tensor, latent: Tensor) -> Tensor:
        """Value `(n,)` in units of the reward."""
        value = self.critic(self.skill.obs_norm(proprioception), known, latent)
        return self.value_norm.restore(value.unsqueeze(-1)).squeeze(-1)

    def _rows(self) -> dict[str, Tensor]:
        """The rollout as rows, with observations normalised as the policy saw them."""
        rows = self.rollout.rows()
        chosen = {name: rows[name] for name in _ROW_FIELDS}
        chosen["free"] = torch.ones_like(rows["explores"])  # rows that do not get up as a teacher does
        weight, rising = self.cfg.rising.teacher_weight, rows["rising"].float()
        if self.teacher is not None:
            chosen["free"] *= 1.0 - rising
        if self._asks_tracker():
            own = self.cfg.distillation.weight
            chosen |= {"taught": rows["taught"], "teaching": rows["counts"] * (rising * weight + (1.0 - rising) * own)}
        elif self.teacher is not None:
            taught = self.teacher.act(chosen["obs"], chosen["latent"][:, :0]).clamp(-1.0, 1.0)
            chosen |= {"taught": taught, "teaching": rising * weight}
        chosen["obs"] = self.skill.obs_norm(chosen["obs"])
        return chosen

    def _after_update(self, rows: dict[str, Tensor]) -> None:
        """Add this rollout to the normalisers and the replay buffer, once all of its updates are done."""
        self.discriminator.store(rows["window"], rows["style_latent"])
        collectives.update_norm(self.skill.obs_norm, self.rollout["obs"])
        if self.critic.known_norm is not None:
            collectives.update_norm(self.critic.known_norm, self.rollout["known"])

    def policy(self) -> Policy:
        """See `Learner.policy`: latents are drawn and held as in training."""
        return SkillPolicy(self.skill, HeldLatents(self.source, self.task, self.env.num_envs))

    def evaluate(self) -> dict[str, Any]:
        """See `Learner.evaluate`: `SkillEvaluation.report`, or without latents `likeness_report`."""
        assert isinstance(self.env, TaskEnv)
        if self.cfg.latents is LatentKind.none:
            return likeness_report(self.skill, self.env, self.task)
        return SkillEvaluation(self.skill, self.env, self.task, self.demos).report(self.source.draw)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: the low level."""
        inputs = {"proprioception": self.obs["proprioception"][:1].cpu(), "latent": self.source.draw(1).cpu()}
        module = copy.deepcopy(self.skill.controller_module()).cpu()
        return [Exported("low_level", module, inputs, "joint_targets", self.skill.controller_contract())]

    def save_products(self, folder: Path) -> None:
        """Write `skill.pt`."""
        self.skill.save(folder / "skill.pt")

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        state = {
            **self.weights(),
            "policy_optimizer": self.policy_update.optimizer.state_dict(),
            "style_optimizer": self.discriminator.optimizer.state_dict(),
            "monitor": self.monitor.state_dict(),
            **self.held.state_dict(),
            "demo_windows": self.demos.windows.clone(),
            "generator": self.generator.get_state(),
        }
        if self.priorities is not None:
            state["priorities"] = self.priorities.state_dict()
        if self._distils() and self.cfg.checkpoint_replay:
            state["distillation"] = self.distillation.state_dict()
        return state | {"replay": self.discriminator.replay.state_dict()} if self.cfg.checkpoint_replay else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`. Without a stored replay, a new one fills up from the next rollout on."""
        self.load_weights(state)
        self.policy_update.optimizer.load_state_dict(state["policy_optimizer"])
        self.discriminator.optimizer.load_state_dict(state["style_optimizer"])
        if "replay" in state:
            self.discriminator.replay.load_state_dict(state["replay"])
        self.monitor.load_state_dict(state["monitor"])
        self.held.load_state_dict(state)
        self.demos.windows = state["demo_windows"].to(self.env.device, copy=True)
        if self.priorities is not None and "priorities" in state:
            self.priorities.load_state_dict(state["priorities"])
            self._practise(self.priorities)
        if self._is_taught and "distillation" in state:
            self.distillation.load_state_dict(state["distillation"])
        self.generator.set_state(state["generator"].cpu())
        self.obs: Obs = self.env.observe()

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        weights = {"skill": self.skill.state_dict(), "contract": dataclasses.asdict(self.skill.contract)}
        if self._has_critic:
            weights |= {"critic": self.critic.state_dict(), "value_norm": self.value_norm.state_dict()}
        return weights | {"iteration": self.iteration, "samples": self.samples}

    def start_from(self, state: dict[str, Any]) -> None:
        """See `Learner.start_from`. A skill of other motions takes this training's latents from now on."""
        ours = self.skill.contract
        if self.cfg.latents is LatentKind.motion and is_of_other_motions(state, ours.motions, self.source.size):
            of_task = dataclasses.asdict(self.skill.contract)
            check_match(state["contract"], {k: v for k, v in of_task.items() if k not in ("motions", "latent_size")})
            log.warning("the weights are of a skill of other motions or another latent size: its latents are mapped")
            state = with_latents_of(state, self.skill.embedding)
            state["contract"] = state["contract"] | {"motions": self.skill.contract.motions}
        if "critic" in state:
            state = state | {"critic": with_inputs(state["critic"], self.critic.state_dict(), self.source.size)}
        self.load_weights(state)
        self.policy_update.take_over()

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        weights = state["skill"]
        if "contract" in state:
            of_task = dataclasses.asdict(self.skill.contract)
            if self.cfg.latents is not LatentKind.motion:
                of_task.pop("motions")
            check_match(state["contract"], of_task)
            self.skill.contract.training.update(state["contract"].get("training", {}))
        # unless the latents are computed from motions, the embedding is used only to compute signals: keep this run's
        # own, since the checkpoint's may have been computed from other motions
        if self.cfg.latents is not LatentKind.motion:
            weights = weights | {f"embedding.{key}": value for key, value in self.skill.embedding.state_dict().items()}
        self.skill.load_state_dict(weights)
        self._has_critic = "critic" in state
        if self._has_critic:
            self.critic.load_state_dict(state["critic"])
            self.value_norm.load_state_dict(state["value_norm"])
        self.iteration, self.samples = state["iteration"], state["samples"]
