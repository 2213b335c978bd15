"""The CPU engine: `mujoco.batch` in float64, with float32 copies as tensors.

The engine copies every bound field out at each call, so only fields that are needed are bound.
"""

import mujoco
import numpy as np
import torch
from mujoco import batch
from torch import Tensor

from isaachrl.errors import ConfigError, nearest
from isaachrl.sim.base import Sim, floor_distance, require_state
from isaachrl.sim.compiler import compile_scene
from isaachrl.sim.describe import describe_robot
from isaachrl.sim.robot_file import find_robot
from isaachrl.sim.scene import Scene

_STAGE = mujoco.mjtStage.mjSTAGE_VEL.value  # recompute fields that depend on the state, which lag a substep otherwise
BAD_STATE = [
    mujoco.mjtWarning.mjWARN_BADQPOS.value,
    mujoco.mjtWarning.mjWARN_BADQVEL.value,
    mujoco.mjtWarning.mjWARN_BADQACC.value,
]


class MujocoSim(Sim):
    """N worlds on `mujoco.batch.Batch`, stepped by a thread pool.

    Args:
        scene: the content of each world.
        num_envs: N.
        device: of the tensors; a CUDA device costs a copy in each step.
        threads: worker threads; 0 uses all cores.
    """

    def __init__(self, scene: Scene, num_envs: int, device: torch.device, threads: int = 0) -> None:
        self.scene, self.num_envs, self.device = scene, num_envs, device
        self.model = compile_scene(scene)
        self.robot = describe_robot(self.model, find_robot(scene.robot))
        self._batch = batch.Batch(self.model, num_envs, threads, persistent=True)
        self._bind()
        self._allocate()
        self._batch.forward(None, _STAGE)
        self._copy_out(None)

    def _bind(self) -> None:
        """Bind the engine's float64 arrays."""
        bound = {name: self._batch.bind(name) for name in ("xpos", "xquat", "cvel", "subtree_com", "sensordata")}
        body = slice(1, 1 + self.robot.num_bodies)  # the robot comes first in the model
        forces, bodies = 3 * len(self.scene.contact_bodies), len(self.scene.contact_bodies)
        self._found = bound["sensordata"][:, forces:]  # numbers of contacts of the objects
        self._sources = {
            "qpos": self._batch.bind("qpos"),
            "qvel": self._batch.bind("qvel"),
            "body_pos_w": bound["xpos"][:, body],
            "body_quat_w": bound["xquat"][:, body],
            "body_cvel": bound["cvel"][:, body],
            "root_com": bound["subtree_com"][:, 1],
            "contact_force_w": bound["sensordata"][:, :forces].reshape(self.num_envs, bodies, 3),
        }
        self._ctrl = self._batch.bind("ctrl")
        self._mocap_pos = self._batch.bind("mocap_pos")
        self._warmstart = self._batch.bind("qacc_warmstart")
        self._time = self._batch.bind("time")
        self._force: np.ndarray | None = None  # bound on first use
        self._torque: np.ndarray | None = None  # bound on first use

    def _allocate(self) -> None:
        """Create the float32 copies and the views into them."""
        self._copies = {
            name: torch.zeros(source.shape, dtype=torch.float32, device=self.device)
            for name, source in self._sources.items()
        }
        self._tensors = {name: as_tensor(source) for name, source in self._sources.items()}
        self.qpos, self.qvel = self._copies["qpos"], self._copies["qvel"]
        self.body_pos_w, self.body_quat_w = self._copies["body_pos_w"], self._copies["body_quat_w"]
        self._cvel, self._com = self._copies["body_cvel"], self._copies["root_com"]
        self.contact_force_w = self._copies["contact_force_w"]
        self.body_linvel_w = torch.zeros_like(self.body_pos_w)
        self.body_angvel_w = self._cvel[..., :3]
        self._bind_robot_views()
        self._bind_object_views(self.model.qpos0)
        self.ctrl = torch.zeros(self.num_envs, self.model.nu, device=self.device)
        self.mocap_pos_w = torch.tensor(self._mocap_pos, dtype=torch.float32, device=self.device)
        self.diverged = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self.num_diverged = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)

    def _copy_out(self, ids: np.ndarray | None) -> None:
        """Copy the engine's arrays into the tensors, for all worlds or the rows `ids`."""
        if ids is None:
            for name, copy in self._copies.items():
                copy.copy_(self._tensors[name])
            _velocity_at_origin(self._cvel, self.body_pos_w, self._com, self.body_linvel_w)
            self._update_objects()
            return
        rows = torch.from_numpy(ids).to(self.device)
        new = {name: as_tensor(source[ids]).to(self._copies[name]) for name, source in self._sources.items()}
        for name, values in new.items():
            self._copies[name].index_copy_(0, rows, values)
        linvel = torch.empty_like(new["body_pos_w"])
        _velocity_at_origin(new["body_cvel"], new["body_pos_w"], new["root_com"], linvel)
        self.body_linvel_w.index_copy_(0, rows, linvel)
        self._update_objects()

    def step(self, substeps: int) -> None:
        """See `Sim.step`."""
        as_tensor(self._ctrl).copy_(self.ctrl)
        self._physics(substeps)
        warnings = self._batch.warning
        bad = warnings[:, BAD_STATE, 1].any(1)
        self._copy_out(None)
        self.diverged.copy_(torch.from_numpy(bad))
        self.num_diverged.add_(self.diverged)
        if bad.any():
            self._object_contact.masked_fill_(self.diverged[:, None, None], False)
            warnings[bad] = 0  # else they would count as diverged in the next step, too
            self.mocap_pos_w.copy_(as_tensor(self._mocap_pos))

    def _physics(self, substeps: int) -> None:
        """All physics steps in one call, or one by one to read the sensors of each."""
        objects = bool(self.scene.objects)
        calls = substeps if objects and self.scene.sense_substeps else 1
        found = np.zeros(self._found.shape, bool)
        for _ in range(calls):
            self._batch.step(None, substeps // calls, _STAGE)
            found |= self._found > 0
        if objects:
            self._object_contact.copy_(torch.from_numpy(found).view(self._object_contact.shape))

    def reset(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """See `Sim.reset`."""
        ids = np.flatnonzero(mask.cpu().numpy())
        if len(ids) == 0:
            return
        qpos, qvel = self._complete(qpos, qvel)
        self._sources["qpos"][ids] = qpos.cpu().numpy()[ids]
        self._sources["qvel"][ids] = qvel.cpu().numpy()[ids]
        for array in (self._ctrl, self._warmstart):
            array[ids] = 0.0
        self._time[ids] = 0.0
        self._batch.warning[ids] = 0
        self._batch.forward(ids, _STAGE)
        self._copy_out(ids)
        self.ctrl.masked_fill_(mask.unsqueeze(-1), 0.0)
        for values in (self.contact_force_w, self._object_contact):
            values.masked_fill_(mask[:, None, None], 0)

    def place_objects(self, mask: Tensor, pos_w: Tensor, quat_w: Tensor, linvel_w: Tensor, angvel_w: Tensor) -> None:
        """See `Sim.place_objects`."""
        super().place_objects(mask, pos_w, quat_w, linvel_w, angvel_w)
        wide = mask.unsqueeze(-1).cpu().numpy()
        for name, values in (("qpos", self._object_qpos), ("qvel", self._object_qvel)):
            source = self._sources[name]
            columns = source[:, source.shape[1] - values[0].numel() :].reshape(values.shape)  # a view
            np.copyto(columns, values.cpu().numpy(), where=wide)  # the masked objects only: float32 rounds

    def move_mocap(self, mask: Tensor, pos_w: Tensor) -> None:
        """See `Sim.move_mocap`."""
        wide = mask[:, None, None]
        self.mocap_pos_w.copy_(torch.where(wide, pos_w, self.mocap_pos_w))
        # the masked worlds only: float32 would round the others
        np.copyto(self._mocap_pos, self.mocap_pos_w.cpu().numpy(), where=wide.cpu().numpy())

    def push(self, force_w: Tensor) -> None:
        """See `Sim.push`."""
        force = self._batch.bind("xfrc_applied")[:, 1, :3] if self._force is None else self._force
        force[:] = force_w.cpu().numpy()
        self._force = force

    @property
    def motor_torque(self) -> Tensor:
        """See `Sim.motor_torque`. From the first call on, the engine copies this field out at every step."""
        torque = self._batch.bind("qfrc_actuator") if self._torque is None else self._torque
        self._torque = torque
        return as_tensor(torque)[:, 6 : 6 + self.robot.num_dofs].to(self.device, torch.float32)

    def rays(self, origin_w: Tensor, direction_w: Tensor) -> Tensor:
        """See `Sim.rays`."""
        groups = [0, 1, 0, 0, 0, 0]  # the boxes; the floor, in group 0 with the robot, has a closed form
        distance, _ = self._batch.ray(origin_w.cpu().numpy(), direction_w.cpu().numpy(), geomgroup=groups)
        boxes = torch.from_numpy(distance).to(origin_w)
        boxes = torch.where(boxes < 0, torch.inf, boxes)
        return torch.minimum(boxes, floor_distance(origin_w, direction_w))

    def model_field(self, name: str) -> Tensor:
        """See `Sim.model_field`."""
        if name not in batch.MODEL_FIELDS:
            raise ConfigError(
                f"the model field {name!r} cannot differ between worlds{nearest(name, batch.MODEL_FIELDS)}"
            )
        return as_tensor(self._batch.expand(name))

    def apply_model_fields(self) -> None:
        """See `Sim.apply_model_fields`."""
        self._batch.set_const()
        self._batch.forward(None, _STAGE)
        self._copy_out(None)

    @property
    def num_threads(self) -> int:
        """Number of worker threads."""
        return self._batch.nthread

    @property
    def engine_state(self) -> np.ndarray:
        """`(N, S)` float64: the engine's state of each world; read-only."""
        return self._batch.state

    def state_dict(self) -> dict[str, Tensor]:
        """See `Sim.state_dict`."""
        return {
            "state": torch.tensor(self._batch.state),
            "ctrl": self.ctrl.clone(),
            "contact_force_w": self.contact_force_w.clone(),
            "num_diverged": self.num_diverged.clone(),
            **{name: values.clone() for name, values in self._object_state().items()},
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See `Sim.load_state_dict`."""
        objects = self._object_state()
        require_state(state, {"state", "ctrl", "contact_force_w", "num_diverged", *objects})
        self._batch.state[:] = state["state"].cpu().numpy()
        self._batch.forward(None, _STAGE)
        self._copy_out(None)
        self.ctrl.copy_(state["ctrl"])
        self.contact_force_w.copy_(state["contact_force_w"])
        self.num_diverged.copy_(state["num_diverged"])
        for name, values in objects.items():
            values.copy_(state[name])
        self.mocap_pos_w.copy_(as_tensor(self._mocap_pos))


def _velocity_at_origin(cvel: Tensor, body_pos: Tensor, root_com: Tensor, out: Tensor) -> None:
    """Linear velocities `(n, B, 3)` of body origins; `cvel (n, B, 6)` is the velocity at the robot's centre of mass."""
    arm = body_pos - root_com.unsqueeze(1)
    torch.add(cvel[..., 3:], torch.linalg.cross(cvel[..., :3], arm), out=out)


def as_tensor(array: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory; tensors of the engine's read-only outputs must not be written to."""
    if array.flags.writeable:
        return torch.from_numpy(array)
    interface = {**array.__array_interface__, "data": (array.__array_interface__["data"][0], False)}
    return torch.from_numpy(np.asarray(_WritableMemory(interface, array)))


class _WritableMemory:
    """Declares a read-only array's memory as writable, since PyTorch warns of read-only arrays."""

    def __init__(self, interface: dict[str, object], owner: np.ndarray) -> None:
        self.__array_interface__ = interface
        self.owner = owner
