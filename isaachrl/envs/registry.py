"""The registry of tasks, and `make`."""

import inspect
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
from isaachrl.envs.discovery import discover
from isaachrl.envs.env import Env
from isaachrl.envs.task import Task
from isaachrl.envs.task_env import TaskEnv, task_scene
from isaachrl.envs.world_bytes import require_room
from isaachrl.errors import ConfigError, nearest
from isaachrl.sim import ENGINES, gpu_engine_obstacle, make_sim

log = logging.getLogger(__name__)

DEVICES = Path("/dev")  # on Linux, NVIDIA's driver creates `nvidia0` here for the first GPU


@dataclass(frozen=True)
class World:
    """Size, engine, device and randomness of an environment.

    Args:
        num_envs: N.
        sim: one of `isaachrl.sim.ENGINES`.
        device: of the tensors.
        generator: seeded source of all randomness, on that device.

    Raises:
        ConfigError: there is no such engine.
    """

    num_envs: int
    sim: str
    device: torch.device
    generator: torch.Generator

    def __post_init__(self) -> None:
        if self.sim not in ENGINES:
            raise ConfigError(f"sim={self.sim}: unknown engine{nearest(self.sim, ENGINES)}")


Builder = Callable[[Any, World], Env]


@dataclass(frozen=True)
class Entry:
    """A registered task.

    Args:
        name: name of the task.
        cfg_type: dataclass of its configuration.
        build: builds the environment.
        defaults: values that override the dataclass's defaults.
    """

    name: str
    cfg_type: type
    build: Builder
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def configure(self, values: Mapping[str, Any]) -> Any:
        """The configuration with these values.

        Raises:
            ConfigError: an unknown key, or a value of the wrong type or range.
        """
        changes = config.merge(self.defaults, values) if isinstance(values, Mapping) else values
        return config.build(self.cfg_type, changes, "task")

    def make(self, cfg: Any, world: World, cuda_graph: str) -> Env:
        """Build the environment of a configuration; `cuda_graph` as in `make`."""
        env = self.build(cfg, world)
        env.name = self.name
        return use_cuda_graph(env, cuda_graph)


_ENTRIES: dict[str, Entry] = {}
_LISTENERS: list[Callable[[str], None]] = []


def register(name: str, cfg_type: type, build: Builder, **defaults: Any) -> None:
    """Register a task.

    Args:
        name: name of the task.
        cfg_type: dataclass of its configuration.
        build: builds the environment.
        defaults: values that override the dataclass's defaults, for variants of a task.

    Raises:
        ConfigError: the name is taken, `cfg_type` adds fields and is no dataclass, or `build` is a `Task`.
    """
    own = [name for name, hint in inspect.get_annotations(cfg_type).items() if "ClassVar" not in str(hint)]
    if own and "__dataclass_fields__" not in cfg_type.__dict__:
        raise ConfigError(f"{cfg_type.__qualname__}, the configuration of {name}, needs the decorator @dataclass")
    if isinstance(build, type) and issubclass(build, Task):
        raise ConfigError(
            f"register({name!r}, …, {build.__qualname__}): type hierarchical({build.__qualname__}) for a task over a"
            f" skill, or task_env({build.__qualname__})"
        )
    if name in _ENTRIES:
        taken = _ENTRIES[name].cfg_type
        raise ConfigError(f"a task named {name} is registered already, with {taken.__module__}.{taken.__qualname__}")
    _ENTRIES[name] = Entry(name, cfg_type, build, defaults)
    for listener in _LISTENERS:
        listener(name)


def listen(listener: Callable[[str], None]) -> None:
    """Call `listener` with the name of every registered task, and with those that are registered later."""
    for name in names():
        listener(name)
    _LISTENERS.append(listener)


def task_env(task_type: type[Task[Any]]) -> Builder:
    """The builder of a simulated task."""

    def build(cfg: Any, world: World) -> Env:
        sim = make_sim(task_scene(task_type, cfg), world.num_envs, world.sim, world.device)
        return TaskEnv(task_type(cfg, sim, world.generator), sim, world.generator)

    return build


