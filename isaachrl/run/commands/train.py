"""The command `mode=train`."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from isaachrl.config import flat
from isaachrl.errors import CheckpointError, ConfigError, IsaacHRLError, brief
from isaachrl.learn import distributed
from isaachrl.learn.learner import Learner
from isaachrl.run.build import (
    build_env,
    build_learner,
    check_room,
    load_weights,
    other_actions,
    other_skill,
    seed_everything,
)
from isaachrl.run.commands.results import write_summary
from isaachrl.run.config.run_cfg import CALL_KEYS, DEFAULT_NUM_ENVS, RunCfg
from isaachrl.run.config.settings import Settings, written_ns
from isaachrl.run.loop.stop import Stop
from isaachrl.run.loop.train_loop import Identity, TrainLoop
from isaachrl.run.recording.tracking import require
from isaachrl.run.storage.checkpoint import LAST, Checkpoint
from isaachrl.run.storage.folder import RunFolder
from isaachrl.shipped import PROGRAM

log = logging.getLogger(__name__)

# keys that may differ in a continuation: length, device, engine and storage
_MAY_CHANGE = {*CALL_KEYS, "max_iterations", "train.max_iterations", "save_every_s", "sim", "train.checkpoint_replay"}
_ENV_KEYS = {"num_envs", "seed"}  # keys that the stored state of the environments depends on


def train(settings: Settings, stop: Stop | None = None) -> Path | None:
    """Train a new run, a new run from the weights of a checkpoint, or continue a run.

    Args:
        settings: of the run.
        stop: request to stop; its `number` is 0 if the training is complete.

    Returns:
        The run's folder; None on ranks other than 0.
    """
    require(settings.run.track.value)
    if settings.run.resume:
        _check_unchanged(settings)
    seed, num_envs = settings.run.seed, distributed.own_share(settings.num_envs, "num_envs")
    check_room(settings, num_envs)
    start = "%s: building %d environments on %s; a minute may pass before the first iteration ends"
    log.info(start, settings.task.name, num_envs, settings.device)
    seed_everything(seed)
    env = build_env(settings, num_envs, distributed.own_seed(seed))
    learner = build_learner(settings, env)
    if distributed.size() > 1:
        if not learner.DISTRIBUTED:
            raise ConfigError(f"the learner {settings.learner.name} trains in one process; type {PROGRAM} …")
        seed_everything(distributed.own_seed(seed))  # after the weights, which must be the same on all ranks
    folder = _run_folder(settings.run, settings.task.name) if distributed.rank() == 0 else None
    with nullcontext() if folder is None else folder.locked():
        return _train(settings, learner, folder, stop)


def _train(settings: Settings, learner: Learner, folder: RunFolder | None, stop: Stop | None) -> Path | None:
    """Train with the folder locked."""
    run, config = settings.run, settings.plain()
    if folder is not None and _is_new(run) and (folder.checkpoints / LAST).exists():
        raise ConfigError(
            f"run_dir={folder.path} has a training already; type resume={folder.path} to continue it, another"
            " run_dir, or remove that folder"
        )
    if folder is not None and not _is_new(run) and written_ns(run) != settings.resumed_ns:
        raise CheckpointError(
            f"{run.resume} was written by another training while this one started; type the same command again"
        )
    identity = Identity(settings.task.name, settings.learner.name, config)
    loop = TrainLoop(learner, folder, identity, run.save_every_s, stop)
    wrong = "" if settings.loaded is None else other_skill(settings.loaded, learner.env, settings.task_cfg)
    if wrong and run.resume:
        raise CheckpointError(wrong)
    if wrong:
        log.warning("%s; this training does so", wrong.partition("; ")[0])
    changed = "" if settings.loaded is None else other_actions(settings.loaded, learner.env)
    if changed and run.resume:
        raise CheckpointError(changed)
    if changed:
        log.warning("%s", changed)
    if settings.loaded is not None and run.resume:
        _restore(loop, settings.loaded, run.resume)
    elif settings.loaded is not None:
        load_weights(learner, settings.loaded, starts=True)
        learner.iteration = learner.samples = 0  # a new training that starts from these weights
    if learner.iteration > learner.max_iterations:
        raise ConfigError(
            f"max_iterations={learner.max_iterations} is the total, but this run has done {learner.iteration}"
            f" iterations; type max_iterations={learner.iteration + 1} or more"
        )
    if folder is None:
        loop.run()
        return None
    folder.remove_leftovers()
    folder.write_config(config)
    env = learner.env
    log.info("%s: %d environments on %s, folder %s", settings.task.name, env.num_envs, env.device, folder.path)
    if learner.iteration == learner.max_iterations:
        log.info("all %d iterations are done; type max_iterations=N for more", learner.iteration)
    if loop.run():
        log.info("done: %d iterations, %s", learner.iteration, folder.path)
        if outcome := learner.outcome():
            name = {"task": settings.task.name, "learner": settings.learner.name}
            write_summary(outcome | name, folder.path / "outcome.json")
    else:
        log.info("stopped after iteration %d; continue with: resume=%s", learner.iteration, folder.path)
    return folder.path


def _run_folder(run: RunCfg, task: str) -> RunFolder:
    """The folder of `run_dir=`, of the resumed run, or a new one."""
    if run.run_dir:
        return RunFolder(Path(run.run_dir))
    resumed = _resumed_folder(run)
    return RunFolder(resumed) if resumed is not None else RunFolder.fresh(task)


def _resumed_folder(run: RunCfg) -> Path | None:
    """The folder of the run that `resume=` names by its folder or a file; None if there is none."""
    source = Path(run.resume or "")
    if run.resume and source.is_dir():
        return source
    return source.parent.parent if source.parent.name == "checkpoints" else None


def _is_new(run: RunCfg) -> bool:
    """Whether this run has another folder than the one that it resumes, if any."""
    resumed = _resumed_folder(run)
    return resumed is None or (run.run_dir is not None and Path(run.run_dir).resolve() != resumed.resolve())


def _check_unchanged(settings: Settings) -> None:
    """Check the keys of a continuation: of the environments in a new folder, of all that learns in the run's own.

    Raises:
        CheckpointError: a key was changed that must not be.
    """
    run = settings.run
    assert settings.loaded is not None and run.resume
    stored, present = flat(settings.loaded.config), flat(settings.plain())
    for values in (stored, present):
        values["num_envs"] = values.get("num_envs") or DEFAULT_NUM_ENVS
    fixed = stored.keys() & present.keys() & (_ENV_KEYS if _is_new(run) else stored.keys() - _MAY_CHANGE)
    changed = sorted(k for k in fixed if stored[k] != present[k] and not _is_moved_file(stored[k], present[k]))
    if changed:
        pairs = ", ".join(f"{key}={stored[key]}, not {present[key]}" for key in changed)
        new = "" if _ENV_KEYS & {*changed} else " run_dir=FOLDER as well for a new run that continues from here, or"
        raise CheckpointError(
            f"the run was made with {pairs}, and an exact continuation needs the same; leave"
            f" {', '.join(f'{key}=' for key in changed)} out, or type{new} task={settings.task.name}"
            f" checkpoint={run.resume} for a new training that starts from its weights"
        )


def _is_moved_file(stored: Any, present: Any) -> bool:
    """Whether two values are paths of files, of which the stored one no longer exists."""
    return all(isinstance(path, str) and Path(path).suffix for path in (stored, present)) and not Path(stored).exists()


def _restore(loop: TrainLoop, checkpoint: Checkpoint, source: str) -> None:
    """Restore a run from a checkpoint.

    Args:
        loop: of the new process.
        checkpoint: of the run.
        source: what was typed as `resume=`.

    Raises:
        CheckpointError: its state does not fit.
    """
    processes = 1 + len(checkpoint.others)
    if processes != distributed.size():
        raise CheckpointError(
            f"the run was made by {processes} process(es), and an exact continuation needs as many, not"
            f" {distributed.size()}; start it with torchrun --nproc-per-node={processes}, or type"
            f" checkpoint={source} for its weights"
        )
    try:
        loop.restore(checkpoint)
    except IsaacHRLError:
        raise
    except Exception as error:  # the content of a file can be wrong in any way
        raise CheckpointError(
            f"the state in the checkpoint does not fit the present configuration ({type(error).__name__}:"
            f" {brief(error, 300)}); leave out the keys that change sizes or the learner; if there are none, another"
            f" version made the run: type checkpoint={source} with the same task= and train= for a new training that"
            " starts from its weights"
        ) from error
