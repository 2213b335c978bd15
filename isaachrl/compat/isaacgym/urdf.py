"""Translates URDF to MJCF: children in the order of their names, fixed joints fused if asked for, no visuals."""

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from isaachrl.compat.isaacgym.mjcf import parse_xml
from isaachrl.compat.isaacgym.structs import AssetOptions
from isaachrl.compat.isaacgym.vectors import Quat, Transform, Vec3
from isaachrl.errors import ConfigError

_READABLE = (".stl", ".obj", ".msh")


@dataclass
class Inertial:
    """Mass in kg, centre of mass in m, and inertia `(3, 3)` in kg m² about it; None if it follows from the shapes."""

    mass: float
    com: np.ndarray
    inertia: np.ndarray | None


@dataclass
class Link:
    """A link: its inertial, and its collision shapes with their poses."""

    name: str
    inertial: Inertial | None = None
    shapes: list[tuple[Transform, ET.Element]] = field(default_factory=list)


@dataclass
class Joint:
    """A joint between two links; `frame` is the child's pose in the parent."""

    name: str
    kind: str
    parent: str
    child: str
    frame: Transform
    element: ET.Element
    keep: bool


class UrdfReader:
    """One URDF file.

    Args:
        path: of the file.
        root: folder that `package://` paths and asset files are relative to.
        options: of the import.

    Attributes:
        limits: effort and velocity of each joint that has them.
    """

    def __init__(self, path: Path, root: Path, options: AssetOptions) -> None:
        self.path, self.root, self.options = path, root, options
        robot = parse_xml(path)
        self.links = {link.name: link for link in (self._link(e) for e in robot.findall("link"))}
        self.joints = [_joint(element) for element in robot.findall("joint")]
        self.limits = {joint.name: _limits(joint.element) for joint in self.joints}
        self._meshes: dict[str, str] = {}

    def to_mjcf(self) -> str:
        """The robot as MJCF.

        Raises:
            ConfigError: the links are no tree, or a collision mesh has a format that MuJoCo does not read.
        """
        if self.options.collapse_fixed_joints:
            self._collapse()
        children = {joint.child for joint in self.joints}
        roots = [name for name in self.links if name not in children]
        if len(roots) != 1:
            raise ConfigError(f"{self.path} has {len(roots)} root links ({', '.join(roots[:5])}); an asset has one")
        mujoco = ET.Element("mujoco", model=self.path.stem)
        ET.SubElement(mujoco, "compiler", angle="radian", autolimits="false", fusestatic="false")
        asset, world = ET.SubElement(mujoco, "asset"), ET.SubElement(mujoco, "worldbody")
        self._add_link(world, roots[0], Transform(), None)
        for name, (file, scale) in ((name, key.split("|")) for key, name in self._meshes.items()):
            ET.SubElement(asset, "mesh", name=name, file=file, scale=scale)
        return ET.tostring(mujoco, encoding="unicode")

    def _link(self, element: ET.Element) -> Link:
        """A link of the file."""
        link = Link(element.get("name", ""))
        inertial = element.find("inertial")
        if inertial is not None:
            link.inertial = _inertial(inertial, self.options.override_inertia)
        for collision in element.findall("collision"):
            geometry = collision.find("geometry")
            if geometry is not None and len(geometry):
                link.shapes.append((_origin(collision), geometry[0]))
        return link

    def _collapse(self) -> None:
        """Merge links into the parents that fixed joints hold them to."""
        while fixed := next((j for j in self.joints if j.kind == "fixed" and not j.keep), None):
            parent, child = self.links[fixed.parent], self.links.pop(fixed.child)
            parent.shapes += [(fixed.frame * pose, shape) for pose, shape in child.shapes]
            parent.inertial = _merge(parent.inertial, _moved(child.inertial, fixed.frame))
            self.joints.remove(fixed)
            for joint in self.joints:
                if joint.parent == fixed.child:
                    joint.parent, joint.frame = fixed.parent, fixed.frame * joint.frame

    def _add_link(self, parent: ET.Element, name: str, frame: Transform, joint: Joint | None) -> None:
        """Add a link and its descendants."""
        link = self.links[name]
        body = ET.SubElement(parent, "body", {"name": name, **_pose(frame)})
        if joint is not None and joint.kind != "fixed":
            body.append(self._mjcf_joint(joint))
        explicit = link.inertial is not None and link.inertial.inertia is not None
        if explicit and link.inertial is not None and link.inertial.inertia is not None:
            i = link.inertial.inertia
            full = _numbers(i[0, 0], i[1, 1], i[2, 2], i[0, 1], i[0, 2], i[1, 2])
            com = _numbers(*link.inertial.com)
            ET.SubElement(body, "inertial", pos=com, mass=_numbers(max(link.inertial.mass, 1e-6)), fullinertia=full)
        for pose, shape in link.shapes:
            geom = self._geom(shape, pose, name)
            if link.inertial is not None and not explicit:
                geom.set("mass", _numbers(link.inertial.mass / len(link.shapes)))
            body.append(geom)
        if link.inertial is not None and not explicit and not link.shapes:
            point = _numbers(*[max(link.inertial.mass, 1e-6) * 1e-3] * 3)  # a ball of about 5 cm
            com = _numbers(*link.inertial.com)
            ET.SubElement(body, "inertial", pos=com, mass=_numbers(max(link.inertial.mass, 1e-6)), diaginertia=point)
        for child in sorted((j for j in self.joints if j.parent == name), key=lambda j: j.child):
            self._add_link(body, child.child, child.frame, child)

    def _mjcf_joint(self, joint: Joint) -> ET.Element:
        """A movable joint."""
        kinds = {"revolute": "hinge", "continuous": "hinge", "prismatic": "slide"}
        if joint.kind not in kinds:
            raise ConfigError(f"{self.path}: joint {joint.name!r} is of type {joint.kind!r}, which is not supported")
        axis, limit, dynamics = (joint.element.find(tag) for tag in ("axis", "limit", "dynamics"))
        result = ET.Element("joint", name=joint.name, type=kinds[joint.kind])
        result.set("axis", axis.get("xyz", "1 0 0") if axis is not None else "1 0 0")
        result.set("armature", _numbers(self.options.armature))
        if dynamics is not None:
            result.set("damping", dynamics.get("damping", "0"))
        if limit is not None and joint.kind != "continuous":
            lower, upper = float(limit.get("lower", 0)), float(limit.get("upper", 0))
            if lower < upper:
                result.set("limited", "true")
                result.set("range", _numbers(lower, upper))
        return result

    def _geom(self, shape: ET.Element, pose: Transform, link: str) -> ET.Element:
        """A collision shape."""
        geom = ET.Element("geom", {"density": _numbers(self.options.density), **_pose(pose)})
        length, radius = 0.5 * float(shape.get("length", 0)), float(shape.get("radius", 0))
        if shape.tag == "box":
            size = [0.5 * float(x) for x in shape.get("size", "").split()]
            geom.attrib |= {"type": "box", "size": _numbers(*size)}
        elif shape.tag == "sphere":
            geom.attrib |= {"type": "sphere", "size": _numbers(radius)}
        elif shape.tag in ("cylinder", "capsule"):
            capsule = shape.tag == "capsule" or self.options.replace_cylinder_with_capsule
            geom.attrib |= {"type": "capsule" if capsule else "cylinder", "size": _numbers(radius, length)}
        elif shape.tag == "mesh":
            geom.attrib |= {"type": "mesh", "mesh": self._mesh(shape, link)}
        else:
            raise ConfigError(f"{self.path}: link {link!r} has a collision shape {shape.tag!r}, which is not supported")
        return geom

    def _mesh(self, shape: ET.Element, link: str) -> str:
        """The name of a mesh."""
        given = shape.get("filename", "")
        name = given.split("://", 1)[-1]
        folders = (self.path.parent, self.root, self.root.parent, self.path.parent.parent)
        candidates = [folder / part for folder in folders for part in (name, name.partition("/")[2]) if part]
        file = next((path for path in candidates if path.is_file()), None)
        if file is None or file.suffix.lower() not in _READABLE:
            reason = "does not exist" if file is None else "has a format that MuJoCo does not read (.stl, .obj, .msh)"
            raise ConfigError(
                f"{self.path}: the collision mesh {given!r} of link {link!r} {reason}; convert or copy it"
            )
        key = f"{file.resolve()}|{shape.get('scale', '1 1 1')}"
        return self._meshes.setdefault(key, f"mesh_{len(self._meshes)}")


