"""The command `mode=train`."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from isaachrl.errors import CheckpointError, ConfigError, IsaacHRLError
from isaachrl.learn import distributed
from isaachrl.learn.learner import Learner
from isaachrl.run.build import build_env, build_learner, check_room, load_weights, reason, seed_everything
from isaachrl.run.commands.evaluate import write_summary
from isaachrl.run.config.settings import DEFAULT_NUM_ENVS, OF_THE_CALL, RunCfg, Settings
from isaachrl.run.loop.stop import Stop
from isaachrl.run.loop.train_loop import Identity, TrainLoop
from isaachrl.run.storage.checkpoint import LAST
from isaachrl.run.storage.folder import RunFolder

log = logging.getLogger(__name__)

# what a continuation may have otherwise than the run: how long, how and on what it runs, and what it keeps
_MAY_CHANGE = {*OF_THE_CALL, "max_iterations", "train.max_iterations", "save_every_s", "sim", "train.checkpoint_replay"}
_WORLDS = {"num_envs", "seed"}  # the environments' state would fit no others


def train(settings: Settings, stop: Stop | None = None) -> Path | None:
    """Train from the beginning, from given weights, or on from where a run stopped.

    Args:
        settings: of the run.
        stop: tells when to stop; its `number` stays 0 when the training is complete.

    Returns:
        The run's folder; None in the processes of a training that leave the files to the first.
    """
    if settings.run.resume:
        _refuse_changes(settings)
    seed, num_envs = settings.run.seed, distributed.own_share(settings.num_envs, "num_envs")
    check_room(settings, num_envs)
    seed_everything(seed)
    env = build_env(settings, num_envs, distributed.own_seed(seed))
    learner = build_learner(settings, env)
    if distributed.size() > 1:
        if not learner.DISTRIBUTED:
            raise ConfigError(f"the learner {settings.learner.name} trains in one process; type python train.py …")
        seed_everything(distributed.own_seed(seed))  # the weights are alike now, what is drawn must not be
    folder = _folder(settings) if distributed.rank() == 0 else None
    with nullcontext() if folder is None else folder.locked():
        return _train(settings, learner, folder, stop)


def _train(settings: Settings, learner: Learner, folder: RunFolder | None, stop: Stop | None) -> Path | None:
    """What `train` does once it has the folder for itself."""
    run, config = settings.run, settings.plain()
    if folder is not None and _new(run) and (folder.checkpoints / LAST).exists():
        raise ConfigError(
            f"run_dir={folder.path} holds a training already; type resume={folder.path} to go on with it, another"
            " run_dir, or remove that folder"
        )
    identity = Identity(settings.task.name, settings.learner.name, config)
    loop = TrainLoop(learner, folder, identity, run.save_every_s, stop)
    if run.resume:
        _restore(loop, settings)
    elif settings.loaded is not None:
        load_weights(learner, settings)
        learner.iteration = learner.samples = 0  # a new training that only starts from those weights
    if learner.iteration > learner.max_iterations:
        raise ConfigError(
            f"max_iterations={learner.max_iterations} is the total, and {learner.iteration} iterations of this run are"
            f" done; type max_iterations={learner.iteration + 1} or more"
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


def _folder(settings: Settings) -> RunFolder:
    """Where the run goes: a folder that was named, the one it is resumed in, or a fresh one."""
    run = settings.run
    if run.run_dir:
        return RunFolder(Path(run.run_dir))
    resumed = _resumed(run)
    return RunFolder(resumed) if resumed is not None else RunFolder.fresh(settings.task.name)


def _resumed(run: RunCfg) -> Path | None:
    """The folder of the run that `resume=` names by a folder or a file; None if there is none."""
    source = Path(run.resume or "")
    if run.resume and source.is_dir():
        return source
    return source.parent.parent if source.parent.name == "checkpoints" else None


def _new(run: RunCfg) -> bool:
    """Whether this is another run than the one it is resumed from, if any: it goes into another folder."""
    resumed = _resumed(run)
    return resumed is None or (run.run_dir is not None and Path(run.run_dir).resolve() != resumed.resolve())


def _refuse_changes(settings: Settings) -> None:
    """A run goes on as what it is: with its worlds in any case, and with all that it learns in its own folder.

    Raises:
        CheckpointError: a key was changed that may not be.
    """
    run = settings.run
    assert settings.loaded is not None and run.resume
    was, now = _flat(settings.loaded.config), _flat(settings.plain())
    for values in (was, now):
        values["num_envs"] = values.get("num_envs") or DEFAULT_NUM_ENVS
    checked = was.keys() & now.keys() & (_WORLDS if _new(run) else was.keys() - _MAY_CHANGE)
    changed = sorted(key for key in checked if was[key] != now[key] and not _moved(was[key], now[key]))
    if changed:
        named = ", ".join(f"{key}={was[key]}, not {now[key]}" for key in changed)
        new = "" if _WORLDS & {*changed} else " run_dir=FOLDER along with it for a new run that goes on from here, or"
        raise CheckpointError(
            f"the run was made with {named}, and an exact continuation needs the same; leave"
            f" {', '.join(f'{key}=' for key in changed)} out, or type{new} checkpoint={run.resume} for a new training"
            " that starts from its weights"
        )


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested values by their dotted key."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return found


def _moved(before: Any, after: Any) -> bool:
    """Whether a file that a run was made with has another path now, being no longer where it was."""
    return all(isinstance(path, str) and Path(path).suffix for path in (before, after)) and not Path(before).exists()


def _restore(loop: TrainLoop, settings: Settings) -> None:
    """Put a run back to where it stopped."""
    assert settings.loaded is not None
    processes = 1 + len(settings.loaded.others)
    if processes != distributed.size():
        raise CheckpointError(
            f"the run was made by {processes} process(es), and an exact continuation needs as many, not"
            f" {distributed.size()}; start it with torchrun --nproc-per-node={processes}, or type"
            f" checkpoint={settings.run.resume} for its weights"
        )
    try:
        loop.restore(settings.loaded)
    except IsaacHRLError:
        raise
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"the state in the checkpoint does not fit the present configuration ({reason(error)}); leave out the keys"
            " that change sizes; if there are none, another version made the run: type"
            f" checkpoint={settings.run.resume} for its weights"
        ) from error
    except Exception as error:  # anything can be wrong with what a file holds
        raise CheckpointError(
            f"the state in the checkpoint is not laid out as here ({type(error).__name__}: {reason(error)}); leave out"
            " the keys that change what the learner does; if there are none, another version made the run, and it"
            f" cannot go on: type checkpoint={settings.run.resume} along with the same task= and train= for a new"
            " training that starts from its weights"
        ) from error
