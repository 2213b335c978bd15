"""HumanoidProgram: an errand as a table: which option acts, and until what; a state machine runs trained parts."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from isaachrl import config
from isaachrl.config import bounded
from isaachrl.envs import Obs
from isaachrl.errors import ConfigError, brief
from isaachrl.hierarchy.hierarchical_env import HierarchyCfg
from isaachrl.hierarchy.state_machine import FARTHEST_M, MachineState, StateMachine
from isaachrl.shipped import ROOT
from isaachrl.sim import Scene, Sim

from .common.frames import heading_frame
from .common.skill_task import SkillTask, SkillTaskCfg
from .humanoid_location import LOCATION_LAYOUT, location_observation
from .humanoid_topple import PILLAR_LAYOUT, TOPPLED, pillar, pillar_observation, pillar_up_w

LOCATION, TOPPLE = "HumanoidLocation", "HumanoidTopple"  # the observation groups that their policies read
KNOWN_OPTIONS = {
    "rise": "assets/skills/rising.pt",
    "goto": f"assets/policies/{LOCATION}.pt",
    "topple": f"assets/policies/{TOPPLE}.pt",
}
FSM = [{"do": "walk", "for_s": 4}, {"do": "tight_left", "for_s": 3}, {"do": "walk_slow", "for_s": 3}]
ALWAYS = [{"when": "fallen", "do": "rise", "until": "upright"}]
MAX_FILE_BYTES = 100_000


@dataclass
class HumanoidProgramCfg(SkillTaskCfg):
    """Configuration of HumanoidProgram; see `SkillTaskCfg` for the shared part.

    Args:
        fsm, always: the table and its rules, see `StateMachine`. Conditions: `near` (the target), `fallen`, `upright`
            (not fallen, or for half a second again) and, with a pillar, `toppled`.
        pillar: where a pillar stands, x and y in m; empty for none.
        options: what stands for a `do`; one that is not listed is `rise` (the shipped skill), `goto` or `topple` (the
            shipped policies of HumanoidLocation and HumanoidTopple) or a motion of `skill`. Those that the table does
            not use are dropped.
        program: a YAML file with `fsm`, and with `always`, `pillar` and `options` if they differ from the defaults; it
            is replaced by its content. Options that are typed, too, have precedence.
        near_m: distance from the target that counts as near.
        rise_s: time limit for getting up, if a rule has `when: fallen`; else a fall ends the episode.
        reward: `entry`, 1 for each entry that is done; `fall`, 1 on each fall.
    """

    fsm: list[dict[str, Any]] = field(default_factory=lambda: [dict(entry) for entry in FSM])
    always: list[dict[str, Any]] = field(default_factory=lambda: [dict(rule) for rule in ALWAYS])
    pillar: list[float] = bounded([], -FARTHEST_M, FARTHEST_M)
    program: str = ""
    near_m: float = bounded(0.7, 0.01, 10.0)
    episode_steps: int = 1800
    hierarchy: HierarchyCfg = field(default_factory=lambda: HierarchyCfg(1, 1.0, 0.0))
    reward: dict[str, float] = bounded({"entry": 1.0, "fall": 0.0}, -1e6, 1e6)

    def __post_init__(self) -> None:
        """Read the file, and check the table."""
        super().__post_init__()
        given = KNOWN_OPTIONS
        if self.program:
            if self.fsm != FSM:
                raise ConfigError(f"task.program={self.program} and task.fsm are both given; leave one of them out")
            file = _read(self.program)
            self.fsm, self.always, self.pillar = file.fsm, file.always, file.pillar
            given, self.program = given | file.options, ""
        if len(self.pillar) not in (0, 2):
            raise ConfigError(f"task.pillar={self.pillar}: expected x and y in m, type task.pillar=[4,0]")
        given = given | self.options
        self.options = {name: given.get(name, name) for name in self.machine(torch.device("cpu")).options}
        if self.get_up_s > 0 and self.gets_up:
            raise ConfigError(
                f"task.get_up_s={self.get_up_s}: a rule with when: fallen has task.rise_s; leave task.get_up_s out"
            )

    @property
    def gets_up(self) -> bool:
        """Whether a rule has `when: fallen`."""
        return any(rule["when"] == "fallen" for rule in self.always)

    def machine(self, device: torch.device) -> StateMachine:
        """The state machine of the table.

        Raises:
            ConfigError: the table is not valid.
        """
        conditions = ("near", "fallen", "upright", *(("toppled",) if self.pillar else ()))
        return StateMachine(self.fsm, self.always, conditions, self.step_s, device)


class HumanoidProgram(SkillTask[HumanoidProgramCfg]):
    """Go through the entries of a table; `policy=program` always chooses the option that the table asks for.

    Attributes:
        entry, rule, steps: `(N,)`, see `MachineState`.
    """

    STATE = (*SkillTask.STATE, "entry", "rule", "steps", "_entry_done", "_done_s")

    def __init__(self, cfg: HumanoidProgramCfg, sim: Sim, generator: torch.Generator) -> None:
        self.machine = cfg.machine(sim.device)
        asked = ("asked", len(self.machine.options), f"1 for the option that is asked for: {self.machine.options}")
        super().__init__(cfg, sim, generator, [asked])
        seen = {LOCATION: LOCATION_LAYOUT} | ({TOPPLE: PILLAR_LAYOUT} if cfg.pillar else {})
        self.obs_layout |= seen
        self.obs_sizes |= {group: sum(size for _, size, _ in layout) for group, layout in seen.items()}
        self.policy_groups = ("proprioception", *seen, "task")
        if cfg.gets_up:
            self._has_rescue, self._max_fallen_steps = True, round(cfg.rise_s / cfg.step_s)
        self.entry, self.rule, self.steps = self.machine.start(sim.num_envs)
        self._choices = torch.eye(len(self.machine.options), device=sim.device)
        self._entry_done, self._done_s = torch.zeros_like(self.fallen), torch.zeros_like(self.score)

    @classmethod
    def scene(cls, cfg: HumanoidProgramCfg) -> Scene:
        """A humanoid, a marker at the target, and the pillar."""
        objects = (pillar(*cfg.pillar),) if cfg.pillar else ()
        return cls.humanoid_scene(cfg, markers=("target",), objects=objects, sense_substeps=False)

    def conditions(self) -> dict[str, Tensor]:
        """The conditions of a table by name, each `(N,)` bool."""
        near = (self._target_w() - self.sim.root_pos_w[:, :2]).norm(dim=-1) < self.cfg.near_m
        holds = {"near": near, "fallen": self.fallen, "upright": ~self.fallen}
        return holds | {"toppled": pillar_up_w(self.sim)[:, 2] < TOPPLED} if self.cfg.pillar else holds

    def _state(self) -> MachineState:
        return MachineState(self.entry, self.rule, self.steps)

    def _target_w(self) -> Tensor:
        return self.machine.target_w(self._state())

    def begin(self, mask: Tensor) -> None:
        """See `SkillTask.begin`."""
        for name in ("entry", "rule", "steps", "_entry_done", "_done_s"):
            setattr(self, name, getattr(self, name).masked_fill(mask, 0))
        self.mark(mask, self._target_w().unsqueeze(1))

    def update(self) -> None:
        """See `SkillTask.update`: a step of the state machine."""
        before = self.entry
        self._done_s = self._done_s + self.cfg.step_s * ~self._is_done()
        self.entry, self.rule, self.steps = self.machine.step(self._state(), self.conditions())
        self._entry_done = self.entry > before
        self.mark(self._entry_done, self._target_w().unsqueeze(1))

    def _is_done(self) -> Tensor:
        return self.entry >= self.machine.goal

    def rewards(self) -> dict[str, Tensor]:
        """See `SkillTask.rewards`."""
        return {"entry": self._entry_done.float()}

    def ended_by_task(self) -> Tensor:
        """All entries are done."""
        return self.entry >= len(self.cfg.fsm)

    def observe_body(self) -> Obs:
        """See `SkillTask.observe_body`; also what policies of HumanoidLocation and HumanoidTopple read."""
        obs = super().observe_body()
        obs[LOCATION] = location_observation(heading_frame(self.sim), self._target_w())
        return obs | {TOPPLE: pillar_observation(self.sim)} if self.cfg.pillar else obs

    def observe_task(self) -> Tensor:
        """See `SkillTask.observe_task`."""
        return self._choices[self.machine.option(self._state())]

    def task_metrics(self) -> dict[str, Tensor]:
        """Success (0 or 1: all entries done), number of entries done, and seconds to success, else NaN."""
        done = self._is_done() & ~self.sim.diverged
        time_s = torch.where(done, self._done_s, torch.nan)
        return {"success_rate": done.float(), "entries_done": self.entry.float(), "time_s": time_s}


@dataclass
class _File:
    """Content of a file of `task.program`."""

    fsm: list[dict[str, Any]] = field(default_factory=list)
    always: list[dict[str, Any]] = field(default_factory=lambda: [dict(rule) for rule in ALWAYS])
    pillar: list[float] = bounded([], -FARTHEST_M, FARTHEST_M)
    options: dict[str, str] = field(default_factory=dict)


def _read(program: str) -> _File:
    """The content of a file of `task.program`.

    Raises:
        ConfigError: it cannot be read, or has other keys or types.
    """
    try:
        path = Path(os.path.expanduser(program))
        with (path if path.exists() else ROOT / path).open(encoding="utf-8") as file:
            text = file.read(MAX_FILE_BYTES)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ValueError("it holds aliases (*name); write them out")
        content = yaml.safe_load(text)
    except Exception as error:  # a file can be wrong in any way
        raise ConfigError(f"task.program={program} cannot be read as YAML: {brief(error)}") from error
    return config.build(_File, content, f"task.program={program}")
