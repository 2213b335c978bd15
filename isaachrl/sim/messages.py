"""What MuJoCo warns of goes to the log; its own handler would write MUJOCO_LOG.TXT into the working folder."""

import logging
import re

import mujoco

log = logging.getLogger(__name__)

_TOLD: set[str] = set()


def warn(message: str) -> None:
    """Log a warning of MuJoCo's, unless one that differs in numbers alone has been logged: each world has its own.

    Worlds that break are counted in any case, as `Sim.num_diverged`. Threads of the engine call this.
    """
    kind = re.sub(r"[-+.\d]+", "", message)
    if kind not in _TOLD:
        _TOLD.add(kind)
        log.warning("MuJoCo: %s (warnings of this kind are not repeated)", message.strip())


def route() -> None:
    """From here on MuJoCo's warnings reach `warn`."""
    mujoco.set_mju_user_warning(warn)
