"""The command `mode=train`."""

import logging
from pathlib import Path

from isaachrl.errors import CheckpointError, ConfigError, IsaacHRLError
from isaachrl.learn import distributed
from isaachrl.run.build import build_env, build_learner, check_room, load_weights, reason, seed_everything
from isaachrl.run.checkpoint import LAST
from isaachrl.run.evaluate import write_summary
from isaachrl.run.folder import RunFolder
from isaachrl.run.settings import Settings
from isaachrl.run.train_loop import Identity, TrainLoop

log = logging.getLogger(__name__)


def train(settings: Settings) -> Path | None:
    """Train from the beginning, from given weights, or on from where a run stopped.

    Returns:
        The run's folder; None in the processes of a training that leave the files to the first.
    """
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
    config = settings.plain()
    loop = TrainLoop(learner, folder, Identity(settings.task.name, settings.learner.name, config))
    if settings.run.resume:
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
    """Where the run goes: a folder that was named, the one it is resumed in, or a fresh one.

    Raises:
        ConfigError: a new training was to go where another one lies.
    """
    run = settings.run
    if run.run_dir:
        folder = RunFolder(Path(run.run_dir))
        if not run.resume and (folder.checkpoints / LAST).exists():
            raise ConfigError(
                f"run_dir={run.run_dir} holds a training already; type resume={run.run_dir} to go on with it, another"
                " run_dir, or remove that folder"
            )
        return folder
    if run.resume:
        source = Path(run.resume)
        if source.is_dir():
            return RunFolder(source)
        if source.parent.name == "checkpoints":
            return RunFolder(source.parent.parent)
    return RunFolder.fresh(settings.task.name)


def _restore(loop: TrainLoop, settings: Settings) -> None:
    """Put a run back to where it stopped."""
    assert settings.loaded is not None
    stored = settings.loaded.config.get("num_envs")
    if stored is not None and stored != settings.num_envs:
        raise CheckpointError(
            f"the run was made with num_envs={stored}, and an exact continuation needs as many, not"
            f" {settings.num_envs}; leave num_envs= out, or type checkpoint={settings.run.resume} for its weights"
        )
    seed = settings.loaded.config.get("seed")
    if seed is not None and seed != settings.run.seed:
        raise CheckpointError(
            f"the run was made with seed={seed}, from which its worlds were drawn, not {settings.run.seed}; leave seed="
            f" out, or type checkpoint={settings.run.resume} for a new training that starts from its weights"
        )
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
