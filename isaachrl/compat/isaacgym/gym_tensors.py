"""Methods of the API about simulations and their tensors."""

import copy

import torch
from torch import Tensor as TorchTensor

from isaachrl.compat.isaacgym import terrain
from isaachrl.compat.isaacgym.enums import CoordinateSpace, SimType, UpAxis
from isaachrl.compat.isaacgym.gym_actors import warn_once
from isaachrl.compat.isaacgym.gymtorch import Tensor
from isaachrl.compat.isaacgym.messages import keep_logging
from isaachrl.compat.isaacgym.objects import Env, Sim, quat, vec3
from isaachrl.compat.isaacgym.physics import Physics
from isaachrl.compat.isaacgym.settings import SETTINGS
from isaachrl.compat.isaacgym.structs import HeightFieldParams, PlaneParams, SimParams, TriangleMeshParams
from isaachrl.compat.isaacgym.vectors import Transform, Vec3
from isaachrl.errors import ConfigError, nearest
from isaachrl.sim.worlds import Plane


class TensorMethods:
    """Creating and stepping simulations, and reading and writing their state as tensors."""

    def create_sim(
        self, compute_device: int = 0, graphics_device: int = 0, type: SimType = SimType.SIM_PHYSX,
        params: SimParams | None = None, sim_type: SimType | None = None,
    ) -> Sim:  # fmt: skip
        """A new simulation; tensors are on the GPU with `use_gpu_pipeline`, else on the CPU."""
        keep_logging()
        kind, params = type if sim_type is None else sim_type, params or SimParams()
        if int(kind) == int(SimType.SIM_FLEX):
            raise NotImplementedError(
                "create_sim: SIM_FLEX; soft bodies and particles are not simulated, use SIM_PHYSX"
            )
        device = f"cuda:{compute_device}" if params.use_gpu_pipeline else "cpu"
        if device != "cpu" and not torch.cuda.is_available():
            raise ConfigError(
                "create_sim: use_gpu_pipeline is set, and there is no CUDA device; type sim_device=cpu pipeline=cpu"
                " rl_device=cpu (IsaacGymEnvs) or --sim_device=cpu --pipeline=cpu --rl_device=cpu (others)"
            )
        return Sim(copy.deepcopy(params), device, SETTINGS.engine)

    def destroy_sim(self, sim: Sim) -> None:
        """Free the worlds."""
        sim.physics = None

    def prepare_sim(self, sim: Sim) -> bool:
        """Build the worlds."""
        self._physics(sim, "prepare_sim")
        return True

    def _physics(self, sim: Sim, method: str) -> Physics:
        """The worlds, which are built on first use."""
        if not isinstance(sim, Sim):
            raise ConfigError(f"{method}: a simulation is needed, from create_sim; {sim!r} came")
        if sim.physics is None:
            sim.physics = Physics(sim)
        return sim.physics

    def get_rigid_transform(self, env: Env, body: int) -> Transform:
        """The pose of a body, by its number in the environment; before `prepare_sim` at coordinates of 0."""
        if env.sim.physics is not None:
            x, y, z, *xyzw = env.sim.physics.body_states(None)[env.index, body, :7].tolist()
            return Transform(Vec3(x, y, z), quat(xyzw))
        for actor in env.actors:
            model = actor.asset.model
            if body < len(model.body_names):
                return actor.pose * Transform(vec3(model.body_pos[body]), quat(model.body_quat[body][[1, 2, 3, 0]]))
            body -= len(model.body_names)
        raise ConfigError(f"get_rigid_transform: environment {env.index} has no such body")

    def simulate(self, sim: Sim) -> None:
        """Take a step of `dt`."""
        if sim.physics is None:
            raise ConfigError("simulate was called before prepare_sim: call gym.prepare_sim(sim) once first")
        sim.physics.simulate()
        sim.steps += 1
        if SETTINGS.film is not None:
            SETTINGS.film.after_step(sim)

    def fetch_results(self, sim: Sim, wait: bool) -> None:
        """Results are there after `simulate`."""

    def get_frame_count(self, sim: Sim) -> int:
        """Number of steps."""
        return sim.steps

    def get_sim_time(self, sim: Sim) -> float:
        """Simulated time in s."""
        return sim.steps * sim.params.dt

    def get_sim_params(self, sim: Sim) -> SimParams:
        """A copy of the parameters."""
        return copy.deepcopy(sim.params)

    def set_sim_params(self, sim: Sim, params: SimParams) -> None:
        """Change gravity, or before `prepare_sim` any parameter."""
        built = sim.physics is not None
        if built and (params.dt, params.substeps) != (sim.params.dt, sim.params.substeps):
            raise NotImplementedError("set_sim_params: dt and substeps cannot change after prepare_sim")
        sim.params = copy.deepcopy(params)
        if sim.physics is not None:
            gravity = sim.physics.worlds.model_field("opt.gravity")
            gravity.copy_(torch.tensor(params.gravity.array()).to(gravity))

    def add_ground(self, sim: Sim, params: PlaneParams) -> None:
        """Add the ground plane."""
        self._ground(sim, params.restitution, "add_ground")
        normal = params.normal.array()
        sim.ground.append(Plane(normal, -params.distance, params.static_friction))

    def add_heightfield(self, sim: Sim, samples: object, params: HeightFieldParams) -> None:
        """Add a height field of int16 samples."""
        self._ground(sim, params.restitution, "add_heightfield")
        _z_up(sim, "add_heightfield")
        sim.ground.append(terrain.from_samples(samples, params))

    def add_triangle_mesh(self, sim: Sim, vertices: object, triangles: object, params: TriangleMeshParams) -> None:
        """Add a mesh that `convert_heightfield_to_trimesh` made."""
        self._ground(sim, params.restitution, "add_triangle_mesh")
        _z_up(sim, "add_triangle_mesh")
        sim.ground.append(terrain.from_mesh(vertices, triangles, params))

    def _ground(self, sim: Sim, restitution: float, method: str) -> None:
        """Check that ground can be added."""
        if sim.physics is not None:
            raise ConfigError(f"{method} came after prepare_sim: call it before")
        if restitution > 0:
            warn_once("restitution and compliance are not simulated: contacts have MuJoCo's")

    def get_sim_actor_count(self, sim: Sim) -> int:
        """Number of actors of all environments."""
        return sum(len(env.actors) for env in sim.envs)

    def get_sim_rigid_body_count(self, sim: Sim) -> int:
        """Number of bodies of all environments."""
        return sum(len(actor.asset.model.body_names) for env in sim.envs for actor in env.actors)

    def get_sim_dof_count(self, sim: Sim) -> int:
        """Number of degrees of freedom of all environments."""
        return sum(len(actor.asset.model.dofs) for env in sim.envs for actor in env.actors)

    def get_sim_force_sensor_count(self, sim: Sim) -> int:
        """Number of force sensors of all environments."""
        return sum(len(actor.asset.sensors) for env in sim.envs for actor in env.actors)

    def acquire_actor_root_state_tensor(self, sim: Sim) -> Tensor | None:
        """`(actors, 13)`: position, rotation, linear and angular velocity of the roots."""
        return self._acquire(sim, "root", self.get_sim_actor_count(sim))

    def acquire_rigid_body_state_tensor(self, sim: Sim) -> Tensor | None:
        """`(bodies, 13)`: position, rotation, linear and angular velocity."""
        return self._acquire(sim, "body", self.get_sim_rigid_body_count(sim))

    def acquire_dof_state_tensor(self, sim: Sim) -> Tensor | None:
        """`(dofs, 2)`: position and velocity; None without degrees of freedom."""
        return self._acquire(sim, "dof", self.get_sim_dof_count(sim))

    def acquire_net_contact_force_tensor(self, sim: Sim) -> Tensor | None:
        """`(bodies, 3)`: net contact force."""
        return self._acquire(sim, "contact", self.get_sim_rigid_body_count(sim))

    def acquire_force_sensor_tensor(self, sim: Sim) -> Tensor | None:
        """`(sensors, 6)`: force and torque; None without sensors."""
        return self._acquire(sim, "sensor", self.get_sim_force_sensor_count(sim))

    def acquire_dof_force_tensor(self, sim: Sim) -> Tensor | None:
        """`(dofs,)`: forces of the drives; None without degrees of freedom."""
        return self._acquire(sim, "force", self.get_sim_dof_count(sim))

    def acquire_jacobian_tensor(self, sim: Sim, actor: str) -> Tensor:
        """The Jacobian of the actor of that name, see `Articulation.jacobian`."""
        return self._acquire_of(sim, "jacobian", actor)

    def acquire_mass_matrix_tensor(self, sim: Sim, actor: str) -> Tensor:
        """The mass matrix of the actor of that name, see `Articulation.mass_matrix`."""
        return self._acquire_of(sim, "mass", actor)

    def _acquire_of(self, sim: Sim, kind: str, actor: str) -> Tensor:
        """A buffer of one actor."""
        physics, names = self._physics(sim, "acquire"), [other.name for other in sim.envs[0].actors]
        if actor not in names:
            raise ConfigError(f"no actor of environment 0 is called {actor!r}{nearest(actor, names)}")
        return Tensor(physics.acquire(f"{kind} {actor}"))

    def _acquire(self, sim: Sim, name: str, count: int) -> Tensor | None:
        """A buffer, None if it has no rows."""
        return Tensor(self._physics(sim, "acquire").acquire(name)) if count else None

    def refresh_actor_root_state_tensor(self, sim: Sim) -> bool:
        """Write the roots' states into their tensor."""
        return self._refresh(sim, "root")

    def refresh_rigid_body_state_tensor(self, sim: Sim) -> bool:
        """Write the bodies' states into their tensor."""
        return self._refresh(sim, "body")

    def refresh_dof_state_tensor(self, sim: Sim) -> bool:
        """Write positions and velocities of the degrees of freedom into their tensor."""
        return self._refresh(sim, "dof")

    def refresh_net_contact_force_tensor(self, sim: Sim) -> bool:
        """Write the contact forces into their tensor."""
        return self._refresh(sim, "contact")

    def refresh_force_sensor_tensor(self, sim: Sim) -> bool:
        """Write the sensors' forces into their tensor."""
        return self._refresh(sim, "sensor")

    def refresh_dof_force_tensor(self, sim: Sim) -> bool:
        """Write the drives' forces into their tensor."""
        return self._refresh(sim, "force")

    def refresh_jacobian_tensors(self, sim: Sim) -> bool:
        """Write all Jacobians into their tensors."""
        return self._refresh(sim, "jacobian")

    def refresh_mass_matrix_tensors(self, sim: Sim) -> bool:
        """Write all mass matrices into their tensors."""
        return self._refresh(sim, "mass")

    def _refresh(self, sim: Sim, name: str) -> bool:
        """Write a state into its buffer."""
        self._physics(sim, "refresh").refresh(name)
        return True

    def set_actor_root_state_tensor(self, sim: Sim, states: Tensor) -> bool:
        """Set the roots of all actors."""
        return self.set_actor_root_state_tensor_indexed(sim, states, None, 0)

    def set_actor_root_state_tensor_indexed(self, sim: Sim, states: Tensor, actors: Tensor | None, count: int) -> bool:
        """Set the roots of some actors; the tensor of states is that of all."""
        name = "set_actor_root_state_tensor"
        physics = self._physics(sim, name)
        physics.set_roots(_torch(states, name), physics.actors(_numbers(actors, name), count, name), name)
        return True

    def set_dof_state_tensor(self, sim: Sim, states: Tensor) -> bool:
        """Set all degrees of freedom."""
        return self.set_dof_state_tensor_indexed(sim, states, None, 0)

    def set_dof_state_tensor_indexed(self, sim: Sim, states: Tensor, actors: Tensor | None, count: int) -> bool:
        """Set the degrees of freedom of some actors; the tensor of states is that of all."""
        name = "set_dof_state_tensor"
        physics = self._physics(sim, name)
        physics.set_dofs(_torch(states, name), physics.actors(_numbers(actors, name), count, name), name)
        return True

    def set_dof_position_target_tensor(self, sim: Sim, targets: Tensor) -> bool:
        """Set all position targets, which persist."""
        return self._target(sim, "position", targets, None, 0)

    def set_dof_position_target_tensor_indexed(self, sim: Sim, targets: Tensor, actors: Tensor, count: int) -> bool:
        """Set the position targets of some actors."""
        return self._target(sim, "position", targets, actors, count)

    def set_dof_velocity_target_tensor(self, sim: Sim, targets: Tensor) -> bool:
        """Set all velocity targets, which persist."""
        return self._target(sim, "velocity", targets, None, 0)

    def set_dof_velocity_target_tensor_indexed(self, sim: Sim, targets: Tensor, actors: Tensor, count: int) -> bool:
        """Set the velocity targets of some actors."""
        return self._target(sim, "velocity", targets, actors, count)

    def set_dof_actuation_force_tensor(self, sim: Sim, efforts: Tensor) -> bool:
        """Set all efforts, for one step."""
        return self._target(sim, "effort", efforts, None, 0)

    def set_dof_actuation_force_tensor_indexed(self, sim: Sim, efforts: Tensor, actors: Tensor, count: int) -> bool:
        """Set the efforts of some actors, for one step."""
        return self._target(sim, "effort", efforts, actors, count)

    def _target(self, sim: Sim, kind: str, targets: Tensor, actors: Tensor | None, count: int) -> bool:
        """Set targets of the drives."""
        name = "set_dof_actuation_force_tensor" if kind == "effort" else f"set_dof_{kind}_target_tensor"
        physics = self._physics(sim, name)
        physics.set_targets(kind, _torch(targets, name), physics.actors(_numbers(actors, name), count, name), name)
        return True

    def apply_rigid_body_force_tensors(
        self, sim: Sim, forceTensor: Tensor | None = None, torqueTensor: Tensor | None = None,  # noqa: N803
        space: CoordinateSpace = CoordinateSpace.ENV_SPACE,
    ) -> bool:  # fmt: skip
        """Apply forces and torques at the centres of mass of all bodies, for one step."""
        name = "apply_rigid_body_force_tensors"
        force, torque = (None if t is None else _torch(t, name) for t in (forceTensor, torqueTensor))
        self._physics(sim, name).apply_forces(force, torque, None, int(space), name)
        return True

    def apply_rigid_body_force_at_pos_tensors(
        self, sim: Sim, forceTensor: Tensor, posTensor: Tensor | None = None,  # noqa: N803
        space: CoordinateSpace = CoordinateSpace.ENV_SPACE,
    ) -> bool:  # fmt: skip
        """Apply forces at points of all bodies, for one step."""
        name = "apply_rigid_body_force_at_pos_tensors"
        pos = None if posTensor is None else _torch(posTensor, name)
        self._physics(sim, name).apply_forces(_torch(forceTensor, name), None, pos, int(space), name)
        return True


def _z_up(sim: Sim, method: str) -> None:
    """Check that heights are along z.

    Raises:
        NotImplementedError: they are along y.
    """
    if int(sim.params.up_axis) == int(UpAxis.UP_AXIS_Y):
        raise NotImplementedError(
            f"{method}: heights of terrain are along z; set sim_params.up_axis = gymapi.UP_AXIS_Z, and gravity along -z"
        )


def _torch(tensor: Tensor, method: str) -> TorchTensor:
    """The PyTorch tensor of a descriptor.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(tensor, TorchTensor):
        return tensor
    if not isinstance(tensor, Tensor):
        raise ConfigError(f"{method}: a tensor from gymtorch.unwrap_tensor is needed; {type(tensor).__name__} came")
    return tensor.tensor


def _numbers(actors: Tensor | None, method: str) -> TorchTensor | None:
    """The indices of a descriptor."""
    return None if actors is None else _torch(actors, method)
