"""Methods of the API about environments and actors."""

import copy
import logging
import math
from collections.abc import Callable

import numpy as np

from isaachrl.compat.isaacgym.enums import IndexDomain
from isaachrl.compat.isaacgym.gym_assets import index_of
from isaachrl.compat.isaacgym.objects import Actor, Asset, Env, Sim, matrix, new_actor, scalar
from isaachrl.compat.isaacgym.structs import AttractorProperties, RigidBodyProperties, RigidShapeProperties
from isaachrl.compat.isaacgym.vectors import Mat33, Transform, Vec3
from isaachrl.errors import ConfigError

log = logging.getLogger(__name__)


class ActorMethods:
    """Creating and querying environments and actors. An actor's handle is its number in the environment."""

    def create_env(self, sim: Sim, lower: Vec3, upper: Vec3, num_per_row: int) -> Env:
        """Add an environment; its origin is on a grid whose cells have the size `upper - lower`."""
        _unbuilt(sim, "create_env")
        index, size = len(sim.envs), upper - lower
        row, column = divmod(index, max(num_per_row, 1))
        origin = Vec3(column * size.x, row * size.y, 0.0)
        if sim.params.up_axis == 0:
            origin = Vec3(column * size.x, 0.0, row * size.z)
        sim.envs.append(Env(sim, index, origin))
        return sim.envs[-1]

    def create_actor(
        self, env: Env, asset: Asset, pose: Transform, name: str = "", group: int = -1, filter: int = -1,
        segmentationId: int = 0,  # noqa: N803
    ) -> int:  # fmt: skip
        """Add an actor; its number in the environment. A filter of -1 leaves those of the shapes."""
        _unbuilt(env.sim, "create_actor")
        env.actors.append(new_actor(asset, pose, name or f"actor_{len(env.actors)}", group, filter))
        return len(env.actors) - 1

    def create_rigid_body_attractor(self, env: Env, props: AttractorProperties) -> int:
        """Add an attractor of the three translations."""
        _unbuilt(env.sim, "create_rigid_body_attractor")
        if props.axes != 7:
            raise NotImplementedError(
                f"create_rigid_body_attractor: axes {props.axes}; only AXIS_TRANSLATION is simulated"
            )
        env.attractors.append(copy.deepcopy(props))
        return len(env.attractors) - 1

    def get_env_origin(self, env: Env) -> Vec3:
        """Where an environment is drawn; positions are relative to it."""
        return copy.copy(env.origin)

    def get_env_count(self, sim: Sim) -> int:
        """Number of environments."""
        return len(sim.envs)

    def get_env(self, sim: Sim, index: int) -> Env:
        """An environment."""
        return sim.envs[index]

    def get_actor_count(self, env: Env) -> int:
        """Number of actors of an environment."""
        return len(env.actors)

    def get_actor_handle(self, env: Env, index: int) -> int:
        """The handle of an environment's actor."""
        return index if 0 <= index < len(env.actors) else -1

    def find_actor_handle(self, env: Env, name: str) -> int:
        """The handle of the actor of that name, -1 if there is none."""
        return index_of([actor.name for actor in env.actors], name)

    def get_actor_name(self, env: Env, handle: int) -> str:
        """The name of an actor."""
        return actor_of(env, handle).name

    def get_actor_asset(self, env: Env, handle: int) -> Asset:
        """The asset of an actor."""
        return actor_of(env, handle).asset

    def get_actor_index(self, env: Env, handle: int, domain: IndexDomain) -> int:
        """An actor's number in the environment or the simulation."""
        return place(env, handle, domain, lambda actor: 1)

    def find_actor_index(self, env: Env, name: str, domain: IndexDomain) -> int:
        """`get_actor_index` by name, -1 if there is none."""
        handle = self.find_actor_handle(env, name)
        return handle if handle < 0 else self.get_actor_index(env, handle, domain)

    def get_actor_rigid_body_count(self, env: Env, handle: int) -> int:
        """Number of bodies of an actor."""
        return _bodies(actor_of(env, handle))

    def get_actor_rigid_body_names(self, env: Env, handle: int) -> list[str]:
        """Names of an actor's bodies."""
        return list(actor_of(env, handle).asset.model.body_names)

    def get_actor_rigid_body_dict(self, env: Env, handle: int) -> dict[str, int]:
        """An actor's bodies by name."""
        return {name: i for i, name in enumerate(actor_of(env, handle).asset.model.body_names)}

    def get_actor_rigid_body_index(self, env: Env, handle: int, index: int, domain: IndexDomain) -> int:
        """The number of an actor's body in the actor, the environment or the simulation."""
        return place(env, handle, domain, _bodies, index)

    def find_actor_rigid_body_index(self, env: Env, handle: int, name: str, domain: IndexDomain) -> int:
        """`get_actor_rigid_body_index` by name, -1 if there is none."""
        index = index_of(actor_of(env, handle).asset.model.body_names, name)
        return index if index < 0 else place(env, handle, domain, _bodies, index)

    def find_actor_rigid_body_handle(self, env: Env, handle: int, name: str) -> int:
        """The number of a body in the environment, -1 if there is none of that name."""
        return self.find_actor_rigid_body_index(env, handle, name, IndexDomain.DOMAIN_ENV)

    def get_actor_rigid_body_handle(self, env: Env, handle: int, index: int) -> int:
        """The number of an actor's body in the environment."""
        return place(env, handle, IndexDomain.DOMAIN_ENV, _bodies, index)

    def get_actor_root_rigid_body_handle(self, env: Env, handle: int) -> int:
        """The number of an actor's root in the environment."""
        return self.get_actor_rigid_body_handle(env, handle, 0)

    def get_actor_dof_count(self, env: Env, handle: int) -> int:
        """Number of degrees of freedom of an actor."""
        return _dofs(actor_of(env, handle))

    def get_actor_dof_names(self, env: Env, handle: int) -> list[str]:
        """Names of an actor's degrees of freedom."""
        return actor_of(env, handle).asset.dof_names

    def get_actor_dof_dict(self, env: Env, handle: int) -> dict[str, int]:
        """An actor's degrees of freedom by name."""
        return {name: i for i, name in enumerate(actor_of(env, handle).asset.dof_names)}

    def get_actor_dof_index(self, env: Env, handle: int, index: int, domain: IndexDomain) -> int:
        """The number of a degree of freedom in the actor, the environment or the simulation."""
        return place(env, handle, domain, _dofs, index)

    def find_actor_dof_index(self, env: Env, handle: int, name: str, domain: IndexDomain) -> int:
        """`get_actor_dof_index` by name, -1 if there is none."""
        index = index_of(actor_of(env, handle).asset.dof_names, name)
        return index if index < 0 else place(env, handle, domain, _dofs, index)

    def find_actor_dof_handle(self, env: Env, handle: int, name: str) -> int:
        """The number of a degree of freedom in the environment, -1 if there is none of that name."""
        return self.find_actor_dof_index(env, handle, name, IndexDomain.DOMAIN_ENV)

    def get_actor_dof_handle(self, env: Env, handle: int, index: int) -> int:
        """The number of an actor's degree of freedom in the environment."""
        return place(env, handle, IndexDomain.DOMAIN_ENV, _dofs, index)

    def get_actor_dof_properties(self, env: Env, handle: int) -> np.ndarray:
        """A copy of the properties of an actor's degrees of freedom."""
        return actor_of(env, handle).dof_props.copy()

    def set_actor_dof_properties(self, env: Env, handle: int, props: np.ndarray) -> bool:
        """Set drives, limits, friction and armature of an actor."""
        actor = actor_of(env, handle)
        if props.dtype != actor.dof_props.dtype or len(props) != len(actor.dof_props):
            raise ConfigError(
                f"set_actor_dof_properties: {len(props)} rows of {props.dtype} came for {len(actor.dof_props)} degrees"
                " of freedom; change the array of get_actor_dof_properties and hand it back"
            )
        actor.dof_props = props.copy()
        changed(env, handle)
        return True

    def get_actor_rigid_shape_count(self, env: Env, handle: int) -> int:
        """Number of shapes of an actor."""
        return len(actor_of(env, handle).shape_props)

    def get_actor_rigid_shape_properties(self, env: Env, handle: int) -> list[RigidShapeProperties]:
        """Copies of the properties of an actor's shapes."""
        return [copy.copy(shape) for shape in actor_of(env, handle).shape_props]

    def set_actor_rigid_shape_properties(self, env: Env, handle: int, props: list[RigidShapeProperties]) -> bool:
        """Set the properties of an actor's shapes; friction alone can change after `prepare_sim`."""
        actor = actor_of(env, handle)
        if len(props) != len(actor.shape_props):
            raise ConfigError(
                f"set_actor_rigid_shape_properties: {len(props)} properties came for {len(actor.shape_props)} shapes"
            )
        if any(scalar(shape.restitution) > 0 or scalar(shape.compliance) > 0 for shape in props):
            warn_once("restitution and compliance are not simulated: contacts have MuJoCo's")
        actor.shape_props = [copy.copy(shape) for shape in props]
        changed(env, handle)
        return True

    def get_actor_rigid_body_properties(self, env: Env, handle: int) -> list[RigidBodyProperties]:
        """Copies of mass, centre of mass and inertia of an actor's bodies."""
        return [_copied(body) for body in actor_of(env, handle).body_props]

    def set_actor_rigid_body_properties(
        self, env: Env, handle: int, props: list[RigidBodyProperties],
        recomputeInertia: bool = True,  # noqa: N803
    ) -> bool:  # fmt: skip
        """Set mass, centre of mass and inertia of an actor's bodies.

        With `recomputeInertia` the inertia is that of the asset, scaled with the mass.
        """
        actor = actor_of(env, handle)
        if len(props) != len(actor.body_props):
            raise ConfigError(
                f"set_actor_rigid_body_properties: {len(props)} properties came for {len(actor.body_props)} bodies"
            )
        bodies = [_copied(body) for body in props]
        for body in bodies:
            body.mass = scalar(body.mass)
        if recomputeInertia:
            model = actor.asset.model
            for body, mass, inertia in zip(bodies, model.body_mass, model.body_inertia, strict=True):
                body.inertia = matrix(inertia * actor.scale**2 * body.mass / max(float(mass), 1e-12))
        actor.body_props = bodies
        changed(env, handle)
        return True

    def get_actor_scale(self, env: Env, handle: int) -> float:
        """The scale of an actor."""
        return actor_of(env, handle).scale

    def set_actor_scale(self, env: Env, handle: int, scale: float) -> bool:
        """Scale an actor's lengths, and with them its masses and inertias, before `prepare_sim`."""
        actor, scale = actor_of(env, handle), scalar(scale)
        if not 0 < scale < math.inf:
            raise ConfigError(f"set_actor_scale: scale {scale}; it must be above 0")
        ratio = scale / actor.scale
        if abs(ratio - 1.0) > 1e-6:
            _unbuilt(env.sim, "set_actor_scale")
            _scale(actor, ratio)
        return True

    def enable_actor_dof_force_sensors(self, env: Env, handle: int) -> bool:
        """Have the forces of an actor's drives in the tensor of forces."""
        _unbuilt(env.sim, "enable_actor_dof_force_sensors")
        actor_of(env, handle).dof_force = True
        return True


