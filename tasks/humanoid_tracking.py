"""HumanoidTracking: follow reference motions whose coming poses are observed (DeepMimic)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from isaachrl.config import bounded, positive
from isaachrl.envs import Obs, StepResult
from isaachrl.errors import ConfigError
from isaachrl.maths.sampling import draw_categories
from isaachrl.motion.library import to_qpos_qvel
from isaachrl.sim import Control, Sim

from .common import humanoid, reference
from .humanoid_amp import HumanoidAMP, HumanoidAMPCfg

_FOLLOWED_S = 5.0  # for which an evaluation follows each clip
_LOST_STEPS = 3  # in a row far from the reference, after which an episode ends
_FALLEN = 0.55  # share of the height of the reference's pelvis below which a body has fallen
_FAILURES_RATE = 0.02  # of the moving average of failures
_LEAST_PRACTICE, _MOST_FAILURES = 0.05, 1.5  # per second, in the weights of starts


@dataclass
class HumanoidTrackingCfg(HumanoidAMPCfg):
    """Configuration of HumanoidTracking; `HumanoidAMPCfg` has the shared keys.

    Args:
        residual: share of the actions' range that the policy adds to targets that lead the joints along the reference.
        switch_s: in a share `switch_share` of the environments, mean time after which the reference leads to another
            motion, see `MotionGraph`; 0 for never. So the policy learns to come into a motion.
        practise: begin more often in clips that fail more often.
        settle_s: time that a body has after that, or after the end of a clip, before an episode may end.
        track_within_m: an episode ends where the posture's RMS distance is larger for several steps, the mean height
            left out (a jump that is less high has not lost the motion), or the pelvis is far below the reference's.
        reward: `posture`, `velocity`, `upright` and `balance`, see `reference.Likeness`; `effort`, the squared action.
    """

    motion: str = "versatile"
    residual: float = positive(0.5, 1.0)
    switch_s: float = bounded(3.0, 0.0)
    switch_share: float = bounded(0.5, 0.0, 1.0)
    practise: bool = True
    settle_s: float = bounded(0.7, 0.0)
    track_scale: float = positive(0.0613, 1.0)
    track_within_m: float = bounded(0.25, 0.0, 10.0)
    reward: dict[str, float] = field(default_factory=lambda: reference.Likeness.WEIGHTS | {"effort": -0.02})

    def __post_init__(self) -> None:
        """Validate what this task cannot do."""
        super().__post_init__()
        if self.control is Control.torque:
            raise ConfigError("task.control=torque: the actions of HumanoidTracking are added to joint targets")
        if self.track_lost_s > 0:
            raise ConfigError("task.track_lost_s: episodes of HumanoidTracking end by task.track_within_m")
        if self.fallen.share > 0:
            raise ConfigError(
                f"task.fallen.share={self.fallen.share}: episodes of HumanoidTracking begin in its clips; type"
                " task.fallen.share=0 and clips that begin on the floor, motion=rising"
            )

    @property
    def tracks(self) -> bool:
        """See `HumanoidAMPCfg.tracks`."""
        return True

    def for_evaluation(self) -> Self:
        """Each episode keeps to one motion, and all motions are begun in as often as their weights say."""
        return replace(self, switch_s=0.0, practise=False)


class HumanoidTracking(HumanoidAMP):
    """Imitation with the reference observed (Peng et al. 2018), of any number of motions by one policy.

    Episodes begin in a random state of a clip. A clip that ends as it began begins again; where another one ends, the
    most similar moment of another motion goes on. In training, clips that fail more often are begun in more often.

    Attributes:
        failures_per_s: `(C,)` moving average by clip.
    """

    STATE = (*HumanoidAMP.STATE, "failures_per_s", "start_weights", "_lost_steps", "_error_sum_m")

    def __init__(self, cfg: HumanoidTrackingCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator)
        self.cfg: HumanoidTrackingCfg = cfg
        n, device, clips = sim.num_envs, sim.device, self.library.num_clips
        layout = reference.reference_layout(sim.robot)
        self.obs_sizes = {
            "proprioception": self.obs_sizes["proprioception"],
            "reference": sum(size for _, size, _ in layout),
        }
        self.obs_layout = self.obs_layout | {"reference": layout}
        self.policy_groups = ("proprioception", "reference")
        self.action_contract = self.action_contract | {
            "scale": (cfg.residual * self.action_scale).tolist(),
            "offset": [0.0] * self.action_size,
            "target_offset": self.action_offset.tolist(),  # of the observed `target`: (joint - offset) / scale
            "target_scale": self.action_scale.tolist(),
            "use": "each motor takes the reference's joint in 0.1 s + scale * action, the action clamped to [-1, 1]",
        }
        self.set_goals(torch.arange(clips, device=device))
        self.failures_per_s = torch.full((clips,), 0.5, device=device)
        self.start_weights = self.library.weights.clone()
        self._lost_steps, self._error_sum_m = (torch.zeros(n, device=device) for _ in range(2))
        self._effort = torch.zeros(n, device=device)
        self._pelvis = sim.robot.body_names.index(sim.robot.roles.require(humanoid.PELVIS)[0])
        self._limit_m2 = cfg.track_within_m**2 if cfg.track_within_m > 0 else math.inf
        self._settle_steps = cfg.settle_s / cfg.step_s
        # those that may be switched to, and how many bodies a step may switch
        self._standing_clips = (self.library.commands & ~self.lying_clips).float()
        self._switch_weights = self.library.weights * self._standing_clips
        probability = cfg.step_s / cfg.switch_s if cfg.switch_s > 0 else 0.0
        self._switching = math.ceil(n * cfg.switch_share)
        self._switches = math.ceil(self._switching * probability) if bool(self._switch_weights.any()) else 0
        self._switch_probability = self._switching * probability / max(self._switches, 1)

    def apply(self, action: Tensor) -> None:
        """See `Task.apply`."""
        residual = action.clamp(-1.0, 1.0)
        self._effort = residual.square().sum(-1)
        self.sim.ctrl.copy_(self.action_map(self.clip_action() + self.cfg.residual * residual))

    def after_physics(self) -> None:
        """See `Task.after_physics`."""
        self._steps += 1
        self._distance += humanoid.forward_speed_mps(self.sim) * self.cfg.step_s
        before, before_s = self.reference_clip, self.reference_time_s
        self._advance_reference()
        again = ~self.library.loops[self.reference_clip] & (self.reference_time_s < before_s)
        joined = again | (self.reference_clip != before)
        target_w, body_pos_w = self.library.postures(self.reference_clip, self.reference_time_s), self.sim.body_pos_w
        self._error_sum_m += self.tracking_distance_m()
        height_m, target_m = body_pos_w[..., 2], target_w[..., 2]
        shape_m2 = self._tracking_error_m2 - (height_m - target_m).mean(1).square()
        lost = (shape_m2 > self._limit_m2) | (height_m[:, self._pelvis] < _FALLEN * target_m[:, self._pelvis])
        self._lost_steps = torch.where(lost | (self._lost_steps < 0), self._lost_steps + 1, 0.0)
        self._lost_steps = torch.where(joined, self._lost_steps.clamp_max(-self._settle_steps), self._lost_steps)

    def reward_terms(self) -> dict[str, Tensor]:
        """See `Task.reward_terms`."""
        terms = self._likeness.terms(self.reference_clip, self.reference_time_s, self._tracking_error_m2)
        return terms | {"effort": self._effort}

    def terminated(self) -> Tensor:
        """The body has lost its reference."""
        return (self._lost_steps > _LOST_STEPS) | self.sim.diverged

    def after_reward(self, terms: Mapping[str, Tensor]) -> None:
        """Count failures, and let some bodies go over into other motions."""
        failed, clip, zeros = self.terminated().float(), self.reference_clip, torch.zeros_like(self.failures_per_s)
        count = zeros.index_add(0, clip, torch.ones_like(failed))
        rate = zeros.index_add(0, clip, failed) / (count * self.cfg.step_s).clamp_min(self.cfg.step_s)
        share = _FAILURES_RATE * count / (count + len(failed) / len(count))
        self.failures_per_s += share * (rate - self.failures_per_s)
        weights = _LEAST_PRACTICE + self.failures_per_s.clamp_max(_MOST_FAILURES)
        practised = weights * self.library.weights
        self._switch_weights = practised * self._standing_clips
        if self.cfg.practise:
            self.start_weights = practised
        if self._switches:
            self._switch_some()

    def _switch_some(self) -> None:
        """Let some bodies that stand go over into other motions."""
        device, generator, sim = self.sim.device, self.generator, self.sim
        rows = torch.randperm(self._switching, generator=generator, device=device)[: self._switches]
        goal = draw_categories(self._switch_weights.expand(len(rows), -1), generator)
        assert self.graph is not None
        clip, time_s = self.graph.enter(goal, reference.state_features(sim)[rows])
        drawn = torch.rand(len(rows), generator=generator, device=device) < self._switch_probability
        switch = drawn & ~self._is_down.low(sim.body_pos_w[rows]) & (self._lost_steps[rows] >= 0)
        settle = torch.full_like(time_s, -self._settle_steps)
        changes = (
            (self.reference_clip, clip), (self.reference_time_s, time_s),
            (self.reference_goal, goal), (self._lost_steps, settle),
        )  # fmt: skip
        for of, values in changes:
            of[rows] = torch.where(switch, values, of[rows])

    def reset(self, mask: Tensor) -> None:
        """See `Task.reset`."""
        super().reset(mask)
        self._lost_steps.masked_fill_(mask, 0.0)
        self._error_sum_m.masked_fill_(mask, 0.0)

    def observe(self) -> Obs:
        """See `Task.observe`."""
        return {"proprioception": humanoid.proprioception(self.sim), "reference": self.reference_observation()}

    def metrics(self) -> dict[str, Tensor]:
        """Whether the motion was lost, the mean RMS distance from the reference in m, and the forward speed."""
        steps = torch.maximum(self._steps, torch.ones_like(self._steps))
        return {
            "fall_rate": self.terminated().float(),
            "tracking_error_m": self._error_sum_m / steps,
            "forward_speed_mps": self._distance / (steps * self.cfg.step_s),
        }

    def evaluate(self, step: Callable[[], StepResult]) -> dict[str, Any]:
        """By clip, of bodies that begin in moments spread over it and follow it to its end, for `_FOLLOWED_S` at most.

        `tracked` is the share that does not lose it, `error_m` their mean RMS distance from it (nan if there are none),
        and `lost_from_s` are the moments from which it was lost.
        """
        n, clips, device = self.sim.num_envs, self.library.num_clips, self.sim.device
        number, every = torch.arange(n, device=device), torch.ones(n, dtype=torch.bool, device=device)
        clip = number % clips
        time_s = (number // clips + 0.5) / clip.bincount(minlength=clips)[clip] * self.library.durations_s[clip]
        self.sim.reset(every, *to_qpos_qvel(self.library.layout, self.library.state(clip, time_s)))
        self.follow(every, clip, time_s)
        self._lost_steps.zero_()
        lost, follows, error_sum_m, steps = ~every, every, torch.zeros(n, device=device), torch.zeros(n, device=device)
        for _ in range(round(_FOLLOWED_S / self.cfg.step_s)):
            terminated = step().terminated
            follows = follows & (self.reference_clip == clip)  # at its end the reference goes on in another one
            lost |= terminated & follows
            error_sum_m += self.tracking_distance_m() * follows
            steps += follows
        found = {}
        for i, name in enumerate(self.library.names[:n]):
            own = clip == i
            found[name] = {
                "tracked": float((~lost)[own].float().mean()),
                "error_m": float((error_sum_m / steps.clamp_min(1.0))[own & ~lost].mean()),
                "lost_from_s": [round(at, 2) for at in time_s[own & lost].tolist()],
            }
        return {"clips": found}
