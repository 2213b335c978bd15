"""The description of a scene: a robot and the objects around it, independent of any engine."""

from dataclasses import dataclass
from enum import Enum


class Control(Enum):
    """Meaning of a control: target angle of a PD motor (rad) or torque (N m)."""

    position = "position"
    torque = "torque"


class Integrator(Enum):
    """MuJoCo's integrators: `euler` and `implicitfast` cost the same, `rk4` four times as much."""

    implicitfast = "implicitfast"
    euler = "euler"
    rk4 = "rk4"


@dataclass(frozen=True)
class Box:
    """A box on a mocap body, which collides but moves only by `Sim.move_mocap`.

    Args:
        name: of its body and geom.
        half_size_m: half extents along x, y, z.
        pos_m: initial position.
        rgba: colour.
    """

    name: str
    half_size_m: tuple[float, float, float]
    pos_m: tuple[float, float, float] = (0.0, 0.0, -10.0)
    rgba: tuple[float, float, float, float] = (0.75, 0.72, 0.66, 1.0)


@dataclass(frozen=True)
class Block:
    """A box on slide joints along world axes. Its coordinates come after the robot's.

    Args:
        name: of its body and geom; its joints are `<name>_x` and so on.
        half_size_m: half extents along x, y, z.
        pos_m: position at zero coordinates.
        mass_kg: mass.
        range_m: axis (`x`, `y` or `z`), lower and upper limit of each slide joint, in order.
        armature_kg: of each joint.
        damping: of each joint, N s/m.
        rgba: colour.
    """

    name: str
    half_size_m: tuple[float, float, float]
    pos_m: tuple[float, float, float]
    mass_kg: float
    range_m: tuple[tuple[str, float, float], ...]
    armature_kg: float = 0.0
    damping: float = 0.0
    rgba: tuple[float, float, float, float] = (0.80, 0.36, 0.30, 1.0)


@dataclass(frozen=True)
class Marker:
    """A mocap sphere without collisions.

    Args:
        name: of its body and geom.
        rgba: colour.
        radius_m: radius.
    """

    name: str
    rgba: tuple[float, float, float, float] = (0.9, 0.25, 0.2, 0.6)
    radius_m: float = 0.25


@dataclass(frozen=True)
class Scene:
    """One robot on a floor, with boxes, sliding blocks and markers around it.

    Args:
        robot: folder under `assets/` that holds `<robot>.xml`.
        control: meaning of the controls.
        timestep_s: physics step.
        boxes: mocap boxes (walls) that collide with the robot.
        blocks: boxes that can be pushed.
        markers: mocap spheres without collisions; a name gives a `Marker` with default colour and radius.
        contact_bodies: robot bodies with a sensor of their net contact force, in the order of `Sim.contact_force_w`.
        floor_size_m: half width of a rough floor; an even floor is infinite.
        rough_m: peak-to-peak height of a rough floor; 0 for an even floor.
        nconmax: contact capacity per world of the GPU engine; 0 for the robot's default.
        njmax: constraint row capacity per world of the GPU engine; 0 for the robot's default.
        integrator: time integrator.
        solimp: first three numbers of every geom's solimp; None for the robot's own.

    """

    robot: str = "humanoid"
    control: Control = Control.position
    timestep_s: float = 1.0 / 120.0
    boxes: tuple[Box, ...] = ()
    blocks: tuple[Block, ...] = ()
    markers: tuple[str | Marker, ...] = ()
    contact_bodies: tuple[str, ...] = ()
    floor_size_m: float = 50.0
    rough_m: float = 0.0
    nconmax: int = 0
    njmax: int = 0
    integrator: Integrator = Integrator.implicitfast
    solimp: tuple[float, float, float] | None = None
