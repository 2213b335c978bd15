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
from isaachrl.run.card.impulses import (
    AVERAGE_S,
    DIRECTIONS,
    PUSH_STEPS,
    Impulses,
    Outcome,
    Watch,
    j80,
    unlike_others,
    velocity_h,
)  # fmt: skip
from isaachrl.run.storage.metrics import jsonable

USAGE = "python benchmarks/perturb.py OUT.json [key=value …]"
FIRST_PUSH, LAST_PUSH = 45, 75  # control step of the push: the phase of the gait is random


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
        now_h = velocity_h(sim)
        mean_h = torch.lerp(mean_h, now_h, step_s / AVERAGE_S)
        odd = unlike_others(mean_h, shape) | task.fallen
        watch.update(step - impulses.begin, task.is_low(), task.fallen, odd, now_h)
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
