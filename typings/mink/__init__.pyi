from collections.abc import Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

class NoSolutionFound(Exception): ...

class SE3:
    def __init__(self, wxyz_xyz: Floats) -> None: ...

class Configuration:
    def __init__(self, model: mujoco.MjModel, q: Floats | None = None) -> None: ...
    @property
    def q(self) -> Floats: ...
    def update(self, q: Floats | None = None) -> None: ...
    def integrate_inplace(self, velocity: Floats, dt: float) -> None: ...

class Constraint(NamedTuple):
    G: Floats | None = None
    h: Floats | None = None

class Limit: ...
class BaseTask: ...

class FrameTask(BaseTask):
    def __init__(
        self, frame_name: str, frame_type: str, position_cost: float = ..., orientation_cost: float = ...
    ) -> None: ...
    def set_target(self, transform_target_to_world: SE3) -> None: ...

class PostureTask(BaseTask):
    def __init__(self, model: mujoco.MjModel, cost: Floats | float) -> None: ...
    def set_target(self, target_q: Floats) -> None: ...

def solve_ik(
    configuration: Configuration,
    tasks: Sequence[BaseTask],
    dt: float,
    solver: str,
    damping: float = ...,
    safety_break: bool = ...,
    limits: Sequence[Limit] | None = None,
    **kwargs: Any,
) -> Floats: ...
