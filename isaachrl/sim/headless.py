"""Which OpenGL offscreen rendering takes. MuJoCo reads the choice when it is imported, so this comes before.

Nothing is drawn on a screen here, so a display is of no use: EGL is preferred, software OSMesa comes next. MuJoCo
cannot even be imported when the library of its choice is missing, so a choice that cannot be loaded is replaced.
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
    """The value for `MUJOCO_GL`: what the user set if it can work, else what can, else `disable`.

    Args:
        environment: the process's variables.
        loadable: whether the offscreen library of that name is there.
    """
    wanted = environment.get(VARIABLE, "").lower().strip()
    if wanted in _OTHERS:
        return wanted
    order = [wanted, *_OFFSCREEN] if wanted in _OFFSCREEN else list(_OFFSCREEN)
    return next((name for name in order if loadable(name)), "disable")


def is_loadable(name: str) -> bool:
    """Whether the library behind `egl` or `osmesa` can be loaded."""
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
