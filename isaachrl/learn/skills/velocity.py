"""Velocity reward: for moving and turning as fast as the commanded motion does.

A discriminator detects a wrong joint angle much earlier than a wrong speed, which is one number among hundreds: under
the style reward alone a policy walks briskly where it should jog. This term tracks the velocity explicitly, like the
velocity tasks of Peng et al. 2021, with the motion's own mean velocity as the target.
"""

import torch
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.learn.skills.motions import ImitationTask
from isaachrl.motion.velocity import VelocityError
from isaachrl.nn.motion_embedding import MotionEmbedding

_SPEED_SCALE_MPS = 0.5  # the velocity varies within a stride, the mean does not


class VelocityReward:
    """`exp(-e)` of the `VelocityError` from the commanded motion's mean velocity, in the heading frame.

    A product of speed and turning, not a sum: standing still earns nothing where turning on the spot is commanded.

    Args:
        task: has the layout of a style frame, and the robot.
        embedding: has the segments' mean style frames, and their probabilities for a latent.
        temperature: of these probabilities, see `MotionEmbedding.segment_probabilities`.

    Raises:
        ConfigError: the task's style frames contain no velocities.
    """

    def __init__(self, task: ImitationTask, embedding: MotionEmbedding, temperature: float) -> None:
        columns = self._columns(task)
        self._embedding, self._temperature = embedding, temperature
        self._error = VelocityError(task.sim.robot, _SPEED_SCALE_MPS)
        self._columns_of_frame = torch.tensor(columns, device=embedding.features.device)

    def __call__(self, window: Tensor, latent: Tensor) -> Tensor:
        """Reward `(n,)`, 0 to 1, of windows `(n, W * style size)`, newest frame first, under latents `(n, d)`."""
        # the first half of the features are the frames' means
        means = self._embedding.features.index_select(1, self._columns_of_frame)
        target = self._embedding.segment_probabilities(latent, self._temperature) @ means
        return torch.exp(-self._error(window.index_select(-1, self._columns_of_frame), target))

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
                f"train.reward.velocity needs {error} in the task's style_layout, which has {list(first)};"
                " type train.reward.velocity=0"
            ) from None
        return [linvel, linvel + 1, angvel + 2]
