"""The only entry point: configuration -> environment -> learner -> run. Type `python train.py --help` for the keys."""

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

import tasks  # noqa: F401 - importing them registers them; the library itself knows no task
from isaachrl.envs import registry
from isaachrl.run import dispatch, process
from isaachrl.run.config import cli

CFG = Path(__file__).resolve().parent / "cfg"

for name in registry.names():  # what `task=` can select; files in cfg/task/ may add variants
    ConfigStore.instance().store(name, {"name": name}, group="task")


def run(cfg: DictConfig) -> None:
    """Pass the composed configuration to the library, with the overrides that the user typed."""
    # to_container leaves `${` as it was typed: nothing is interpolated
    composed, overrides = (OmegaConf.to_container(part) for part in (cfg, HydraConfig.get().overrides.task))
    assert isinstance(composed, dict) and isinstance(overrides, list)
    if HydraConfig.get().mode is RunMode.MULTIRUN and composed.get("run_dir"):
        composed["run_dir"] = f"{composed['run_dir']}/{HydraConfig.get().job.num}"  # each run has its own folder
    dispatch.run({str(key): value for key, value in composed.items()}, [str(word) for word in overrides])


@hydra.main(version_base="1.3", config_path=str(CFG), config_name="config")
def main(cfg: DictConfig) -> None:
    """Compose and run."""
    process.guarded(run, cfg)


def start() -> None:
    """Compose and run; errors of Hydra become a `ConfigError`."""
    sys.argv[1:] = cli.hydra_arguments(cli.show_help(sys.argv[1:], CFG), CFG)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors and prints nothing
    try:
        main()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise cli.composition_error(error) from error


if __name__ == "__main__":
    process.guarded(start)
