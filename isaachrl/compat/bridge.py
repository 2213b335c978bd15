"""An Isaac Gym task as an environment of this project: `task=isaacgym:PATH.py:Class`.

The classes of IsaacGymEnvs, legged_gym, ASE and their descendants are used as they are. They begin new episodes within
their own step, or where they leave that to their agent, through `reset_done` or `reset(env_ids)`, after it.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isaachrl.compat.bridge_files import CLASS, HOW, change, load_class, plain, read_configuration
from isaachrl.compat.bridge_state import load_state, numbers, save_state
from isaachrl.compat.install import install
from isaachrl.compat.isaacgym import gymapi, gymutil
from isaachrl.config import bounded, positive
from isaachrl.envs.boundary import check_state
from isaachrl.envs.discovery import failure
from isaachrl.envs.env import Env, Obs, StepResult, invalid_actions
from isaachrl.envs.registry import World, names, register
from isaachrl.envs.threads import limit_threads
from isaachrl.errors import ConfigError, IsaacHRLError

PREFIX = "isaacgym."  # of the names of these tasks
COUNTERS = ("progress_buf", "episode_length_buf")
_NEEDED = ("step", "sim", "num_envs", "num_obs", "num_actions", "max_episode_length", "rew_buf", "reset_buf", "extras")
_CLASSES: dict[str, type] = {}  # configurations that the user named, by `PATH.py:Class`
_SOURCES: dict[str, str] = {}  # `PATH.py:Class` by the name of the task


@dataclass
class IsaacGymCfg:
    """Configuration of an Isaac Gym task.

    Args:
        cfg: the task's own configuration, `PATH.yaml`, or `PATH.py:Class`; see `read_configuration`.
        set: changes of it, as `task.set.env.resetDist=2.0`. The number of environments is `num_envs`.
        add: the same with keys that it does not have, as `+task.set.env.resetDist=2.0`.
        action_scale: the task gets the action, in [-1, 1], times this.
    """

    cfg: str | None = None
    set: dict[str, Any] = bounded({})
    add: dict[str, Any] = bounded({})
    action_scale: float = positive(1.0)


def register_task(source: str, cfg: str | None = None) -> str:
    """Register an Isaac Gym task.

    Args:
        source: `PATH.py:Class`; the file is imported.
        cfg: a class `PATH.py:Class` that `task.cfg` may name, imported, too.

    Returns:
        Its name, for `isaachrl.make` and `task=`.

    Raises:
        ConfigError: there is no such class, it is no task, or its name is taken.
    """
    task = load_class(source)
    _check_class(task)
    if cfg is not None and CLASS.fullmatch(cfg):
        _CLASSES[cfg] = load_class(cfg, "type task.cfg=PATH.py:Class")
    name = PREFIX + task.__name__
    if _SOURCES.get(name) == source and name in names():
        return name
    register(name, IsaacGymCfg, lambda values, world: _build(task, values, world))
    _SOURCES[name] = source
    return name


def _check_class(task: type) -> None:
    """Check that a class steps, and that its constructor asks for what a task's does."""
    missing = [] if callable(getattr(task, "step", None)) else ["a method step"]
    asked = _parameters(task)
    missing += [] if {"cfg", "config"} & asked.keys() else ["cfg in its constructor"]
    known = _arguments(None, torch.device("cpu"), None)
    unknown = [name for name, p in asked.items() if name not in known and p.default is p.empty]
    if missing or unknown:
        wrong = f"has no {' and no '.join(missing)}" if missing else f"is constructed with {', '.join(unknown)}, too"
        raise ConfigError(f"{task.__name__} is no Isaac Gym task: it {wrong}; {HOW}")


