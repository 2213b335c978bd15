"""`mode=robot`: what was read from a robot's file, what was guessed, two seconds of standing, a picture, advice."""

import contextlib
import io
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from isaachrl.errors import ConfigError, RenderError
from isaachrl.files import write_atomically
from isaachrl.maths import rotations
from isaachrl.motion.kinematics import dof_pos, forward, joint_quat_from_qpos
from isaachrl.run.commands.results import write_summary
from isaachrl.run.config.settings import Settings
from isaachrl.run.recording.tables import show
from isaachrl.run.storage.folder import RunFolder
from isaachrl.sim import Robot, Scene, load_robot, make_sim
from isaachrl.sim.cameras import ChaseCamera, camera_scale
from isaachrl.sim.inertia import load_robot_body
from isaachrl.sim.motors import STIFFNESS_PER_EFFORT
from isaachrl.sim.render import SceneRenderer
from isaachrl.sim.robot import Joint
from isaachrl.sim.roles import NAMES, SIDES
from isaachrl.sim.soles import FEET

log = logging.getLogger(__name__)

STAND_S, FRAME_S = 2.0, 1 / 30
POSES = 32  # random ones, in which kinematics are compared
STILLS, STILL_SIZE = 5, (240, 320)
GRAVITY = 9.81
WEAK_DEG = 15.0  # leans that ankles of a person hold are larger
KEPT_SHARE = 0.8  # of its height; a robot that sinks lower does not stand
TILT_DEG = 30.0


@dataclass(frozen=True)
class Standing:
    """Two seconds with all motors holding the standing pose.

    Args:
        qpos: `(F, nq)` coordinates, 30 a second.
        height_share: lowest height of the root, as a share of its height at the start.
        tilt_deg: largest angle between the root's vertical axis and its direction at the start.
        diverged: whether the physics diverged.
    """

    qpos: Tensor
    height_share: float
    tilt_deg: float
    diverged: bool

    @property
    def stood(self) -> bool:
        """Whether the robot stood."""
        return self.height_share > KEPT_SHARE and self.tilt_deg < TILT_DEG and not self.diverged


def robot(settings: Settings) -> dict[str, Any]:
    """Show the robot of `task.robot`."""
    given = getattr(settings.task_cfg, "robot", None)
    if given is None:
        raise ConfigError("mode=robot shows the robot of a humanoid's task; type task=HumanoidAMP robot=FILE")
    folder = RunFolder(Path(settings.run.run_dir)) if settings.run.run_dir else RunFolder.fresh("robot")
    try:
        summary = _look_at(load_robot(given), settings.task_cfg.timestep_s, folder)
    except ConfigError as error:
        log.error("%s", error)
        summary = dict.fromkeys(("dofs", "roles", "standing_height_m", "kinematics_error_m")) | {"refused": str(error)}
    summary = {"robot": given} | summary
    write_summary(summary, folder.path / "robot.json")
    return summary


def _look_at(robot: Robot, timestep_s: float, folder: RunFolder) -> dict[str, Any]:
    """Print what is known of a robot, and measure the rest."""
    show(_dof_table(robot))
    show(_role_table(robot))
    scene = Scene(robot=robot.file, timestep_s=timestep_s)
    error_m, standing = kinematics_error_m(robot), stand_up(robot, scene)
    lines = advice(robot, standing)
    for line in lines:
        log.warning("%s", line)
    picture = folder.path / "robot.png"
    drawn = _draw(robot, scene, standing, picture)
    return {
        "dofs": robot.num_dofs,
        "bodies": robot.num_bodies,
        "mass_kg": robot.mass_kg,
        "roles": dict(robot.roles),
        "standing_height_m": robot.height_m,
        "kinematics_error_m": error_m,
        "stood": standing.stood,
        "centre_of_mass_m": centre_of_mass_m(robot).tolist(),
        "lowest_share": standing.height_share,
        "tilt_deg": standing.tilt_deg,
        "model_hash": robot.model_hash,
        "picture": str(picture) if drawn else None,
        "advice": lines,
        "refused": None,
    }


