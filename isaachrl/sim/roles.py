"""Roles of a humanoid's bodies: pelvis, torso, head, and of each side hip, knee, foot, shoulder, elbow and hand.

They are guessed from the tree, its mirror symmetry and the standing pose; a name decides only what these leave open.
The robot must face along x, with its left on the side of y.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import mujoco
import numpy as np
from numpy.typing import NDArray

from isaachrl.errors import ConfigError, nearest

Floats = NDArray[np.float64]

SIDES = ("left", "right")
LEG, ARM = ("hip", "knee", "foot"), ("shoulder", "elbow", "hand")
TRUNK = ("pelvis", "torso", "head")
NAMES = (*TRUNK, *(f"{side}_{part}" for part in (*LEG, *ARM) for side in SIDES))

_MIRROR = 0.03  # distance of a body from the mirror image of its pair, as a share of the robot's height
_FLOOR = 0.15  # ends of legs are lower than this share of the height
_CLUSTER = 0.3  # joints nearer to each other than this share of a limb's lower half act as one
_TIP = 2.0  # the end of a body is this many times as far from its joint as its centre of mass


@dataclass(frozen=True)
class Roles(Mapping[str, str]):
    """Body name by role, for the roles that a robot has; `NAMES` has all roles.

    `left_hip` and `left_shoulder` are thigh and upper arm, `left_knee` and `left_elbow` shin and forearm: the bodies
    that turn with the limb's halves. `left_foot` and `left_hand` come after all ankle and wrist joints; a robot whose
    forearm is its last body has no `left_hand`. A robot may have one body as pelvis and torso.

    Args:
        bodies: by role.
        robot: name of the robot, for messages.
        body_names: all bodies of the robot, for messages.
    """

    bodies: Mapping[str, str] = field(default_factory=dict)
    robot: str = "robot"
    body_names: tuple[str, ...] = ()

    def __getitem__(self, role: str) -> str:
        """The body of a role.

        Raises:
            KeyError: the robot has none.
        """
        return self.bodies[role]

    def __iter__(self) -> Iterator[str]:
        """The roles that the robot has."""
        return iter(self.bodies)

    def __len__(self) -> int:
        """Number of roles that the robot has."""
        return len(self.bodies)

    def require(self, *roles: str) -> tuple[str, ...]:
        """The bodies of these roles.

        Raises:
            ConfigError: the robot lacks one; the message has the lines to write.
        """
        missing = [role for role in roles if role not in self.bodies]
        if missing:
            lines = ", ".join(f"{role}: BODY" for role in missing)
            raise ConfigError(
                f"robot {self.robot!r}: which body is its {' and which its '.join(missing)}? Write a YAML file with the"
                f" lines 'model: FILE' and 'roles: {{{lines}}}' and type robot=that.yaml (its bodies:"
                f" {', '.join(self.body_names)})"
            )
        return tuple(self.bodies[role] for role in roles)


def find_roles(
    model: mujoco.MjModel, data: mujoco.MjData, ids: list[int], given: Mapping[str, str], robot: str
) -> Roles:
    """The roles of a robot: those given, and guesses for the others.

    Args:
        model, data: with the kinematics of the standing pose computed.
        ids: the robot's bodies, root first.
        given: bodies by role, which overrule guesses; an empty name says that the robot has no such body.
        robot: name of the robot, for messages.

    Raises:
        ConfigError: an unknown role or body is given.
    """
    names = tuple(model.body(b).name for b in ids)
    for role, body in given.items():
        if role not in NAMES:
            raise ConfigError(f"robot {robot!r}: roles.{role} is no role{nearest(role, NAMES)}")
        if body and body not in names:
            raise ConfigError(f"robot {robot!r}: roles.{role}={body} is no body{nearest(body, names)}")
    guessed = {role: model.body(b).name for role, b in _Tree(model, data, ids).guess().items()}
    found = {role: body for role, body in (guessed | dict(given)).items() if body}
    return Roles({role: found[role] for role in NAMES if role in found}, robot, names)


class _Tree:
    """A robot's tree in its standing pose.

    Attributes:
        start: `(3,)` by body: its first joint, or its origin if it is welded.
        end: `(3,)` by body: a point as far from `start` as the body reaches, roughly.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, ids: list[int]) -> None:
        self.model, self.ids, self.root = model, ids, ids[0]
        self.parent = {b: int(model.body_parentid[b]) for b in ids}
        self.children: dict[int, list[int]] = {b: [c for c in ids[1:] if self.parent[c] == b] for b in ids}
        self.moves = {b: int(model.body_jntnum[b]) > 0 for b in ids}
        self.start = {b: self._anchor(data, b) for b in ids}
        self.axes = {b: self._joint_axes(data, b) for b in ids}
        self.end = {b: self.start[b] + _TIP * (data.xipos[b] - self.start[b]) for b in ids}
        points = np.array([*self.start.values(), *self.end.values()])
        self.bottom, self.height = float(points[:, 2].min()), float(np.ptp(points[:, 2]))

    def _anchor(self, data: mujoco.MjData, b: int) -> Floats:
        moves = self.moves[b] and b != self.root
        return (data.xanchor[self.model.body_jntadr[b]] if moves else data.xpos[b]).copy()

    def _joint_axes(self, data: mujoco.MjData, b: int) -> list[Floats]:
        """World axes of a body's hinges; none for a ball, which turns about any."""
        joints = range(self.model.body_jntadr[b], self.model.body_jntadr[b] + self.model.body_jntnum[b])
        hinge = int(mujoco.mjtJoint.mjJNT_HINGE)
        return [data.xaxis[j].copy() for j in joints if int(self.model.jnt_type[j]) == hinge]

    def guess(self) -> dict[str, int]:
        """Bodies by role; none for a robot without a pair of legs, or with more."""
        pairs = self._pairs()
        legs = [pair for pair in pairs if self._lowest(pair[0]) < self.bottom + _FLOOR * self.height]
        legs = [pair for pair in legs if len(self._joints(self._path(pair[0]))) >= 3]
        fork = {self._fork(*pair) for pair in legs}
        legs = legs[:1] if len(legs) > 1 and self._are_toes(legs) else legs
        if len(legs) != 1 or len(fork) != 1:
            return {}
        roles: dict[str, int] = {"pelvis": fork.pop()}
        for side, end in zip(SIDES, legs[0], strict=True):
            roles |= self._limb(self._below(roles["pelvis"], end), [f"{side}_{part}" for part in LEG])
        leg_bodies = {self._below(roles["pelvis"], end) for end in legs[0]}
        arms = [pair for pair in pairs if not leg_bodies & {*self._path(pair[0]), *self._path(pair[1])}]
        arms = [pair for pair in arms if len(self._joints(self._branch(pair))) >= 2]
        best = max(arms, key=lambda pair: (self._reach(pair), pair), default=())
        roles["torso"] = self._fork(*best) if best else roles["pelvis"]
        tops = [self._below(roles["torso"], end) for end in best]
        for side, top in zip(SIDES, tops, strict=False):
            roles |= self._arm(top, side)
        limbs = {*leg_bodies, *tops}
        head = self._head(roles["pelvis"], limbs)
        return roles | ({"head": head} if head else {})

    def _pairs(self) -> list[tuple[int, int]]:
        """Pairs of leaves, left and right, that are mirror images of each other."""
        leaves = [b for b in self.ids if not self.children[b]]
        left = [b for b in leaves if self._middle(b)[1] > _MIRROR * self.height / 2]
        right = [b for b in leaves if self._middle(b)[1] < -_MIRROR * self.height / 2]
        pairs: list[tuple[int, int]] = []
        for a in left:
            image = self._middle(a) * [1.0, -1.0, 1.0]
            far = {b: float(np.linalg.norm(self._middle(b) - image)) for b in right}
            same = [b for b in far if len(self._path(b)) == len(self._path(a)) and far[b] < _MIRROR * self.height]
            if same:
                pairs.append((a, min(same, key=lambda b: far[b])))
        return pairs

    def _middle(self, b: int) -> Floats:
        return (self.start[b] + self.end[b]) / 2

    def _path(self, b: int) -> list[int]:
        """Bodies from below the root down to `b`."""
        path: list[int] = []
        while b != self.root:
            path.append(b)
            b = self.parent[b]
        return path[::-1]

    def _joints(self, path: list[int]) -> list[int]:
        return [b for b in path if self.moves[b]]

    def _fork(self, a: int, b: int) -> int:
        """The last body that both paths have."""
        shared = [one for one, other in zip(self._path(a), self._path(b), strict=False) if one == other]
        return shared[-1] if shared else self.root

    def _below(self, fork: int, end: int) -> int:
        """The first body below `fork` on the way to `end`."""
        path = [self.root, *self._path(end)]
        return path[path.index(fork) + 1]

    def _branch(self, pair: tuple[int, int]) -> list[int]:
        path, fork = self._path(pair[0]), self._fork(*pair)
        return path if fork == self.root else path[path.index(fork) + 1 :]

    def _lowest(self, b: int) -> float:
        return float(min(self.start[b][2], self.end[b][2]))

    def _are_toes(self, legs: list[tuple[int, int]]) -> bool:
        """Whether all pairs end the same limb."""
        return len({self._below(self._fork(*pair), pair[0]) for pair in legs}) == 1

    def _reach(self, pair: tuple[int, int]) -> float:
        first = self._branch(pair)[0]
        return float(np.linalg.norm(self.end[pair[0]] - self.start[first]))

    def _limb(self, first: int, roles: list[str]) -> dict[str, int]:
        """Upper half, lower half and end of a leg: the knee is the bending joint farthest from both of its ends."""
        chain = self._chain(first)
        middle = self._bend(chain[:-1], self.start[chain[-1]]) if len(chain) >= 3 else 0
        if not middle:
            return {}
        after = self._beyond(chain, middle, self.start[chain[-1]])
        size = self._far(after[0], self.start[chain[middle]])
        ankle = [b for b in after if self._far(b, self.start[after[0]]) <= _CLUSTER * size]  # what follows are toes
        return dict(zip(roles, (chain[middle - 1], chain[middle], ankle[-1]), strict=True))

    def _arm(self, first: int, side: str) -> dict[str, int]:
        """Shoulder, elbow and hand; a hand is welded to the forearm, or follows joints at its end."""
        chain = self._chain(first)
        welded = [b for b in self.children[chain[-1]] if not self.children[b] and not self.moves[b]]
        ends = [self.end[b] for b in (chain[-1], *welded)]
        has_fingers = any(map(self._moving_below, self.children[chain[-1]]))
        tip = self.start[chain[-1]] if has_fingers else max(ends, key=lambda end: self._far(first, end))
        middle = self._bend(chain, tip)
        if not middle:
            return {}
        found = {f"{side}_shoulder": chain[middle - 1], f"{side}_elbow": chain[middle]}
        hands = self._beyond(chain, middle, tip) or self._beyond([chain[middle], *welded], 0, tip)[:1]
        return found | ({f"{side}_hand": hands[-1]} if hands else {})

    def _bend(self, chain: list[int], tip: Floats) -> int:
        """Index in a chain of the joint that bends the limb in its middle; 0 if there is none."""
        top = self.start[chain[0]]
        bending = [i for i in range(1, len(chain)) if self._bends(chain[i], tip)]
        return max(bending, key=lambda i: min(self._far(chain[i], top), self._far(chain[i], tip)), default=0)

    def _bends(self, b: int, tip: Floats) -> bool:
        """Whether a body's joints move the tip of the limb more than they twist it."""
        lever = tip - self.start[b]
        size = float(np.linalg.norm(lever))
        along = [abs(float(axis @ lever)) for axis in self.axes[b]]
        return size > 0 and min(along, default=0.0) < math.sqrt(0.5) * size

    def _beyond(self, chain: list[int], middle: int, tip: Floats) -> list[int]:
        """Bodies of a chain after `middle` that start well away from it, compared with the way to the tip."""
        start = self.start[chain[middle]]
        return [b for b in chain[middle + 1 :] if self._far(b, start) > _CLUSTER * np.linalg.norm(tip - start)]

    def _far(self, b: int, point: Floats) -> float:
        return float(np.linalg.norm(self.start[b] - point))

    def _chain(self, first: int) -> list[int]:
        """Moving bodies from `first` on, up to where the limb branches."""
        chain, b = [], first
        while True:
            if self.moves[b]:
                chain.append(b)
            after = [child for child in self.children[b] if self._moving_below(child)]
            if len(after) != 1:
                return chain
            b = after[0]

    def _moving_below(self, b: int) -> bool:
        return self.moves[b] or any(self._moving_below(child) for child in self.children[b])

    def _head(self, pelvis: int, limbs: set[int]) -> int | None:
        """The body named like a head, else the highest one that turns on the torso, is in the middle and no limb's."""
        middle = _MIRROR * self.height
        free = [b for b in self.ids if not limbs & {b, *self._path(b)}]
        named = [b for b in free if "head" in self.model.body(b).name.lower()]
        above = [
            b for b in free
            if self.moves[b] and not self.children[b] and abs(self.start[b][1]) < middle
            and self.start[b][2] > self.start[pelvis][2] + self.height / 4
        ]  # fmt: skip
        return max(named or above, key=lambda b: (round(float(self.start[b][2]), 3), b), default=None)