def _joint(element: ET.Element) -> Joint:
    """A joint of the file."""
    parent, child = (element.find(tag) for tag in ("parent", "child"))
    above, below = (item.get("link", "") if item is not None else "" for item in (parent, child))
    keep = element.get("dont_collapse", "false") == "true"
    return Joint(element.get("name", ""), element.get("type", ""), above, below, _origin(element), element, keep)


def _limits(element: ET.Element) -> tuple[float, float]:
    """Effort and velocity limits of a joint; infinite if the file gives none."""
    limit = element.find("limit")
    values = [float(limit.get(name, 0)) if limit is not None else 0.0 for name in ("effort", "velocity")]
    effort, velocity = (value if value > 0 else math.inf for value in values)
    return effort, velocity


def _origin(element: ET.Element) -> Transform:
    """The pose in an element's `<origin>`."""
    origin = element.find("origin")
    if origin is None:
        return Transform()
    xyz, rpy = ([float(x) for x in origin.get(name, "0 0 0").split()] for name in ("xyz", "rpy"))
    return Transform(Vec3(*xyz), Quat.from_euler_zyx(*rpy))


def _inertial(element: ET.Element, override: bool) -> Inertial | None:
    """The inertial of a link, in the link's axes."""
    mass, inertia, origin = element.find("mass"), element.find("inertia"), _origin(element)
    kg = float(mass.get("value", 0)) if mass is not None else 0.0
    if kg <= 0:
        return None
    if inertia is None or override:
        return Inertial(kg, origin.p.array(), None)
    xx, yy, zz, xy, xz, yz = (float(inertia.get(f"i{name}", 0)) for name in ("xx", "yy", "zz", "xy", "xz", "yz"))
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return _moved(Inertial(kg, np.zeros(3), tensor), origin)


