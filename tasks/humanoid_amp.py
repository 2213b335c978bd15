"""HumanoidAMP: adversarial imitation of motion clips by a humanoid (AMP)."""

import math
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from isaachrl.config import bounded, positive
from isaachrl.envs import Obs, Task, TaskCfg
from isaachrl.errors import ConfigError
from isaachrl.maths.sampling import draw_categories
from isaachrl.motion.graph import MotionGraph
from isaachrl.motion.kinematics import dof_pos, forward, joint_quat_from_qpos, posture_distance_m2
from isaachrl.motion.library import MotionLibrary, to_qpos_qvel
from isaachrl.motion.sources import load_motion
from isaachrl.sim import Control, Scene, Sim

from .common import humanoid, reference, starts

START_STATES = 8192  # size of the bank of start states
LYING = 0.184  # a humanoid with all bodies below this share of its height is lying: 0.3 m for the shipped one
LYING_STATES = 128  # number of lying start states that a tipped-over one is compared with

ALIKE = 0.15  # RMS distance of the bodies, of the height, up to which a clip ends in the posture of its begin
_UNLIKE = 0.1  # `tracking` below which a body does something else than its reference
_PACE_S = 0.5  # over which velocities are averaged,
_PACE_MPS = 0.15  # from which on a reference goes somewhere; 1 rad/s counts as 0.5 m/s
_ASTRAY = 0.7  # share of the reference's velocity by which a body's differs that goes elsewhere
ALIKE_MPS = 0.5  # and the change of speed


@dataclass
class FallenCfg:
    """Episodes that begin on the floor, for skills that get up; none by default.

    Args:
        share: of all episodes.
        least_tilt_deg, most_tilt_deg: range of the uniform initial tilt; the body lies from 70 degrees on.
        rise_s: time to get up, after which a body on the floor ends the episode.
        up_s: time upright after which a body has got up; a later fall ends the episode at once.
    """

    share: float = 0.0
    least_tilt_deg: float = 70.0
    most_tilt_deg: float = 110.0
    rise_s: float = 4.0
    up_s: float = 1.0

    def __post_init__(self) -> None:
        """Validate ranges."""
        if not 0 <= self.share <= 1:
            raise ConfigError(f"task.fallen.share={self.share}: must be between 0 and 1")
        if not 0 <= self.least_tilt_deg <= self.most_tilt_deg <= 110:  # beyond, the head would be in the floor
            raise ConfigError(
                f"task.fallen.least_tilt_deg={self.least_tilt_deg} and most_tilt_deg={self.most_tilt_deg}:"
                " expected 0 <= least <= most <= 110"
            )
        if not (self.rise_s > 0 and self.up_s > 0):
            raise ConfigError(f"task.fallen.rise_s={self.rise_s} and up_s={self.up_s}: must be above 0")


