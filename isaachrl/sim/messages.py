"""Routes MuJoCo's warnings to the log; its own handler writes MUJOCO_LOG.TXT into the working folder."""

import logging
import re

import mujoco

log = logging.getLogger(__name__)

_LOGGED: set[str] = set()


def warn(message: str) -> None:
    """Log a warning of MuJoCo once, ignoring the numbers in it; called from the engine's threads."""
    kind = re.sub(r"[-+.\d]+", "", message)
    if kind not in _LOGGED:
        _LOGGED.add(kind)
        log.warning("MuJoCo: %s (warnings of this kind are not repeated)", message.strip())


def route() -> None:
    """Make MuJoCo call `warn`."""
    mujoco.set_mju_user_warning(warn)