def _parameters(task: type) -> dict[str, inspect.Parameter]:
    """The named parameters of a class's constructor."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in inspect.signature(task).parameters.items() if p.kind in kinds}


def _arguments(configuration: Any, device: torch.device, sim_params: Any) -> dict[str, Any]:
    """What constructors of tasks ask for, by name."""
    return {
        "cfg": configuration, "config": configuration, "rl_device": str(device), "sim_device": str(device),
        "device_type": device.type, "device_id": device.index or 0, "graphics_device_id": -1, "headless": True,
        "virtual_screen_capture": False, "force_render": False, "sim_params": sim_params,
        "physics_engine": gymapi.SIM_PHYSX,
    }  # fmt: skip


def _build(task: type, values: IsaacGymCfg, world: World) -> Env:
    """The environment of a task's class."""
    device = world.device
    if device.type == "cuda" and world.sim == "mujoco":
        raise ConfigError(f"sim=mujoco simulates on the CPU, not on {device}; type device=cpu, or leave sim= out")
    install(world.sim)
    gpu = device.type == "cuda"
    sim_device = f"cuda:{device.index or 0}" if gpu else "cpu"
    devices = {
        "num_envs": world.num_envs, "physics_engine": "physx", "pipeline": "gpu" if gpu else "cpu", "seed": 0,
        "sim_device": sim_device, "rl_device": sim_device, "headless": True, "num_threads": 0, "num_subscenes": 0,
        "solver_type": 1, "graphics_device_id": -1, "test": False, "multi_gpu": False, "task_name": task.__name__,
    }  # fmt: skip
    own = read_configuration(task, values.cfg, _CLASSES, devices)
    _set_num_envs(own, world.num_envs, values.cfg)
    change(own, values.set)
    change(own, values.add, "+task.set", new=True)
    sim_params = gymapi.SimParams()
    sim_params.use_gpu_pipeline = gpu
    section = own.get("sim") if isinstance(own, dict) else getattr(own, "sim", None)
    gymutil.parse_sim_config(plain(section) or {}, sim_params)
    known = _arguments(own, torch.device(sim_device), sim_params)
    given = {name: known[name] for name in _parameters(task) if name in known}
    for cls in task.__mro__:  # IsaacGymEnvs keeps one simulation a process
        if hasattr(module := sys.modules[cls.__module__], "EXISTING_SIM"):
            module.EXISTING_SIM = None  # pyright: ignore[reportAttributeAccessIssue]
    try:
        return IsaacGymEnv(task(**given), values.action_scale, world.generator)
    except IsaacHRLError:
        raise
    except Exception as error:  # foreign code fails in any way
        raise ConfigError(f"{task.__name__} cannot be built: {failure(error)}") from error


def _set_num_envs(own: Any, num_envs: int, source: str | None) -> None:
    """Set the number of environments in a configuration.

    Raises:
        ConfigError: it has none, so it is no task's.
    """
    env, key = (own.get("env"), "numEnvs") if isinstance(own, dict) else (getattr(own, "env", None), "num_envs")
    if key not in env if isinstance(env, dict) else not hasattr(env, key):
        raise ConfigError(f"task.cfg={source} has no env.{key}, so it is no task's configuration; name another file")
    change(own, {"env": {key: num_envs}})


class Bodies:
    """The worlds of a task, for videos and viewers.

    Attributes:
        scene: MuJoCo's model of a world.
        num_envs, device: of the tensors.
        force_w: `(N, 3)` that pushes the root body in each step, N; None without one.
    """

    def __init__(self, physics: Any) -> None:
        self._worlds = physics.worlds
        self._root = int(physics.body[physics.root[0]])
        self.scene, self.num_envs, self.device = physics.worlds.model, physics.num_envs, physics.worlds.device
        self.force_w: Tensor | None = None

    @property
    def qpos(self) -> Tensor:
        """`(N, nq)` generalised positions."""
        return self._worlds.field("qpos")

    @property
    def mocap_pos_w(self) -> Tensor:
        """`(N, M, 3)` of fixed bases, m."""
        return self._worlds.field("mocap_pos")

    @property
    def root_pos_w(self) -> Tensor:
        """`(N, 3)` of the first actor, m."""
        return self._worlds.field("xpos")[:, self._root]

    def push(self, force_w: Tensor) -> None:
        """Push the root body of the first actor with a force `(N, 3)`, N, until the next call."""
        self.force_w = force_w

    def before_step(self, simulations: int) -> None:
        """Apply the force: in the first of a step's simulations, for all of them."""
        if self.force_w is not None:
            self._worlds.xfrc_applied[:, self._root, :3] += simulations * self.force_w


