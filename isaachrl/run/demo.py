"""`python -m isaachrl.run.demo`: a small example of the whole pipeline, from motions to a skill to a maze.

A skill of a few minutes' training walks, but falls under some latents. So the high level uses the shipped skill, which
was trained for longer and on more motions, and starts from the shipped high level. `--own-skill` uses the new skill,
`--from-scratch` an untrained high level (use `--maze-iterations 300`).
"""

import argparse
import logging
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from isaachrl.errors import IsaacHRLError
from isaachrl.run.process import guarded, set_up_logging
from isaachrl.shipped import ASSETS, COMMAND, PROGRAM

log = logging.getLogger("isaachrl.run.demo")  # `__name__` is `__main__` under `python -m`

SHIPPED = ASSETS / "skills" / "humanoid.pt"
SHIPPED_HIGH_LEVEL = ASSETS / "skills" / "umaze.pt"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the demo; arguments after `--` go to every command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the results")
    parser.add_argument("--skill-iterations", type=int, default=120)
    parser.add_argument("--skill-envs", type=int, default=1024)
    parser.add_argument("--maze-iterations", type=int, default=20)
    parser.add_argument("--maze-envs", type=int, default=256)
    parser.add_argument("--layout", default="umaze")
    parser.add_argument("--episodes", type=int, default=3, help="episodes of the replay")
    parser.add_argument("--motion", default="walks", help="motions that the new skill imitates")
    parser.add_argument("--skill", type=Path, default=SHIPPED, help="skill of the high level")
    parser.add_argument("--own-skill", action="store_true", help="use the new skill instead")
    parser.add_argument("--from-scratch", action="store_true", help="train the high level from scratch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="*", help="further key=value settings of every command, such as device=cpu")
    return parser.parse_args(argv)


def demo(options: argparse.Namespace) -> list[Path]:
    """Train a skill, train a high level on a skill in a maze, and record a video.

    Returns:
        Files in the output folder: the skill, the checkpoint of the high level, video and report.

    Raises:
        IsaacHRLError: a command failed; it has printed its own message.
    """
    out = options.out.resolve()
    for folder in ("skill", "maze"):  # of an earlier demo
        shutil.rmtree(out / folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    own_skill = _train_skill(options, out)
    skill = own_skill if options.own_skill else options.skill.resolve()
    log.info("the high level uses the skill %s", skill)
    if skill != out / "skill.pt":
        shutil.copyfile(skill, out / "skill.pt")
    maze = out / "maze"
    shared = [f"seed={options.seed}", *options.settings]
    start = [] if options.from_scratch or options.own_skill else [f"checkpoint={SHIPPED_HIGH_LEVEL}"]
    _command(
        "task=HumanoidHRLMaze", f"skill={out / 'skill.pt'}", f"task.layout={options.layout}", f"run_dir={maze}",
        f"num_envs={options.maze_envs}", f"max_iterations={options.maze_iterations}", *start, *shared,
    )  # fmt: skip
    _command(
        "task=HumanoidHRLMaze", "mode=play", f"checkpoint={maze}", f"episodes={options.episodes}", *shared
    )  # fmt: skip
    files = {
        "high_level.pt": maze / "checkpoints" / "last.pt",
        "report.png": maze / "report.png",
        "replay.mp4": maze / "play.mp4",
        "replay.jpg": maze / "play.jpg",
    }
    for name, source in files.items():
        if source.exists():  # without a renderer there is no video
            shutil.copyfile(source, out / name)
    return [path for path in (out / name for name in ("skill.pt", *files)) if path.exists()]


def _train_skill(options: argparse.Namespace, out: Path) -> Path:
    """Train a skill for a short time; returns its file."""
    folder = out / "skill"
    _command(
        "task=HumanoidAMP", f"motion={options.motion}", f"run_dir={folder}", f"num_envs={options.skill_envs}",
        f"max_iterations={options.skill_iterations}", f"seed={options.seed}",
        "train.anneal_from=0.6", "train.anneal_to=0.9",  # a short training learns to walk late
        *options.settings,
    )  # fmt: skip
    return folder / "skill.pt"


def _command(*settings: str) -> None:
    """Run the program."""
    log.info("%s %s", PROGRAM, " ".join(settings))
    result = subprocess.run([*COMMAND, *settings], check=False)
    if result.returncode != 0:
        raise IsaacHRLError(f"the demo failed: {PROGRAM} {' '.join(settings)} ended with code {result.returncode}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo and list its files."""
    set_up_logging()
    options, start = arguments(argv), time.monotonic()
    files = guarded(demo, options)
    log.info("demo: %.0f s; see %s", time.monotonic() - start, ", ".join(map(str, files)))


if __name__ == "__main__":
    main()
