"""What the numbers of an action do to a robot's motors, told to those who use an exported policy."""

import math
from typing import Any

from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.sim import Control, Robot

UNIT = {Control.position: "rad", Control.torque: "N m"}


def motor_contract(robot: Robot, control: Control, offset: Tensor, scale: Tensor) -> dict[str, Any]:
    """Plain data for `Task.action_contract`: a motor takes `offset + scale * action`, the action clamped to [-1, 1].

    Args:
        robot: whose motors.
        control: what they take.
        offset, scale: `(D,)`, rad or N m.

    Raises:
        ConfigError: an action would ask for a torque without end, since the robot gives its motors no limits.
    """
    for name, reach in zip(robot.dof_names, scale.tolist(), strict=True):
        if not math.isfinite(reach):
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