@dataclass
class HumanoidAMPCfg(TaskCfg):
    """Configuration of HumanoidAMP.

    Args:
        robot: the humanoid: a shipped one, or a file (MJCF, URDF, or YAML), see `sim.robot_file`.
        motion: `locomotion`, the shipped locomotion clips; `builtin`, all shipped clips; the name of one of
            them, such as `walk`; a clip (`.npz`, or an Isaac Gym `.npy`), a folder of clips, or a YAML of clips
            with weights.
        control: PD targets (`position`) or joint torques (`torque`: action times effort limit).
        style_frames: length W of the discriminator's window, newest frame first: 2 in AMP, 10 in ASE.
        min_height_m: by body name, the height below which the episode ends. By default, other robots than the shipped
            humanoid have limits of their own size.
        fallen: episodes that begin on the floor.
        track_scale: RMS distance of the bodies from the reference motion's at which `track` is 1/e, as a share of the
            robot's height: by default 0.2 m for the shipped humanoid.
        track_balance: `track` is the geometric mean of the terms of `reference.Likeness`, balance and velocity among
            them: a standing body's posture is near those of a walk.
        track_pace: the reference motion may run faster or slower by this share, whichever is nearer to the body: a
            policy that does not know the time can keep in step with it then.
        track_within_m: in training, an episode ends when the bodies' RMS distance from the reference motion exceeds
            this (early termination, Peng et al. 2018); 0 for never.
        track_lost_s: in training, an episode ends where for so long `track` has been below 0.1, or the body has not
            gone where the reference went: while it stands instead of walking it learns nothing; 0 for never.
        reward: `alive`, 1 in each step above the height limits; `height` of the head, from 0 on the floor to 1 at the
            clips' maximum; `track`, `exp(-(distance / scale)^2)` of the RMS distance from the reference motion. That is
            the clip from the episode's start state on, until a learner calls `follow` or `lead_to`; for a tipped-over
            body, from the most similar lying state. The learner adds the style reward.
    """

    robot: str = humanoid.HUMANOID
    motion: str = "locomotion"
    control: Control = Control.position
    style_frames: int = bounded(2, 0, 64)
    min_height_m: dict[str, float] = bounded(humanoid.MIN_HEIGHT_M, -2.0, 1.5)
    fallen: FallenCfg = field(default_factory=FallenCfg)
    track_scale: float = positive(0.1226, 1.0)
    track_balance: bool = False
    track_pace: float = bounded(0.0, 0.0, 0.9)
    track_within_m: float = bounded(0.0, 0.0, 10.0)
    track_lost_s: float = bounded(0.0, 0.0, 100.0)
    reward: dict[str, float] = field(default_factory=lambda: {"alive": 1.0, "height": 0.0, "track": 0.0})

    def __post_init__(self) -> None:
        """Validate ranges."""
        super().__post_init__()
        self.min_height_m = humanoid.sized_to_robot(self.robot, self.min_height_m)
        if self.style_frames < 2:
            raise ConfigError(f"task.style_frames={self.style_frames}: a window needs at least 2 frames")
        if self.track_within_m < 0:
            raise ConfigError(f"task.track_within_m={self.track_within_m}: expected a distance, or 0 for any")

    @property
    def tracks(self) -> bool:
        """Whether the reference motion is needed."""
        return bool(self.reward.get("track")) or self.track_within_m > 0 or self.track_lost_s > 0

    def for_evaluation(self) -> Self:
        """The same without early termination."""
        return replace(self, track_within_m=0.0, track_lost_s=0.0)


