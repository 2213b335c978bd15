"""The action contract of tasks with motors."""

import math
from typing import Any

from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.sim import Control, Robot

UNIT = {Control.position: "rad", Control.torque: "N m"}


def motor_contract(robot: Robot, control: Control, offset: Tensor, scale: Tensor) -> dict[str, Any]:
    """`Task.action_contract` for controls `offset + scale * action`, the action clamped to [-1, 1].

    Args:
        robot: the robot.
        control: meaning of the controls.
        offset, scale: `(D,)`, rad or N m.

    Raises:
        ConfigError: the scale is infinite, since a motor has no effort limit.
    """
    for name, value in zip(robot.dof_names, scale.tolist(), strict=True):
        if not math.isfinite(value):
            raise ConfigError(
                f"robot {robot.name!r}: motor {name!r} has no largest torque, which actions are scaled by; write"
                ' forcerange="-N N" on it in the MJCF, or use task.control=position'
            )
    return {
        "motors": list(robot.dof_names),
        "control": control.value,
        "unit": UNIT[control],
        "offset": offset.tolist(),
        "scale": scale.tolist(),
        "use": "each motor takes offset + scale * action, the action clamped to [-1, 1]",
    }
