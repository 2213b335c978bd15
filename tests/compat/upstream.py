"""Loads task files of repositories that whoever tests has brought, unchanged, without their packages' own imports.

`python tests/compat/upstream.py IGE=/path Ant 64 50` prints the sizes of one task and its steps per second.
"""

import contextlib
import hashlib
import importlib
import io
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


def run(task, steps: int, scale: float = 1.0) -> tuple[float, torch.Tensor]:
    """Random actions; steps per second of all environments, and the last observation."""
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    obs = None
    for _ in range(steps):
        action = scale * (2.0 * torch.rand(task.num_envs, task.num_actions, generator=generator) - 1.0)
        if type(task).__name__ == "HumanoidAMP":  # its agent resets
            task.reset_done()
        obs = task.step(action)[0]["obs"]
        assert torch.isfinite(obs).all()
    return steps * task.num_envs / (time.perf_counter() - start), obs


def main() -> None:
    where, name, num_envs, steps = sys.argv[1:5]
    _, _, root = where.partition("=")
    with contextlib.redirect_stdout(io.StringIO()) if "-q" in sys.argv else contextlib.nullcontext():
        task, path = gym_envs_task(Path(root), name, int(num_envs), tuple(a for a in sys.argv[5:] if a != "-q"))
        rate, obs = run(task, int(steps))
    sys.stdout.write(f"{name} {task.num_obs} {task.num_actions} {rate:.0f}/s {sha256(path)}\n")


if __name__ == "__main__":
    main()
