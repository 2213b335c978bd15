"""Sets `MUJOCO_GL` for offscreen rendering; must run before MuJoCo is imported.

EGL is preferred, then software rendering by OSMesa. Importing MuJoCo fails if the chosen library is missing, so a
choice that cannot be loaded is replaced.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Mapping

VARIABLE = "MUJOCO_GL"
_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so"}
_OFFSCREEN = ("egl", "osmesa")
_OTHERS = ("glfw", "glx", "disable", "disabled", "off", "false", "0")


def choose(environment: Mapping[str, str], loadable: Callable[[str], bool]) -> str:
    """The value for `MUJOCO_GL`: the user's if it can be loaded, else the first that can, else `disable`.

    Args:
        environment: environment variables.
        loadable: whether an offscreen library can be loaded, by name.
    """
    backend = environment.get(VARIABLE, "").lower().strip()
    if backend in _OTHERS:
        return backend
    order = [backend, *_OFFSCREEN] if backend in _OFFSCREEN else list(_OFFSCREEN)
    return next((name for name in order if loadable(name)), "disable")


def is_loadable(name: str) -> bool:
    """Whether the library of `egl` or `osmesa` can be loaded."""
    stem = _LIBRARIES[name]
    for candidate in (stem, f"{stem}.8", f"{stem}.6"):
        try:
            ctypes.CDLL(candidate)
        except OSError:
            continue
        return True
    return False


if sys.platform == "linux":
    os.environ[VARIABLE] = choose(os.environ, is_loadable)
