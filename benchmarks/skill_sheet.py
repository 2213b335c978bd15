"""A contact sheet of a skill: a row of stills for each motion. `python benchmarks/skill_sheet.py OUT.png`.

Optional: `skill=PATH motions=walk,jog stills=10`. Every row starts at a random time of the clips and shows, from the
side, the skill under the motion's latent after two seconds. For a skill that gets up (trained by `task=HumanoidRise`)
each row is a fallen body (`bodies=4`), from its first step.
"""

import json
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import torch

import isaachrl
import tasks  # noqa: F401 - registers the tasks
from isaachrl.envs import Env, TaskEnv
from isaachrl.hierarchy.skill import Skill
from isaachrl.sim.cameras import ChaseCamera
from isaachrl.sim.render import SceneRenderer

DEFAULTS = {
    "skill": "assets/skills/humanoid.pt",
    "motions": "stand,walk_slow,walk_fast,jog,tight_left",
    "bodies": "4",
    "stills": "10",
}
SIZE = (150, 220)
RISE = "HumanoidRise"


def commanded(skill: Skill, motions: list[str], stills: int) -> np.ndarray:
    """A sheet with a row for each motion, a still every 4 control steps."""
    latent = torch.stack([skill.prototype_of(motion) for motion in motions])
    changes = {"style_frames": skill.contract.style_frames, "motion": "locomotion"}
    env = isaachrl.make("HumanoidAMP", num_envs=len(motions), seed=3, cfg={"task": changes})
    return _sheet(env, skill, latent, stills, settle=60, every=4, side_deg=80.0)


def getting_up(skill: Skill, bodies: int, stills: int) -> np.ndarray:
    """A sheet with a row for each fallen body, a still every 10 control steps."""
    changes = {"style_frames": skill.contract.style_frames, "fallen": {"share": 1.0}}
    env = isaachrl.make(RISE, num_envs=bodies, seed=3, cfg={"task": changes})
    return _sheet(env, skill, torch.zeros(bodies, 0), stills, settle=0, every=10, side_deg=40.0)


@torch.no_grad()
def _sheet(
    env: Env, skill: Skill, latent: torch.Tensor, stills: int, settle: int, every: int, side_deg: float
) -> np.ndarray:
    """The picture `(rows * height, stills * width, 3)` uint8."""
    assert isinstance(env, TaskEnv)
    renderer = SceneRenderer(env.sim.scene, *SIZE)
    cameras = [ChaseCamera(distance_m=3.0, elevation_deg=-8.0, side_deg=side_deg, lag=0.0) for _ in latent]
    rows: list[list[np.ndarray]] = [[] for _ in latent]
    obs = env.reset()
    for step in range(settle + stills * every):
        if step >= settle and step % every == 0:
            for row, camera, qpos in zip(rows, cameras, env.sim.qpos.numpy(), strict=True):
                row.append(renderer.frame(qpos, np.zeros((0, 3)), camera))
        obs = env.advance(skill.act(obs["proprioception"], latent)).obs
    renderer.close()
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def main(arguments: list[str]) -> None:
    """Run the command line; prints the names of the rows."""
    options = DEFAULTS | dict(argument.split("=", 1) for argument in arguments[1:])
    skill, stills = Skill.load(options["skill"]), int(options["stills"])
    rows: list[str] = options["motions"].split(",")
    if skill.contract.training.get("task") == RISE:
        rows = [f"body {body}" for body in range(int(options["bodies"]))]
        picture = getting_up(skill, len(rows), stills)
    else:
        picture = commanded(skill, rows, stills)
    imageio.imwrite(Path(arguments[0]), picture)
    sys.stdout.write(json.dumps({"picture": arguments[0], "rows": rows}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
