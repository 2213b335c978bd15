"""Shared parts of tasks of a humanoid over a frozen skill: body, start, observation, falls and score."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs import Obs, Task, TaskCfg
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.build import NO_SKILL
from isaachrl.hierarchy.hierarchical_env import HierarchyCfg
from isaachrl.hierarchy.options import SwitchCfg
from isaachrl.hierarchy.rescue import STAND_S, track_fall
from isaachrl.motion.kinematics import JointLayout
from isaachrl.sim import Control, Scene, Sim

from . import draws, humanoid, starts

MAX_SPEED_MPS = 10.0
MARKER_HEIGHT_M = 0.1
SHIPPED_MOTION = "locomotion"  # of the shipped humanoid


@dataclass
class SkillTaskCfg(TaskCfg):
    """Configuration that all tasks over a skill share.

    Args:
        robot: the humanoid: a shipped one, or a file (MJCF, URDF, or YAML), see `sim.robot_file`.
        skill: skill file, relative to the working folder or the repository's root; `none` for the flat task, whose
            actions are motor targets.
        control: meaning of the controls; must be the skill's.
        hierarchy: step length and reward weights of the high level.
        style_frames: length of the window for the skill's style reward. 0 is replaced by the skill's own length if the
            style reward has a weight, and means no window otherwise.
        start_motion: start poses: `stand`, or a motion as in HumanoidAMP. With a motion that the skill was not trained
            on, 5 % of the bodies fall within two seconds. Robots other than the shipped humanoid stand by default.
        start_speed_mps: largest speed of a start pose.
        min_height_m: by body name, the height below which the body has fallen; this ends the episode unless there is a
            rescue. By default, other robots than the shipped humanoid have limits of their own size.
        rescue: file of a second skill, without latents, that gets up. It controls the humanoid after a fall until it
            has been upright for half a second. With `none` a fall ends the episode, unless `get_up_s` is set.
        rise_s: with a rescue, the time limit for getting up.
        get_up_s: the same for a skill that gets up by itself; 0: a fall ends the episode. The skill is commanded as
            usual. The task's rewards, `fall` aside, are 0 until the body has been upright for half a second.
            `fall_rate` counts every episode with a fall.
        hold_s: shortest and longest time until the next target; uniform. Empty: a target lasts for the episode.
        options: controllers by name, among which actions choose instead of setting latents, see `read_options`.
        switch: how to switch between options.
        SPANS: names of further fields that are a range of two numbers.
    """

    SPANS: ClassVar[tuple[str, ...]] = ()

    episode_steps: int = bounded(600, 0, 10_000_000)
    robot: str = humanoid.HUMANOID
    skill: str = "assets/skills/agile.pt"
    control: Control = Control.position
    hierarchy: HierarchyCfg = field(default_factory=lambda: HierarchyCfg(task_weight=1.0, style_weight=0.0))
    style_frames: int = bounded(0, 0, 64)
    start_motion: str = SHIPPED_MOTION
    start_speed_mps: float = bounded(MAX_SPEED_MPS, 0.0, 100.0)
    min_height_m: dict[str, float] = bounded(humanoid.MIN_HEIGHT_M, -2.0, 1.5)
    rescue: str = NO_SKILL
    rise_s: float = bounded(6.0, 0.0, 3600.0)
    get_up_s: float = bounded(0.0, 0.0, 3600.0)
    hold_s: list[float] = bounded([], 0.01, 3600.0)
    options: dict[str, str] = field(default_factory=dict)
    switch: SwitchCfg = field(default_factory=SwitchCfg)

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        super().__post_init__()
        self.min_height_m = humanoid.sized_to_robot(self.robot, self.min_height_m)
        if self.robot != humanoid.HUMANOID and self.start_motion == SHIPPED_MOTION:
            self.start_motion = starts.STANDING
        if not self.rise_s > STAND_S:
            raise ConfigError(f"task.rise_s={self.rise_s}: getting up takes more than {STAND_S} s; type task.rise_s=6")
        if self.get_up_s > 0 and self.rescue != NO_SKILL:
            raise ConfigError(
                f"task.get_up_s={self.get_up_s} is for a skill that gets up by itself, and task.rescue={self.rescue}"
                " has task.rise_s; leave one of them out"
            )
        for name in ("hold_s", *self.SPANS):
            span = getattr(self, name)
            if (span or name != "hold_s") and not (len(span) == 2 and span[0] <= span[1]):
                low, high = min(span, default=1.0), max(span, default=2.0)
                example = f"task.{name}=[{low:g},{high:g}]"
                raise ConfigError(f"task.{name}={span}: expected two numbers, the lower one first; type {example}")


Cfg = TypeVar("Cfg", bound=SkillTaskCfg)


class SkillTask(Task[Cfg]):
    """A humanoid that a high level moves through a skill.

    A task adds a scene (`humanoid_scene`), targets (`new_target`), rewards, and the observation group `task`
    (`observe_task`); it may override `place`, `begin`, `update`, `ended_by_task` and `task_metrics`.

    Attributes:
        fallen: `(N,)` bool, has fallen and not been upright for half a second since.
        falls, rises: `(N,)` counts of the episode.
        score: `(N,)` sum over the control steps before the first fall of the terms in `SCORE`, so weighted; of all
            terms with the weights of `task.reward` if `SCORE` is empty.
        steps_left: `(N,)` control steps until the next target, if `task.hold_s` is set.
        SCORE: weight in `score` of reward terms, by name.
    """

    SCORE: ClassVar[Mapping[str, float]] = {}
    STATE = (
        "history", "fallen", "falls", "rises", "score", "steps_left", "_just_fell", "_upright_steps", "_fallen_steps",
    )  # fmt: skip

    def __init__(
        self, cfg: Cfg, sim: Sim, generator: torch.Generator, task_layout: Sequence[tuple[str, int, str]]
    ) -> None:
        """Create the shared parts; `task_layout` is name, size and unit of each part of the group `task`, in order."""
        super().__init__(cfg, sim, generator)
        timed = type(self).target_due is SkillTask.target_due and type(self).new_target is not SkillTask.new_target
        if cfg.hold_s and not timed:
            raise ConfigError(
                f"task.hold_s={cfg.hold_s}: no target of {type(self).__name__} changes with time; leave it out"
            )
        robot, device, n = sim.robot, sim.device, sim.num_envs
        humanoid.require_roles(robot)
        self.obs_layout = {"proprioception": humanoid.proprioception_layout(robot), "task": list(task_layout)}
        self.obs_sizes = {group: sum(size for _, size, _ in parts) for group, parts in self.obs_layout.items()}
        if cfg.style_frames > 0:
            self.obs_sizes["style"] = cfg.style_frames * humanoid.style_size(robot)
        self.policy_groups = ("proprioception", "task")
        self.action_size = robot.num_dofs
        self.action_map = humanoid.ActionMap(robot, cfg.control, device)
        self.action_contract = self.action_map.contract
        self._is_low = humanoid.FallDetector(robot, cfg.min_height_m, device)
        self._has_rescue = cfg.rescue != NO_SKILL
        limit_s = cfg.rise_s if self._has_rescue else cfg.get_up_s
        self._max_fallen_steps = max(round(limit_s / cfg.step_s), 1)
        self._starts = starts.make_bank(
            robot, cfg.start_motion, cfg.style_frames, cfg.step_s, cfg.start_speed_mps, generator
        )
        self._style_frame = humanoid.StyleFrame(robot, device)
        self._joint_layout = JointLayout(robot, device)
        self.history = torch.zeros(n, cfg.style_frames, humanoid.style_size(robot), device=device)
        self.fallen, self._just_fell = (torch.zeros(n, dtype=torch.bool, device=device) for _ in range(2))
        self.falls, self.rises, self.score, self.steps_left = torch.zeros(4, n, device=device).unbind()
        self._upright_steps, self._fallen_steps = torch.zeros(2, n, device=device).unbind()

    def mark(self, mask: Tensor, points_w: Tensor) -> None:
        """Move the scene's M markers in the worlds of `mask (N,)`; for videos.

        `points_w` is `(N, M, 3)`, or `(N, M, 2)` for points on the floor.

        Raises:
            ConfigError: it is of another number of markers.
        """
        if points_w.shape[1:-1] != (len(self.sim.scene.markers),):
            raise ConfigError(
                f"{type(self).__name__} marks {tuple(points_w.shape)} points, and its scene has"
                f" {len(self.sim.scene.markers)} markers; expected (N, {len(self.sim.scene.markers)}, 2 or 3)"
            )
        markers_w = torch.nn.functional.pad(points_w, (0, 3 - points_w.shape[-1]), value=MARKER_HEIGHT_M)
        boxes_w = self.sim.mocap_pos_w[:, : len(self.sim.scene.boxes)]
        self.sim.move_mocap(mask, torch.cat((boxes_w, markers_w), dim=1))

    @staticmethod
    def humanoid_scene(cfg: SkillTaskCfg, **content: Any) -> Scene:
        """A humanoid on a floor with this further content, see `Scene`."""
        return Scene(robot=cfg.robot, control=cfg.control, timestep_s=cfg.timestep_s, **content)

    @abstractmethod
    def rewards(self) -> dict[str, Tensor]:
        """Unweighted reward terms by name, each `(N,)`."""

    @abstractmethod
    def observe_task(self) -> Tensor:
        """The observation group `task`, `(N, size)`."""

    def place(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Start positions `(N, 2)`, m, and yaw angles `(N,)`, used where `mask (N,)`: the origin, in any direction."""
        return torch.zeros_like(self.sim.root_pos_w[:, :2]), draws.angles(self.sim.num_envs, self.generator)

    def begin(self, mask: Tensor) -> None:
        """Reset the task's own state in the worlds of `mask (N,)`; the body has already been placed."""

    def new_target(self, mask: Tensor) -> None:
        """Draw targets for the worlds of `mask (N,)`: at the start, and after `task.hold_s`."""

    def controls(self) -> dict[str, tuple[float, float]]:
        """See `Task.controls`: the place of the target, in tasks with `target_w (N, 2)` and one marker."""
        steered = hasattr(self, "target_w") and len(self.sim.scene.markers) == 1
        return dict.fromkeys(("target_x_m", "target_y_m"), (-10.0, 10.0)) if steered else {}

    def steer(self, values: Mapping[str, float]) -> None:
        """See `Task.steer`."""
        self.target_w: Tensor = self.sim.root_pos_w.new_tensor([*values.values()]).repeat(self.sim.num_envs, 1)
        self.mark(torch.ones_like(self.fallen), self.target_w.unsqueeze(1))

    def target_due(self) -> Tensor | None:
        """`(N,)` bool: the next target is due, by default after `task.hold_s`; None if never within an episode."""
        return self.steps_left <= 0 if self.cfg.hold_s else None

    def update(self) -> None:
        """Update the task's own buffers after the physics, before rewards."""

    def ended_by_task(self) -> Tensor:
        """`(N,)` bool: the episode ends for a reason other than a fall."""
        return torch.zeros_like(self.fallen)

    def task_metrics(self) -> dict[str, Tensor]:
        """Further statistics of the episode, see `Task.metrics`."""
        return {}

    def apply(self, action: Tensor) -> None:
        """See `Task.apply`."""
        self.sim.ctrl.copy_(self.action_map(action))

    def after_physics(self) -> None:
        """See `Task.after_physics`."""
        low, before = self._is_low(self.sim), self.fallen
        self.fallen, self._upright_steps = track_fall(low, before, self._upright_steps, self.cfg.step_s)
        self._just_fell = low & ~before
        self._fallen_steps = (self._fallen_steps + 1).masked_fill(~self.fallen, 0.0)
        self.falls = self.falls + self._just_fell
        self.rises = self.rises + (before & ~self.fallen)
        if self.cfg.style_frames > 0:
            frame = self._style_frame(humanoid.motion_state(self.sim, self._joint_layout))
            self.history = torch.cat((frame.unsqueeze(1), self.history[:, :-1]), dim=1)
        self.update()

    def reward_terms(self) -> dict[str, Tensor]:
        """See `Task.reward_terms`; with `get_up_s` fallen bodies get none, `fall` aside."""
        terms = self.rewards()
        if self.cfg.get_up_s > 0:
            terms = {name: term.masked_fill(self.fallen, 0.0) for name, term in terms.items()}
        return terms | {"fall": self._just_fell.float()}

    def after_reward(self, terms: Mapping[str, Tensor]) -> None:
        """See `Task.after_reward`."""
        weights = self.SCORE or {name: self.cfg.reward.get(name, 0.0) for name in terms}
        scored = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum(0)
        self.score = self.score + scored.masked_fill((self.falls > 0) | self.sim.diverged, 0.0)
        if self.cfg.hold_s:
            self.steps_left = self.steps_left - 1
        due = self.target_due()
        if due is not None:
            self._change_target(due)

    def _change_target(self, mask: Tensor) -> None:
        if self.cfg.hold_s:
            held = draws.uniform(len(mask), self.cfg.hold_s, self.generator) / self.cfg.step_s
            self.steps_left = torch.where(mask, held.round().clamp_min(1.0), self.steps_left)
        self.new_target(mask)

    def terminated(self) -> Tensor:
        """A fall, with a rescue one of `rise_s`, else of `get_up_s`, or an end of the task's own."""
        return (self.is_low() & (self._fallen_steps >= self._max_fallen_steps)) | self.ended_by_task()

    def is_low(self) -> Tensor:
        """`(N,)` bool: below a height limit, or the world has diverged."""
        return self._is_low(self.sim)

    def reset(self, mask: Tensor) -> None:
        """See `Task.reset`."""
        rows = self._starts.pick(self.sim.num_envs, self.generator)
        self.sim.reset(mask, *self._starts.placed(rows, *self.place(mask)))
        self.fallen, self._just_fell = self.fallen & ~mask, self._just_fell & ~mask
        for name in ("falls", "rises", "score", "_upright_steps", "_fallen_steps"):
            setattr(self, name, getattr(self, name).masked_fill(mask, 0.0))
        self.history = torch.where(mask[:, None, None], self._starts.style[rows], self.history)
        self.begin(mask)
        self._change_target(mask)

    def observe(self) -> Obs:
        """`proprioception`; `style` if `style_frames` is above 0; `task`."""
        return self.observe_body() | {"task": self.observe_task()}

    def observe_body(self) -> Obs:
        """The groups that a skill reads: `proprioception`; `style` if `style_frames` is above 0."""
        obs = {"proprioception": humanoid.proprioception(self.sim)}
        return obs | {"style": self.history.flatten(1).clone()} if self.cfg.style_frames > 0 else obs

    def metrics(self) -> dict[str, Tensor]:
        """Score, `fall_rate` (0 or 1), where bodies may get up numbers of falls and rises, and what the task adds.

        `fall_rate` is 1 on the floor; with `get_up_s` from the first fall on.
        """
        gets_up = self.cfg.get_up_s > 0
        counts = {"falls": self.falls.clone(), "rises": self.rises.clone()} if gets_up or self._has_rescue else {}
        fell = self.falls > 0 if gets_up else self.is_low()
        return {"score": self.score.clone(), "fall_rate": fell.float()} | counts | self.task_metrics()