def actor_of(env: Env, handle: int) -> Actor:
    """An environment's actor.

    Raises:
        ConfigError: there is none of that handle.
    """
    if not 0 <= handle < len(env.actors):
        raise ConfigError(f"actor handle {handle}: environment {env.index} has actors 0 to {len(env.actors) - 1}")
    return env.actors[handle]


def _bodies(actor: Actor) -> int:
    """Number of bodies of an actor."""
    return len(actor.asset.model.body_names)


def _dofs(actor: Actor) -> int:
    """Number of degrees of freedom of an actor."""
    return len(actor.asset.model.dofs)


def place(env: Env, handle: int, domain: IndexDomain, count: Callable[[Actor], int], index: int = 0) -> int:
    """Where the `index`-th of an actor's things is among all of a domain."""
    actor_of(env, handle)
    if domain == IndexDomain.DOMAIN_ACTOR:
        return index
    index += sum(count(actor) for actor in env.actors[:handle])
    if domain == IndexDomain.DOMAIN_SIM:
        index += sum(count(actor) for other in env.sim.envs[: env.index] for actor in other.actors)
    return index


def _copied(body: RigidBodyProperties) -> RigidBodyProperties:
    """A copy that shares nothing."""
    inertia, inverse = (Mat33(copy.copy(m.x), copy.copy(m.y), copy.copy(m.z)) for m in (body.inertia, body.invInertia))
    return RigidBodyProperties(copy.copy(body.com), body.flags, inertia, inverse, body.invMass, body.mass)


