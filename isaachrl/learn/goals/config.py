"""Configuration of the goal-conditioned learners. Defaults are those of the publications; each deviation is a key."""

import operator
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import accumulate
from typing import Any

from isaachrl.config import bounded, layers
from isaachrl.errors import ConfigError
from isaachrl.learn.goals.connected import Connection, check_weight
from isaachrl.learn.goals.goals import WorkerReward
from isaachrl.nn import Precision


class Correction(Enum):
    """What a manager's replayed goals are replaced by: `hiro` the best of ten candidates, `fun` one draw around
    the change that came about, `none` nothing.
    """

    none = "none"
    hiro = "hiro"
    fun = "fun"


class Inputs(Enum):
    """How networks see numbers: `raw` as they are (published), `scaled` by typical sizes that the task names."""

    raw = "raw"
    scaled = "scaled"


class Algorithm(Enum):
    """How a level learns: `td3` (Fujimoto et al. 2018) or `sac`, soft actor-critic (Haarnoja et al. 2018)."""

    td3 = "td3"
    sac = "sac"


class Boundary(Enum):
    """The goal that a worker's value goes on with at the end of a segment: the `manager`'s next one, or the old one
    `carried` along.
    """

    manager = "manager"
    carried = "carried"


@dataclass
class LevelCfg:
    """One level's actor and critics, and how they learn.

    Args:
        algorithm: see `Algorithm`. With `sac`, the policy's own randomness explores and smooths: of the keys about
            noise, `uniform_share` alone counts.
        hidden: widths of the layers of actor and critics.
        actor_learning_rate, critic_learning_rate: of Adam.
        learning_rate_end: share of both rates that is left at the end of the training; they fall linearly.
        discount: of one step of this level.
        target_rate: share of the way that targets move, every `policy_delay` updates.
        average_rate: above 0, who is checked, played, evaluated and exported is not the actor but its average, which
            moves by this share with each of the actor's updates. Successive actors differ more than they improve.
        policy_delay: critic updates between two of actor and targets.
        batch: rows of an update.
        updates_per_step: updates each time all environments have taken one step of this level; may be a fraction.
        noise_raw: noise is measured in the action's own units (N m, m), the same for every entry, as published;
            else in half ranges.
        noise_low, noise_high: range of the standard deviation of the exploration, drawn log-uniformly for each
            episode of each environment.
        noise_correlation: correlation of successive draws in half of the episodes (0 for none).
        uniform_share: share of actions drawn uniformly instead.
        target_noise, target_noise_clip: of the smoothing of target actions.
        clip_target_action: keep smoothed target actions in range; the published code does not.
        action_again: the critics get the action a second time before their second layer, as published.
        layer_norm: normalise the critics' hidden layers (without learned scale).
        small_last_layer: last layers start within 0.003 and hidden ones with a third of the usual variance, as
            published; else as PyTorch draws them.
        huber: the critics' loss grows linearly beyond an error of 1, as published; else it is squared. A linear loss
            tends to the median of what may follow, which leaves out what is rare and costly, such as falling over.
        reward_scale: factor of the reward.
        temperature: of `sac`: what a unit of entropy is worth at first, in units of the scaled reward.
        temperature_learning_rate: of Adam on the temperature; 0 keeps it as it is.
        target_entropy: that the temperature is moved to bring about, of actions in [-1, 1]; None for minus the
            number of the action's entries.
    """

    algorithm: Algorithm = Algorithm.td3
    hidden: list[int] = layers(300, 300)
    actor_learning_rate: float = 1e-4
    critic_learning_rate: float = 1e-3
    learning_rate_end: float = 1.0
    discount: float = 0.99
    target_rate: float = bounded(0.005, 0.0, 1.0)
    average_rate: float = 0.0
    policy_delay: int = 2
    batch: int = bounded(100, 0, 65_536)
    updates_per_step: float = bounded(1.0, 0.0, 10_000.0)
    noise_raw: bool = True
    noise_low: float = 1.0
    noise_high: float = 1.0
    noise_correlation: float = 0.0
    uniform_share: float = 0.0
    target_noise: float = bounded(0.2, 0.0)
    target_noise_clip: float = bounded(0.5, 0.0)
    clip_target_action: bool = False
    action_again: bool = True
    layer_norm: bool = False
    small_last_layer: bool = True
    huber: bool = True
    reward_scale: float = 1.0
    temperature: float = 1.0
    temperature_learning_rate: float = 3e-4
    target_entropy: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work."""
        if not self.hidden or min(self.hidden) < 1 or min(self.batch, self.policy_delay) < 1:
            raise ConfigError(
                f"train: hidden={self.hidden}, batch={self.batch}, policy_delay={self.policy_delay}: expected layer"
                " widths such as [256,256], and 1 or more of the others"
            )
        rates = (self.actor_learning_rate, self.critic_learning_rate, self.target_rate, self.noise_low)
        if min(rates) <= 0 or not 0 <= self.discount <= 1 or self.noise_high < self.noise_low:
            raise ConfigError(
                f"train: learning rates, target_rate and noise_low {rates} must be above 0, noise_high="
                f"{self.noise_high} at least noise_low, discount={self.discount} in [0, 1]"
            )
        if not (0 <= self.average_rate < 1 and 0 <= self.learning_rate_end <= 1):
            raise ConfigError(
                f"train: average_rate={self.average_rate} lies in [0, 1), learning_rate_end={self.learning_rate_end} in"
                " [0, 1]"
            )
        if self.updates_per_step < 0 or not (0 <= self.noise_correlation < 1 and 0 <= self.uniform_share <= 1):
            raise ConfigError(
                f"train: updates_per_step={self.updates_per_step} must not be negative, noise_correlation="
                f"{self.noise_correlation} lies in [0, 1), uniform_share={self.uniform_share} in [0, 1]"
            )
        if self.temperature <= 0 or self.temperature_learning_rate < 0:
            raise ConfigError(
                f"train: temperature={self.temperature} must be above 0, such as 0.1, and temperature_learning_rate="
                f"{self.temperature_learning_rate} at least 0 (0 keeps the temperature as it is)"
            )


@dataclass
class ConnectionCfg:
    """How the worker's success reaches the manager (Kreidieh et al. 2020).

    Args:
        mode: see `Connection`.
        weight: lambda; the published one is 0.005 on AntMaze, 0.01 on AntGather.
        target: given, the weight is learned so that the worker's reward plus value stays above this.
    """

    mode: Connection = Connection.none
    weight: float = 0.01
    target: float | None = None

    def __post_init__(self) -> None:
        """Refuse a weight that cannot be one."""
        check_weight(self.mode, self.weight)


def manager_defaults() -> LevelCfg:
    """The published manager: as the worker, with a tenth of the reward."""
    return LevelCfg(reward_scale=0.1)


@dataclass
class GoalsCfg:
    """Managers that set goals and a worker that reaches them, all trained off-policy.

    Defaults: HIRO as published, for one environment. `cfg/train/` has recipes.

    Args:
        max_iterations: length of the training.
        steps_per_iteration: steps of every environment in an iteration.
        meta_period: steps between two goals. A list makes more levels: [10, 5] has the lowest manager act every ten
            steps and the one above it every five decisions of the lower; without correction and connection only.
        goal_size: how many first entries of the state a goal is about.
        absolute_goals: the worker is shown where to be instead of how far it is from there; without correction only.
        correction: see `Correction`.
        pool_sets: 0 corrects every manager batch anew. Else one batch is corrected each meta step, and managers
            learn from the last so many.
        hindsight: learn from what came about, too: hindsight actions, hindsight goals and tested goals, see
            `isaachrl.learn.goals.hindsight`. For two levels without correction.
        subgoal_testing_rate: share of goals that are tested, the worker acting without noise.
        subgoal_tolerance: half ranges by which a goal may be missed in each entry and still count as reached.
        subgoal_penalty: what a missed test costs the manager for each step of the period, in units of its unscaled
            reward. It comes on top of what was earned and the future goes on; the publication has minus the period
            alone, which is the worst of all returns only where every step costs one.
        connection: the worker's success in the manager's loss.
        worker_reward: see `WorkerReward`.
        boundary: see `Boundary`.
        hide_position: the worker does not see the first two entries of the state.
        inputs: see `Inputs`.
        goal_resampling: share of a worker's batch whose goals are drawn anew, uniformly; reward and next goal follow.
        target_resampling: share of a manager's batch whose targets are drawn anew; the reward follows. Where a task
            has no targets, nothing is drawn.
        centre_reward: take the mean of the manager's reward off. Where a task ends episodes by anything but time,
            nothing is taken off: the length of the future would then change what is best.
        flip_penalty: above 0, lying on the back ends the worker's future and costs this.
        flip_reset_steps: above 0, an ant on its back for so many steps begins anew, in training only.
        stagger: first episodes have lengths of all multiples of the period, so that not all end at once.
        warmup_steps: steps of every environment before the first update.
        warmup_uniform: uniformly random actions and goals meanwhile, else those of the untrained networks.
        replay_steps: steps that are remembered.
        checkpoint_replay: store the replay in `last.pt`, so that a resumed run continues bit for bit.
        freeze_worker_at: share of `max_iterations` after which the worker learns no more.
        pretrain_worker_until: share of `max_iterations` before which the manager draws its goals uniformly and
            learns nothing.
        check_every: iterations between two checks on the evaluation points; 0 for none.
        check_episodes: episodes of each check.
        precision: of the hidden layers' products in updates; `auto` rounds where the device is fast at it.
        worker, manager: the levels. Managers between the two are like `manager`, and paid like `worker`.
    """

    max_iterations: int = 25_000
    steps_per_iteration: int = 500
    meta_period: Any = bounded(10, high=10_000)
    goal_size: int = bounded(15, 0, 1000)
    absolute_goals: bool = False
    correction: Correction = Correction.hiro
    pool_sets: int = bounded(0, 0, 10_000)
    hindsight: bool = False
    subgoal_testing_rate: float = 0.3
    subgoal_tolerance: float = 0.1
    subgoal_penalty: float = 1.0
    connection: ConnectionCfg = field(default_factory=ConnectionCfg)
    worker_reward: WorkerReward = WorkerReward.distance
    boundary: Boundary = Boundary.manager
    hide_position: bool = True
    inputs: Inputs = Inputs.raw
    goal_resampling: float = 0.0
    target_resampling: float = 0.0
    centre_reward: bool = False
    flip_penalty: float = 0.0
    flip_reset_steps: int = 0
    stagger: bool = False
    warmup_steps: int = 2500
    warmup_uniform: bool = False
    replay_steps: int = 200_000
    checkpoint_replay: bool = True
    freeze_worker_at: float = 1.0
    pretrain_worker_until: float = 0.0
    check_every: int = 100
    check_episodes: int = bounded(150, 0, 100_000)
    precision: Precision = Precision.float32
    worker: LevelCfg = field(default_factory=LevelCfg)
    manager: LevelCfg = field(default_factory=manager_defaults)

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("max_iterations", "steps_per_iteration", "goal_size", "check_episodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name}={getattr(self, name)}: expected 1 or more")
        counts = ("pool_sets", "flip_penalty", "flip_reset_steps", "check_every")
        for name in (*counts, "subgoal_penalty", "subgoal_tolerance"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name}={getattr(self, name)}: expected 0 or more")
        shares = ("goal_resampling", "target_resampling", "freeze_worker_at", "pretrain_worker_until")
        for name in (*shares, "subgoal_testing_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"train.{name}={getattr(self, name)}: expected a share in [0, 1]")
        if min(self.warmup_steps, self.replay_steps) < self.periods[-1]:
            raise ConfigError(
                f"train.warmup_steps={self.warmup_steps} and train.replay_steps={self.replay_steps} must reach over"
                f" one meta period ({self.periods[-1]}), else there is nothing to learn from"
            )
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Refuse what does not go together."""
        if self.absolute_goals and self.correction is not Correction.none:
            raise ConfigError("train.absolute_goals=true goes with train.correction=none: candidates are changes")
        if self.hindsight and (self.correction is not Correction.none or len(self.periods) > 1):
            raise ConfigError(
                f"train.hindsight=true replaces replayed goals itself, for two levels: it goes with"
                f" train.correction=none and one number as train.meta_period, not with {self.correction.value} and"
                f" {self.meta_period}; type train=hrl train.hindsight=true"
            )
        alone = self.correction is Correction.none and self.connection.mode is Connection.none
        if len(self.periods) > 1 and not alone:
            raise ConfigError(
                f"train.meta_period={self.meta_period} makes {len(self.periods) + 1} levels, and"
                f" train.correction={self.correction.value} and train.connection.mode={self.connection.mode.value} are"
                " for two; type train=hrl, or train.correction=none train.connection.mode=none"
            )

    @property
    def periods(self) -> list[int]:
        """Steps of the environment between two goals of each manager, from the lowest up.

        Raises:
            ConfigError: `meta_period` is not made of whole numbers above 0.
        """
        factors = self.meta_period if isinstance(self.meta_period, list) else [self.meta_period]
        if not factors or any(type(factor) is not int or factor < 1 for factor in factors):
            raise ConfigError(
                f"train.meta_period={self.meta_period}: expected a whole number of 1 or more, or a list of them, one"
                " for each manager from the lowest up, such as [10,5]"
            )
        return list(accumulate(factors, operator.mul))

    def level_cfgs(self) -> list[LevelCfg]:
        """The levels' configurations, from the worker up."""
        middle = replace(self.manager, reward_scale=self.worker.reward_scale)
        return [self.worker, *[middle] * (len(self.periods) - 1), self.manager]


