"""The symmetries of the ant: turns on the floor, and the eight ways to number its four equal legs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .ant import STATE_SIZE

EPSILON = 1e-8  # under the root: exactly on its back the ant has no heading

# a quarter turn to the left brings leg i to where leg i + 1 was: `(entry before, sign)` of each entry after it. Hips
# turn about z. The axes of ankles 1 and 3 become those of 2 and 4 reversed; those of 2 and 4 become those of 3 and 1
TURNED_JOINTS = ((6, 1), (7, 1), (0, 1), (1, -1), (2, 1), (3, 1), (4, 1), (5, -1))
# left and right exchanged: legs 1 and 4, and 2 and 3. It reverses rotations, and the axes of the ankles with them
MIRRORED_JOINTS = ((6, -1), (7, 1), (4, -1), (5, 1), (2, -1), (3, 1), (0, -1), (1, 1))
TURNED_PLANE, MIRRORED_PLANE, MIRRORED_AXIS = ((1, -1), (0, 1)), ((0, 1), (1, -1)), ((0, -1), (1, 1))
SAME, REVERSED = ((0, 1),), ((0, -1),)


def _matrix(*parts: Sequence[tuple[int, int]]) -> Tensor:
    """Block-diagonal matrix of signed permutations."""
    blocks = []
    for part in parts:
        block = torch.zeros(len(part), len(part))
        for row, (column, sign) in enumerate(part):
            block[row, column] = sign
        blocks.append(block)
    return torch.block_diag(*blocks)


def _elements(turn: Tensor, mirror: Tensor) -> tuple[Tensor, Tensor]:
    """Indices and signs `(8, size)` of 0, 1, 2, 3 quarter turns, and of the same followed by the mirror."""
    turns = [torch.linalg.matrix_power(turn, count) for count in range(4)]
    matrices = torch.stack([*turns, *(mirror @ matrix for matrix in turns)])
    index = matrices.abs().argmax(-1)
    return index, matrices.gather(-1, index.unsqueeze(-1)).squeeze(-1)


class AntSymmetry(nn.Module):
    """Of all equivalent states and goals on the plane, the one with heading 0 and the goal ahead, 0 to 45 degrees left.

    On open floor an ant that walks to the west is one that walks to the north, turned; and as its legs are equal, one
    that walks to its left is one that walks ahead, with other numbers of its legs. A `Symmetry` for goal-conditioned
    learners. Only the ant's own state is turned; later entries (blocks, sensors) and the place become zero.
    """

    state_index: Tensor
    state_sign: Tensor
    action_index: Tensor
    action_sign: Tensor
    inverse_index: Tensor
    inverse_sign: Tensor

    def __init__(self) -> None:
        super().__init__()
        plane, joints = TURNED_PLANE, TURNED_JOINTS
        # z, the tilt's axis, joints, linear and angular velocities, joint velocities, time
        turn = _matrix(SAME, plane, joints, plane, SAME, plane, SAME, joints, SAME)
        plane, axis, joints = MIRRORED_PLANE, MIRRORED_AXIS, MIRRORED_JOINTS
        mirror = _matrix(SAME, axis, joints, plane, SAME, axis, REVERSED, joints, SAME)
        tables = {"state": _elements(turn, mirror), "action": _elements(_matrix(TURNED_JOINTS), _matrix(joints))}
        index, sign = tables["action"]
        tables["inverse"] = index.argsort(-1), sign.gather(-1, index.argsort(-1))
        for name, (index, sign) in tables.items():
            self.register_buffer(f"{name}_index", index)
            self.register_buffer(f"{name}_sign", sign)

    def canonical(self, state: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """States `(…, S)`, goals `(…, d)` and the change `(…)` to them; the height in a goal stays as it is."""
        w, x, y, z = state[..., 3:7].unbind(-1)
        upright = (w.square() + z.square()).clamp_min(EPSILON).sqrt()
        half_cos, half_sin = w / upright, z / upright
        cos, sin = half_cos.square() - half_sin.square(), 2.0 * half_cos * half_sin
        ahead, left = _turned_back(goal[..., 0], goal[..., 1], cos, sin)
        velocity = _turned_back(state[..., 15], state[..., 16], cos, sin)
        # the quaternion without its heading: a rotation about an axis on the plane
        tilt = _turned_back(x, y, half_cos, half_sin)
        own = torch.cat(
            (state[..., 2:3], torch.stack(tilt, -1), state[..., 7:15], torch.stack(velocity, -1), state[..., 17:30]), -1
        )
        change, goal_ahead, goal_left = _sector(ahead, left)
        own = own.gather(-1, self.state_index[change]) * self.state_sign[change]
        place, rest = torch.zeros_like(state[..., :2]), torch.zeros_like(state[..., STATE_SIZE:])
        rotation = torch.stack((upright, torch.zeros_like(upright)), -1)
        parts = (place, own[..., :1], rotation[..., :1], own[..., 1:3], rotation[..., 1:], own[..., 3:], rest)
        return torch.cat(parts, -1), torch.cat((torch.stack((goal_ahead, goal_left), -1), goal[..., 2:]), -1), change

    def to_canonical(self, action: Tensor, change: Tensor) -> Tensor:
        """Actions `(…, 8)` after the changes `(…)`."""
        return action.gather(-1, self.action_index[change]) * self.action_sign[change]

    def from_canonical(self, action: Tensor, change: Tensor) -> Tensor:
        """The inverse of `to_canonical`."""
        return action.gather(-1, self.inverse_index[change]) * self.inverse_sign[change]


def _turned_back(x: Tensor, y: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """A vector on the plane, turned to the right by an angle."""
    return cos * x + sin * y, cos * y - sin * x


def _sector(ahead: Tensor, left: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The element that brings a vector ahead, 0 to 45 degrees to the left, and the two entries of what it becomes."""
    behind = -ahead >= left.abs()
    to_left = left > 0
    turns = torch.where(ahead >= left.abs(), 0, torch.where(behind, 2, torch.where(to_left, 3, 1)))
    side = torch.where(turns == 0, left, torch.where(behind, -left, torch.where(to_left, -ahead, ahead)))
    along = torch.maximum(ahead.abs(), left.abs())
    return turns + 4 * (side < 0), along, side.abs()