def _scale(actor: Actor, ratio: float) -> None:
    """Scale an actor, at constant density."""
    if 'type="mesh"' in actor.asset.model.xml:
        raise NotImplementedError(f"set_actor_scale: actor {actor.name!r} has shapes of meshes, which keep their size")
    bodies = [_copied(body) for body in actor.body_props]
    for body in bodies:
        body.mass, body.com = scalar(body.mass) * ratio**3, body.com * ratio
        body.inertia = matrix(body.inertia.array() * ratio**5)
    slides = np.array([dof.kind == "slide" for dof in actor.asset.model.dofs], bool)
    dofs = actor.dof_props.copy()
    for name in ("lower", "upper"):
        dofs[name][slides] *= ratio
    actor.scale, actor.body_props, actor.dof_props = actor.scale * ratio, bodies, dofs


def changed(env: Env, handle: int) -> None:
    """Take over changed properties, if the worlds are built."""
    if env.sim.physics is not None:
        env.sim.physics.properties.update(env.index, handle, env.actors[handle])


def _unbuilt(sim: Sim, method: str) -> None:
    """Check that the worlds are not built.

    Raises:
        ConfigError: they are.
    """
    if sim.physics is not None:
        raise ConfigError(f"{method} came after prepare_sim, or after a tensor was used: call it before")


def warn_once(message: str, said: set[str] = set()) -> None:  # noqa: B006
    """Log a warning the first time."""
    if message not in said:
        said.add(message)
        log.warning(message)
