"""The first part of a skill's training: the policy learns from teachers that know more, in the states it comes to."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl import shipped
from isaachrl.errors import ConfigError, ReadError, SkillError, brief
from isaachrl.hierarchy.skill import Skill, check_weights
from isaachrl.learn import collectives, distributed
from isaachrl.learn.skills.config import DistillationCfg, RisingCfg
from isaachrl.learn.skills.latent_source import HeldLatents
from isaachrl.learn.skills.motions import ImitationTask
from isaachrl.learn.skills.update import Signals, clip_gradients
from isaachrl.learn.state import Stateful
from isaachrl.memory import require_memory
from isaachrl.motion.library import MotionLibrary
from isaachrl.nn.policy_mean import PolicyMean
from isaachrl.tensor_file import read_tensors

_LAST = "checkpoints/last.pt"  # of a run's folder
_LEARNING_RATE_END = 5e-5
_BUFFERS = ("obs", "latent", "action")
_LARGE = 0.3  # length of an action's error beyond which the loss grows linearly: a teacher may be at a loss, too
_NEAR = 0.025  # share of the robot's height, about as near as the shipped tracker comes
_FOLLOW_S = 0.5  # before a body can have lost its way
_GOES_MPS, _TURNS_RAD_S = 0.2, 0.3  # mean velocity, in the body's heading, from which on a clip goes somewhere


def rising_teacher(cfg: RisingCfg, skill: Skill) -> Skill | None:
    """The skill that a skill learns getting up from; None without one.

    Raises:
        ConfigError: it takes latents.
        SkillError: there is no such skill, or it is another robot's.
    """
    if not cfg.teacher:
        return None
    teacher = Skill.load(cfg.teacher, skill.embedding.prototypes.device)
    teacher.check_same_robot(skill)
    if teacher.latent_size:
        raise ConfigError(f"train.rising.teacher={cfg.teacher}: expected a skill without latents")
    return teacher


def goes_somewhere(library: MotionLibrary) -> Tensor:
    """Which clips `(C,)` walk or turn, and are not done in place. One that walks forth and back counts as in place."""
    times = library.durations_s.unsqueeze(1) * torch.linspace(0.0, 1.0, 64, device=library.durations_s.device)
    clips = torch.arange(library.num_clips, device=times.device).unsqueeze(1)
    mean = library.planar_velocity(clips, times).mean(1)
    return (mean[:, :2].norm(dim=1) > _GOES_MPS) | (mean[:, 2].abs() > _TURNS_RAD_S)


class Tracker:
    """A policy that follows reference motions, trained on `HumanoidTracking`.

    Args:
        name: a run's folder, a checkpoint, or the name of a shipped policy.
        task: whose bodies it follows motions with.
        key: of the configuration, for messages.

    Raises:
        ConfigError: there is no such policy, it is of another kind, or another robot's.
    """

    def __init__(self, name: str, task: ImitationTask, key: str) -> None:
        self._task = task
        try:
            path = shipped.find(name, _LAST)
            if path is None:
                raise ConfigError(f"there is no such file or run{shipped.names_like(name)}")
            content = read_tensors(path)
            if content.get("task") != "HumanoidTracking":
                raise ConfigError(f"it is a policy of task={brief(content.get('task'))}")
            cfg = content["config"]["task"]
            self._residual = float(cfg["residual"])
            for setting in ("robot", "substeps", "timestep_s"):
                if cfg[setting] != getattr(task.cfg, setting):
                    raise ConfigError(f"its task.{setting} is {brief(cfg[setting])}, not {getattr(task.cfg, setting)}")
            weights = check_weights(content["learner_state"]["agent"]["model"])
            self._policy = PolicyMean(weights).to(task.sim.device)
            self._check_input()
        except (
            ConfigError,
            ReadError,
            SkillError,
            OSError,
            KeyError,
            RuntimeError,
            AttributeError,
            TypeError,
        ) as error:
            hint = f"train one with `{shipped.PROGRAM} task=HumanoidTracking` and type {key}=RUN, its folder"
            raise ConfigError(f"{key}={brief(name)}: {brief(error)}; {hint}") from error

    def _check_input(self) -> None:
        """Check that the policy observes and moves a robot like the task's."""
        observed = sum(size for _, size, _ in self._task.proprioception_layout)
        observed += self._task.reference_observation().shape[1]
        if self._policy.sizes != (observed, len(self._task.action_scale)):
            raise ConfigError(
                f"it takes {self._policy.sizes[0]} numbers and moves {self._policy.sizes[1]} motors, but"
                f" robot={self._task.sim.robot.name} has {observed} and {len(self._task.action_scale)}"
            )

    def act(self, proprioception: Tensor) -> Tensor:
        """The actions `(N, A)` that follow the references."""
        residual = self._policy(torch.cat((proprioception, self._task.reference_observation()), dim=1))
        return (self._task.clip_action() + self._residual * residual).clamp(-1.0, 1.0)


