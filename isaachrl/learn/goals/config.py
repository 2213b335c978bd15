"""Configuration of the goal-conditioned learners. Defaults are HIRO as published (Nachum et al. 2018)."""

import math
import operator
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import accumulate
from typing import ClassVar

from isaachrl.config import MAX_WIDTH, bounded, layers, positive
from isaachrl.errors import ConfigError
from isaachrl.learn.goals.goals import WorkerReward
from isaachrl.nn import Precision


class Correction(Enum):
    """Off-policy correction of a manager's replayed goals: `hiro` takes the best of ten candidates; `none` is off."""

    none = "none"
    hiro = "hiro"


class Inputs(Enum):
    """Inputs of the networks: `raw` as published, or `scaled` by the typical sizes that the task names."""

    raw = "raw"
    scaled = "scaled"


class Algorithm(Enum):
    """How a level learns: `td3` (Fujimoto et al. 2018) or `sac`, soft actor-critic (Haarnoja et al. 2018)."""

    td3 = "td3"
    sac = "sac"


class Boundary(Enum):
    """Goal in the worker's bootstrap value at the end of a segment: the `manager`'s next goal, or the old one,
    `carried` along by the goal transition.
    """

    manager = "manager"
    carried = "carried"


class Connection(Enum):
    """Connected gradient (Kreidieh et al. 2020), at one step of each of the manager's segments.

    `none`: off. `paper`: derivative of the worker's reward at the replayed transition, plus that of the worker's
    critic through the worker's action (Eq. 14). `total`: derivative of the critic through the action and directly; for
    an exact critic it equals the discounted sum of the paper's terms over the remaining steps of the segment.
    """

    none = "none"
    paper = "paper"
    total = "total"