def kinematics_error_m(robot: Robot) -> float:
    """Largest distance, over random poses, of a body from where the engine has it."""
    sim = make_sim(Scene(robot=robot.file), POSES, "mujoco", torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(POSES, robot.num_dofs, generator=generator)
    low, high = robot.dof_range_rad.unbind(-1)
    joint_pos = torch.empty(POSES, sim.joint_pos.shape[1])
    for joint in robot.joints:
        angle = low[joint.dof] + share[:, joint.dof] * (high - low)[joint.dof]
        joint_pos[:, joint.qpos] = rotations.from_rotvec(angle) if joint.ball else angle
    root = torch.randn(POSES, 7, generator=generator)
    root[:, 3:] = rotations.normalize(root[:, 3:])
    qpos = torch.cat((root, joint_pos), dim=1)
    sim.reset(torch.ones(POSES, dtype=torch.bool), qpos, torch.zeros_like(sim.qvel))
    pos, _ = forward(robot, qpos[:, :3], qpos[:, 3:7], joint_quat_from_qpos(robot, joint_pos))
    return float((pos - sim.body_pos_w).norm(dim=-1).max())


def stand_up(robot: Robot, scene: Scene) -> Standing:
    """Stand in the standing pose, the soles on the floor, for two seconds."""
    sim = make_sim(scene, 1, "mujoco", torch.device("cpu"))
    qpos = robot.stand_qpos.clone()
    qpos[2] = robot.stand_pos_m[0, 2]
    sim.reset(torch.ones(1, dtype=torch.bool), qpos.unsqueeze(0), torch.zeros_like(sim.qvel))
    sim.ctrl.copy_(dof_pos(robot, joint_quat_from_qpos(robot, qpos[7:])))
    up, height = rotations.axis_z(sim.root_quat_w).clone(), max(float(qpos[2]), 0.01)
    frames, lowest, tilt, diverged = [sim.qpos[0].clone()], 1.0, 0.0, False
    for _ in range(round(STAND_S / FRAME_S)):
        sim.step(max(1, round(FRAME_S / scene.timestep_s)))
        diverged = diverged or bool(sim.diverged)
        frames.append(sim.qpos[0].clone())
        lowest = min(lowest, float(sim.root_pos_w[0, 2]) / height)
        cosine = float((rotations.axis_z(sim.root_quat_w) * up).sum().clamp(-1.0, 1.0))
        tilt = max(tilt, math.degrees(math.acos(cosine)))
    return Standing(torch.stack(frames), lowest, tilt, diverged)


def advice(robot: Robot, standing: Standing) -> list[str]:
    """What to write where a guess is missing or looks wrong."""
    lines: list[str] = []
    missing = [role for role in NAMES if role not in robot.roles]
    if missing:
        lines.append(
            f"no body was found as {', '.join(missing)}; where the robot has one, write in a YAML file"
            f" 'model: FILE' and 'roles: {{{missing[0]}: BODY}}'"
        )
    for foot in (robot.roles[role] for role in FEET if role in robot.roles):
        points = robot.soles.get(foot)
        if points is None:
            lines.append(
                f'the foot {foot} has no geom that collides with the floor, so it has no sole; write contype="1" in a'
                " geom of it, or give the scene file if that has a <pair> of the foot with its floor"
            )
        elif float((points.amax(0) + points.amin(0))[0]) < 0:
            lines.append(
                f"the sole of {foot} is behind its ankle; the robot must face along x, its left on the side of y"
            )
    if bool(robot.effort_limit.isinf().any()):
        lines.append("some motors have no largest torque; write forcerange on them, or motors: {effort: N}")
    if standing.diverged:
        lines.append("the physics diverged; a smaller task.timestep_s, softer motors or more armature help")
    elif robot.soles and not standing.stood:
        lines.append(_why_it_falls(robot))
    return lines


def _why_it_falls(robot: Robot) -> str:
    """Why motors that hold the standing pose do not keep it upright."""
    com, (low, high) = centre_of_mass_m(robot), _support_m(robot)
    outside = torch.maximum(low - com[:2], com[:2] - high)
    if bool((outside > 0).any()):
        return (
            f"it falls: in its standing pose the centre of mass is {100 * float(outside.max()):.0f} cm outside of its"
            " soles; write a keyframe 'stand' in the model, or stand: {joint: rad} in a YAML file"
        )
    said, effort = "it falls, which is no error: no policy balances it here", robot.effort_limit
    soft = bool((effort.isfinite() & (robot.stiffness < 0.9 * STIFFNESS_PER_EFFORT * effort)).any())
    needed, ankles = 0.5 * robot.mass_kg * GRAVITY * float(com[2]), _ankles(robot)
    if ankles:
        stiffness, torque = (min(float(of[joint.dof].min()) for joint in ankles) for of in (robot.stiffness, effort))
        soft = soft and STIFFNESS_PER_EFFORT * torque > stiffness
        if stiffness < needed:
            said += f"; to stand by stiffness alone its ankles would need more than {needed:.0f} N m/rad each"
        if (lean_deg := math.degrees(torque / needed)) < WEAK_DEG:
            said += f"; with {torque:.3g} N m each its ankles hold leans of {lean_deg:.0f} degrees at most"
        if stiffness < needed and not soft:
            names = ", ".join(f"{joint.name}: {1.2 * needed:.0f}" for joint in ankles)
            said += f"; motors: {{stiffness: {{{names}}}}} in a YAML file changes their stiffness"
    if soft:
        said += (
            "; motors: {stiffness: from_effort} in a YAML file gives all motors 3 N m/rad for each N m of their largest"
            " torque, as of the shipped robots, with which motions are learned sooner"
        )
    return said


def _ankles(robot: Robot) -> list[Joint]:
    """The joints below the knees."""
    found = []
    for side in (s for s in SIDES if {f"{s}_foot", f"{s}_knee"} <= robot.roles.keys()):
        body, knee = (robot.body_names.index(robot.roles[f"{side}_{part}"]) for part in ("foot", "knee"))
        while body not in (knee, 0):
            found += [joint for joint in robot.joints if joint.body == body]
            body = robot.parents[body]
    return found


def centre_of_mass_m(robot: Robot) -> Tensor:
    """Centre of mass `(3,)` in the standing pose, the soles at height 0."""
    body = load_robot_body(robot.file)
    qpos = robot.stand_qpos
    _, quat = forward(robot, qpos[:3], qpos[3:7], joint_quat_from_qpos(robot, qpos[7:]))
    mass = torch.tensor(body.mass_kg).float().unsqueeze(-1)
    com = robot.stand_pos_m + rotations.rotate(quat, torch.tensor(body.com_b_m).float())
    return (mass * com).sum(0) / mass.sum()


def _support_m(robot: Robot) -> tuple[Tensor, Tensor]:
    """Least and greatest x and y `(2,)` of the soles in the standing pose; without feet of all bodies."""
    qpos = robot.stand_qpos
    _, quat = forward(robot, qpos[:3], qpos[3:7], joint_quat_from_qpos(robot, qpos[7:]))
    feet = {robot.body_names.index(name): own for name, own in robot.soles.items()}
    points = [robot.stand_pos_m[b] + rotations.rotate(quat[b].expand(len(own), 4), own) for b, own in feet.items()]
    all_points = torch.cat(points)[:, :2] if points else robot.stand_pos_m[:, :2]
    return all_points.amin(0), all_points.amax(0)


def _dof_table(robot: Robot) -> Table:
    """A row for each degree of freedom."""
    result = Table(title=f"{robot.name}: {robot.num_bodies} bodies, {robot.mass_kg:.1f} kg, {robot.height_m:.2f} m")
    for name in ("degree of freedom", "body", "range deg", "stands at deg", "torque N m", "stiffness N m/rad"):
        result.add_column(name, justify="left" if name in ("degree of freedom", "body") else "right")
    stand = dof_pos(robot, joint_quat_from_qpos(robot, robot.stand_qpos[7:]))
    bodies = {i: robot.body_names[joint.body] for joint in robot.joints for i in range(joint.dof.start, joint.dof.stop)}
    for i, name in enumerate(robot.dof_names):
        low, high = (math.degrees(float(value)) for value in robot.dof_range_rad[i])
        effort, stiffness = float(robot.effort_limit[i]), float(robot.stiffness[i])
        result.add_row(
            name, bodies[i], f"{low:.0f} to {high:.0f}", f"{math.degrees(float(stand[i])):.0f}", f"{effort:.4g}",
            f"{stiffness:.4g}",
        )  # fmt: skip
    return result


def _role_table(robot: Robot) -> Table:
    """A row for each role."""
    result = Table(title="roles")
    for name in ("role", "body", "height m, standing", "points of its sole"):
        result.add_column(name, justify="left" if name in ("role", "body") else "right")
    for role in NAMES:
        body = robot.roles.get(role)
        if body is None:
            result.add_row(role, "-")
            continue
        height_m = float(robot.stand_pos_m[robot.body_names.index(body), 2])
        result.add_row(role, body, f"{height_m:.2f}", str(len(robot.soles[body])) if body in robot.soles else "")
    return result


def _draw(robot: Robot, scene: Scene, standing: Standing, path: Path) -> bool:
    """Draw evenly spaced moments of standing, from the front and from the side; whether rendering works."""
    width, height = STILL_SIZE
    size = camera_scale(robot)
    try:
        with contextlib.closing(SceneRenderer(scene, width, height)) as renderer:
            rows = []
            for side_deg in (150.0, 80.0):
                camera = ChaseCamera(distance_m=3.0, elevation_deg=-8.0, side_deg=side_deg, lag=0.0, size=size)
                moments = np.linspace(0, len(standing.qpos) - 1, STILLS).round().astype(int)
                frames = [renderer.frame(standing.qpos[i].numpy(), np.zeros((0, 3)), camera) for i in moments]
                rows.append(np.concatenate(frames, axis=1))
    except RenderError as error:
        log.warning("no picture: %s", error)
        return False
    buffer = io.BytesIO()
    imageio.imwrite(buffer, np.concatenate(rows, axis=0), extension=".png")
    write_atomically(path, buffer.getvalue())
    return True
