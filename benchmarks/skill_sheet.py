"""A contact sheet of a skill: one row a command, a still every few steps. `python benchmarks/skill_sheet.py OUT.png`.

Optional: `skill=PATH motions=walk,jog stills=10`. Every row starts from a random moment of the clips and is shown after
two seconds under its command, from the side.
"""

import json
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import torch

import isaachrl
import tasks  # noqa: F401 - registers the tasks
from isaachrl.envs import TaskEnv
from isaachrl.hierarchy.skill import Skill
from isaachrl.sim.cameras import ChaseCamera
from isaachrl.sim.render import SceneRenderer

DEFAULTS = {"skill": "assets/skills/humanoid.pt", "motions": "stand,walk_slow,walk_fast,jog,tight_left", "stills": "10"}
SETTLE_STEPS = 60
STEPS_A_STILL = 4
SIZE = (150, 220)


@torch.no_grad()
def sheet(skill: Skill, motions: list[str], stills: int) -> np.ndarray:
    """The picture `(rows * height, stills * width, 3)` uint8."""
    changes = {"style_frames": skill.contract.style_frames, "motion": "locomotion"}
    env = isaachrl.make("HumanoidAMP", num_envs=len(motions), seed=3, cfg={"task": changes})
    assert isinstance(env, TaskEnv)
    latent = torch.stack([skill.place_of(motion) for motion in motions])
    renderer = SceneRenderer(env.sim.scene, *SIZE)
    cameras = [ChaseCamera(distance_m=3.0, elevation_deg=-8.0, side_deg=80.0, lag=0.0) for _ in motions]
    rows: list[list[np.ndarray]] = [[] for _ in motions]
    obs = env.reset()
    for step in range(SETTLE_STEPS + stills * STEPS_A_STILL):
        obs = env.advance(skill.act(obs["proprioception"], latent)).obs
        if step >= SETTLE_STEPS and step % STEPS_A_STILL == 0:
            for row, camera, qpos in zip(rows, cameras, env.sim.qpos.numpy(), strict=True):
                row.append(renderer.frame(qpos, np.zeros((0, 3)), camera))
    renderer.close()
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def main(arguments: list[str]) -> None:
    """Read the command line, draw, write, and say what was drawn."""
    options = DEFAULTS | dict(argument.split("=", 1) for argument in arguments[1:])
    motions = options["motions"].split(",")
    picture = sheet(Skill.load(options["skill"]), motions, int(options["stills"]))
    imageio.imwrite(Path(arguments[0]), picture)
    sys.stdout.write(json.dumps({"picture": arguments[0], "rows": motions}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
