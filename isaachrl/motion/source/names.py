"""Which node of a foreign skeleton has which role, by the names of known skeletons."""

import re
from collections.abc import Mapping, Sequence

from isaachrl.errors import ClipError, nearest

SIDES = ("left", "right")
MIDDLE = ("pelvis", "torso", "head")
LIMBS = ("hip", "knee", "foot", "toe", "shoulder", "elbow", "hand")
ROLES = (*MIDDLE, *(f"{side}_{limb}" for side in SIDES for limb in LIMBS))
OPTIONAL = ("torso", "head", *(f"{side}_{limb}" for side in SIDES for limb in ("toe", "hand")))
REQUIRED = tuple(role for role in ROLES if role not in OPTIONAL)

# names without prefixes, separators and side, in lower case; of two that a skeleton has, the earlier one counts
_MIDDLE_NAMES = {
    "pelvis": ("pelvis", "hips", "hip", "root", "lowertorso"),
    "torso": (
        "spine3", "thorax", "chest3", "chest2", "spine2", "upperback", "chest", "spine1", "torsolink", "torso", "spine",
        "lowerneck",
    ),
    "head": ("headlink", "head", "neck", "neck1"),
}  # fmt: skip
_LIMB_NAMES = {
    "hip": ("upleg", "upperleg", "thigh", "femur", "hip", "hiprolllink", "hippitchlink", "hipyawlink"),
    "knee": ("knee", "kneelink", "shin", "tibia", "calf", "lowleg", "lowerleg", "leg"),
    "foot": ("ankle", "anklerolllink", "heel", "foot"),
    "toe": ("toe", "toebase", "toes", "toeslink", "ball", "foot", "footend"),
    "shoulder": ("upperarm", "uparm", "arm", "humerus", "shoulderpitchlink", "shldr", "shoulder"),
    "elbow": ("elbow", "elbowlink", "forearm", "lowerarm", "lowarm", "radius"),
    "hand": ("wrist", "wristyawlink", "hand", "handlink", "rubberhand"),
}
_SIDE = {"left": "left", "l": "left", "right": "right", "r": "right"}


def split(name: str) -> tuple[str, str]:
    """Side (`left`, `right` or empty) and the rest of a node's name in lower case: `mixamorig:LeftUpLeg`, `lfemur`."""
    bare = re.sub(r"^(mixamorig\d*|bip\d*)(?=[:_ ]|[A-Z])[:_ ]?", "", name.rsplit(":", 1)[-1].strip())
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", bare)]
    for at in (0, len(words) - 1):
        if len(words) > 1 and words[at] in _SIDE:
            return _SIDE[words[at]], "".join(words[:at] + words[at + 1 :])
    joined = "".join(words)
    for side, rest in ((_SIDE[joined[:1]], joined[1:]) for _ in range(joined[:1] in ("l", "r"))):
        if any(rest in known for known in _LIMB_NAMES.values()):
            return side, rest
    return "", joined


def find_roles(names: Sequence[str], typed: Mapping[str, str] | None = None, where: str = "") -> dict[str, int]:
    """The node of each role that the skeleton has.

    Args:
        names: of the nodes.
        typed: nodes by role, which go before those that are found.
        where: beginning of messages.

    Raises:
        ClipError: a required role is not found; or `typed` names a role or a node that does not exist.
    """
    typed = dict(typed or {})
    for role, name in typed.items():
        if role not in ROLES:
            raise ClipError(f"{where}source.roles.{role}: there is no such role{nearest(role, ROLES)}")
        if name not in names:
            raise ClipError(f"{where}source.roles.{role}={name}: there is no such node{nearest(name, names)}")
    by_name: dict[tuple[str, str], int] = {}
    for node, name in enumerate(names):
        by_name.setdefault(split(name), node)
    found: dict[str, int] = {}
    for role in ROLES:
        side, _, limb = role.rpartition("_")
        known = _LIMB_NAMES[limb] if side else _MIDDLE_NAMES[role]
        nodes = [by_name[side, name] for name in known if (side, name) in by_name]
        if role in typed:
            found[role] = list(names).index(typed[role])
        elif nodes and not (limb in ("toe", "hand") and nodes[0] in found.values()):
            found[role] = nodes[0]
    _check(found, names, where)
    return found


def _check(found: Mapping[str, int], names: Sequence[str], where: str) -> None:
    """Raise if a required role is missing; the message says how to name it."""
    missing = [role for role in REQUIRED if role not in found]
    if missing:
        shown = ", ".join(names[:60]) + (", …" if len(names) > 60 else "")
        raise ClipError(
            f"{where}the skeleton is unknown: no node was found for {', '.join(missing)}; name each, as in"
            f" source.roles.{missing[0]}=NODE (its nodes: {shown})"
        )
