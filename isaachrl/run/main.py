"""The program: configuration -> environment -> learner -> run. `--help` lists the keys."""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

import isaachrl
from isaachrl.envs import registry
from isaachrl.envs.discovery import discover, import_tasks
from isaachrl.errors import ConfigError, IsaacHRLError
from isaachrl.run import compare, dispatch, process
from isaachrl.run.config import cli
from isaachrl.shipped import CFG


def offer_tasks() -> None:
    """Tell Hydra what `task=` can select: the registered tasks; files in `cfg/task/` may add variants."""
    for name in registry.names():
        ConfigStore.instance().store(name, {"name": name}, group="task")
        if name.startswith(cli.ISAAC_GYM):  # which have no file of a learner
            ConfigStore.instance().store(name, {"defaults": ["ppo", "_self_"]}, group="train")


discover()
offer_tasks()


def run(cfg: DictConfig) -> float | None:
    """Pass the composed configuration to the library, with the overrides that the user typed.

    Returns:
        The mean of the signal `objective` in the last tenth of a training, for a sweeper that searches for the best.
    """
    # to_container leaves `${` as it was typed: nothing is interpolated
    composed, overrides = (OmegaConf.to_container(part) for part in (cfg, HydraConfig.get().overrides.task))
    assert isinstance(composed, dict) and isinstance(overrides, list)
    if HydraConfig.get().mode is RunMode.MULTIRUN and composed.get("run_dir"):
        composed["run_dir"] = f"{composed['run_dir']}/{HydraConfig.get().job.num}"  # each run has its own folder
    import_tasks(composed.get("tasks") or ())  # again, since a launcher of Hydra's may run this in a new process
    objective = composed.get("objective")
    if "optuna" in str(getattr(HydraConfig.get(), "sweeper", "")) and not objective:
        raise ConfigError("hydra/sweeper=optuna needs the signal to improve: type objective=NAME, as in metrics.jsonl")
    result = dispatch.run({str(key): value for key, value in composed.items()}, [str(word) for word in overrides])
    return compare.final_mean(result, objective) if objective and isinstance(result, Path) else None


@hydra.main(version_base="1.3", config_path=str(CFG), config_name="config")
def _compose(cfg: DictConfig) -> float | None:
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        return one_of_many(cfg)
    process.guarded(run, cfg)
    return None


_failed: list[str] = []  # runs of a sweep in this process


def one_of_many(cfg: DictConfig) -> float | None:
    """A run of a sweep. If it fails, Hydra does the others first and raises its error in the end.

    Raises:
        IsaacHRLError: it failed, and has said why.
    """
    try:
        return process.guarded(run, cfg)
    except SystemExit as end:
        if end.code not in (process.EXIT_FAULT, process.EXIT_BAD_INPUT):
            raise  # a signal ends the sweep
        job = HydraConfig.get()
        words = " ".join(word.lstrip("+") for word in job.overrides.task)
        _failed.append(f"run {job.job.num} ({words}) failed")
        sys.stderr.write(f"{_failed[-1]}, see above; the sweep goes on\n")
        raise IsaacHRLError(_failed[-1]) from None


def start() -> None:
    """Compose and run, or show the version; errors of Hydra become a `ConfigError`."""
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"isaachrl {isaachrl.__version__}\n")
        return
    import_tasks(cli.task_modules(sys.argv[1:]))
    sys.argv[1:] = cli.register_isaac_gym(sys.argv[1:])
    offer_tasks()
    sys.argv[1:] = cli.hydra_arguments(cli.show_help(sys.argv[1:], CFG), CFG)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors and prints nothing
    try:
        _compose()
    except YAMLError as error:
        raise ConfigError(f"this file is not valid YAML: {' '.join(str(error).split())}") from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise cli.composition_error(error) from error
    except IsaacHRLError as error:  # the first failure, of a sweep that has come to its end
        raise IsaacHRLError("; ".join(_failed) or str(error)) from None


def main() -> None:
    """The command `isaachrl`, and `python train.py` in a checkout."""
    process.guarded(start)
