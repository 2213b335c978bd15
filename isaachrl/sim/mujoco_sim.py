"""The CPU engine: `mujoco.batch`, float64 inside, shown as float32 tensors.

The engine's arrays are bound once; a step copies each of them once into its float32 mirror. Only fields that
the mirrors need are bound, since every bound field is copied out by the engine at every call.
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
from isaachrl.sim.scene import Scene

_FRESH = mujoco.mjtStage.mjSTAGE_VEL.value  # without a stage, derived fields would lag one substep behind the state
_BAD_STATE = [
    mujoco.mjtWarning.mjWARN_BADQPOS.value,
    mujoco.mjtWarning.mjWARN_BADQVEL.value,
    mujoco.mjtWarning.mjWARN_BADQACC.value,
]


class MujocoSim(Sim):
    """N worlds on `mujoco.batch.Batch`, stepped by a thread pool.

    Args:
        scene: what stands in each world.
        num_envs: N.
        device: where the tensors live; on a CUDA device each step copies them there.
        threads: worker threads; 0 takes every core.
    """

    def __init__(self, scene: Scene, num_envs: int, device: torch.device, threads: int = 0) -> None:
        self.scene, self.num_envs, self.device = scene, num_envs, device
        self.model = compile_scene(scene)
        self.robot = describe_robot(self.model, scene.robot)
        self._batch = batch.Batch(self.model, num_envs, threads, persistent=True)
        self._bodies = slice(1, 1 + self.robot.num_bodies)  # the robot is attached before anything else
        self._bind()
        self._allocate()
        self._batch.forward(None, _FRESH)
        self._copy_out(None)

    def _bind(self) -> None:
        """Bind the engine's float64 arrays that are read or written here."""
        bound = {name: self._batch.bind(name) for name in ("xpos", "xquat", "cvel", "subtree_com", "sensordata")}
        body = self._bodies
        self._sources = {
            "qpos": self._batch.bind("qpos"),
            "qvel": self._batch.bind("qvel"),
            "body_pos_w": bound["xpos"][:, body],
            "body_quat_w": bound["xquat"][:, body],
            "body_cvel": bound["cvel"][:, body],
            "root_com": bound["subtree_com"][:, 1],
            "contact_force_w": bound["sensordata"].reshape(self.num_envs, -1, 3),
        }
        self._ctrl = self._batch.bind("ctrl")
        self._mocap_pos = self._batch.bind("mocap_pos")
        self._warmstart = self._batch.bind("qacc_warmstart")
        self._time = self._batch.bind("time")
        self._force: np.ndarray | None = None  # bound when somebody pushes
        self._torque: np.ndarray | None = None  # bound when somebody asks

    def _allocate(self) -> None:
        """Make the float32 mirrors and the views on them."""
        self._mirrors = {
            name: torch.zeros(source.shape, dtype=torch.float32, device=self.device)
            for name, source in self._sources.items()
        }
        self._tensors = {name: _as_tensor(source) for name, source in self._sources.items()}
        self.qpos, self.qvel = self._mirrors["qpos"], self._mirrors["qvel"]
        self.body_pos_w, self.body_quat_w = self._mirrors["body_pos_w"], self._mirrors["body_quat_w"]
        self._cvel, self._com = self._mirrors["body_cvel"], self._mirrors["root_com"]
        self.contact_force_w = self._mirrors["contact_force_w"]
        self.body_linvel_w = torch.zeros_like(self.body_pos_w)
        self.body_angvel_w = self._cvel[..., :3]
        self._show_robot()
        self.ctrl = torch.zeros(self.num_envs, self.model.nu, device=self.device)
        self.mocap_pos_w = torch.tensor(self._mocap_pos, dtype=torch.float32, device=self.device)
        self.diverged = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self.num_diverged = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)

    def _copy_out(self, ids: np.ndarray | None) -> None:
        """Refresh the mirrors from the engine, of all worlds or of the rows `ids`."""
        if ids is None:
            for name, mirror in self._mirrors.items():
                mirror.copy_(self._tensors[name])
            _velocity_at_origin(self._cvel, self.body_pos_w, self._com, self.body_linvel_w)
            return
        rows = torch.from_numpy(ids).to(self.device)
        new = {name: _as_tensor(source[ids]).to(self._mirrors[name]) for name, source in self._sources.items()}
        for name, values in new.items():
            self._mirrors[name].index_copy_(0, rows, values)
        linvel = torch.empty_like(new["body_pos_w"])
        _velocity_at_origin(new["body_cvel"], new["body_pos_w"], new["root_com"], linvel)
        self.body_linvel_w.index_copy_(0, rows, linvel)

    def step(self, substeps: int) -> None:
        """See `Sim.step`."""
        _as_tensor(self._ctrl).copy_(self.ctrl)
        self._batch.step(None, substeps, _FRESH)
        # a world that is put back to its defaults starts to count again at one: zeroed, no second time is missed
        warnings = self._batch.warning
        bad = warnings[:, _BAD_STATE, 1].any(1)
        self._copy_out(None)
        self.diverged.copy_(torch.from_numpy(bad))
        self.num_diverged.add_(self.diverged)
        if bad.any():
            warnings[bad] = 0
            self.mocap_pos_w.copy_(_as_tensor(self._mocap_pos))

    def reset(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """See `Sim.reset`."""
        ids = np.flatnonzero(mask.cpu().numpy())
        if len(ids) == 0:
            return
        self._sources["qpos"][ids] = qpos.cpu().numpy()[ids]
        self._sources["qvel"][ids] = qvel.cpu().numpy()[ids]
        for array in (self._ctrl, self._warmstart):
            array[ids] = 0.0
        self._time[ids] = 0.0
        self._batch.warning[ids] = 0
        self._batch.forward(ids, _FRESH)
        self._copy_out(ids)
        self.ctrl.masked_fill_(mask.unsqueeze(-1), 0.0)
        self.contact_force_w.masked_fill_(mask[:, None, None], 0.0)

    def move_mocap(self, mask: Tensor, pos_w: Tensor) -> None:
        """See `Sim.move_mocap`."""
        chosen = mask[:, None, None]
        self.mocap_pos_w.copy_(torch.where(chosen, pos_w, self.mocap_pos_w))
        # only the chosen worlds: the others may hold numbers that float32 would round
        np.copyto(self._mocap_pos, self.mocap_pos_w.cpu().numpy(), where=chosen.cpu().numpy())

    def push(self, force_w: Tensor) -> None:
        """See `Sim.push`."""
        force = self._batch.bind("xfrc_applied")[:, 1, :3] if self._force is None else self._force
        force[:] = force_w.cpu().numpy()
        self._force = force

    @property
    def motor_torque(self) -> Tensor:
        """See `Sim.motor_torque`. The first reading makes the engine copy this field out at every step."""
        torque = self._batch.bind("qfrc_actuator") if self._torque is None else self._torque
        self._torque = torque
        return _as_tensor(torque)[:, 6 : 6 + self.robot.num_dofs].to(self.device, torch.float32)

    def rays(self, origin_w: Tensor, direction_w: Tensor) -> Tensor:
        """See `Sim.rays`."""
        # group 0 holds the robot and the floor: the floor is met in closed form, the engine's rays see the boxes
        groups = [0, 1, 0, 0, 0, 0]
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
        return _as_tensor(self._batch.expand(name))

    def apply_model_fields(self) -> None:
        """See `Sim.apply_model_fields`."""
        self._batch.set_const()
        self._batch.forward(None, _FRESH)
        self._copy_out(None)

    @property
    def num_threads(self) -> int:
        """Threads that step the worlds."""
        return self._batch.nthread

    @property
    def engine_state(self) -> np.ndarray:
        """`(N, S)` float64: the engine's own numbers of each world, to be read."""
        return self._batch.state

    def state_dict(self) -> dict[str, Tensor]:
        """See `Sim.state_dict`."""
        return {
            "state": torch.tensor(self._batch.state),
            "ctrl": self.ctrl.clone(),
            "contact_force_w": self.contact_force_w.clone(),
            "num_diverged": self.num_diverged.clone(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See `Sim.load_state_dict`."""
        require_state(state, {"state", "ctrl", "contact_force_w", "num_diverged"})
        self._batch.state[:] = state["state"].cpu().numpy()
        self._batch.forward(None, _FRESH)
        self._copy_out(None)
        self.ctrl.copy_(state["ctrl"])
        self.contact_force_w.copy_(state["contact_force_w"])
        self.num_diverged.copy_(state["num_diverged"])
        self.mocap_pos_w.copy_(_as_tensor(self._mocap_pos))


def _velocity_at_origin(cvel: Tensor, body_pos: Tensor, root_com: Tensor, out: Tensor) -> None:
    """Write the linear velocities `(n, B, 3)` of bodies' origins: `cvel (n, B, 6)` is that at the centre of mass."""
    arm = body_pos - root_com.unsqueeze(1)
    torch.add(cvel[..., 3:], torch.linalg.cross(cvel[..., :3], arm), out=out)


def _as_tensor(array: np.ndarray) -> Tensor:
    """A tensor on the array's own memory; the engine's outputs are read-only, and we only read those."""
    if array.flags.writeable:
        return torch.from_numpy(array)
    interface = {**array.__array_interface__, "data": (array.__array_interface__["data"][0], False)}
    holder = _Memory(interface, array)
    return torch.from_numpy(np.asarray(holder))


class _Memory:
    """Shows read-only memory as writable, which is what PyTorch asks for to make a view without a copy."""

    def __init__(self, interface: dict[str, object], owner: np.ndarray) -> None:
        self.__array_interface__ = interface
        self.owner = owner
