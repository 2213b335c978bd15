"""Configuration of adversarial skill learning."""

from dataclasses import dataclass, field
from typing import ClassVar

from isaachrl.config import bounded, layers, positive
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.nn import Precision
from isaachrl.nn.style import DiscriminatorLoss


@dataclass
class LatentCfg:
    """The latent of the skill.

    Args:
        size: d, the sphere is in d dimensions; ignored for `none`.
        hold_steps_min, hold_steps_max: range of the number of steps that a latent is held for, log-uniform.
        at_clip: (`motion`) share of latents that are the prototype of a segment.
        between_clips: (`motion`) share of latents on the arc between two prototypes; the rest is uniform on the sphere.
        match_start: (`motion`) share of episodes that begin with the latent of the segment that they start in.
        temperature: (`motion`) demonstrations for a latent are drawn from the segments with probability
            softmax(cosine / temperature).
        segment_s: (`motion`) clips longer than this are cut into segments of about this length. A body that follows one
            (`reward.following`) is led on into the next.
        kernel_width: (`motion`) of the kernel of the prototypes, see `MotionEmbedding`.
        prioritize: (`motion`) how much more often motions are commanded, and begun in, that earn little; see
            `Priorities`. 0 for the weights of the clips.
    """

    size: int = bounded(16, 2, 1024)
    hold_steps_min: int = bounded(5, 1)
    hold_steps_max: int = 150
    at_clip: float = bounded(0.6, 0.0, 1.0)
    between_clips: float = bounded(0.2, 0.0, 1.0)
    match_start: float = 0.8
    temperature: float = positive(0.05)
    segment_s: float = positive(12.0)
    kernel_width: float = positive(1.0)
    prioritize: float = bounded(0.0, 0.0, 100.0)

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if self.hold_steps_min > self.hold_steps_max:
            raise ConfigError(
                f"train.latent.hold_steps_min={self.hold_steps_min} is above hold_steps_max={self.hold_steps_max}"
            )
        if self.at_clip + self.between_clips > 1:
            raise ConfigError("train.latent.at_clip + between_clips must be at most 1")


@dataclass
class DiscriminatorCfg:
    """The discriminator.

    Args:
        loss: how it is trained, and the style reward that goes with it, see `DiscriminatorLoss`.
        hidden: widths of its layers.
        learning_rate: of its own Adam.
        rows: number of rows of each minibatch that it is trained on.
        gradient_penalty: weight of the mean squared gradient on demonstrations, in normalised input space.
        logit_decay: weight of the squared weights of the last layer.
        weight_decay: weight of the squared weights of all layers.
        replay_size: size of the replay buffer of agent windows.
        replay_keep: share of a rollout that is stored once the replay buffer is full.
        mismatched: (`motion`) demonstrations under a wrong latent, as a share of `rows`; see
            `DiscriminatorTrainer.learn`.
        demo_windows: windows drawn per motion segment as demonstrations.
    """

    RENAMED: ClassVar[dict[str, str]] = {"judgement": "loss"}

    loss: DiscriminatorLoss = DiscriminatorLoss.least_squares
    hidden: list[int] = layers(256, 128)
    learning_rate: float = positive(1e-4)
    rows: int = bounded(1024, 1, 1_000_000)
    gradient_penalty: float = bounded(5.0, 0.0)
    logit_decay: float = bounded(0.05, 0.0)
    weight_decay: float = bounded(1e-4, 0.0)
    replay_size: int = bounded(100_000, 1)
    replay_keep: float = bounded(0.1, 0.0, 1.0)
    mismatched: float = bounded(1.0, 0.0, 1.0)
    demo_windows: int = bounded(2048, 1, 100_000)


@dataclass
class RewardCfg:
    """Weights of the reward terms.

    Args:
        style: of the style reward, see `DiscriminatorLoss`.
        encoder: (`ase`) of `max(cosine of encoding and latent, 0)`.
        velocity: (`motion`) of moving and turning as fast as the commanded motion, see `VelocityReward`.
        task: of the environment's own reward.
        following: (`motion`) of being near a motion while it is commanded, and on the way to it, as `task.reward.track`
            measures it, see `MotionGraph`.
        alive: of each step that does not terminate the episode: the same is lost by a fall, a lost motion or a
            divergence under every command. (`task.reward.alive` is of heights, and counts by the weight `task`.)
    """

    RENAMED: ClassVar[dict[str, str]] = {"pace": "velocity", "task_at_start": "following"}

    style: float = 1.0
    encoder: float = 0.5
    velocity: float = 0.5
    task: float = 0.0
    following: float = bounded(0.0, 0.0)
    alive: float = bounded(0.0, 0.0)


@dataclass
class RisingCfg:
    """Getting up inside a skill that is commanded (`motion` latents), with episodes that begin on the floor.

    Args:
        separate: clips that begin on the floor are no commands. Instead, until a body that began on the floor has got
            up, its windows are compared with these clips, whatever the command, and there is no velocity reward.
        task_reward: in that time, weight of the environment's own reward.
        teacher: in that time, the policy also learns to act as this skill, one without latents (Schmitt et al. 2018).
        teacher_weight: of the mean KL divergence from the teacher.
    """

    separate: bool = False
    task_reward: float = bounded(0.0, 0.0)
    teacher: str | None = None
    teacher_weight: float = bounded(0.08, 0.0)

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if not self.separate and (self.task_reward or self.teacher):
            raise ConfigError("train.rising.task_reward and teacher are for train.rising.separate=true; add it")


