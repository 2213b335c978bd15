"""Names of tasks, and how an environment is built from one."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from isaachrl import config
from isaachrl.envs.boundary import check_call
from isaachrl.envs.cuda_graph import use_cuda_graph
from isaachrl.envs.env import Env
from isaachrl.envs.task import Task
from isaachrl.envs.task_env import TaskEnv, task_scene
from isaachrl.errors import ConfigError, nearest
from isaachrl.sim import gpu_engine_obstacle, make_sim

log = logging.getLogger(__name__)

DEVICES = Path("/dev")  # a driver of NVIDIA's puts a file `nvidia0` there for its first GPU, and Linux alone has it


@dataclass(frozen=True)
class World:
    """Where an environment is to be built.

    Args:
        num_envs: N.
        sim: engine name, `auto` or one of `isaachrl.sim.ENGINES`.
        device: where the tensors live.
        generator: the seeded source of all randomness of the environment, on that device.
    """

    num_envs: int
    sim: str
    device: torch.device
    generator: torch.Generator


Builder = Callable[[Any, World], Env]


@dataclass(frozen=True)
class Entry:
    """A registered task.

    Args:
        name: its name.
        cfg_type: type of its configuration.
        build: builds it.
        defaults: values of the configuration that differ from the type's own defaults.
    """

    name: str
    cfg_type: type
    build: Builder
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def configure(self, values: Mapping[str, Any]) -> Any:
        """The configuration with these values changed.

        Raises:
            ConfigError: an unknown key, or a value of the wrong type or range.
        """
        changes = config.merge(self.defaults, values) if isinstance(values, Mapping) else values
        return config.build(self.cfg_type, changes, "task")

    def make(self, cfg: Any, world: World, cuda_graph: str) -> Env:
        """The environment of a configuration, with steps as CUDA graphs where `cuda_graph=auto` finds that possible."""
        env = self.build(cfg, world)
        env.name = self.name
        return use_cuda_graph(env, cuda_graph)


_ENTRIES: dict[str, Entry] = {}


def register(name: str, cfg_type: type, build: Builder, **defaults: Any) -> None:
    """Make `build(cfg, world) -> Env` known under a name.

    Args:
        name: what users type.
        cfg_type: dataclass of the configuration.
        build: makes the environment.
        defaults: values that differ from the dataclass's own, so that one task can have several names.

    Raises:
        ConfigError: the name is taken.
    """
    if name in _ENTRIES:
        raise ConfigError(f"a task named {name} is registered already")
    _ENTRIES[name] = Entry(name, cfg_type, build, defaults)


def task_env(task_type: type[Task[Any]]) -> Builder:
    """The builder of a simulated task: scene -> simulation -> task -> `TaskEnv`."""

    def build(cfg: Any, world: World) -> Env:
        sim = make_sim(task_scene(task_type, cfg), world.num_envs, world.sim, world.device)
        return TaskEnv(task_type(cfg, sim, world.generator), sim, world.generator)

    return build


def names() -> list[str]:
    """Names of all registered tasks, sorted."""
    return sorted(_ENTRIES)


def entry(name: str) -> Entry:
    """The registered task of that name.

    Raises:
        ConfigError: there is none; the nearest names are offered.
    """
    if name not in _ENTRIES:
        raise ConfigError(f"unknown task {name!r}{nearest(name, _ENTRIES)}; `import tasks` registers the shipped ones")
    return _ENTRIES[name]


def choose_device(device: str, sim: str = "auto") -> torch.device:
    """`auto` gives the first CUDA device where worlds can be simulated on it, else the CPU; others are taken as named.

    Args:
        device: `auto`, `cpu`, `cuda:0`, …
        sim: engine; with `mujoco`, which works on the CPU, `auto` takes the CPU for everything.

    Raises:
        ConfigError: no such device here.
    """
    if device == "auto":
        return torch.device("cpu") if sim == "mujoco" else automatic_device()
    try:
        chosen = torch.device(device)
        if chosen.type not in ("cpu", "cuda"):
            raise ConfigError(f"device={device}: worlds live on the CPU or on a CUDA device; type device=cpu or cuda:0")
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={device} cannot be used here ({error}); type device=auto or device=cpu") from error
    return chosen


@cache  # what it logs is said once
def automatic_device() -> torch.device:
    """The first CUDA device if it answers and the GPU engine is installed, else the CPU.

    Where there is a GPU that is not taken, a warning says why and what to install.
    """
    obstacle = gpu_obstacle()
    if obstacle is None:
        return torch.device("cuda", 0)
    if gpu_is_there():
        log.warning("device=auto: this machine has a GPU, but the CPU is used: %s", obstacle)
    return torch.device("cpu")


def gpu_obstacle() -> str | None:
    """Why worlds cannot be simulated on a CUDA device here, and what to do about it; None if they can."""
    if not torch.cuda.is_available():
        if not gpu_is_there():
            return "there is no NVIDIA GPU"
        if torch.version.cuda is None:
            return f"PyTorch {torch.__version__} is built without CUDA; install a build with it"
        return f"PyTorch {torch.__version__} finds no usable GPU; a newer driver may help"
    try:
        torch.zeros(1, device="cuda")  # that of this process: one of several must not take memory on the first GPU
        return gpu_engine_obstacle()
    except (RuntimeError, AssertionError) as error:
        return f"it does not answer ({' '.join(str(error).split())[:200]})"


def gpu_is_there() -> bool:
    """Whether there is an NVIDIA GPU that nobody has hidden, whether or not it can be used."""
    if torch.cuda.is_available():
        return torch.version.hip is None  # PyTorch calls AMD's by the same name
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(DEVICES.glob("nvidia[0-9]*"))


def make(
    name: str,
    num_envs: int = 1,
    sim: str = "auto",
    device: str = "auto",
    seed: int = 0,
    cuda_graph: str = "auto",
    cfg: Mapping[str, Any] | None = None,
) -> Env:
    """Build N environments of a registered task.

    Args:
        name: registered name, such as `HumanoidAMP`.
        num_envs: N.
        sim: engine, `auto`, `mujoco` or `mujoco_warp`.
        device: `auto` (see `choose_device`), `cpu`, `cuda:0`, …
        seed: of the environment's own generator.
        cuda_graph: `auto` replays steps as CUDA graphs where that can be done, `off` does not.
        cfg: changes to the defaults, as `{"task": {"episode_steps": 600}}`.

    Raises:
        ConfigError: an unknown task, key, engine or device, or a value of the wrong type or range.
    """
    check_call("make", name=name, num_envs=num_envs, sim=sim, device=device, seed=seed, cuda_graph=cuda_graph, cfg=cfg)
    if num_envs < 1:
        raise ConfigError(f"num_envs={num_envs}: at least 1 environment is needed, type num_envs=1 or more")
    found = entry(name)
    chosen = choose_device(str(device), sim)
    values = dict(cfg or {})
    unknown = [key for key in values if key != "task"]
    if unknown:
        raise ConfigError(f"make(cfg=…) takes the section 'task'{nearest(str(unknown[0]), ['task'])}")
    task_cfg = found.configure(values.get("task", {}))
    generator = torch.Generator(device=chosen).manual_seed(int(seed))
    return found.make(task_cfg, World(int(num_envs), sim, chosen, generator), cuda_graph)
