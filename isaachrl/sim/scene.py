"""The description of a scene: a robot and the objects around it, independent of any engine."""

from dataclasses import dataclass
from enum import Enum

from isaachrl.errors import ConfigError


class Control(Enum):
    """Meaning of a control: target angle of a PD motor (rad) or torque (N m)."""

    position = "position"
    torque = "torque"


class Integrator(Enum):
    """MuJoCo's integrators: `euler` and `implicitfast` cost the same, `rk4` four times as much."""

    implicitfast = "implicitfast"
    euler = "euler"
    rk4 = "rk4"


class Shape(Enum):
    """Shape of a free body; its value is the number of its sizes."""

    box = 3
    capsule = 2
    ball = 1


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
class FreeBody:
    """An object that moves freely. It collides with the robot, floor, boxes, blocks and other objects; rays miss it.

    There is no way to take it out of the world: leave it at rest on the floor, far away, while it is not needed.

    Args:
        name: of its body, geom and joint.
        shape: box, capsule or ball.
        size_m: box: half extents along x, y, z; capsule: radius and half length of its axis, which is z; ball: radius.
        mass_kg: mass, distributed evenly.
        pos_m: initial position of the centre.
        quat: initial orientation.
        friction: sliding friction with whatever it touches; of two objects the larger one counts.
        rolling: rolling resistance of balls and capsules, as a share of the radius: on an even floor a rolling ball
            slows down by `rolling * g / 1.4`, 0.35 m/s^2 by default.
        rgba: colour.

    Raises:
        ConfigError: too few or too many sizes, or a number that is too small.
    """

    name: str
    shape: Shape
    size_m: tuple[float, ...]
    mass_kg: float
    pos_m: tuple[float, float, float]
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    friction: float = 0.8
    rolling: float = 0.05
    rgba: tuple[float, float, float, float] = (0.80, 0.36, 0.30, 1.0)

    def __post_init__(self) -> None:
        """Validate sizes."""
        where = f"object {self.name!r}"
        if len(self.size_m) != self.shape.value:
            raise ConfigError(
                f"{where}: size_m={self.size_m} has {len(self.size_m)} numbers, and a {self.shape.name} needs"
                f" {self.shape.value}"
            )
        if not all(value > 0 for value in (*self.size_m, self.mass_kg)):
            raise ConfigError(f"{where}: size_m={self.size_m} and mass_kg={self.mass_kg} must be above 0")
        if not (self.friction >= 0 and self.rolling >= 0):
            raise ConfigError(f"{where}: friction={self.friction} and rolling={self.rolling} must be 0 or more")


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
    """One robot on a floor, with boxes, sliding blocks, free objects and markers around it.

    Args:
        robot: name of a shipped robot, or a file, see `robot_file.find_robot`.
        control: meaning of the controls.
        timestep_s: physics step.
        boxes: mocap boxes (walls) that collide with the robot.
        blocks: boxes that can be pushed.
        objects: bodies that move freely: the last bodies, geoms and coordinates of the model, in this order.
        markers: mocap spheres without collisions; a name gives a `Marker` with default colour and radius.
        contact_bodies: robot bodies with a sensor of their net contact force, in the order of `Sim.contact_force_w`.
        object_contact_bodies: robot bodies whose contact with each object is sensed, see `Sim.object_contact`.
        sense_substeps: whether contacts of objects are sensed in every physics step of a control step, or in the last
            alone, which saves a fifth of the CPU engine's time and misses one or two of a hundred hits by thrown balls.
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
    objects: tuple[FreeBody, ...] = ()
    markers: tuple[str | Marker, ...] = ()
    contact_bodies: tuple[str, ...] = ()
    object_contact_bodies: tuple[str, ...] = ()
    sense_substeps: bool = True
    floor_size_m: float = 50.0
    rough_m: float = 0.0
    nconmax: int = 0
    njmax: int = 0
    integrator: Integrator = Integrator.implicitfast
    solimp: tuple[float, float, float] | None = None