def names() -> list[str]:
    """Names of all registered tasks, sorted."""
    return sorted(_ENTRIES)


def entry(name: str) -> Entry:
    """The registered task of that name; shipped and installed ones register themselves when one is missing.

    Raises:
        ConfigError: there is none.
    """
    if name not in _ENTRIES:
        discover()
    if name not in _ENTRIES:
        if name.startswith("isaacgym."):
            class_name = name.removeprefix("isaacgym.")
            raise ConfigError(f"the task {name} is the class of a file: type task=isaacgym:PATH.py:{class_name}, too")
        raise ConfigError(
            f"unknown task {name!r}{nearest(name, _ENTRIES)}; for one of your own type tasks=MODULE, or import the"
            " module that registers it"
        )
    return _ENTRIES[name]


def choose_device(device: str, sim: str = "auto") -> torch.device:
    """The device of a name; `auto` is the first CUDA device if the GPU engine works on it, else the CPU.

    Args:
        device: `auto`, `cpu`, `cuda:0`, …
        sim: engine; with `mujoco`, a CPU engine, `auto` is the CPU.

    Raises:
        ConfigError: there is no such device.
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


@cache  # logs once
def automatic_device() -> torch.device:
    """The first CUDA device if the GPU engine works on it, else the CPU; warns if there is a GPU that is not used."""
    obstacle = gpu_obstacle()
    if obstacle is None:
        return torch.device("cuda", 0)
    if has_gpu():
        log.warning("device=auto: this machine has a GPU, but the CPU is used: %s", obstacle)
    return torch.device("cpu")


def gpu_obstacle() -> str | None:
    """Why no CUDA device can be used for simulation, and how to fix it; None if one can."""
    if not torch.cuda.is_available():
        if not has_gpu():
            return "there is no NVIDIA GPU"
        if torch.version.cuda is None:
            return f"PyTorch {torch.__version__} is built without CUDA; install a build with it"
        return f"PyTorch {torch.__version__} finds no usable GPU; a newer driver may help"
    try:
        torch.zeros(1, device="cuda")  # this process's current device: ranks must not allocate on the first GPU
        return gpu_engine_obstacle()
    except (RuntimeError, AssertionError) as error:
        return f"it does not answer ({' '.join(str(error).split())[:200]})"


def has_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU, usable or not, that `CUDA_VISIBLE_DEVICES` does not hide."""
    if torch.cuda.is_available():
        return torch.version.hip is None  # not an AMD GPU
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
        seed: of the environment's generator.
        cuda_graph: `auto` replays steps as CUDA graphs where possible, `off` never.
        cfg: changes to the defaults, such as `{"task": {"episode_steps": 600}}`.

    Raises:
        ConfigError: an unknown task, key, engine or device, a value of the wrong type or range, or more environments
            than fit into memory.
    """
    check_call("make", name=name, num_envs=num_envs, sim=sim, device=device, seed=seed, cuda_graph=cuda_graph, cfg=cfg)
    if num_envs < 1:
        raise ConfigError(f"num_envs={num_envs}: at least 1 environment is needed, type num_envs=1 or more")
    if num_envs > config.LARGEST:
        raise ConfigError(f"num_envs={num_envs}: {config.LARGEST:g} are the most, type fewer")
    task = entry(name)
    chosen = choose_device(str(device), sim)
    values = dict(cfg or {})
    unknown = [key for key in values if key != "task"]
    if unknown:
        raise ConfigError(f"make(cfg=…) takes the section 'task'{nearest(str(unknown[0]), ['task'])}")
    task_cfg = task.configure(values.get("task", {}))

    def build(count: int) -> Env:
        generator = torch.Generator(device=chosen).manual_seed(int(seed))
        return task.make(task_cfg, World(count, sim, chosen, generator), cuda_graph)

    require_room(int(num_envs), sim, chosen, build)
    return build(int(num_envs))