class IsaacGymEnv(Env):
    """An Isaac Gym task in N worlds.

    A task that begins new episodes within its step does so in the step in which they end, or in the next one: its
    observation is then of the end until that. In the first case the last observation before the end stands for the one
    at the end, as in rsl_rl. A task that leaves resets to its agent gets them in `reset_where`.

    Args:
        task: the task.
        action_scale: factor of actions.
        generator: of the learner's side; the task draws from PyTorch's global one.

    Attributes:
        isaac_task: the task.
        sim: its worlds, see `Bodies`.

    Raises:
        ConfigError: the object lacks what a task has.
    """

    def __init__(self, task: Any, action_scale: float, generator: torch.Generator) -> None:
        name = type(task).__name__
        if missing := [part for part in _NEEDED if not hasattr(task, part)]:
            raise ConfigError(f"{name} is no Isaac Gym task: it has no attribute {', '.join(missing)}; {HOW}")
        self.isaac_task, self.generator, self._constructed = task, generator, numbers(task)
        physics = task.sim.physics
        self._worlds, self.sim = physics.worlds, Bodies(physics)
        self.num_envs, self.device = int(task.num_envs), physics.worlds.device
        self.obs_sizes, self.policy_groups = {"obs": int(task.num_obs)}, ("obs",)
        self.action_size, self._scale = int(task.num_actions), action_scale
        self.episode_steps = int(task.max_episode_length)
        self.action_contract = {"use": f"clamp to [-1, 1], multiply by {action_scale:g}, and pass to {name}.step"}
        self._resets = resets_itself(task)
        before = task.sim.steps
        self._obs = self._read(task.step(self._zeros()))  # some tensors are made in the first step
        self._simulations = task.sim.steps - before
        self._done = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)  # by the task, in the last step
        self._obeys = self._resets and self._obeys_reset_buf()
        self.step_s = self._simulations * float(task.sim.params.dt)
        self.reset()

    def _obeys_reset_buf(self) -> bool:
        """Whether the task resets where `reset_buf` is set; those that reset in the step of an end compute it anew."""
        self.isaac_task.reset_buf.fill_(1)
        self.isaac_task.step(self._zeros())
        counter = self._counter()
        return counter is None or not bool(counter.any())

    def _zeros(self) -> Tensor:
        return torch.zeros(self.num_envs, self.action_size, device=self.device)

    def _read(self, returned: Any) -> Tensor:
        """The observation: first of what a step returned, perhaps in a dict, or what it left behind."""
        obs = returned[0] if isinstance(returned, tuple) else self.isaac_task.obs_buf
        obs = obs["obs"] if isinstance(obs, Mapping) else obs
        return obs.detach().to(torch.float32, copy=True).view(self.num_envs, self.obs_sizes["obs"])

    def _counter(self) -> Tensor | None:
        """`(N,)` steps of the present episodes, if the task counts them."""
        return next((getattr(self.isaac_task, name) for name in COUNTERS if hasattr(self.isaac_task, name)), None)

    @torch.no_grad()
    def advance(self, action: Tensor) -> StepResult:
        """See `Env.advance`."""
        task = self.isaac_task
        with limit_threads(self.num_envs, self.device):
            invalid = invalid_actions(action)
            before = self._worlds.num_diverged.clone()
            self.sim.before_step(self._simulations)
            valid = action.masked_fill(invalid.unsqueeze(-1), 0.0).clamp(-1.0, 1.0)
            obs = self._read(task.step(self._scale * valid))
            diverged = (self._worlds.num_diverged > before) | invalid
            done = self._done = task.reset_buf.to(torch.bool, copy=True)
            terminated, truncated = self._ends(done, diverged)
            counter = self._counter()
            begun = torch.zeros_like(done) if counter is None else done & (counter == 0)
            terminal = torch.where(begun.unsqueeze(-1), self._obs, obs)
            self._obs = obs
            reward = torch.where(diverged, 0.0, task.rew_buf.detach().float())
            metrics = self._metrics() | {"diverged": diverged.float()}
            one = torch.ones_like(reward)
        # `terminal` twice: the new observation comes from `reset_where`
        return StepResult(
            {"obs": terminal}, reward, terminated, truncated, {"obs": terminal}, {}, metrics, discount_steps=one
        )

    def _ends(self, done: Tensor, diverged: Tensor) -> tuple[Tensor, Tensor]:
        """Which episodes are terminated, and which are out of time, by the task's `extras`."""
        extras, nothing = self.isaac_task.extras, torch.zeros_like(done)
        if "terminate" in extras:  # of AMP and ASE
            out_of_time = done & ~extras["terminate"].bool()
        else:
            out_of_time = done & extras.get("time_outs", nothing).bool()
        return (done & ~out_of_time) | diverged, out_of_time & ~diverged

    def _metrics(self) -> dict[str, Tensor]:
        """Numbers among the task's `extras`, for all environments."""
        extras = self.isaac_task.extras
        found: dict[str, Tensor] = {}
        for name, value in {**extras, **(extras.get("episode") or {})}.items():
            if isinstance(value, Tensor) and value.ndim == 0:
                found[str(name)] = value.float().expand(self.num_envs)
            elif isinstance(value, int | float):
                found[str(name)] = torch.full((self.num_envs,), float(value), device=self.device)
        return found

    @torch.no_grad()
    def reset_where(self, mask: Tensor) -> Obs:
        """See `Env.reset_where`; tasks that reset themselves do so in the next step, or have just done so."""
        self.check_mask(mask)
        task = self.isaac_task
        task.reset_buf.masked_fill_(mask, 1)
        if self._resets and not self._obeys and _takes_ids(getattr(task, "reset_idx", None)):
            ids = (mask & ~self._done).nonzero().flatten()
            if len(ids):
                task.reset_idx(ids)
        if not self._resets:
            with limit_threads(self.num_envs, self.device):
                done = hasattr(task, "reset_done")
                self._obs = self._read(task.reset_done() if done else task.reset(mask.nonzero().flatten()))
        return self.observe()

    @torch.no_grad()
    def reset(self) -> Obs:
        """See `Env.reset`; tasks that reset themselves take a step without action."""
        task = self.isaac_task
        obs = self.reset_where(torch.ones(self.num_envs, dtype=torch.bool, device=self.device))
        if not self._resets:
            return obs
        if _takes_ids(getattr(task, "reset_idx", None)):  # some compute `reset_buf` anew before they look at it
            task.reset_idx(torch.arange(self.num_envs, device=self.device))
            task.reset_buf.fill_(1)
        self._obs = self._read(task.step(self._zeros()))
        return self.observe()

    def observe(self) -> Obs:
        """See `Env.observe`."""
        return {"obs": self._obs.clone()}

    def stagger(self, generator: torch.Generator, multiple: int = 1) -> None:
        """See `Env.stagger`."""
        counter = self._counter()
        if counter is not None:
            most = max(self.episode_steps // multiple, 1)
            drawn = torch.randint(most, (self.num_envs,), generator=generator, device=self.device)
            counter.copy_(drawn * multiple)

    def state_dict(self) -> dict[str, Any]:
        """See `Env.state_dict`; what is in it says `bridge_state`."""
        state = save_state(self.isaac_task, self._constructed)
        return state | {"obs": self._obs.clone(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Env.load_state_dict`."""
        parts = ("worlds", "targets", "obs", "generator")
        own = self.state_dict()
        check_state({name: state.get(name) for name in parts}, {name: own[name] for name in parts})
        load_state(self.isaac_task, self._constructed, state)
        self._obs = state["obs"].to(self.device, copy=True)
        self.generator.set_state(state["generator"].cpu())


def resets_itself(task: Any) -> bool:
    """Whether a task's own step begins new episodes: it or what it calls before and after the physics names a reset."""
    methods = ("step", "pre_physics_step", "post_physics_step")
    used = {name for method in methods for name in _names_in(type(task), method)}
    return any(name.lstrip("_").startswith("reset") and callable(getattr(task, name, None)) for name in used)


def _names_in(cls: type, method: str) -> Iterator[str]:
    """Names that a method uses, and those of the methods that it overrides if it calls them."""
    for base in cls.__mro__:
        code = getattr(inspect.unwrap(vars(base)[method]), "__code__", None) if method in vars(base) else None
        if code is not None:
            yield from code.co_names
            if "super" not in code.co_names:
                return


def _takes_ids(method: Any) -> bool:
    """Whether a method takes one argument."""
    if not callable(method):
        return False
    return len([p for p in inspect.signature(method).parameters.values() if p.default is p.empty]) == 1