def _matrix(rotation: Quat) -> np.ndarray:
    """The rotation matrix."""
    columns = [rotation.rotate(Vec3(*row)).array() for row in np.eye(3)]
    return np.stack(columns, axis=1)


def _moved(inertial: Inertial | None, frame: Transform) -> Inertial | None:
    """An inertial given in a frame, in the axes outside of it."""
    if inertial is None:
        return None
    matrix = _matrix(frame.r)
    tensor = None if inertial.inertia is None else matrix @ inertial.inertia @ matrix.T
    return Inertial(inertial.mass, frame.p.array() + matrix @ inertial.com, tensor)


def _merge(a: Inertial | None, b: Inertial | None) -> Inertial | None:
    """The inertial of two bodies held together; one without inertia of its own counts as a point."""
    if a is None or b is None:
        return a or b
    mass = a.mass + b.mass
    com = (a.mass * a.com + b.mass * b.com) / mass
    tensor = np.zeros((3, 3))
    for part in (a, b):
        arm = part.com - com
        tensor += part.mass * (arm @ arm * np.eye(3) - np.outer(arm, arm))
        tensor += part.inertia if part.inertia is not None else 0.0
    return Inertial(mass, com, tensor)


def _numbers(*values: float) -> str:
    """Numbers as an attribute."""
    return " ".join(repr(float(value)) for value in values)


def _pose(frame: Transform) -> dict[str, str]:
    """A pose as attributes."""
    return {"pos": _numbers(*frame.p.array()), "quat": _numbers(*frame.r.wxyz())}
