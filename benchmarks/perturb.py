"""How large an impulse a walking skill bears: `python benchmarks/perturb.py OUT.json [skill=PATH] [rescue=PATH] …`.

Bodies follow one motion of the skill (`motion=walk`), get an impulse on the pelvis for a tenth of a second at a random
phase of their gait, from the back, the front, the left or the right, and each is watched for `seconds=5` from the start
of its impulse. There are `bodies=32` for each direction and impulse; impulses from 0 to `largest=150` N s in steps of
`step=10`. No training is involved. OUT.json and standard output get one line of JSON, standard error a table of its
main numbers. For each direction:

- `success`, by impulse: share of bodies that never fell, or with a rescue are upright at the end of their watch.
- `j80`: impulse in N s that 80 % of the bodies bear, linear between the tested ones; 0 only if the first impulse above
  0 fails where no impulse does, too. null if the largest is still borne, which `j80_at_least` then says.
- `recovered`, by impulse: share of bodies that end upright and walking like bodies without an impulse: their velocity
  in the heading frame, an exponential mean with a time constant of half a second, is within 0.3 m/s of those bodies'
  mean.
- `recovery_s`, by impulse: mean time of the recovered bodies from the start of the impulse until they walk like that
  for good; null if there are none.
- `velocity_change_mps`, by impulse: mean change of the velocity during the impulse, ahead and to the left.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import isaachrl
import tasks  # noqa: F401 - registers the tasks
from isaachrl import config
from isaachrl.config import bounded
from isaachrl.envs import TaskEnv
from isaachrl.errors import ConfigError, IsaacHRLError
from isaachrl.files import write_atomically
from isaachrl.hierarchy.build import NO_SKILL, skill_path
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.hierarchy.skill import Skill
from isaachrl.maths import rotations
from isaachrl.run.storage.metrics import jsonable
from tasks.common.draws import direction
from tasks.common.frames import heading_frame

USAGE = "python benchmarks/perturb.py OUT.json [key=value …]"
DIRECTIONS = {"from the back": 0.0, "from the right": 90.0, "from the front": 180.0, "from the left": -90.0}  # degrees
PUSH_STEPS = 3  # control steps, a tenth of a second
FIRST_PUSH, LAST_PUSH = 45, 75  # control step of the push: the phase of the gait is random
AVERAGE_S = 0.5  # time constant of the mean velocity
LIKE_OTHERS_MPS = 0.3
BORNE = 0.8


@dataclass
class Options:
    """The command line, see above.

    Args:
        skill, rescue, motion: see `SkillTaskCfg`; `motion` is a motion of the skill.
        bodies: for each direction and impulse.
        seconds: that a body is watched.
        largest, step: impulses, N s.
        seed: of the start poses and the phases of the gait.
    """

    skill: str = "assets/skills/agile.pt"
    rescue: str = NO_SKILL
    motion: str = "walk"
    bodies: int = bounded(32, 1, 10_000)
    seconds: float = bounded(5.0, 0.2, 600.0)
    largest: float = bounded(150.0, 0.1, 10_000.0)
    step: float = bounded(10.0, 0.1, 10_000.0)
    seed: int = bounded(0, 0)

    def __post_init__(self) -> None:
        """Validate what ranges cannot express."""
        if self.step > self.largest:
            raise ConfigError(
                f"step={self.step:g}: expected at most largest={self.largest:g}; type step={self.largest:g}"
            )

    @property
    def impulses(self) -> list[float]:
        """N s, from 0 on."""
        return torch.arange(0.0, self.largest + 1e-6, self.step, dtype=torch.double).tolist()


def parse(words: Sequence[str]) -> tuple[Path, Options]:
    """The file to write, and the options.

    Raises:
        ConfigError: a word is missing or wrong.
    """
    path, *changes = words or [""]
    if not path or "=" in path:
        raise ConfigError(f"{path or 'no arguments'}: expected the file to write first; type {USAGE}")
    if not Path(path).parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {Path(path).parent}; type mkdir -p {Path(path).parent}")
    for change in changes:
        if "=" not in change:
            raise ConfigError(f"{change}: expected key=value, as in bodies=32; type {USAGE}")
    return Path(path), config.build(Options, dict(change.split("=", 1) for change in changes))


def j80(impulses: Sequence[float], success: Sequence[float]) -> float | None:
    """The impulse above which the success first falls below 80 %, linear between the tested ones; None if never.

    0 if the first impulse above 0 fails and the success without an impulse is below 80 % too.
    """
    for i in range(1, len(success)):
        low, high = success[i], success[i - 1]
        if low < BORNE:
            share = (high - BORNE) / (high - low) if high >= BORNE else 0.0
            return impulses[i - 1] + share * (impulses[i] - impulses[i - 1])
    return None


@dataclass
class Impulses:
    """Impulses on the roots of N bodies.

    Args:
        angle_rad: `(N,)` direction, from the body's heading to the left.
        force_n: `(N,)` force.
        begin: `(N,)` first control step.
    """

    angle_rad: Tensor
    force_n: Tensor
    begin: Tensor

    def force_w(self, step: int, yaw_rad: Tensor) -> Tensor:
        """Forces `(N, 3)` in a control step, N, on bodies with headings `yaw_rad (N,)`."""
        pushed = (step >= self.begin) & (step < self.begin + PUSH_STEPS)
        force = (self.force_n * pushed).unsqueeze(1)
        return torch.nn.functional.pad(force * direction(self.angle_rad + yaw_rad), (0, 1))


@dataclass
class Outcome:
    """Results by direction, impulse and body.

    Args:
        success: `(D, J, B)` bool.
        recovery_s: `(D, J, B)` s; nan without success, and for bodies still unlike the others at the end.
        change_h: `(D, J, B, 2)` change of the velocity during the impulse, m/s, heading frame.
    """

    success: Tensor
    recovery_s: Tensor
    change_h: Tensor


class Watch:
    """What happens to N bodies in the control steps `0 … steps - 1` from the start of their impulse on.

    Attributes:
        fell: `(N,)` bool, was below a height limit.
        fallen: `(N,)` bool, had not recovered in the last step.
        odd_steps: `(N,)` steps until the body was like the others for good.
        change_h: `(N, 2)` change of the velocity during the impulse, m/s.
    """

    def __init__(self, n: int, steps: int, device: torch.device) -> None:
        self.steps = steps
        self.fell, self.fallen = torch.zeros(2, n, dtype=torch.bool, device=device).unbind()
        self.odd_steps = torch.zeros(n, dtype=torch.long, device=device)
        self._before_h, self.change_h = torch.zeros(2, n, 2, device=device).unbind()

    def update(self, after: Tensor, low: Tensor, fallen: Tensor, odd: Tensor, velocity_h: Tensor) -> None:
        """Take in the control step `after (N,)`, counted from the start of the impulse on.

        Args:
            after: long; below 0 before the impulse.
            low, fallen, odd: `(N,)` bool: below a height limit; fallen and not yet recovered; unlike the others.
            velocity_h: `(N, 2)` m/s.
        """
        watched = (after >= 0) & (after < self.steps)
        self.fell = self.fell | (low & watched)
        self.fallen = torch.where(watched, fallen, self.fallen)
        self.odd_steps = torch.where(watched & odd, after + 1, self.odd_steps)
        self._before_h = torch.where((after < 0).unsqueeze(1), velocity_h, self._before_h)
        self.change_h = torch.where((after == PUSH_STEPS - 1).unsqueeze(1), velocity_h - self._before_h, self.change_h)

    def outcome(self, shape: tuple[int, int, int], step_s: float, has_rescue: bool) -> Outcome:
        """The results, of `step_s` seconds per control step."""
        success = (self.fallen if has_rescue else self.fell).logical_not()
        recovered = success & (self.odd_steps < self.steps)
        recovery_s = torch.where(recovered, self.odd_steps * step_s, torch.nan)
        return Outcome(success.view(shape), recovery_s.view(shape), self.change_h.view(*shape, 2))


def make(options: Options, num_envs: int) -> HierarchicalEnv:
    """Bodies that walk on an open floor, commanded at every control step; nothing ends their episode."""
    cfg = {
        "skill": options.skill, "rescue": options.rescue, "hierarchy": {"steps": 1},
        "start_motion": options.motion, "rise_s": 3600.0, "episode_steps": 1_000_000,
    }  # fmt: skip
    env = isaachrl.make("HumanoidLocation", num_envs, seed=options.seed, cfg={"task": cfg})
    assert isinstance(env, HierarchicalEnv) and isinstance(env.inner, TaskEnv)
    return env


def plan(options: Options, shape: tuple[int, int, int], step_s: float, device: torch.device) -> Impulses:
    """The impulses of a batch of bodies `(D, J, B)`."""
    angle = torch.tensor(list(DIRECTIONS.values()), device=device).deg2rad().view(-1, 1, 1).expand(shape).flatten()
    impulse = torch.tensor(options.impulses, device=device).view(-1, 1).expand(shape).flatten()
    generator = torch.Generator(device=device).manual_seed(options.seed)
    begin = torch.randint(FIRST_PUSH, LAST_PUSH, angle.shape, generator=generator, device=device)
    return Impulses(angle, impulse / (PUSH_STEPS * step_s), begin)


def unlike_others(mean_h: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """`(N,)` bool: the mean velocity `(N, 2)` is not that of the bodies without an impulse, which have J = 0."""
    others_h = mean_h.view(*shape, 2)[:, 0].mean((0, 1))
    return (mean_h - others_h).norm(dim=-1) > LIKE_OTHERS_MPS


@torch.no_grad()
def push(options: Options) -> Outcome:
    """Push the bodies of a batch, each in its direction with its impulse."""
    shape = (len(DIRECTIONS), len(options.impulses), options.bodies)
    env = make(options, shape[0] * shape[1] * shape[2])
    n, device, step_s, task, sim = env.num_envs, env.device, env.step_s, env.inner.task, env.inner.sim  # pyright: ignore
    latent = Skill.load(skill_path(options.skill), device).prototype_of(options.motion).expand(n, -1)
    impulses, watch = plan(options, shape, step_s, device), Watch(n, round(options.seconds / step_s), device)
    mean_h = torch.zeros(n, 2, device=device)
    env.reset()
    for step in range(LAST_PUSH - 1 + watch.steps):
        sim.push(impulses.force_w(step, rotations.heading(sim.root_quat_w)))
        env.advance(latent)
        velocity_h = heading_frame(sim).vectors(sim.root_linvel_w[:, :2])
        mean_h = torch.lerp(mean_h, velocity_h, step_s / AVERAGE_S)
        odd = unlike_others(mean_h, shape) | task.fallen
        watch.update(step - impulses.begin, task.is_low(), task.fallen, odd, velocity_h)
    return watch.outcome(shape, step_s, options.rescue != NO_SKILL)


def summary(outcome: Outcome, impulses: Sequence[float]) -> dict[str, dict[str, Any]]:
    """The results by direction, see above."""
    values = {
        "success": outcome.success.float().mean(-1),
        "recovered": outcome.recovery_s.isfinite().float().mean(-1),
        "recovery_s": outcome.recovery_s.nanmean(-1),
        "velocity_change_mps": outcome.change_h.mean(-2),
    }
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(DIRECTIONS):
        borne = j80(impulses, values["success"][i].tolist())
        at_least = impulses[-1] if borne is None else None
        found[name] = {"j80": borne if borne is None else round(borne, 1), "j80_at_least": at_least}
        found[name] |= {key: value[i].tolist() for key, value in values.items()}
    return found


def table(found: dict[str, dict[str, Any]], impulses: Iterable[float]) -> Table:
    """Success and recovery time by impulse and direction, and J80."""
    shown = Table("N s", *found, title="bodies upright, mean time until they walk like the others")
    for i, impulse in enumerate(impulses):
        cells = (f"{entry['success'][i]:.0%}  {entry['recovery_s'][i]:.1f} s" for entry in found.values())
        shown.add_row(f"{impulse:g}", *(cell.replace("nan s", "-") for cell in cells))
    shown.add_section()
    ends = (
        f">= {entry['j80_at_least']:g}" if entry["j80"] is None else f"{entry['j80']:g}" for entry in found.values()
    )
    shown.add_row("J80", *ends)
    return shown


def main(words: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        path, options = parse(words)
        found = summary(push(options), options.impulses)
        line = json.dumps(jsonable({"options": asdict(options), "impulses": options.impulses} | found))
        write_atomically(path, f"{line}\n".encode())
    except IsaacHRLError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    Console(stderr=True).print(table(found, options.impulses))
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
