"""The motors of a robot: one for each degree of freedom, told apart by what they do and matched by what they turn."""

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np

from isaachrl.errors import ConfigError
from isaachrl.sim.robot_file import FROM_EFFORT, Number
from isaachrl.sim.scene import Control

STIFFNESS_PER_EFFORT = 3.0  # 1/rad: an error of a third of a radian takes the full torque, as in the shipped humanoid
DAMPING_PER_STIFFNESS = 0.1  # s, as there
ARMATURE_HZ = 10.0  # natural frequency of a motor with its own armature, where the model gives neither
TORQUE_DAMPING = 0.1  # of a position motor's damping that is left where torques are commanded


@dataclass(frozen=True)
class Dof:
    """A degree of freedom: a hinge, or one axis of a ball joint.

    Args:
        name: the hinge's, or the ball joint's with `_x`, `_y` or `_z`.
        joint: index in the model.
        axis: 0 for a hinge, else 0, 1 or 2.
    """

    name: str
    joint: int
    axis: int


@dataclass(frozen=True)
class Motor:
    """A motor as it acts on its degree of freedom; gears are multiplied in.

    Args:
        dof: what it turns.
        control: meaning of its input; None if it is neither a position nor a plain torque motor.
        stiffness, damping: N m/rad and N m s/rad; 0 for a torque motor.
        effort: lowest and highest torque, N m; infinite without a limit.
        user: the `user` numbers of the actuator.
        armature: of the actuator, kg m^2.
    """

    dof: Dof
    control: Control | None
    stiffness: float
    damping: float
    effort: tuple[float, float]
    user: tuple[float, ...] = ()
    armature: float = 0.0


def list_dofs(model: mujoco.MjModel, joints: list[int]) -> list[Dof]:
    """The degrees of freedom of these joints, in order."""
    dofs: list[Dof] = []
    for j in joints:
        name = model.joint(j).name
        ball = int(model.jnt_type[j]) == int(mujoco.mjtJoint.mjJNT_BALL)
        dofs += [Dof(f"{name}_{'xyz'[i]}", j, i) for i in range(3)] if ball else [Dof(name, j, 0)]
    return dofs


def read_motors(model: mujoco.MjModel, robot: str, dofs: list[Dof]) -> list[Motor]:
    """The motors in the order of the degrees of freedom; none if the model has none.

    Raises:
        ConfigError: a motor acts on something else than one degree of freedom; a degree of freedom has two motors, or
            is the only one without.
    """
    found: dict[Dof, Motor] = {}
    for a in range(model.nu):
        motor = _read(model, robot, a, dofs)
        if motor.dof in found:
            raise ConfigError(
                f"robot {robot!r}: joint {motor.dof.name!r} has two motors; write one <position kp=… kv=…> or <motor>"
            )
        found[motor.dof] = motor
    missing = [dof.name for dof in dofs if dof not in found]
    if found and missing:
        raise ConfigError(
            f'robot {robot!r}: no motor turns {", ".join(missing)}; write <motor joint="{missing[0]}"'
            ' ctrlrange="-N N"/>, or remove the joint and so weld its body'
        )
    return [found[dof] for dof in dofs] if found else []


