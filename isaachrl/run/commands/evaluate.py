"""The command `mode=evaluate`: the means of many episodes, as JSON."""

import json
import logging
import math
import sys
from pathlib import Path
from typing import Any

from isaachrl.errors import CheckpointError
from isaachrl.files import write_atomically
from isaachrl.maths.seeds import LARGEST_SEED, Stream, sub_seed
from isaachrl.run.build import actor
from isaachrl.run.config.settings import DEFAULT_NUM_ENVS, Settings
from isaachrl.run.rollout import run_episodes
from isaachrl.run.storage.folder import CONFIG, RunFolder
from isaachrl.run.storage.metrics import jsonable

log = logging.getLogger(__name__)


def evaluate(settings: Settings) -> dict[str, Any]:
    """Run `episodes` complete episodes of the deterministic policy; write their means and print them as one line."""
    num_envs, per_env = share(settings.run.episodes, settings.run.num_envs or DEFAULT_NUM_ENVS)
    seed = evaluation_seed(settings)
    env, policy, learner = actor(settings, num_envs, seed)
    log.info("environments: %d, episodes of each: %d, seed: %d", num_envs, per_env, seed)
    summary: dict[str, Any] = run_episodes(env, policy, per_env).summary()
    summary |= {"task": settings.task.name, "seed": seed, "policy": settings.run.policy.value}
    summary |= {"checkpoint": settings.run.checkpoint, "typed": dict(settings.typed)}
    if learner is not None:
        assert settings.loaded is not None
        summary |= learner.evaluate() | {"iteration": settings.loaded.iteration}
    name = "evaluate.json" if learner is not None else "evaluate_random.json"
    write_summary(summary, run_folder(settings).path / name)
    return summary


def share(episodes: int, num_envs: int) -> tuple[int, int]:
    """How many environments, and how many episodes of each, give at least `episodes` in equal shares."""
    used = min(episodes, num_envs)
    return used, math.ceil(episodes / used)


def evaluation_seed(settings: Settings) -> int:
    """The seed that was typed, else another one than the training's."""
    if "seed" in settings.typed:
        return settings.run.seed
    trained = settings.loaded.config.get("seed", 0) if settings.loaded else 0
    if type(trained) is not int or not 0 <= trained <= LARGEST_SEED:
        raise CheckpointError(f"the checkpoint stores the seed {trained!r}, which is none; type seed=0, or another one")
    return sub_seed(trained, Stream.evaluation)  # episodes that no training has seen


def run_folder(settings: Settings) -> RunFolder:
    """Where results go: `run_dir`, else the folder of the run that the checkpoint belongs to.

    For a file that lies in no run, such as a shipped one, `runs/<task>/<its name>`.
    """
    if settings.run.run_dir:
        return RunFolder(Path(settings.run.run_dir))
    if settings.run.checkpoint is None:
        return RunFolder(Path("runs") / settings.task.name / settings.run.policy.value)
    source = Path(settings.run.checkpoint)
    if source.is_dir():
        return RunFolder(source)
    run = source.parent.parent if source.parent.name in ("checkpoints", "export") else source.parent
    return RunFolder(run if (run / CONFIG).is_file() else Path("runs") / settings.task.name / source.stem)


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Write a summary as JSON beside the run and as one line on the standard output.

    Raises:
        WriteError: the file could not be written; the line has been printed nevertheless.
    """
    line = json.dumps(jsonable(summary))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    write_atomically(path, (line + "\n").encode())
