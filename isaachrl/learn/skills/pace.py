"""Pay for going as fast, and turning as fast, as the commanded motion does.

A discriminator sees a wrong joint long before a wrong speed: half a metre per second is one number among hundreds.
Left alone with it, a policy answers a command to jog with a brisk walk. This term says the speed out loud, in the way
of the velocity tasks of Peng et al. 2021, with the motion's own mean velocity as the target.
"""

import torch
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.hierarchy.motion_space import MotionSpace
from isaachrl.learn.skills.motions import ImitationTask

_SPEED_SCALE_MPS = 0.5
_TURN_SCALE_RAD_S = 0.7  # wider in numbers: the pelvis yaws by half a radian per second within every stride


class PaceReward:
    """`exp(-|v - v*|^2 / 0.5^2 - (w - w*)^2 / 0.7^2)`: planar velocity and yaw rate, heading frame.

    A product, so that who is to turn on the spot earns nothing by merely standing there.

    Args:
        task: says where the two stand in a style frame.
        space: the motions' means, and which motions a command asks for.
        temperature: how far a motion's surroundings on the sphere reach, see `MotionSpace.likely_pieces`.

    Raises:
        ConfigError: the task's style frames tell no velocities.
    """

    def __init__(self, task: ImitationTask, space: MotionSpace, temperature: float) -> None:
        columns = self._columns(task)
        self._space, self._temperature = space, temperature
        self._columns_of_frame = torch.tensor(columns, device=space.features.device)

    def __call__(self, window: Tensor, latent: Tensor) -> Tensor:
        """Pay `(n,)`, 0 to 1, for windows `(n, W * style size)`, newest frame first, under commands `(n, d)`."""
        # the first half of the features are the frames' means
        targets = self._space.features.index_select(1, self._columns_of_frame)
        wanted = self._space.likely_pieces(latent, self._temperature) @ targets
        error = (window.index_select(-1, self._columns_of_frame) - wanted).square()
        return torch.exp(-error[:, :2].sum(-1) / _SPEED_SCALE_MPS**2 - error[:, 2] / _TURN_SCALE_RAD_S**2)

    @staticmethod
    def _columns(task: ImitationTask) -> list[int]:
        """Columns of forward velocity, sideways velocity and yaw rate in a style frame."""
        first, column = {}, 0
        for name, size, _ in task.style_layout:
            first[name] = column
            column += size
        try:
            linvel, angvel = first["root_linvel_h"], first["root_angvel_h"]
        except KeyError as error:
            raise ConfigError(
                f"train.reward.pace needs {error} in the task's style_layout, which has {list(first)};"
                " type train.reward.pace=0"
            ) from None
        return [linvel, linvel + 1, angvel + 2]