def td3_defaults() -> LevelCfg:
    """TD3 with the published sizes and rates (Fujimoto et al. 2018, section 6.1 and its code)."""
    return LevelCfg(
        hidden=[400, 300],
        actor_learning_rate=1e-3,
        noise_raw=False,
        noise_low=0.1,
        noise_high=0.1,
        clip_target_action=True,
        action_again=False,
        small_last_layer=False,
        huber=False,
    )


@dataclass
class FlatCfg:
    """One level without any hierarchy, on state and target: the baseline.

    Defaults: TD3 as published, for one environment.

    Args:
        max_iterations, steps_per_iteration, inputs, warmup_steps, warmup_uniform, replay_steps, checkpoint_replay,
            check_every, check_episodes, precision, target_resampling, flip_reset_steps: see `GoalsCfg`.
        policy: of the only level.
    """

    max_iterations: int = 2_000
    steps_per_iteration: int = 500
    inputs: Inputs = Inputs.raw
    target_resampling: float = 0.0
    flip_reset_steps: int = 0
    warmup_steps: int = 10_000
    warmup_uniform: bool = True
    replay_steps: int = 1_000_000
    checkpoint_replay: bool = True
    check_every: int = 100
    check_episodes: int = bounded(150, 0, 100_000)
    precision: Precision = Precision.float32
    policy: LevelCfg = field(default_factory=td3_defaults)

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("max_iterations", "steps_per_iteration", "warmup_steps", "replay_steps", "check_episodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name}={getattr(self, name)}: expected 1 or more")
        if self.flip_reset_steps < 0:
            raise ConfigError(f"train.flip_reset_steps={self.flip_reset_steps}: expected 0 or more")


def sac_defaults() -> LevelCfg:
    """Soft actor-critic with the published sizes and rates (Haarnoja et al. 2018, appendix D)."""
    return LevelCfg(
        algorithm=Algorithm.sac,
        hidden=[256, 256],
        actor_learning_rate=3e-4,
        critic_learning_rate=3e-4,
        policy_delay=1,
        batch=256,
        action_again=False,
        small_last_layer=False,
        huber=False,
    )


@dataclass
class FlatSacCfg(FlatCfg):
    """The baseline with soft actor-critic, as published.

    Args:
        max_iterations, warmup_steps: see `GoalsCfg`; those of the published code.
        policy: of the only level.
    """

    max_iterations: int = 6_000
    warmup_steps: int = 1_000
    policy: LevelCfg = field(default_factory=sac_defaults)
