"""Makes `import isaacgym` find the package `isaachrl.compat.isaacgym`.

It also restores NumPy's names of before version 2, and offers stand-ins for packages that repositories import for tasks
which do not run here.
"""

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from isaachrl.compat.isaacgym.settings import SETTINGS
from isaachrl.errors import ConfigError
from isaachrl.sim.worlds import ENGINES

MODULES = ("gymapi", "gymtorch", "gymutil", "rlgpu", "terrain_utils", "torch_utils")
_PACKAGE = "isaachrl.compat.isaacgym"
_ALIASES: dict[str, Any] = {
    "Inf": np.inf, "Infinity": np.inf, "infty": np.inf, "PINF": np.inf, "NINF": -np.inf, "NaN": np.nan, "NAN": np.nan,
    "float": float, "int": int, "object": object, "str": str, "complex": complex, "float_": np.float64,
    "product": np.prod, "alltrue": np.all, "sometrue": np.any,
}  # fmt: skip
_STAND_INS = (
    "pysdf",
    "urdfpy",
    "tkinter",
    "ray",
)  # imported by all of IsaacGymEnvs and by rl_games 1.1, used nowhere here


def install(engine: str = "auto") -> None:
    """Make `import isaacgym` find this project's package.

    Args:
        engine: `mujoco`, `mujoco_warp`, or `auto`: MuJoCo Warp with the GPU pipeline, else the CPU engine.

    Raises:
        ConfigError: another engine.
    """
    if engine not in ENGINES:
        raise ConfigError(f"engine={engine}: type one of {', '.join(ENGINES)}")
    SETTINGS.engine = engine
    for name, value in _ALIASES.items():
        if name not in vars(np):
            setattr(np, name, value)
    sys.modules["isaacgym"] = package = importlib.import_module(_PACKAGE)
    for name in MODULES:
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        sys.modules[f"isaacgym.{name}"] = module
        setattr(package, name, module)
    for name in _STAND_INS:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = _StandIn(name)


class _StandIn(ModuleType):
    """A module whose attributes say that the package is missing when they are called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)  # `find_spec` asks for it

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise ImportError(f"{self.__name__}.{name} was called, but the package {self.__name__} is not installed")

        return missing