def _read(model: mujoco.MjModel, robot: str, a: int, dofs: list[Dof]) -> Motor:
    """Motor `a`."""
    where = f"robot {robot!r}: motor {model.actuator(a).name or a!r}"
    joint, gear = int(model.actuator_trnid[a, 0]), model.actuator_gear[a, :3]
    on_joint = int(model.actuator_trntype[a]) == int(mujoco.mjtTrn.mjTRN_JOINT)
    own = [dof for dof in dofs if dof.joint == joint] if on_joint else []
    acting = [dof for dof in own if gear[dof.axis] != 0]
    if len(acting) != 1:
        raise ConfigError(
            f'{where} must turn one joint about one axis: write joint="JOINT", not a tendon, site or body, and for a'
            ' ball joint gear="1 0 0", "0 1 0" or "0 0 1"'
        )
    ratio, control = float(gear[acting[0].axis]), _control(model, a)
    gain, bias = float(model.actuator_gainprm[a, 0]), model.actuator_biasprm[a]
    position = control is Control.position
    limits = [_limits(model.actuator_forcelimited[a], model.actuator_forcerange[a], ratio)]
    limits.append(_limits(model.jnt_actfrclimited[joint], model.jnt_actfrcrange[joint], 1.0))
    if control is Control.torque:
        limits.append(_limits(model.actuator_ctrllimited[a], model.actuator_ctrlrange[a], gain * ratio))
    low, high = max(low for low, _ in limits), min(high for _, high in limits)
    stiffness, damping = (gain * ratio**2, -float(bias[2]) * ratio**2) if position else (0.0, 0.0)
    user = tuple(float(value) for value in model.actuator_user[a])
    armature = float(getattr(model, "actuator_armature", np.zeros(model.nu))[a]) * ratio**2  # since MuJoCo 4
    return Motor(acting[0], control, stiffness, damping, (low, high), user, armature)


def _limits(limited: Any, given: np.ndarray, factor: float) -> tuple[float, float]:
    """A range times a factor; infinite if there is none."""
    return (float(min(given * factor)), float(max(given * factor))) if limited else (-math.inf, math.inf)


def _control(model: mujoco.MjModel, a: int) -> Control | None:
    """What the input of a motor means; None for neither torque nor position."""
    gain, bias = float(model.actuator_gainprm[a, 0]), model.actuator_biasprm[a]
    fixed = int(model.actuator_gaintype[a]) == int(mujoco.mjtGain.mjGAIN_FIXED)
    if not fixed or int(model.actuator_dyntype[a]) != int(mujoco.mjtDyn.mjDYN_NONE):
        return None
    if int(model.actuator_biastype[a]) == int(mujoco.mjtBias.mjBIAS_NONE):
        return Control.torque
    is_position = int(model.actuator_biastype[a]) == int(mujoco.mjtBias.mjBIAS_AFFINE) and gain > 0
    return Control.position if is_position and bias[0] == 0 and np.isclose(bias[1], -gain) else None


def plan_motors(
    model: mujoco.MjModel, robot: str, dofs: list[Dof], given: Mapping[str, Number], control: Control
) -> list[Motor] | None:
    """The motors that a robot needs for this meaning of controls; None if those of the model do as they are.

    Args:
        model: of the robot alone.
        robot: its name, for messages.
        dofs: its degrees of freedom.
        given: `stiffness`, `damping` and `effort` that replace the model's, see `RobotFile`.
        control: meaning of the controls.

    Raises:
        ConfigError: a motor cannot be read, a pattern names no joint, or a motor has no effort limit and needs one.
    """
    motors = read_motors(model, robot, dofs)
    for motor in motors:
        if motor.control is None:
            joint = model.joint(motor.dof.joint).name
            raise ConfigError(
                f"robot {robot!r}: the motor of {motor.dof.name!r} is neither a torque nor a position motor; write"
                f' <motor joint="{joint}"/> or <position joint="{joint}" kp="…" kv="…"/>'
            )
    if not given and motors and _do_as_they_are(model, motors, control):
        return None
    effort = {
        j: _limits(model.jnt_actfrclimited[j], model.jnt_actfrcrange[j], 1.0) for j in {dof.joint for dof in dofs}
    }
    motors = motors or [Motor(dof, Control.torque, 0.0, 0.0, effort[dof.joint]) for dof in dofs]
    _check_patterns(model, robot, dofs, given)
    return [_completed(model, robot, motor, given) for motor in motors]


def _do_as_they_are(model: mujoco.MjModel, motors: list[Motor], control: Control) -> bool:
    """Whether motors have unit gears and inputs of this kind, and are in the order of what they turn."""
    for a, motor in enumerate(motors):
        in_order = int(model.actuator_trnid[a, 0]) == motor.dof.joint and model.actuator_gear[a, motor.dof.axis] == 1
        if motor.control is Control.position:
            plain = not model.actuator_ctrllimited[a]
        else:
            plain = control is Control.torque and model.actuator_gainprm[a, 0] == 1
        if not (in_order and plain):
            return False
    return True


