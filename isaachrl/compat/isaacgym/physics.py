"""The state of all environments as the API's tensors, and the setters.

Buffers are allocated once and written in place by `refresh`; tasks keep them and write into them. Positions are
relative to the environment, quaternions x, y, z, w, velocities of bodies those of their centres of mass in world axes.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from isaachrl.compat.isaacgym.articulation import Articulation
from isaachrl.compat.isaacgym.build import build_world, start_state
from isaachrl.compat.isaacgym.drives import Drives
from isaachrl.compat.isaacgym.enums import CoordinateSpace
from isaachrl.compat.isaacgym.limits import BallLimits
from isaachrl.compat.isaacgym.objects import Sim
from isaachrl.compat.isaacgym.properties import Properties, as_index
from isaachrl.compat.isaacgym.sensors import ForceSensors
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.sim import worlds as w


class Physics:
    """The worlds of a simulation.

    Args:
        sim: whose environments are built.
    """

    def __init__(self, sim: Sim) -> None:
        self._sim, self.substeps = sim, max(sim.params.substeps, 1)
        world, device = build_world(sim), torch.device(sim.device)
        self.worlds = w.make_worlds(world, len(sim.envs), sim.engine, device)
        self.layout = w.layout(self.worlds.model, world.actors)
        self.num_envs, self.num_actors = len(sim.envs), len(world.actors)
        self.num_bodies, self.num_dofs = len(self.layout.body), len(self.layout.joint)
        self.drives = Drives(self.worlds, self.num_dofs, world.timestep_s)
        self.properties = Properties(sim, self.worlds, self.layout, self.drives)
        self._index()
        self.properties.upload()
        self._armature = self.drives.armature.clone()  # in the last step
        self.worlds.start_at(**start_state(sim, self.layout, self.worlds))
        self.sensors = ForceSensors(self, sim)
        self.limits = BallLimits(self, world.timestep_s)
        self._buffers: dict[str, Tensor] = {}
        self._values = self._sources(sim)
        self._damping = self._damping_rates()

    def _index(self) -> None:
        """Index tensors, on the device."""
        lay, device = self.layout, self.worlds.device
        self.body, self.root, self._tree, self._dof_qvel, self._floating, self._fixed, self._mocap = (
            as_index(v, device)
            for v in (lay.body, lay.root, lay.tree, lay.dof_qvel, lay.floating, lay.fixed, lay.mocap)
        )
        self._root_qpos, self._root_qvel = as_index(lay.root_qpos, device), as_index(lay.root_qvel, device)
        self._scalar, self._scalar_qpos = as_index(lay.scalar, device), as_index(lay.scalar_qpos, device)
        self._ball, self._ball_qpos = as_index(lay.ball, device), as_index(lay.ball_qpos, device)
        counts = torch.from_numpy(lay.dof_start).diff()
        self._dof_actor = torch.repeat_interleave(torch.arange(self.num_actors), counts).to(device)
        enabled = [actor.dof_force for actor in self._sim.envs[0].actors]
        self._dof_force_on = torch.tensor(enabled, device=device)[self._dof_actor]

    # state tensors

    def acquire(self, name: str) -> Tensor:
        """A buffer, filled once; see `refresh`."""
        if name not in self._buffers:
            self._bring_up_to_date()
            self._buffers[name] = self._values[name]().clone(memory_format=torch.contiguous_format)
        return self._buffers[name]

    def refresh(self, name: str) -> None:
        """Write the current state into the buffers whose name starts so."""
        self._bring_up_to_date()
        for full, buffer in self._buffers.items():
            if full.startswith(name):
                buffer.copy_(self._values[full]())

    def _bring_up_to_date(self) -> None:
        """Have changed properties and coordinates act."""
        self.properties.upload()
        self.worlds.refresh()

    def _sources(self, sim: Sim) -> dict[str, Callable[[], Tensor]]:
        """What each buffer shows."""
        values: dict[str, Callable[[], Tensor]] = {
            "root": lambda: self.body_states(self.root).flatten(0, 1),
            "body": lambda: self.body_states(None).flatten(0, 1),
            "dof": lambda: self.dof_states().flatten(0, 1),
            "contact": lambda: self._contact_forces().reshape(-1, 3),
            "sensor": lambda: self.sensors.values.flatten(0, 1),
            "force": lambda: self._dof_forces().flatten(),
        }
        for number, actor in enumerate(sim.envs[0].actors):
            part = Articulation(self, number, actor.asset.model, actor.asset.options.fix_base_link)
            values[f"jacobian {actor.name}"], values[f"mass {actor.name}"] = part.jacobian, part.mass_matrix
        return values

    def columns(self, name: str, which: Tensor) -> Tensor:
        """Columns `which (k,)` of a state field, `(N, k, …)`. `index_select` takes a third of the time of indexing."""
        return self.worlds.field(name).index_select(1, which)

    def body_states(self, which: Tensor | None) -> Tensor:
        """`(N, k, 13)` states of bodies; `which (k,)` are numbers in an environment, None is all."""
        body = self.body if which is None else self.body[which]
        pos, quat = (self.columns(name, body) for name in ("xpos", "xquat"))
        linear, angular = self.com_velocity(which)
        return torch.cat((pos, quat.roll(-1, -1), linear, angular), -1)

    def com_velocity(self, which: Tensor | None) -> tuple[Tensor, Tensor]:
        """`(N, k, 3)` linear velocities of centres of mass, and angular velocities, in world axes."""
        body, tree = (self.body, self._tree) if which is None else (self.body[which], self._tree[which])
        cvel = self.columns("cvel", body)
        arm = self.columns("xipos", body) - self.columns("subtree_com", tree)
        return cvel[..., 3:] + torch.linalg.cross(cvel[..., :3], arm), cvel[..., :3]

    def dof_states(self) -> Tensor:
        """`(N, D, 2)` positions and velocities; a ball joint's position is its rotation vector."""
        velocity = self.columns("qvel", self._dof_qvel)
        position = torch.zeros_like(velocity)
        position[:, self._scalar] = self.columns("qpos", self._scalar_qpos)
        quat = self.columns("qpos", self._ball_qpos.flatten()).unflatten(1, self._ball_qpos.shape)
        position[:, self._ball] = rotations.to_rotvec(quat)
        return torch.stack((position, velocity), -1)

    def _contact_forces(self) -> Tensor:
        """`(N, B, 3)` net contact forces in the last physics step."""
        return self.worlds.field("sensordata")[:, : 3 * self.num_bodies]

    def _dof_forces(self) -> Tensor:
        """`(N, D)` forces of the drives in the last physics step; 0 where actors have no sensor for them."""
        force = self.worlds.field("actuator_force")[:, : self.num_dofs]  # without those of limits
        acceleration = self.columns("qacc", self._dof_qvel)
        return (force - self._armature * acceleration) * self._dof_force_on

    # setters

    def actors(self, indices: Tensor | None, count: int | None, method: str) -> Tensor:
        """`(N, A)` bool: the actors with the first `count` of these numbers in the simulation; all if None.

        Raises:
            ConfigError: the numbers are floating-point, fewer than `count` or, on the CPU, none of an actor.
        """
        mask = torch.zeros(self.num_envs * self.num_actors, dtype=torch.bool, device=self.worlds.device)
        if indices is None:
            return ~mask.view(self.num_envs, self.num_actors)
        if indices.is_floating_point():
            raise ConfigError(f"{method}: actor indices are {indices.dtype}; they must be torch.int32")
        if count is not None and not 0 <= count <= indices.numel():
            raise ConfigError(
                f"{method}: count is {count}, but {indices.numel()} actor indices came; pass len(indices)"
            )
        chosen = indices.reshape(-1)[:count].long()
        if mask.device.type == "cpu":  # on a GPU this would wait for it
            self._check_actors(chosen.numpy(), method)
        return mask.index_fill_(0, chosen, True).view(self.num_envs, self.num_actors)

    def _check_actors(self, indices: np.ndarray, method: str) -> None:
        """Check that actors have these numbers."""
        last = self.num_envs * self.num_actors - 1
        wrong = indices[(indices < 0) | (indices > last)]
        if len(wrong):
            raise ConfigError(
                f"{method}: there is no actor {int(wrong[0])}; indices are those of get_actor_index(env, actor,"
                f" gymapi.DOMAIN_SIM), 0 to {last}"
            )

    def full(self, tensor: Tensor, per_env: tuple[int, ...], method: str) -> Tensor:
        """A tensor of all environments as `(N, *per_env)`.

        Raises:
            ConfigError: it has another size.
        """
        shape = (self.num_envs, *per_env)
        if tensor.numel() != torch.Size(shape).numel():
            raise ConfigError(
                f"{method}: the tensor has shape {tuple(tensor.shape)}, but {torch.Size(shape).numel()} numbers are"
                f" needed, as {shape}; it must cover the whole simulation also in the indexed setters"
            )
        return tensor.detach().to(self.worlds.device, torch.float32).view(shape)

    def set_roots(self, tensor: Tensor, actors: Tensor, method: str) -> None:
        """Set poses and velocities of actors' roots."""
        self.properties.upload()  # of centres of mass
        state = self.full(tensor, (self.num_actors, 13), method)
        pos, quat = state[..., :3], rotations.normalize(state[..., 3:7].roll(1, -1))
        linear, angular = state[..., 7:10], state[..., 10:13]
        if len(self._floating):
            com = rotations.rotate(quat, self.properties.com[:, self.root])
            origin = linear - torch.linalg.cross(angular, com)
            local = rotations.rotate_inverse(quat, angular)
            moved = actors[:, self._floating]
            self._write("qpos", self._root_qpos, torch.cat((pos, quat), -1)[:, self._floating], moved)
            self._write("qvel", self._root_qvel, torch.cat((origin, local), -1)[:, self._floating], moved)
        if len(self._fixed):
            moved = actors[:, self._fixed].unsqueeze(-1)[:, self._mocap.argsort()]
            rows = self._fixed[self._mocap.argsort()]
            self.worlds.write("mocap_pos", pos[:, rows], moved)
            self.worlds.write("mocap_quat", quat[:, rows], moved)

    def set_dofs(self, tensor: Tensor, actors: Tensor, method: str) -> None:
        """Set positions and velocities of actors' degrees of freedom."""
        state = self.full(tensor, (self.num_dofs, 2), method)
        moved = actors[:, self._dof_actor]
        position, velocity = state.unbind(-1)
        self._write("qvel", self._dof_qvel[:, None], velocity.unsqueeze(-1), moved)
        self._write("qpos", self._scalar_qpos[:, None], position[:, self._scalar].unsqueeze(-1), moved[:, self._scalar])
        quat = rotations.from_rotvec(position[:, self._ball])
        self._write("qpos", self._ball_qpos, quat, moved[:, self._ball[:, 0]])

    def _write(self, name: str, columns: Tensor, values: Tensor, mask: Tensor) -> None:
        """Write groups of columns `(k, c)` of a state field: `values (N, k, c)` where `mask (N, k)`."""
        if not columns.numel():
            return
        full = self.worlds.field(name).clone()
        wide = torch.zeros_like(full, dtype=torch.bool)
        flat = columns.reshape(-1)
        full[:, flat] = values.flatten(1)
        wide[:, flat] = mask.unsqueeze(-1).expand(values.shape).flatten(1)
        self.worlds.write(name, full, wide)

    def set_targets(self, name: str, tensor: Tensor, actors: Tensor, method: str) -> None:
        """Set the drives' targets: `position`, `velocity` or `effort`."""
        target = getattr(self.drives, name)
        target.copy_(torch.where(actors[:, self._dof_actor], self.full(tensor, (self.num_dofs,), method), target))

    def apply_forces(
        self, force: Tensor | None, torque: Tensor | None, pos: Tensor | None, space: int, method: str
    ) -> None:
        """Add forces and torques on all bodies `(N, B, 3)` in the next step, at `pos` or the centres of mass."""
        self.worlds.refresh()
        applied = self.worlds.xfrc_applied
        quat = self.columns("xquat", self.body)
        for given, part in ((force, slice(0, 3)), (torque, slice(3, 6))):
            if given is None:
                continue
            vector = self.full(given, (self.num_bodies, 3), method)
            local = int(space) == int(CoordinateSpace.LOCAL_SPACE)
            vector = rotations.rotate(quat, vector) if local else vector
            applied[:, self.body, part] += vector
            if pos is not None and part.start == 0:
                point = self.full(pos, (self.num_bodies, 3), method)
                if local:
                    point = self.columns("xpos", self.body) + rotations.rotate(quat, point)
                arm = point - self.columns("xipos", self.body)
                applied[:, self.body, 3:] += torch.linalg.cross(arm, vector)

    # time

    def _damping_rates(self) -> Tensor | None:
        """`(2, B, 1)` linear and angular damping rates in 1/s, None if all are 0."""
        rates = [
            (actor.asset.options.linear_damping, actor.asset.options.angular_damping)
            for actor in self._sim.envs[0].actors
            for _ in actor.asset.model.body_names
        ]
        damping = torch.tensor(rates, device=self.worlds.device).T.unsqueeze(-1)
        return damping if bool(damping.any()) else None

    def _damp(self) -> None:
        """Add the damping of bodies: momentum and angular momentum decay at these rates."""
        if self._damping is None:
            return
        linear, angular = self.com_velocity(None)
        applied = self.worlds.xfrc_applied
        applied[:, self.body, :3] -= self._damping[0] * self.properties.mass.unsqueeze(-1) * linear
        applied[:, self.body, 3:] -= self._damping[1] * self.angular_momentum(None, angular)

    def angular_momentum(self, which: Tensor | None, angular: Tensor) -> Tensor:
        """`(N, k, 3)` angular momentum about the centres of mass, in world axes."""
        body, inertia = self.body, self.properties.inertia
        if which is not None:
            body, inertia = body[which], inertia.index_select(1, which)
        quat = self.columns("xquat", body)
        local = (inertia @ rotations.rotate_inverse(quat, angular).unsqueeze(-1)).squeeze(-1)
        return rotations.rotate(quat, local)

    def simulate(self) -> None:
        """Take a step of `dt`; efforts and body forces act in it alone."""
        self._bring_up_to_date()
        self._armature.copy_(self.drives.armature)
        self.drives.apply()
        self.limits.apply()
        self._damp()
        self.sensors.before()
        self.worlds.step(self.substeps)
        self.sensors.after()
        self.worlds.xfrc_applied.zero_()
        self.drives.clear_effort()
