from dataclasses import replace

import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim import Control, load_robot
from tasks.common.humanoid import ActionMap


def test_torques_without_a_limit_are_refused_by_name():
    robot = load_robot("humanoid")
    limits = robot.effort_limit.clone()
    limits[robot.dof_names.index("left_knee")] = torch.inf
    boundless = replace(robot, effort_limit=limits)
    assert ActionMap(boundless, Control.position, torch.device("cpu")).scale.isfinite().all()
    with pytest.raises(ConfigError, match="motor 'left_knee' has no largest torque.*forcerange"):
        ActionMap(boundless, Control.torque, torch.device("cpu"))