def _completed(model: mujoco.MjModel, robot: str, motor: Motor, given: Mapping[str, Number]) -> Motor:
    """A motor with the given numbers, and with stiffness and damping from its effort if it has none."""
    joint = model.joint(motor.dof.joint).name
    stiffness, damping, effort = (_pick(given.get(key), joint) for key in ("stiffness", "damping", "effort"))
    limits = motor.effort if effort is None else (-effort, effort)
    if stiffness is None and motor.control is Control.position and given.get("stiffness") != FROM_EFFORT:
        stiffness = motor.stiffness
        damping = motor.damping if damping is None else damping
    most = max(-limits[0], limits[1])
    if stiffness is None:
        if not math.isfinite(most):
            raise ConfigError(
                f"robot {robot!r}: joint {joint!r} has no largest torque, from which its motor's stiffness follows;"
                f' write actuatorfrcrange="-N N" on it, or in a YAML file motors: {{effort: {{{joint}: N}}}}'
            )
        stiffness = STIFFNESS_PER_EFFORT * most
    damping = DAMPING_PER_STIFFNESS * stiffness if damping is None else damping
    return replace(motor, control=Control.position, stiffness=stiffness, damping=damping, effort=limits)


def _pick(given: Number | None, joint: str) -> float | None:
    """The number of a joint: the last pattern that fits counts."""
    if not isinstance(given, dict):
        return None if isinstance(given, str) else given
    return next((value for pattern, value in reversed(given.items()) if fnmatch.fnmatch(joint, pattern)), None)


def _check_patterns(model: mujoco.MjModel, robot: str, dofs: list[Dof], given: Mapping[str, Number]) -> None:
    names = {model.joint(dof.joint).name for dof in dofs}
    for key, numbers in given.items():
        for pattern in numbers if isinstance(numbers, dict) else ():
            if not fnmatch.filter(names, pattern):
                raise ConfigError(
                    f"robot {robot!r}: motors.{key}.{pattern} fits no joint (they are: {', '.join(sorted(names))})"
                )


def write_motors(spec: mujoco.MjSpec, model: mujoco.MjModel, motors: list[Motor]) -> None:
    """Replace the actuators of a spec by these position motors of gear 1.

    A model without motors and without armature gets the armature of such motors, too, which keeps light links stable.
    """
    if not model.nu and not model.dof_armature.any():
        for motor in motors:
            spec.joint(model.joint(motor.dof.joint).name).armature = motor.stiffness / (2 * math.pi * ARMATURE_HZ) ** 2
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    for motor in motors:
        gear = [0.0] * 6
        gear[motor.dof.axis] = 1.0
        actuator = spec.add_actuator(
            name=motor.dof.name, target=model.joint(motor.dof.joint).name, trntype=mujoco.mjtTrn.mjTRN_JOINT, gear=gear
        )
        actuator.set_to_position(kp=motor.stiffness, kv=motor.damping)
        actuator.ctrllimited = mujoco.mjtLimited.mjLIMITED_FALSE
        low, high = motor.effort
        if math.isfinite(low) and math.isfinite(high):
            actuator.forcelimited, actuator.forcerange = mujoco.mjtLimited.mjLIMITED_TRUE, [low, high]
        if motor.armature:
            actuator.armature = motor.armature
        if motor.user:
            actuator.userdata = list(motor.user)


def command_torques(spec: mujoco.MjSpec) -> None:
    """Turn the position motors of a spec into torque motors.

    Some damping stays: without it, full torques accelerate light limbs without bound.
    """
    for actuator in spec.actuators:
        actuator.gainprm[0] = 1.0
        actuator.biasprm[:3] = [0.0, 0.0, TORQUE_DAMPING * actuator.biasprm[2]]
