"""`python -m isaachrl.run.demo`: the whole way in small, from motions to a skill to a maze.

A few minutes make a skill that walks, not yet one that stands firm whatever it is told. So the high level commands the
shipped skill, which was trained for longer and on more motions, and goes on from the shipped high level; `--own-skill`
takes the fresh skill all the same, `--from-scratch` a high level that knows nothing (with `--maze-iterations 300`).
"""

import argparse
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from isaachrl.errors import IsaacHRLError
from isaachrl.run.config.cli import guarded, set_up_logging

log = logging.getLogger("isaachrl.run.demo")  # under `python -m` the module's name is another

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "assets" / "skills" / "humanoid.pt"
SHIPPED_HIGH_LEVEL = ROOT / "assets" / "skills" / "umaze.pt"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The budgets of the demo; arguments after `--` go to every command as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the results")
    parser.add_argument("--skill-iterations", type=int, default=120)
    parser.add_argument("--skill-envs", type=int, default=1024)
    parser.add_argument("--maze-iterations", type=int, default=20)
    parser.add_argument("--maze-envs", type=int, default=256)
    parser.add_argument("--layout", default="umaze")
    parser.add_argument("--episodes", type=int, default=3, help="episodes of the replay")
    parser.add_argument("--motion", default="walks", help="what the fresh skill imitates")
    parser.add_argument("--skill", type=Path, default=SHIPPED, help="skill that the high level commands")
    parser.add_argument("--own-skill", action="store_true", help="let the high level command the fresh skill instead")
    parser.add_argument("--from-scratch", action="store_true", help="begin the high level anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="*", help="further key=value settings for every command, such as device=cpu")
    return parser.parse_args(argv)


def demo(options: argparse.Namespace) -> list[Path]:
    """Train a skill, command it in a maze, film it.

    Returns:
        What is left in the folder: the commanded skill, checkpoint of the high level, video and report.

    Raises:
        IsaacHRLError: one of the commands failed; its own message stands above.
    """
    out = options.out.resolve()
    for made in ("skill", "maze"):  # by an earlier demo
        shutil.rmtree(out / made, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    fresh = _train_skill(options, out)
    skill = fresh if options.own_skill else options.skill.resolve()
    log.info("the high level commands %s", skill)
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
    left = {
        "high_level.pt": maze / "checkpoints" / "last.pt",
        "report.png": maze / "report.png",
        "replay.mp4": maze / "play.mp4",
        "replay.jpg": maze / "play.jpg",
    }
    for name, source in left.items():
        if source.exists():  # without a renderer there is no video
            shutil.copyfile(source, out / name)
    return [path for path in (out / name for name in ("skill.pt", *left)) if path.exists()]


def _train_skill(options: argparse.Namespace, out: Path) -> Path:
    """Pretrain a skill at a small budget; returns its file."""
    folder = out / "skill"
    _command(
        "task=HumanoidAMP", f"motion={options.motion}", f"run_dir={folder}", f"num_envs={options.skill_envs}",
        f"max_iterations={options.skill_iterations}", f"seed={options.seed}",
        "train.anneal_from=0.6", "train.anneal_to=0.9",  # in a short training walking comes late
        *options.settings,
    )  # fmt: skip
    return folder / "skill.pt"


def _command(*settings: str) -> None:
    """Run `train.py` as a user would."""
    log.info("python train.py %s", " ".join(settings))
    done = subprocess.run([sys.executable, str(ROOT / "train.py"), *settings], check=False)
    if done.returncode != 0:
        raise IsaacHRLError(f"the demo stopped: train.py {' '.join(settings)} ended with code {done.returncode}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo and list what it leaves."""
    set_up_logging()
    options, start = arguments(argv), time.monotonic()
    left = guarded(demo, options)
    log.info("demo: %.0f s; see %s", time.monotonic() - start, ", ".join(map(str, left)))


if __name__ == "__main__":
    main()