class Distillation(Stateful):
    """DAgger (Ross et al. 2011): the policy acts, teachers say what they would do there, and the policy learns from all
    that they have said lately.

    A body that follows a motion learns from `tracker`, which observes where the motion goes, and one that gets up from
    `rising`. States of both kinds are stored with the latent commanded.

    Args:
        cfg: see `DistillationCfg`.
        skill: whose actor learns.
        task: the bodies and their references.
        rising: a skill without latents.
        generator: draws rows.
    """

    STATE: ClassVar = ("optimizer", "filled", "position", *_BUFFERS)

    def __init__(
        self, cfg: DistillationCfg, skill: Skill, task: ImitationTask, rising: Skill | None, generator: torch.Generator
    ) -> None:
        self.cfg, self._skill, self._task, self._rising, self._generator = cfg, skill, task, rising, generator
        self.tracker = Tracker(str(cfg.tracker), task, "train.distillation.tracker")
        self.optimizer = torch.optim.Adam(skill.actor.parameters(), lr=cfg.learning_rate)
        height_m = task.sim.robot.height_m
        near_m = task.posture_change_m(cfg.within_s).clamp_min(_NEAR * height_m)
        self._within_m = torch.where(goes_somewhere(task.library), near_m, cfg.in_place * height_m)
        device, size = task.sim.device, distributed.own_rows(cfg.replay_size)
        widths = sum(width for _, width, _ in task.proprioception_layout), skill.latent_size, len(task.action_scale)
        what = f"train.distillation.replay_size={cfg.replay_size}: so many states"
        require_memory(4 * size * sum(widths), device, what, "type train.distillation.replay_size=50000")
        self.obs, self.latent, self.action = (torch.zeros(size, width, device=device) for width in widths)
        self.filled = self.position = 0

    def taught(self, proprioception: Tensor, followed: Tensor, rising: Tensor) -> tuple[Tensor, Tensor]:
        """What the teachers would do, before a step.

        Args:
            proprioception: `(N, ·)`.
            followed: `(N,)` bool: the motion commanded is the reference.
            rising: `(N,)` bool: the body is getting up.

        Returns:
            action: `(N, A)`.
            counts: `(N,)` bool: a teacher knows this state.
        """
        action = self.tracker.act(proprioception)
        counts = followed & ~rising & self._is_near()
        if self._rising is None:
            return action, counts
        up = self._rising.act(proprioception, proprioception[:, :0]).clamp(-1.0, 1.0)
        return torch.where(rising.unsqueeze(1), up, action), counts | rising

    def find_lost(self, held: HeldLatents) -> None:
        """Lead bodies that have lost the motion commanded to it again."""
        held.lead_again(~self._is_near() & (held.led * self._task.cfg.step_s > _FOLLOW_S))

    def _is_near(self) -> Tensor:
        """Which bodies `(N,)` are near enough to their references for the tracker to tell what their motion needs."""
        return self._task.tracking_distance_m() <= self._within_m[self._task.reference_clip]

    def learn(self, iteration: int, rollout: dict[str, Tensor], signals: Signals) -> None:
        """Store a rollout's states with what was taught there, and train on stored ones.

        Args:
            iteration: of the training.
            rollout: rows of obs, latent, taught and counts.
            signals: collects what is logged.
        """
        chosen = rollout["counts"].nonzero()[:, 0]
        self._store(*(rollout[name][chosen] for name in ("obs", "latent", "taught")))
        share = iteration / self.cfg.iterations
        for group in self.optimizer.param_groups:
            group["lr"] = self.cfg.learning_rate * (1.0 - share) + _LEARNING_RATE_END * share
        rows = distributed.own_rows(self.cfg.rows)
        everywhere = collectives.mean(torch.tensor(float(self.filled > 0), device=self.obs.device))
        for _ in range(self.cfg.updates if everywhere == 1.0 else 0):  # all ranks, or none
            row = torch.randint(self.filled, (rows,), generator=self._generator, device=self.obs.device)
            normalized = self._skill.obs_norm(self.obs.index_select(0, row))
            mean = self._skill.actor(normalized, self.latent.index_select(0, row))
            error2 = (mean - self.action.index_select(0, row)).square().sum(-1)
            loss = _LARGE**2 * (torch.sqrt(1.0 + error2 / _LARGE**2) - 1.0).mean()  # pseudo-Huber
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            collectives.average_gradients(self._skill.actor.parameters())
            clip_gradients(self._skill.actor, 1.0)
            self.optimizer.step()
            signals.add({"loss/distillation": loss})

    def _store(self, *rows: Tensor) -> None:
        """Write rows over the oldest ones."""
        size, count = len(self.obs), min(len(self.obs), len(rows[0]))
        index = (self.position + torch.arange(count, device=self.obs.device)) % size
        for name, values in zip(_BUFFERS, rows, strict=True):
            getattr(self, name)[index] = values[:count]
        self.position = (self.position + count) % size
        self.filled = min(size, self.filled + count)

    def state_dict(self) -> dict[str, Any]:
        """Contents and optimizer; only what is filled."""
        state = super().state_dict()
        return state | {name: state[name][: self.filled].clone() for name in _BUFFERS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.filled, self.position = state["filled"], state["position"]
        for name in _BUFFERS:
            getattr(self, name)[: self.filled] = state[name]
