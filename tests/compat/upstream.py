"""Loads task files of repositories that whoever tests has brought, unchanged, without their packages' own imports.

`python tests/compat/upstream.py IGE=/path Ant 64 50` prints the sizes of one task and its steps per second.
"""

import contextlib
import hashlib
import importlib
import sys
import time
from pathlib import Path
from types import ModuleType

import torch

import isaachrl.isaacgym

GYM_MODULES = {
    "Ant": "ant", "Humanoid": "humanoid", "HumanoidAMP": "humanoid_amp", "Cartpole": "cartpole",
    "BallBalance": "ball_balance", "Quadcopter": "quadcopter", "Ingenuity": "ingenuity", "Anymal": "anymal",
    "AnymalTerrain": "anymal_terrain", "FrankaCabinet": "franka_cabinet", "AllegroHand": "allegro_hand",
    "FrankaCubeStack": "franka_cube_stack", "ShadowHand": "shadow_hand",
    "Trifinger": "trifinger",
}  # fmt: skip


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package(name: str, folder: Path) -> None:
    """A package whose submodules can be imported, and whose `__init__` is not run."""
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


def gym_envs_task(root: Path, name: str, num_envs: int, overrides: tuple[str, ...] = (), engine: str = "auto"):
    """A task of IsaacGymEnvs with its own configuration, and the path of its file."""
    from hydra import compose, initialize_config_dir

    isaachrl.isaacgym.install(engine)
    forget_simulation()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    importlib.import_module("isaacgymenvs")  # registers resolvers
    package("isaacgymenvs.tasks", root / "isaacgymenvs/tasks")
    for part in ("base", "amp", "amp.utils_amp"):
        sys.modules.pop(f"isaacgymenvs.tasks.{part}", None)
    with initialize_config_dir(str(root / "isaacgymenvs/cfg"), version_base="1.1"):
        devices = ["sim_device=cpu", "rl_device=cpu", "pipeline=cpu"]
        cfg = compose("config", [f"task={name}", f"num_envs={num_envs}", "headless=True", *devices, *overrides])
    from isaacgymenvs.utils.reformat import omegaconf_to_dict

    module = importlib.import_module(f"isaacgymenvs.tasks.{GYM_MODULES[name]}")
    task = getattr(module, name)(
        cfg=omegaconf_to_dict(cfg.task), rl_device="cpu", sim_device="cpu", graphics_device_id=-1, headless=True,
        virtual_screen_capture=False, force_render=False,
    )  # fmt: skip
    return task, root / f"isaacgymenvs/tasks/{GYM_MODULES[name]}.py"


def forget_simulation() -> None:
    """IsaacGymEnvs keeps one simulation a process; drop its modules."""
    for name in [n for n in sys.modules if n.split(".")[0] == "isaacgymenvs" and n != "isaacgymenvs"]:
        if not name.startswith("isaacgymenvs.utils"):
            del sys.modules[name]


def ase_task(root: Path, name: str, num_envs: int, config: str = "", motion: str = "", engine: str = "auto"):
    """A task of ASE with its own configuration, and the path of its file; `config` is a file of `ase/data/cfg`."""
    isaachrl.isaacgym.install(engine)
    folder = root / "ase"
    for part in [n for n in sys.modules if n.split(".")[0] in ("env", "utils", "poselib", "learning")]:
        del sys.modules[part]
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    file = config or "humanoid.yaml"
    arguments = [
        "--task", name, "--headless", "--num_envs", str(num_envs), "--sim_device", "cpu", "--pipeline", "cpu",
        "--rl_device", "cpu", "--cfg_env", f"ase/data/cfg/{file}", "--motion_file", motion,
        "--cfg_train", "ase/data/cfg/train/rlg/amp_humanoid.yaml",
    ]  # fmt: skip
    before, sys.argv = sys.argv, ["run.py", *arguments]
    try:
        with contextlib.chdir(root):
            config_module = importlib.import_module("utils.config")
            args = config_module.get_args()
            cfg, cfg_train, _ = config_module.load_cfg(args)
            cfg["env"]["motion_file"] = str(root / motion)
            params = config_module.parse_sim_params(args, cfg, cfg_train)
            task, wrapped = importlib.import_module("utils.parse_task").parse_task(args, cfg, cfg_train, params)
    finally:
        sys.argv = before
    return wrapped, Path(sys.modules[type(task).__module__].__file__)


def legged_task(root: Path, name: str, num_envs: int, terrain: str = "plane", engine: str = "auto"):
    """A task of legged_gym on `plane`, `heightfield` or `trimesh`, and the path of its file."""
    isaachrl.isaacgym.install(engine)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    before, sys.argv = sys.argv, ["train.py"]
    try:
        importlib.import_module("legged_gym.envs")
        utils = importlib.import_module("legged_gym.utils")
        flags = ["--task", name, "--headless", "--num_envs", str(num_envs), "--sim_device", "cpu", "--rl_device", "cpu"]
        sys.argv = ["train.py", *flags]
        args = utils.get_args()
        env_cfg, _ = utils.task_registry.get_cfgs(name)
        env_cfg.terrain.mesh_type = terrain
        env_cfg.terrain.num_rows, env_cfg.terrain.num_cols = 3, 4  # a map small enough for a test
        env_cfg.terrain.max_init_terrain_level = 2
        task, _ = utils.task_registry.make_env(name=name, args=args, env_cfg=env_cfg)
    finally:
        sys.argv = before
    return task, Path(sys.modules[type(task).__module__].__file__)


def run(task, steps: int, scale: float = 1.0) -> tuple[float, torch.Tensor]:
    """Random actions; steps per second of all environments, and the last observation."""
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    obs = torch.empty(0)
    for i in range(steps):
        action = scale * (2.0 * torch.rand(task.num_envs, task.num_actions, generator=generator) - 1.0)
        if type(task).__name__ == "HumanoidAMP":  # its agent resets
            task.reset_done()
        if type(task).__name__ == "VecTaskPythonWrapper" and i % 10 == 0:  # the same of ASE
            task.reset(torch.arange(task.num_envs) if i == 0 else task.task.reset_buf.nonzero().flatten())
        obs = task.step(action)[0]
        obs = obs["obs"] if isinstance(obs, dict) else obs
        assert torch.isfinite(obs).all()
    return steps * task.num_envs / (time.perf_counter() - start), obs


def main() -> None:
    """`IGE=PATH TASK N STEPS [overrides]`, `ASE=PATH TASK N STEPS config motion`, `LG=PATH TASK N STEPS terrain`."""
    which, _, root = sys.argv[1].partition("=")
    name, num_envs, steps, *rest = sys.argv[2:]
    if which == "IGE":
        task, path = gym_envs_task(Path(root), name, int(num_envs), tuple(rest))
    else:
        task, path = {"ASE": ase_task, "LG": legged_task}[which](Path(root), name, int(num_envs), *rest)
    rate, obs = run(task, int(steps))
    sys.stdout.write(f"{name} obs {obs.shape[1]} actions {task.num_actions} {rate:.0f}/s {sha256(path)}\n")


if __name__ == "__main__":
    main()
