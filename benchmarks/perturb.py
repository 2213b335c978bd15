"""How large an impulse a walking skill bears: `python benchmarks/perturb.py OUT.json [skill=PATH] [rescue=PATH] …`.

Bodies follow one motion of the skill (`motion=walk`), get an impulse on the pelvis for a tenth of a second at a random
phase of their gait, from the back, the front, the left or the right, and are watched for `seconds=5`. A table and one
line of JSON give for each direction and impulse the share of bodies that never fell, or with a rescue are upright at
the end; the mean time until those walk like bodies without an impulse again (velocity averaged over half a second,
within 0.3 m/s); and J80, the impulse in N s that 80 % of the bodies bear. No training is involved. `bodies=32` for each
direction and impulse; impulses from 0 to `largest=150` in steps of `step=10`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import isaachrl
import tasks  # noqa: F401 - registers the tasks
from isaachrl.envs import TaskEnv
from isaachrl.errors import IsaacHRLError
from isaachrl.files import write_atomically
from isaachrl.hierarchy.build import NO_SKILL, skill_path
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.hierarchy.skill import Skill
from tasks.common.draws import direction
from tasks.common.frames import heading_frame

DEFAULTS = {
    "skill": "assets/skills/agile.pt", "rescue": NO_SKILL, "motion": "walk", "bodies": "32", "seconds": "5",
    "largest": "150", "step": "10", "seed": "0",
}  # fmt: skip
DIRECTIONS = {"from the back": 0.0, "from the right": 90.0, "from the front": 180.0, "from the left": -90.0}  # degrees
PUSH_STEPS = 3  # control steps, a tenth of a second
FIRST_PUSH, LAST_PUSH = 45, 75  # control step of the push: the phase of the gait is random
AVERAGE_S = 0.5
LIKE_OTHERS_MPS = 0.3
BORNE = 0.8


def j80(impulses: Sequence[float], success: Sequence[float]) -> float:
    """The impulse at which the success first falls below 80 %, linear between the tested ones; the largest if never."""
    for i, share in enumerate(success):
        if share < BORNE:
            return 0.0 if i == 0 else float(
                impulses[i] - (impulses[i] - impulses[i - 1]) * (BORNE - share) / (success[i - 1] - share)
            )  # fmt: skip
    return float(impulses[-1])


@dataclass
class Outcome:
    """Results by direction, impulse and body.

    Args:
        success: `(D, J, B)` bool.
        recovery_s: `(D, J, B)` s; nan without success.
    """

    success: Tensor
    recovery_s: Tensor


def make(options: dict[str, str], num_envs: int) -> HierarchicalEnv:
    """Bodies that walk on an open floor, commanded at every control step; nothing ends their episode."""
    cfg = {
        "skill": options["skill"], "rescue": options["rescue"], "hierarchy": {"steps": 1},
        "start_motion": options["motion"], "rise_s": 3600.0, "episode_steps": 1_000_000,
    }  # fmt: skip
    env = isaachrl.make("HumanoidLocation", num_envs, seed=int(options["seed"]), cfg={"task": cfg})
    assert isinstance(env, HierarchicalEnv) and isinstance(env.inner, TaskEnv)
    return env


@torch.no_grad()
def push(options: dict[str, str], impulses: Sequence[float]) -> Outcome:
    """Push the bodies of a batch, each in its direction with its impulse."""
    shape = (len(DIRECTIONS), len(impulses), int(options["bodies"]))
    env = make(options, shape[0] * shape[1] * shape[2])
    n, device, task, sim = env.num_envs, env.device, env.inner.task, env.inner.sim  # pyright: ignore
    latent = Skill.load(skill_path(options["skill"]), device).prototype_of(options["motion"]).expand(n, -1)
    angle = torch.tensor(list(DIRECTIONS.values()), device=device).deg2rad().view(-1, 1, 1).expand(shape).flatten()
    impulse = torch.tensor(impulses, device=device).view(-1, 1).expand(shape).flatten()
    generator = torch.Generator(device=device).manual_seed(int(options["seed"]))
    begin = torch.randint(FIRST_PUSH, LAST_PUSH, (n,), generator=generator, device=device)
    force = (impulse / (PUSH_STEPS * env.step_s)).unsqueeze(1)
    fell, last_odd = torch.zeros(n, dtype=torch.bool, device=device), torch.zeros(n, device=device)
    velocity_h, towards_w = torch.zeros(2, n, 2, device=device).unbind()
    env.reset()
    for step in range(LAST_PUSH + round(float(options["seconds"]) / env.step_s)):
        frame, after = heading_frame(sim), step - begin
        ahead, left = frame.ahead_w, frame.ahead_w.flip(-1) * torch.tensor([-1.0, 1.0], device=device)
        aim = direction(angle)
        towards_w = torch.where((after <= 0).unsqueeze(1), aim[:, :1] * ahead + aim[:, 1:] * left, towards_w)
        pushed = ((after >= 0) & (after < PUSH_STEPS)).unsqueeze(1)
        sim.push(torch.nn.functional.pad(torch.where(pushed, force * towards_w, 0.0), (0, 1)))
        env.advance(latent)
        now = heading_frame(sim).vectors(sim.root_linvel_w[:, :2])
        velocity_h = torch.lerp(velocity_h, now, env.step_s / AVERAGE_S)
        others = velocity_h.view(*shape, 2)[:, 0].mean((0, 1))  # the first impulse is 0
        odd = ((velocity_h - others).norm(dim=-1) > LIKE_OTHERS_MPS) | task.fallen
        last_odd = torch.where(odd & (after >= 0), after.float(), last_odd)
        fell |= task.is_low() & (after >= 0)
    success = fell.logical_not() if options["rescue"] == NO_SKILL else task.fallen.logical_not()
    recovery = torch.where(success, last_odd * env.step_s, torch.nan)
    return Outcome(success.view(shape), recovery.view(shape))


def summary(outcome: Outcome, impulses: Sequence[float]) -> dict[str, dict[str, object]]:
    """By direction: J80, and by impulse the success and the mean recovery time, s."""
    shares = outcome.success.float().mean(-1).tolist()
    times = outcome.recovery_s.nanmean(-1).tolist()
    return {
        name: {"j80": round(j80(impulses, share), 1), "success": share, "recovery_s": time}
        for name, share, time in zip(DIRECTIONS, shares, times, strict=True)
    }


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        path, *changes = arguments
        typed = dict(change.split("=", 1) for change in changes)
        if unknown := typed.keys() - DEFAULTS:
            raise ValueError(f"unknown {', '.join(sorted(unknown))}; there are {', '.join(DEFAULTS)}")
        options = DEFAULTS | typed
        impulses = torch.arange(0.0, float(options["largest"]) + 1e-6, float(options["step"])).tolist()
        result = {"options": options, "impulses": impulses} | summary(push(options, impulses), impulses)
    except (ValueError, IsaacHRLError) as error:
        sys.stderr.write(f"{error}\nusage: python benchmarks/perturb.py OUT.json [key=value …]\n")
        return 2
    write_atomically(Path(path), json.dumps(result).encode())
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
