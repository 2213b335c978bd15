"""The interface of tasks: the worlds of a scene with one robot, as named float32 tensors on one device.

`isaachrl.sim.worlds` simulates; `Sim` knows where in its fields the robot, the boxes and the objects are.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from isaachrl.errors import CheckpointError
from isaachrl.maths import rotations
from isaachrl.sim.describe import describe_robot
from isaachrl.sim.robot_file import find_robot
from isaachrl.sim.scene import Scene
from isaachrl.sim.worlds.worlds import Worlds

_ROOT = 1  # body of the robot's root: the robot comes first in the model
_BOXES = 1  # group of their geoms; the floor is in group 0 with the robot


class Sim:
    """N worlds of one scene. `step` and `reset` update the tensors below in place; never rebind them.

    Attributes:
        scene: the content of each world.
        worlds: the engine.
        model: MuJoCo's model that all worlds share.
        robot: the robot's description.
        num_envs: N.
        device: of the tensors.
        qpos: `(N, nq)` generalised positions: robot with its root first, blocks, objects.
        qvel: `(N, nv)` generalised velocities (root: linear in the world frame, angular in the body frame).
        root_pos_w, root_quat_w, root_linvel_w, root_angvel_w: `(N, 3 | 4 | 3 | 3)` root body, world frame.
        joint_pos: `(N, nq_joints)` joint coordinates: a quaternion per ball joint, an angle per hinge.
        joint_vel: `(N, D)` joint velocities, rad/s.
        body_pos_w, body_quat_w, body_linvel_w, body_angvel_w: `(N, B, 3 | 4 | 3 | 3)` all bodies of the robot.
        contact_force_w: `(N, C, 3)` net contact force on each of `scene.contact_bodies`, N.
        object_pos_w, object_quat_w, object_linvel_w, object_angvel_w: `(N, K, 3 | 4 | 3 | 3)` `scene.objects`, world
            frame; write through `place_objects`. They are the last K bodies and geoms in `model_field`.
        object_touched: `(N, K)` bool, objects that were in contact with the robot in any physics step of the last
            `step`, or in its last one, see `Scene.sense_substeps`.
        object_contact: `(N, K, C)` bool, the same for each of `scene.object_contact_bodies`.
        ctrl: `(N, A)` controls, written by the caller before `step`.
        mocap_pos_w: `(N, M, 3)` boxes, then markers, in scene order; write through `move_mocap`.
        diverged: `(N,)` bool, worlds whose state was not finite or too large in the last `step` or the `reset` before
            it. The engine has reset them to the model's defaults; their episode must end. `TaskEnv` adds worlds with
            an invalid action.
        num_diverged: `(N,)` how often each world has diverged.

    Args:
        scene: the content of each world.
        worlds: of the scene's model.
    """

    def __init__(self, scene: Scene, worlds: Worlds) -> None:
        self.scene, self.worlds = scene, worlds
        self.model, self.num_envs, self.device = worlds.model, worlds.num_worlds, worlds.device
        self.robot = describe_robot(self.model, find_robot(scene.robot))
        self.ctrl, self.diverged, self.num_diverged = worlds.ctrl, worlds.diverged, worlds.num_diverged
        self.qpos, self.qvel, self.mocap_pos_w = (worlds.field(name) for name in ("qpos", "qvel", "mocap_pos"))
        self._bind_robot()
        self._bind_objects()

    def _bind_robot(self) -> None:
        """Create the views of root, joints, bodies and contacts."""
        joints, worlds = self.robot.joints, self.worlds
        bodies = slice(_ROOT, _ROOT + self.robot.num_bodies)
        self.body_pos_w, self.body_quat_w = worlds.field("xpos", bodies), worlds.field("xquat", bodies)
        self.body_linvel_w = worlds.origin_velocity(bodies)
        self.body_angvel_w = worlds.field("cvel", bodies)[..., :3]
        forces = worlds.field("sensordata", slice(0, 3 * len(self.scene.contact_bodies)))
        self.contact_force_w = forces.view(self.num_envs, len(self.scene.contact_bodies), 3)
        self.root_pos_w, self.root_quat_w = self.qpos[:, :3], self.qpos[:, 3:7]
        self.root_linvel_w, self.root_angvel_w = self.qvel[:, :3], self.body_angvel_w[:, 0]
        self.joint_pos = self.qpos[:, 7 : 7 + (joints[-1].qpos.stop if joints else 0)]
        self.joint_vel = self.qvel[:, 6 : 6 + self.robot.num_dofs]

    def _bind_objects(self) -> None:
        """Create the tensors of the objects: views of the last columns of `qpos` and `qvel` where possible."""
        n, objects, model = self.num_envs, len(self.scene.objects), self.model
        self._columns = {
            "qpos": slice(model.nq - 7 * objects, model.nq),
            "qvel": slice(model.nv - 6 * objects, model.nv),
        }
        self._object_qpos = self.qpos[:, self._columns["qpos"]].view(n, objects, 7)
        self._object_qvel = self.qvel[:, self._columns["qvel"]].view(n, objects, 6)
        start = model.qpos0[self._columns["qpos"]]
        self._object_qpos0 = torch.tensor(start, dtype=torch.float32, device=self.device)
        self.object_pos_w, self.object_quat_w = self._object_qpos[..., :3], self._object_qpos[..., 3:]
        self.object_linvel_w = self._object_qvel[..., :3]
        self.object_angvel_w = torch.zeros(n, objects, 3, device=self.device)
        contacts = 1 + len(self.scene.object_contact_bodies)
        if objects:
            found = self.worlds.watch(3 * len(self.scene.contact_bodies), self.scene.sense_substeps)
        else:
            found = torch.zeros(n, 0, dtype=torch.bool, device=self.device)
        self._object_contact = found.view(n, objects, contacts)
        self.object_touched, self.object_contact = self._object_contact[..., 0], self._object_contact[..., 1:]
        self._update_objects()

    def step(self, substeps: int) -> None:
        """Apply `ctrl` for `substeps` physics steps and update all tensors."""
        self.worlds.step(substeps)
        self._update_objects()

    def reset(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Set the state of the worlds in `mask (N,)` to `qpos (N, nq)` and `qvel (N, nv)`.

        Coordinates of the objects may be left out: objects then are at their initial poses, or at rest. Controls,
        contacts and solver warm start of these worlds are zeroed.
        """
        self.worlds.reset(mask, *self._complete(qpos, qvel))
        self._update_objects()

    def place_objects(self, mask: Tensor, pos_w: Tensor, quat_w: Tensor, linvel_w: Tensor, angvel_w: Tensor) -> None:
        """Set pose and velocity of the objects in `mask (N, K)`, and clear their contacts.

        Args:
            mask: bool.
            pos_w, quat_w, linvel_w, angvel_w: `(N, K, 3 | 4 | 3 | 3)`; quaternions are normalised.
        """
        quat = rotations.normalize(quat_w)
        wide = mask.unsqueeze(-1)
        qpos, qvel = torch.cat((pos_w, quat), -1), torch.cat((linvel_w, rotations.rotate_inverse(quat, angvel_w)), -1)
        for name, values in (("qpos", qpos), ("qvel", qvel)):
            self.worlds.write(name, values, wide, self._columns[name], warm=True)
        self._object_contact.masked_fill_(wide, False)
        self._update_objects()

    def move_mocap(self, mask: Tensor, pos_w: Tensor) -> None:
        """Move boxes and markers of the worlds in `mask (N,)` to `pos_w (N, M, 3)`, from the next step or reset on."""
        self.worlds.write("mocap_pos", pos_w, mask[:, None, None], warm=True)

    def push(self, force_w: Tensor) -> None:
        """Apply `force_w (N, 3)`, in N, to the root bodies in every step until the next call."""
        self.worlds.xfrc_applied[:, _ROOT, :3] = force_w

    @property
    def motor_torque(self) -> Tensor:
        """`(N, D)` torque of the motors on each degree of freedom in the last physics step, N m."""
        return self.worlds.field("qfrc_actuator")[:, 6 : 6 + self.robot.num_dofs]

    def rays(self, origin_w: Tensor, direction_w: Tensor) -> Tensor:
        """Distance `(N, R)` in m from `origin_w (N, R, 3)` along unit `direction_w (N, R, 3)` to the next box or floor.

        Rays pass through the robot and objects; without a hit the distance is `inf`.
        """
        floor = floor_distance(origin_w, direction_w)
        return torch.minimum(self.worlds.rays(origin_w, direction_w, _BOXES), floor) if self.scene.boxes else floor

    def model_field(self, name: str) -> Tensor:
        """See `Worlds.model_field`."""
        return self.worlds.model_field(name)

    def apply_model_fields(self) -> None:
        """See `Worlds.apply_model_fields`."""
        self.worlds.apply_model_fields()

    def check_capacity(self) -> dict[str, int]:
        """See `Worlds.check_capacity`."""
        return self.worlds.check_capacity()

    def make_room(self, shares: Mapping[str, float]) -> None:
        """See `Worlds.make_room`."""
        self.worlds.make_room(shares)

    def state_dict(self) -> dict[str, Tensor]:
        """The whole physical state; on the CPU, `load_state_dict` continues bit for bit."""
        return self.worlds.state_dict() | {name: values.clone() for name, values in self._contacts().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a `state_dict` of the same engine, scene and number of worlds.

        Raises:
            CheckpointError: the state is of another engine.
        """
        contacts = self._contacts()
        require_state(set(state).difference(self.worlds.OPTIONAL), {*self.worlds.STATE, *contacts})
        self.worlds.load_state_dict(state)
        for name, values in contacts.items():
            values.copy_(state[name])
        self._update_objects()

    def _contacts(self) -> dict[str, Tensor]:
        """What the state of the worlds lacks."""
        objects = {"object_contact": self._object_contact} if self.scene.objects else {}
        return {"contact_force_w": self.contact_force_w, **objects}

    def _update_objects(self) -> None:
        """Compute what is no view: the angular velocities of the objects in the world frame."""
        if self.scene.objects:
            self.object_angvel_w.copy_(rotations.rotate(self.object_quat_w, self._object_qvel[..., 3:]))

    def _complete(self, qpos: Tensor, qvel: Tensor) -> tuple[Tensor, Tensor]:
        """Append the objects' initial poses to `qpos`, and zeros to `qvel`, where their coordinates were left out."""
        if not self.scene.objects:
            return qpos, qvel
        if qpos.shape[1] < self.qpos.shape[1]:
            qpos = torch.cat((qpos, self._object_qpos0.expand(self.num_envs, -1)), 1)
        if qvel.shape[1] < self.qvel.shape[1]:
            qvel = torch.cat((qvel, torch.zeros_like(self._object_qvel).flatten(1)), 1)
        return qpos, qvel


def floor_distance(origin_w: Tensor, direction_w: Tensor) -> Tensor:
    """Distance `(…)` in m from `origin_w (…, 3)` along unit `direction_w (…, 3)` to the floor; `inf` without a hit."""
    distance = -origin_w[..., 2] / direction_w[..., 2].clamp(max=-1e-9)
    return torch.where((direction_w[..., 2] < -1e-9) & (origin_w[..., 2] >= 0), distance, torch.inf)


def require_state(names: set[str], needed: set[str]) -> None:
    """Check the names of a state's tensors.

    Raises:
        CheckpointError: it is of another engine.
    """
    if names != needed:
        raise CheckpointError(
            f"the stored state of the simulation holds {', '.join(sorted(names))}; this engine needs"
            f" {', '.join(sorted(needed))}: use the engine it was stored with (sim=mujoco or sim=mujoco_warp)"
        )
