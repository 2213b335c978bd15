"""The description of a scene: a robot and the objects around it, independent of any engine."""

from dataclasses import dataclass
from enum import Enum


class Control(Enum):
    """What a control is: a target angle of a PD motor (rad), or a torque (N m)."""

    position = "position"
    torque = "torque"


class Integrator(Enum):
    """How the engine steps time: `euler` and `implicitfast` cost the same, `rk4` four times as much."""

    implicitfast = "implicitfast"
    euler = "euler"
    rk4 = "rk4"


@dataclass(frozen=True)
class Box:
    """A box on a mocap body: it never moves by itself, and every world can put it elsewhere with its own size.

    Args:
        name: body name; the geom has the same.
        half_size_m: half extents along x, y, z.
        pos_m: where it stands at first.
        rgba: colour.
    """

    name: str
    half_size_m: tuple[float, float, float]
    pos_m: tuple[float, float, float] = (0.0, 0.0, -10.0)
    rgba: tuple[float, float, float, float] = (0.75, 0.72, 0.66, 1.0)


@dataclass(frozen=True)
class Block:
    """A box that slides along axes of the world when something pushes it. Its coordinates follow the robot's.

    Args:
        name: body name; the geom has the same, its joints are `<name>_x` and so on.
        half_size_m: half extents along x, y, z.
        pos_m: where it stands when its coordinates are zero.
        mass_kg: mass.
        range_m: lower and upper end of its coordinate by axis (`x`, `y`, `z`), in the order of the coordinates.
        armature_kg: added inertia of each sliding joint.
        damping: N s/m of each sliding joint.
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
    """A mocap sphere that touches nothing.

    Args:
        name: body name; the geom has the same.
        rgba: colour.
        radius_m: size.
    """

    name: str
    rgba: tuple[float, float, float, float] = (0.9, 0.25, 0.2, 0.6)
    radius_m: float = 0.25


@dataclass(frozen=True)
class Scene:
    """One robot on a floor, with boxes, sliding blocks and markers around it.

    Args:
        robot: folder under `assets/` that holds `<robot>.xml`.
        control: what the motors take.
        timestep_s: physics step.
        boxes: mocap boxes (walls) that collide with the robot.
        blocks: boxes that can be pushed.
        markers: mocap spheres that touch nothing (a goal to show); a name alone gives the usual one.
        contact_bodies: robot bodies whose net contact force is sensed, in this order.
        floor_size_m: half width of a rough floor; an even one is endless.
        rough_m: height of the floor's bumps above its hollows; 0 is an even floor.
        nconmax: contacts of the average world that the GPU engine has room for; 0 takes the robot's number.
        njmax: constraint rows of a world that the GPU engine has room for; 0 takes the robot's number.
        integrator: how time is stepped.
        solimp: impedance of every contact (three numbers); None leaves the robot's own.
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