class HumanoidAMP(Task[HumanoidAMPCfg]):
    """Imitation without a goal. Episodes start in a random state of a clip and end with a fall or the time limit.

    Attributes:
        library: the clips.
        window_s: duration of a style window.
        start_clip, start_time_s: `(N,)` clip and time of the episode's start state; for tipped-over bodies with
            tracking, of the most similar lying state.
        reference_clip, reference_time_s: `(N,)` the moment of a clip that the body is compared with.
        reference_goal: `(N,)` index of the goal that the reference leads to, see `lead_to`; -1 for none, or once over.
        follows: `(N,)` bool: the body is to do what the reference does, see `release`.
        tracking: `(N,)`, 0 to 1: how near the body is to it; 0 where `cfg.tracks` needs none.
        started_fallen: `(N,)` bool: the episode began tipped over (`fallen`).
        recovering: `(N,)` bool: the episode began on the floor, and the body has not got up yet.
        recovery_enabled: whether some episodes begin on the floor.
        lying_clips: `(C,)` bool: clips in which the body lies on the floor at some time.
        repeats: `(C,)` bool: clips that loop, or end about in the posture and at the speed of their begin; not those of
            the floor.
        start_weights: `(C,)` share of each clip among the start states; None for those of the library.
        graph: the ways to the goals of `set_goals`.
    """

    STATE = (
        "history",
        "start_clip",
        "start_time_s",
        "reference_clip",
        "reference_time_s",
        "reference_goal",
        "follows",
        "tracking",
        "_unlike_steps",
        "_pace",
        "_reference_pace",
        "_tracking_error_m2",
        "started_fallen",
        "recovering",
        "_distance",
        "_steps",
        "_upright_steps",
    )

    def __init__(self, cfg: HumanoidAMPCfg, sim: Sim, generator: torch.Generator) -> None:
        super().__init__(cfg, sim, generator)
        robot, device, n = sim.robot, sim.device, sim.num_envs
        humanoid.require_roles(robot)
        clips, weights = load_motion(cfg.motion, robot)
        self.library = MotionLibrary(clips, robot, device, weights)
        self.style_frame = humanoid.StyleFrame(robot, device)
        self.style_size = humanoid.style_size(robot)
        self.window_s = (cfg.style_frames - 1) * cfg.step_s
        self.proprioception_layout = humanoid.proprioception_layout(robot)
        self.style_layout = humanoid.style_layout(robot)
        self.obs_sizes = {
            "proprioception": humanoid.proprioception_size(robot),
            "style": self.style_size * cfg.style_frames,
        }
        self.obs_layout = {"proprioception": self.proprioception_layout}
        self.policy_groups = ("proprioception",)
        self.action_size = robot.num_dofs
        self.action_map = humanoid.ActionMap(robot, cfg.control, device)
        self.action_offset, self.action_scale = self.action_map.offset, self.action_map.scale
        self.action_contract = self.action_map.contract
        self._is_low = humanoid.FallDetector(robot, cfg.min_height_m, device)
        # a body has not got up before it stands, however low it may bend later
        standing = humanoid.sized_to_robot(cfg.robot, humanoid.MIN_HEIGHT_M)
        upright = {name: max(height, standing.get(name, height)) for name, height in cfg.min_height_m.items()}
        self._is_down = humanoid.FallDetector(robot, upright, device)
        self.start_weights: Tensor | None = None
        # the windows of the start states, then the present ones, so that a reset is one look-up
        rows = START_STATES * (2 if cfg.fallen.share > 0 else 1)
        self._windows = torch.zeros(rows + n, cfg.style_frames, self.style_size, device=device)
        self.history = self._windows[rows:]
        self._history_rows = rows + torch.arange(n, device=device)
        self.started_fallen, self.recovering = (torch.zeros(n, dtype=torch.bool, device=device) for _ in range(2))
        self._upright_steps = torch.zeros(n, device=device)
        self._tracking_error_m2 = torch.full((n,), torch.inf, device=device)  # updated if `cfg.tracks`
        self._likeness = reference.Likeness(sim, self.library, cfg.track_scale)
        self.tracking = torch.zeros(n, device=device)
        self.start_clip = torch.zeros(n, dtype=torch.long, device=device)
        self.start_time_s = torch.zeros(n, device=device)
        self.reference_clip, self.reference_time_s = self.start_clip.clone(), self.start_time_s.clone()
        self.reference_goal = torch.full_like(self.start_clip, -1)
        self.graph: MotionGraph | None = None
        self.follows = torch.ones(n, dtype=torch.bool, device=device)
        self._unlike_steps = torch.zeros(n, device=device)
        self._pace, self._reference_pace = torch.zeros(n, 3, device=device), torch.zeros(n, 3, device=device)
        pace = (1.0,) if cfg.track_pace == 0 else (1.0 - cfg.track_pace, 1.0, 1.0 + cfg.track_pace)
        self._advances_s = cfg.step_s * torch.tensor(pace, device=device)
        self._distance = torch.zeros(n, device=device)
        self._steps = torch.zeros(n, device=device)
        self._fill_start_bank()

    @classmethod
    def scene(cls, cfg: HumanoidAMPCfg) -> Scene:
        """A humanoid on an empty floor."""
        return Scene(robot=cfg.robot, control=cfg.control, timestep_s=cfg.timestep_s)

    def _fill_start_bank(self) -> None:
        """Sample the start states from the clips."""
        ids = self.library.sample_clips(START_STATES, self.generator)
        times = self.library.sample_times(ids, self.generator, self.window_s)
        state = self.library.state(ids, times)
        lying = state.body_pos_w[..., 2].amax(1) < humanoid.sized_m(self.sim.robot, LYING)
        self._bank_order = ids.argsort(stable=True)
        self._bank_counts = torch.bincount(ids, minlength=self.library.num_clips)
        self._bank_first = self._bank_counts.cumsum(0) - self._bank_counts
        self.lying_clips = torch.bincount(ids[lying], minlength=self.library.num_clips) > 0
        rises = self._is_down.low(state.body_pos_w) & self.lying_clips[ids]
        self._bank_is_low = self._is_low.low(state.body_pos_w) | rises
        self._bank_qpos, self._bank_qvel = to_qpos_qvel(self.library.layout, state)
        self._windows[:START_STATES] = self.style_windows(ids, times).view_as(self._windows[:START_STATES])
        self._bank_clip, self._bank_time = ids, times
        self.repeats = self._find_repeats()
        head = self.sim.robot.body_index(humanoid.top_body(self.sim.robot)).to(ids.device)
        self._head, self._head_height_m = head, float(state.body_pos_w[:, head, 2].max())
        if self.cfg.fallen.share > 0:
            self._add_fallen_starts(state.body_pos_w)
        self.recovery_enabled = bool(self._bank_is_low.any())

    def _find_repeats(self) -> Tensor:
        """See `repeats`."""
        library, clips = self.library, torch.arange(self.library.num_clips, device=self.library.device)
        inside = library.durations_s.clamp(max=self.window_s)
        first, last = (library.state(clips, times) for times in (inside, library.durations_s - inside))
        apart_m2 = posture_distance_m2(first.body_pos_w, last.body_pos_w)
        speeds_mps = (state.root_linvel_w[:, :2].norm(dim=-1) for state in (first, last))
        alike = (torch.sub(*speeds_mps).abs() < ALIKE_MPS) & (apart_m2 < humanoid.sized_m(self.sim.robot, ALIKE) ** 2)
        return (library.loops | alike) & ~self.lying_clips

    def _add_fallen_starts(self, body_pos_w: Tensor) -> None:
        """Add as many tipped-over start states, made of the upright ones."""
        fallen = self.cfg.fallen
        standing = (~self._bank_is_low).nonzero()[:, 0]
        if not len(standing):
            raise ConfigError(
                f"task.fallen.share={fallen.share} tips standing bodies over, but no moment of"
                f" motion={self.cfg.motion!r} is above task.min_height_m={self.cfg.min_height_m}"
            )
        rows = standing[torch.arange(START_STATES, device=standing.device) % len(standing)]
        tilt_rad = (math.radians(fallen.least_tilt_deg), math.radians(fallen.most_tilt_deg))
        layout, frames = self.library.layout, self.cfg.style_frames
        bank = starts.fallen_bank(layout, self._bank_qpos[rows], frames, tilt_rad, self.generator)
        self._bank_qpos, self._bank_qvel = (
            torch.cat(pair) for pair in ((self._bank_qpos, bank.qpos), (self._bank_qvel, bank.qvel))
        )
        self._windows[START_STATES : 2 * START_STATES] = bank.style
        self._bank_is_low = torch.cat((self._bank_is_low, torch.ones_like(self._bank_is_low)))
        if self.cfg.tracks:
            rows = self._nearest_lying(self._bank_qpos[START_STATES:], body_pos_w)
        self._bank_clip, self._bank_time = (torch.cat((of, of[rows])) for of in (self._bank_clip, self._bank_time))

    def _nearest_lying(self, qpos: Tensor, body_pos_w: Tensor) -> Tensor:
        """Index `(S,)` of the lying start state with the most similar posture, for each of `qpos (S, nq)`.

        Args:
            qpos: states to compare.
            body_pos_w: `(START_STATES, B, 3)` bodies of the start states.
        """
        lying = (body_pos_w[..., 2].amax(1) < humanoid.sized_m(self.sim.robot, LYING)).nonzero()[:, 0]
        if not len(lying):
            raise ConfigError(
                f"task.reward.track and task.track_within_m compare fallen bodies with lying ones, and no body lies in"
                f" motion={self.cfg.motion!r}; type motion=rising, both of them 0, or task.fallen.share=0"
            )
        lying, layout = lying[:LYING_STATES], self.library.layout
        pos, _ = forward(layout, qpos[:, :3], qpos[:, 3:7], joint_quat_from_qpos(layout, qpos[:, 7:]))
        postures = body_pos_w[lying]
        nearest = [posture_distance_m2(part.unsqueeze(1), postures).argmin(1) for part in pos.split(64)]
        return lying[torch.cat(nearest)]

    def style_windows(self, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        """Style windows `(n, W * style_size)` of clips that end at the given times; newest frame first."""
        past = torch.arange(self.cfg.style_frames, device=clip_ids.device) * self.cfg.step_s
        state = self.library.state(clip_ids.unsqueeze(1), times_s.unsqueeze(1) - past)
        return self.style_frame(state).flatten(1)

    def mean_action(self) -> Tensor:
        """The action `(A,)` with the start states' mean pose as target; zero for torques."""
        if self.cfg.control is Control.torque:
            return torch.zeros(self.action_size, device=self.sim.device)
        joint_quat = joint_quat_from_qpos(self.library.layout, self._bank_qpos[:START_STATES, 7:])
        pose = dof_pos(self.library.layout, joint_quat).mean(0)
        return ((pose - self.action_map.offset) / self.action_map.scale).clamp(-1.0, 1.0)

    def follow(self, mask: Tensor, clip: Tensor, time_s: Tensor) -> None:
        """From now on, compare the bodies of `mask (N,)` with clips `(N,)` from times `(N,)` in s on."""
        self._refer(mask, clip, time_s, torch.full_like(clip, -1))

    def release(self, mask: Tensor) -> None:
        """From now on, bodies of `mask (N,)` may do something else than their reference."""
        self.follows &= ~mask

    def set_goals(self, clip: Tensor, begin_s: Tensor | None = None, end_s: Tensor | None = None) -> None:
        """Motions that references may lead to: parts of clips, see `MotionGraph`."""
        self.graph = MotionGraph(self.library, clip, begin_s, end_s)

    def lead_to(self, mask: Tensor, goal: Tensor) -> None:
        """From now on, compare the bodies of `mask (N,)` with the way that leads them to the goals `(N,)`."""
        assert self.graph is not None
        clip, time_s = self.reference_clip.clone(), self.reference_time_s.clone()
        # where nonzero() waits for no device, only those are searched for
        rows = mask.nonzero()[:, 0] if mask.device.type == "cpu" else torch.arange(len(mask), device=mask.device)
        clip[rows], time_s[rows] = self.graph.enter(goal[rows], reference.state_features(self.sim)[rows])
        self._refer(mask, clip, time_s, goal)

    def _refer(self, mask: Tensor, clip: Tensor, time_s: Tensor, goal: Tensor) -> None:
        """Compare the bodies of `mask` with these moments."""
        self.reference_clip = torch.where(mask, clip, self.reference_clip)
        self.reference_time_s = torch.where(mask, time_s, self.reference_time_s)
        self.reference_goal = torch.where(mask, goal, self.reference_goal)
        self.follows |= mask
        if self.cfg.track_lost_s > 0:
            self._unlike_steps.masked_fill_(mask, 0.0)
            velocity = reference.planar_velocity(self.sim)
            self._pace = torch.where(mask.unsqueeze(1), velocity, self._pace)
            self._reference_pace = torch.where(mask.unsqueeze(1), velocity, self._reference_pace)
        postures = self.library.postures(self.reference_clip, self.reference_time_s)
        error_m2 = posture_distance_m2(self.sim.body_pos_w, postures)
        self._tracking_error_m2 = torch.where(mask, error_m2, self._tracking_error_m2)

    def tracking_distance_m(self) -> Tensor:
        """RMS distance `(N,)` of the bodies from the reference motions."""
        return self._tracking_error_m2.sqrt()

    def posture_change_m(self, lag_s: float) -> Tensor:
        """See `reference.posture_change_m`."""
        return reference.posture_change_m(self.library, lag_s)

    def clip_action(self) -> Tensor:
        """The actions `(N, A)` whose targets lead the joints along the reference motion."""
        state = self.library.state(self.reference_clip, self.reference_time_s + reference.LEAD_S)
        return reference.target_action(self.library.layout, state.joint_quat, self.action_map)

    def reference_observation(self) -> Tensor:
        """What a policy that tracks motions observes of the references, see `reference.reference_layout`."""
        moment = self.reference_clip, self.reference_time_s
        return reference.reference_observation(self.sim, self.library, self.action_map, *moment)

    def _advance_reference(self) -> None:
        """Move on in the references, with goals also to other clips (`MotionGraph`), and measure how far bodies are."""
        clip = self.reference_clip
        times = self.reference_time_s.unsqueeze(1) + self._advances_s  # (N, paces)
        again = (self.repeats & ~self.library.loops)[clip].unsqueeze(1)
        times = torch.where(again, torch.remainder(times, self.library.durations_s[clip].unsqueeze(1)), times)
        postures = self.library.postures(clip.unsqueeze(1), times)
        error_m2, index = posture_distance_m2(self.sim.body_pos_w.unsqueeze(1), postures).min(1)
        self.reference_time_s = times.gather(1, index.unsqueeze(1)).squeeze(1)
        if self.graph is not None:
            clip, time_s = self.graph.go(self.reference_goal, clip, self.reference_time_s)
            over_s = time_s - self.library.durations_s[clip]
            over, (after_clip, after_s) = ~self.library.loops[clip] & (over_s >= 0), self.graph.after
            self.reference_clip = torch.where(over, after_clip[clip], clip)
            self.reference_time_s = torch.where(over, after_s[clip] + over_s, time_s)
            self.reference_goal.masked_fill_(over, -1)
            postures = self.library.postures(self.reference_clip, self.reference_time_s)
            error_m2 = posture_distance_m2(self.sim.body_pos_w, postures)
        self._tracking_error_m2.copy_(error_m2)

    def apply(self, action: Tensor) -> None:
        """See `Task.apply`."""
        self.sim.ctrl.copy_(self.action_map(action))

    def after_physics(self) -> None:
        """See `Task.after_physics`."""
        frame = self.style_frame(humanoid.motion_state(self.sim, self.library.layout))
        self.history[:, 1:] = self.history[:, :-1].clone()
        self.history[:, 0] = frame
        self._distance += humanoid.forward_speed_mps(self.sim) * self.cfg.step_s
        self._steps += 1
        if self.recovery_enabled:
            self._upright_steps = (self._upright_steps + 1).masked_fill(self._is_down(self.sim), 0.0)
            self.recovering &= self._upright_steps * self.cfg.step_s < self.cfg.fallen.up_s
        if self.cfg.tracks:
            self._advance_reference()
            self.tracking = self._similarity()
            if self.cfg.track_lost_s > 0:
                unlike = ((self.tracking < _UNLIKE) | self._goes_astray()) & self.follows & ~self.recovering
                self._unlike_steps = (self._unlike_steps + 1).masked_fill(~unlike, 0.0)

    def _goes_astray(self) -> Tensor:
        """Which bodies `(N,)` do not go where their references go, on average over `_PACE_S`."""
        rate = self.cfg.step_s / _PACE_S
        self._pace.lerp_(reference.planar_velocity(self.sim), rate)
        self._reference_pace.lerp_(self.library.planar_velocity(self.reference_clip, self.reference_time_s), rate)
        error, pace = self._pace - self._reference_pace, self._reference_pace
        error_mps, pace_mps = ((of[:, :2].square().sum(1) + 0.25 * of[:, 2].square()).sqrt() for of in (error, pace))
        return (pace_mps > _PACE_MPS) & (error_mps > _ASTRAY * pace_mps)

    def _similarity(self) -> Tensor:
        """`tracking (N,)` of the present state."""
        error_m2 = self._tracking_error_m2
        if not self.cfg.track_balance:
            return self._likeness.posture(error_m2)
        return self._likeness.mean(self.reference_clip, self.reference_time_s, error_m2)

    def reward_terms(self) -> dict[str, Tensor]:
        """See `Task.reward_terms`."""
        head = self.sim.body_pos_w[:, self._head, 2].squeeze(1)
        return {
            "alive": (~self._is_low(self.sim)).float(),
            "height": (head / self._head_height_m).clamp(0.0, 1.0),
            "track": self.tracking,
        }

    def terminated(self) -> Tensor:
        """A fall, except within `fallen.rise_s` of an episode that began on the floor, or a reference that is lost."""
        may_lie = self.recovering & (self._steps * self.cfg.step_s < self.cfg.fallen.rise_s)
        fell = self._is_low(self.sim) & ~may_lie
        limit_m2, lost_s = self.cfg.track_within_m**2, self.cfg.track_lost_s
        if lost_s > 0:
            fell = fell | (self._unlike_steps * self.cfg.step_s > lost_s)
        return fell | (self._tracking_error_m2 > limit_m2) if limit_m2 > 0 else fell

    def reset(self, mask: Tensor) -> None:
        """See `Task.reset`."""
        pick = self._pick_starts(mask)
        if self.cfg.fallen.share > 0:
            started_fallen = (
                torch.rand(mask.shape, generator=self.generator, device=mask.device) < self.cfg.fallen.share
            )
            pick = torch.where(started_fallen, START_STATES + pick, pick)
            self.started_fallen = torch.where(mask, started_fallen, self.started_fallen)
        if self.recovery_enabled:
            self.recovering = torch.where(mask, self._bank_is_low.index_select(0, pick), self.recovering)
            self._upright_steps.masked_fill_(mask, 0.0)
        # `index_select` takes a third of the time of indexing
        self.sim.reset(mask, self._bank_qpos.index_select(0, pick), self._bank_qvel.index_select(0, pick))
        self.history.copy_(self._windows.index_select(0, torch.where(mask, pick, self._history_rows)))
        self.start_clip = torch.where(mask, self._bank_clip.index_select(0, pick), self.start_clip)
        self.start_time_s = torch.where(mask, self._bank_time.index_select(0, pick), self.start_time_s)
        if self.cfg.tracks:
            self.follow(mask, self.start_clip, self.start_time_s)
        self._distance.masked_fill_(mask, 0.0)
        self._steps.masked_fill_(mask, 0.0)

    def _pick_starts(self, mask: Tensor) -> Tensor:
        """A row `(N,)` of the start states of clips, for each environment."""
        if self.start_weights is None:
            return torch.randint(START_STATES, mask.shape, generator=self.generator, device=mask.device)
        clip = draw_categories(self.start_weights.expand(len(mask), -1), self.generator)
        share = torch.rand(mask.shape, generator=self.generator, device=mask.device)
        row = self._bank_first[clip] + (share * self._bank_counts[clip]).long()
        return self._bank_order[row.clamp_max(START_STATES - 1)]

    def tip_over(self) -> None:
        """Begin an episode on the floor in every environment, as `fallen` episodes begin, whatever their share is."""
        standing = (~self._bank_is_low[:START_STATES]).nonzero()[:, 0]
        n, fallen = self.sim.num_envs, self.cfg.fallen
        pick = torch.randint(len(standing), (n,), generator=self.generator, device=standing.device)
        tilt_rad = (math.radians(fallen.least_tilt_deg), math.radians(fallen.most_tilt_deg))
        qpos = self._bank_qpos[standing[pick]]
        bank = starts.fallen_bank(self.library.layout, qpos, self.cfg.style_frames, tilt_rad, self.generator)
        everywhere = torch.ones(n, dtype=torch.bool, device=standing.device)
        self.sim.reset(everywhere, bank.qpos, bank.qvel)
        self.history.copy_(bank.style)
        self.recovery_enabled = True
        self.started_fallen, self.recovering = everywhere, everywhere.clone()
        for counter in (self._upright_steps, self._distance, self._steps):
            counter.zero_()

    def observe(self) -> Obs:
        """See `Task.observe`."""
        return {"proprioception": humanoid.proprioception(self.sim), "style": self.history.flatten(1).clone()}

    def metrics(self) -> dict[str, Tensor]:
        """Fall, mean forward speed along the heading in m/s and, for episodes from the floor, recovery."""
        time = (self._steps * self.cfg.step_s).clamp_min(self.cfg.step_s)
        metrics = {"fall_rate": self._is_low(self.sim).float(), "forward_speed_mps": self._distance / time}
        if self.cfg.fallen.share > 0:
            metrics["recovery_rate"] = torch.where(self.started_fallen, (~self.recovering).float(), torch.nan)
        return metrics