@dataclass
class ExplorationCfg:
    """Gaussian noise on the actions of a deterministic policy (TD3). SAC uses `uniform_share` alone.

    Args:
        low, high: range of the standard deviation, drawn log-uniformly for each episode of each environment. In half
            ranges of the action; with `LevelCfg.hiro_details` in its own units (N m, m).
        correlation: of successive draws in half of the episodes; 0 for white noise.
        uniform_share: share of actions drawn uniformly instead.
    """

    low: float = positive(1.0)
    high: float = positive(1.0)
    correlation: float = bounded(0.0, 0.0, 0.9999)
    uniform_share: float = bounded(0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        """Validate the range of standard deviations."""
        if self.high < self.low:
            raise ConfigError(f"train: exploration.high={self.high}: expected low={self.low} or more")


@dataclass
class CriticCfg:
    """The critics and their targets.

    Args:
        hidden: widths of the hidden layers; empty for those of the actor.
        layer_norm: normalise hidden layers, without learned scale.
        huber: Huber loss, linear beyond an error of 1, as in HIRO's code; else squared. A linear loss tends to the
            median of the return, which leaves out rare and costly events such as falling over.
        target_noise: standard deviation of target policy smoothing (TD3), in the units of `ExplorationCfg.low`.
        bins: above 0, critics are histograms of so many bins, trained by cross-entropy in place of `huber`, see
            `Histogram`.
        value_limit: half range of the histograms, in units of the scaled reward; larger values are clipped.
    """

    hidden: list[int] = bounded([], 1, MAX_WIDTH)
    layer_norm: bool = False
    huber: bool = True
    target_noise: float = bounded(0.2, 0.0)
    bins: int = bounded(0, 0, 10_000)
    value_limit: float = positive(100.0)


@dataclass
class EntropyCfg:
    """The entropy term of SAC. The target entropy is minus the number of action entries, for actions in [-1, 1].

    Args:
        temperature: initial weight of the entropy, in units of the scaled reward.
        learning_rate: of Adam on the logarithm of the temperature; 0 keeps it fixed.
    """

    temperature: float = positive(1.0)
    learning_rate: float = bounded(3e-4, 0.0)


@dataclass
class LevelCfg:
    """One level's actor and critics, and how they learn.

    Args:
        algorithm: see `Algorithm`.
        hidden: widths of the hidden layers; `critic.hidden` those of the critics if they differ.
        actor_learning_rate, critic_learning_rate: of Adam.
        learning_rate_end: factor of both rates at the end of training; they fall linearly.
        discount: of one step of this level.
        reward_scale: factor of the reward.
        target_rate: tau of the target networks, which move every `policy_delay` updates; 1 for no target networks.
        weight_decay: of AdamW, per unit of the learning rate; on all weights of actor and critics.
        ema_rate: above 0, evaluation, play and export use an exponential moving average of the actor, which moves by
            this share at each of the actor's updates. Successive actors differ more than they improve.
        policy_delay: critic updates per update of actor and target networks.
        batch: rows of an update.
        updates_per_step: updates per step of this level, taken by all environments at once; may be a fraction.
        small_last_layer: initialise last layers uniformly within 0.003 and hidden biases at zero, as in the code of
            HIRO and HRL-CG; else as PyTorch does.
        hiro_details: details of HIRO's code: noise has one standard deviation in the action's own units, smoothed
            target actions are not clipped to the range, and critics get the action again before their second layer.
            Else noise is in half ranges, target actions are clipped, and only the first layer gets the action.
        exploration, critic, entropy: see their classes.
    """

    RENAMED: ClassVar[dict[str, str]] = {
        "average_rate": "ema_rate", "noise_low": "exploration.low", "noise_high": "exploration.high",
        "noise_correlation": "exploration.correlation", "uniform_share": "exploration.uniform_share",
        "layer_norm": "critic.layer_norm", "huber": "critic.huber", "target_noise": "critic.target_noise",
        "noise_raw": "hiro_details", "clip_target_action": "hiro_details", "action_again": "hiro_details",
        "temperature": "entropy.temperature", "temperature_learning_rate": "entropy.learning_rate",
        "target_noise_clip": "", "target_entropy": "",
    }  # fmt: skip

    algorithm: Algorithm = Algorithm.td3
    hidden: list[int] = layers(300, 300)
    actor_learning_rate: float = positive(1e-4)
    critic_learning_rate: float = positive(1e-3)
    learning_rate_end: float = bounded(1.0, 0.0, 1.0)
    discount: float = bounded(0.99, 0.0, 1.0)
    reward_scale: float = 1.0
    target_rate: float = positive(0.005, 1.0)
    weight_decay: float = bounded(0.0, 0.0, 100.0)
    ema_rate: float = bounded(0.0, 0.0, 0.9999)
    policy_delay: int = bounded(2, 1)
    batch: int = bounded(100, 1, 65_536)
    updates_per_step: float = bounded(1.0, 0.0, 10_000.0)
    small_last_layer: bool = True
    hiro_details: bool = True
    exploration: ExplorationCfg = field(default_factory=ExplorationCfg)
    critic: CriticCfg = field(default_factory=CriticCfg)
    entropy: EntropyCfg = field(default_factory=EntropyCfg)


@dataclass
class ConnectionCfg:
    """The connected gradient in the manager's loss (Kreidieh et al. 2020).

    Args:
        mode: see `Connection`.
        weight: lambda; published: 0.005 on AntMaze, 0.01 on AntGather.
        target: if set, lambda is learned, as the multiplier of the constraint that the worker's reward plus value is at
            least this.
    """

    mode: Connection = Connection.none
    weight: float = bounded(0.01, 0.0)
    target: float | None = None


@dataclass
class FlipsCfg:
    """Bodies that lie on their back, in training.

    Args:
        penalty: above 0, lying on the back ends the worker's return and costs this.
        reset_steps: above 0, an episode is cut short after so many steps on the back, at the end of a segment.
    """

    penalty: float = bounded(0.0, 0.0)
    reset_steps: int = bounded(0, 0)


@dataclass
class NStepCfg:
    """Targets of the top level over several of its decisions, without correction for the later ones being off-policy.

    Args:
        decisions: over which rewards are summed before the bootstrap, at first; fewer where an episode ends.
        until: share of training at which the number, rounded up, would be 0; it falls in a straight line. So three
            decisions are two after a third of this share, and one after two thirds.
    """

    decisions: int = bounded(1, 1, 100)
    until: float = positive(1.0, 1.0)


def manager_defaults() -> LevelCfg:
    """The published manager: as the worker, with a tenth of the reward."""
    return LevelCfg(reward_scale=0.1)


@dataclass
class GoalsCfg:
    """Managers that set goals and a worker that reaches them, all trained off-policy.

    Without managers (`meta_periods=[]`) the worker is an ordinary policy that learns from the task's reward.

    Args:
        max_iterations: length of training.
        steps_per_iteration: steps of every environment in an iteration.
        meta_periods: decisions of the level below per goal, for each manager from the lowest up. [10] is HIRO; with
            [10, 5] the lower manager acts every 10 steps and the upper one every 50. Correction and connection are for
            one manager.
        goal_size: d; a goal is a change of the first d entries of the state.
        hide_position: zero the x and y position in the worker's input.
        worker_symmetry: the worker sees canonical states by the symmetries of the task (`contract.Symmetry`), and of an
            ant's state nothing but the ant. Goals must be about the place, in two entries or with the height in
            three. Other bodies are turned to heading 0, which is right for observations and actions in frames of the
            body. No effect in tasks with a `state` that name no symmetry.
        inputs: see `Inputs`.
        correction: see `Correction`.
        pool_sets: 0 corrects every batch of the manager. Else one batch is corrected each meta step, and updates draw
            from the last so many batches.
        connection: see `ConnectionCfg`.
        worker_reward: see `WorkerReward`.
        progress_limit: the most that the `progress` of a step counts, in units of the state; a decision of a middle
            manager may count as much for each of its steps. 0: no limit. An ant that is fast enough then gains nothing
            by being faster, and falls over less.
        boundary: see `Boundary`.
        goal_resampling: share of a worker's batch whose goals are resampled uniformly; reward and next goal follow.
        target_resampling: share of the top level's batch whose targets are resampled; the reward follows. No effect in
            tasks without targets.
        future_share: of those resampled targets, the share that are places reached later in the same episode, drawn
            uniformly ("future" of Andrychowicz et al. 2017).
        recent_share: of a batch, the share drawn from the newest tenth of the replay alone.
        n_step: see `NStepCfg`.
        centre_reward: subtract the running mean from the top level's reward. No effect in tasks that terminate
            episodes: there a constant would change the optimal policy.
        flips: see `FlipsCfg`.
        stagger: cut the first episodes short at random multiples of the top period, so that not all end at once.
        warmup_steps: steps of every environment before the first update.
        warmup_uniform: uniformly random actions and goals meanwhile; else those of the untrained networks, with noise.
        replay_steps: capacity of the replay, in steps.
        checkpoint_replay: store the replay in `last.pt`, so that a resumed run continues bit for bit.
        threads: 1, or 2 to update the worker on a thread of its own. Meanwhile the other one acts and updates the
            manager with the worker of the last meta step, and both draw from the replay of then: as deterministic as
            one. For one manager; on a GPU it is one.
        eval_every: iterations between two evaluations; 0 for none.
        eval_episodes: episodes of each evaluation.
        precision: of the hidden layers' products in updates; `auto` uses bfloat16 where the device is fast at it.
        worker, manager: the levels. Middle managers have the settings of `manager` and the worker's reward.
    """

    RENAMED: ClassVar[dict[str, str]] = {
        "meta_period": "meta_periods", "check_every": "eval_every", "check_episodes": "eval_episodes",
        "flip_penalty": "flips.penalty", "flip_reset_steps": "flips.reset_steps", "policy": "worker",
        "absolute_goals": "", "hindsight": "", "subgoal_testing_rate": "", "subgoal_tolerance": "",
        "subgoal_penalty": "", "freeze_worker_at": "", "pretrain_worker_until": "",
    }  # fmt: skip

    max_iterations: int = bounded(25_000, 1)
    steps_per_iteration: int = bounded(500, 1)
    meta_periods: list[int] = bounded([10], 1, 10_000)
    goal_size: int = bounded(15, 1, 1000)
    hide_position: bool = True
    worker_symmetry: bool = False
    inputs: Inputs = Inputs.raw
    correction: Correction = Correction.hiro
    pool_sets: int = bounded(0, 0, 10_000)
    connection: ConnectionCfg = field(default_factory=ConnectionCfg)
    worker_reward: WorkerReward = WorkerReward.distance
    progress_limit: float = bounded(0.0, 0.0)
    boundary: Boundary = Boundary.manager
    goal_resampling: float = bounded(0.0, 0.0, 1.0)
    target_resampling: float = bounded(0.0, 0.0, 1.0)
    future_share: float = bounded(0.0, 0.0, 1.0)
    recent_share: float = bounded(0.0, 0.0, 1.0)
    n_step: NStepCfg = field(default_factory=NStepCfg)
    centre_reward: bool = False
    flips: FlipsCfg = field(default_factory=FlipsCfg)
    stagger: bool = False
    warmup_steps: int = 2500
    warmup_uniform: bool = False
    replay_steps: int = 200_000
    checkpoint_replay: bool = True
    threads: int = bounded(1, 1, 2)
    eval_every: int = bounded(100, 0)
    eval_episodes: int = bounded(150, 1, 100_000)
    precision: Precision = Precision.float32
    worker: LevelCfg = field(default_factory=LevelCfg)
    manager: LevelCfg = field(default_factory=manager_defaults)

    def __post_init__(self) -> None:
        """Validate combinations."""
        longest = self.periods[-1] if self.periods else 1
        if min(self.warmup_steps, self.replay_steps) < longest:
            raise ConfigError(
                f"train.warmup_steps={self.warmup_steps} and train.replay_steps={self.replay_steps} must cover a whole"
                f" segment of the top level ({longest} steps), else there is nothing to learn from"
            )
        if self.worker_symmetry and not (self.hide_position and self.goal_size in (2, 3) and self.meta_periods):
            raise ConfigError(
                f"train.worker_symmetry=true is for a worker with goals about its place that it does not see, not for"
                f" train.goal_size={self.goal_size}, train.hide_position={str(self.hide_position).lower()} and"
                f" train.meta_periods={self.meta_periods}; type train.worker_symmetry=false, or train.goal_size=2"
                " train.hide_position=true with a manager"
            )
        plain = self.correction is Correction.none and self.connection.mode is Connection.none
        if len(self.meta_periods) != 1 and not plain:
            raise ConfigError(
                f"train.correction={self.correction.value} and train.connection.mode={self.connection.mode.value} are"
                f" for one manager, not for train.meta_periods={self.meta_periods}; type train=hrl, or"
                " train.correction=none train.connection.mode=none"
            )
        if self.threads > 1 and (len(self.meta_periods) != 1 or self.steps_per_iteration % self.periods[0]):
            raise ConfigError(
                f"train.threads={self.threads} is for one manager and iterations of whole meta steps, not for"
                f" train.meta_periods={self.meta_periods} and train.steps_per_iteration={self.steps_per_iteration};"
                " type train.threads=1"
            )
        if not self.meta_periods and (self.flips.penalty > 0 or self.goal_resampling > 0):
            raise ConfigError(
                f"train.flips.penalty={self.flips.penalty} and train.goal_resampling={self.goal_resampling} are for"
                " workers with a manager, not for train.meta_periods=[]; type 0 for both"
            )

    @property
    def most_progress(self) -> float:
        """The most that the `progress` of a step counts: infinite without `progress_limit`."""
        return self.progress_limit or math.inf

    @property
    def linked(self) -> bool:
        """Whether the top level needs to know what followed a segment."""
        return self.n_step.decisions > 1 or (self.future_share > 0 and self.target_resampling > 0)

    @property
    def periods(self) -> list[int]:
        """Environment steps per goal of each manager, from the lowest up."""
        return list(accumulate(self.meta_periods, operator.mul))

    def level_cfgs(self) -> list[LevelCfg]:
        """The levels' configurations, from the worker up."""
        if not self.meta_periods:
            return [self.worker]
        middle = replace(self.manager, reward_scale=self.worker.reward_scale)
        return [self.worker, *[middle] * (len(self.meta_periods) - 1), self.manager]