@dataclass
class DistillationCfg:
    """The first iterations of a training with `motion` latents, in which the policy learns from teachers, see
    `Distillation`. Motions that noise would not find are there from the beginning then.

    Args:
        tracker: a run of `HumanoidTracking` on the same motions, its folder or file, or a shipped policy's name; None
            for no distillation.
        iterations: how many; in them there is no policy gradient, and critic and discriminator get one epoch each.
        log_std: of the policy in these iterations, instead of `train.log_std`: there is nothing to be found yet, and
            noise shakes what is learned.
        weight: afterwards, of the mean KL divergence from the tracker's actions, which grows as the noise is annealed.
        within_s: the tracker's actions count where the body is about as near to its reference as one that leads or
            trails it by this time (or by 2.5 % of its height); farther away it is led to the motion commanded anew.
            What it is told there, to catch up, suits no moment of the motion: of all that a standing body would be
            told while a side step goes on, the mean is to stand.
        in_place: for clips that go nowhere, the distance from the reference, RMS of the bodies, as a share of the
            robot's height, up to which actions count: an arm that is not raised yet is told to rise at any moment.
        updates: minibatches of the policy in each iteration.
        rows: of a minibatch.
        replay_size: number of latest states that rows are drawn from.
        learning_rate: at the begin; it falls linearly to 5e-5.
    """

    tracker: str | None = None
    iterations: int = bounded(200, 1)
    log_std: float = bounded(-3.8, -20.0, 5.0)
    weight: float = bounded(0.0, 0.0)
    within_s: float = positive(0.12)
    in_place: float = positive(0.18)
    updates: int = bounded(24, 1, 10_000)
    rows: int = bounded(1024, 1, 1_000_000)
    replay_size: int = bounded(131_072, 1)
    learning_rate: float = positive(1e-3)


@dataclass
class SkillsCfg:
    """PPO against a discriminator. Defaults suit two CPU cores; `cfg/train/` holds a recipe for GPUs.

    Args:
        latents: kind of latent, see `LatentKind`.
        max_iterations: length of the training.
        horizon: steps of each environment in a rollout.
        minibatch: rows of a minibatch.
        epochs: passes over a rollout.
        hidden: widths of actor and critic.
        latent_hidden: widths of the latent's network (its output passes through tanh).
        learning_rate: initial learning rate of Adam for actor and critic.
        target_kl: the learning rate is adapted to this KL divergence per iteration; 0 keeps it fixed.
        log_std: logarithm of the policy's standard deviation, in action units; the same for every action.
        log_std_end: its final value, reached linearly between `anneal_from` and `anneal_to`, shares of
            `max_iterations`. Noise makes joints jitter, and a discriminator detects jitter first: with less of it the
            style reward depends more on the motion itself.
        push_end: share of `task.disturb.push` that is left in the end; pushes weaken as the noise does.
        deterministic_share: share of the environments that always act with the policy's mean. Signals about style and
            latents are measured on them; the policy's loss leaves them out.
        discount, lam, clip, bound_loss, gradient_clip: the usual ones of PPO.
        critic_weight: of the critic's loss; as actor and critic share no weights and Adam normalises gradients, it only
            sets the scale at which they are clipped.
        diversity: (`ase`) weight of the diversity loss; action distances are in standard deviations if
            `diversity_in_std`, else in action units as published.
        encoder_weight: (`ase`) weight of the encoder's loss beside the discriminator's.
        precision: of the matrix products of an update, see `Precision`.
        exploration_mix: (`ase`) a few environments act without noise, see `explore_probability`.
        checkpoint_replay: store the replays of discriminator and distillation in `last.pt`, so that a resumed run
            continues bit for bit.
    """

    RENAMED: ClassVar[dict[str, str]] = {"mean_share": "deterministic_share"}

    latents: LatentKind = LatentKind.motion
    max_iterations: int = bounded(300, 1)
    horizon: int = bounded(16, 1, 10_000)
    minibatch: int = bounded(4096, 1)
    epochs: int = bounded(3, 1, 1000)
    hidden: list[int] = layers(256, 128)
    latent_hidden: list[int] = layers(64, 32)
    learning_rate: float = positive(3e-4)
    target_kl: float = bounded(0.015, 0.0)
    log_std: float = bounded(-2.9, -20.0, 5.0)
    log_std_end: float = bounded(-2.9, -20.0, 5.0)
    anneal_from: float = bounded(0.3, 0.0)
    anneal_to: float = 0.6
    push_end: float = bounded(1.0, 0.0, 1.0)
    deterministic_share: float = bounded(0.05, 0.0, 0.99)
    discount: float = positive(0.99, 0.999999)
    lam: float = bounded(0.95, 0.0, 1.0)
    clip: float = positive(0.2)
    bound_loss: float = bounded(10.0, 0.0)
    critic_weight: float = bounded(5.0, 0.0)
    gradient_clip: float = positive(1.0)
    diversity: float = bounded(0.01, 0.0)
    diversity_in_std: bool = False
    encoder_weight: float = bounded(1.0, 0.0)
    exploration_mix: bool = False
    precision: Precision = Precision.auto
    checkpoint_replay: bool = True
    latent: LatentCfg = field(default_factory=LatentCfg)
    discriminator: DiscriminatorCfg = field(default_factory=DiscriminatorCfg)
    reward: RewardCfg = field(default_factory=RewardCfg)
    rising: RisingCfg = field(default_factory=RisingCfg)
    distillation: DistillationCfg = field(default_factory=DistillationCfg)

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if self.anneal_from >= self.anneal_to:
            raise ConfigError(
                f"train.anneal_from={self.anneal_from} must be below train.anneal_to={self.anneal_to}; lower it or"
                " raise the other"
            )
