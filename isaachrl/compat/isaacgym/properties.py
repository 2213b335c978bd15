"""Properties of degrees of freedom, shapes and bodies of all environments, and their way into the worlds.

Setters of single actors write rows of arrays on the host, and `upload` copies each array as a whole: a task that
randomises thousands of environments would otherwise wait for the device thousands of times.
"""

import numpy as np
import torch
from torch import Tensor

from isaachrl.compat.isaacgym import tendons
from isaachrl.compat.isaacgym.build import mixed_friction, shape_friction
from isaachrl.compat.isaacgym.drives import Drives
from isaachrl.compat.isaacgym.objects import DOF_PROPERTIES, LARGE, Actor, Sim, scalar
from isaachrl.sim.worlds import Layout, Worlds


class Properties:
    """All properties as arrays with a row an environment; `upload` writes what changed.

    Args:
        sim: whose environments have the properties.
        worlds: that they are written to.
        layout: of the worlds' model.
        drives: that gains, limits and modes are written to.

    Attributes:
        mass, com, inertia: `(N, B)` kg, `(N, B, 3)` m and `(N, B, 3, 3)` kg m², in the axes of the body.
        lower, upper: `(N, D)` limits of the degrees of freedom.
        armature: `(N, D)` of the degrees of freedom, without that of the drives.
    """

    def __init__(self, sim: Sim, worlds: Worlds, layout: Layout, drives: Drives) -> None:
        self._sim, self._worlds, self._layout, self._drives = sim, worlds, layout, drives
        n, bodies = worlds.num_worlds, len(layout.body)
        self._dof = np.zeros((n, len(layout.joint)), DOF_PROPERTIES)
        self._friction = np.zeros((n, len(layout.geom)))
        self._tendon = np.zeros((n, len(layout.tendon), len(tendons.FIELDS)))
        self._bodies = np.zeros((n, bodies)), np.zeros((n, bodies, 3)), np.zeros((n, bodies, 3, 3))
        self.mass = torch.zeros(n, bodies, device=worlds.device)
        self.com = torch.zeros(n, bodies, 3, device=worlds.device)
        self.inertia = torch.zeros(n, bodies, 3, 3, device=worlds.device)
        self.armature, self.lower, self.upper = torch.zeros(3, *self._dof.shape, device=worlds.device)
        self._scale = np.array([[actor.scale for actor in env.actors] for env in sim.envs])
        self._changed = {"scale"} if np.any(self._scale != 1.0) else set[str]()
        self._own: set[str] = set()  # model fields that differ between worlds
        for env in sim.envs:
            for number, actor in enumerate(env.actors):
                self.update(env.index, number, actor)

    def update(self, row: int, number: int, actor: Actor) -> None:
        """Take over the properties of an environment's actor."""
        lay = self._layout
        dofs, geoms, bodies, parts = (
            slice(starts[number], starts[number + 1])
            for starts in (lay.dof_start, lay.geom_start, lay.body_start, lay.tendon_start)
        )
        self._dof[row, dofs] = actor.dof_props
        self._friction[row, geoms] = shape_friction(actor)
        self._tendon[row, parts] = tendons.rows(actor.tendon_props)
        for array, values in zip(self._bodies, _body_arrays(actor), strict=True):
            array[row, bodies] = values
        self._changed |= {"dof", "friction", "body"}

    def upload(self) -> None:
        """Write what changed since the last call."""
        if not self._changed:
            return
        changed, self._changed = self._changed, set()
        constants = False
        if "scale" in changed:
            self._upload_scales()
        if "dof" in changed:
            constants |= self._upload_dofs()
        if "friction" in changed:
            mixed = mixed_friction(self._friction, self._sim.ground)
            self._set("geom_friction", self._layout.geom, mixed, 0)
        if "body" in changed:
            constants |= self._upload_bodies()
        if len(self._layout.tendon):  # after what their weights depend on
            tendons.upload(self._worlds, self._layout.tendon, self._tendon, self._worlds.model.opt.timestep)
        elif constants:
            self._worlds.apply_model_fields()

    def _upload_dofs(self) -> bool:
        """Write drives, armature, friction and limits; whether constants of the model depend on what changed."""
        device = self._worlds.device
        names = ("driveMode", "stiffness", "damping", "effort")
        self._drives.set_properties(*(torch.from_numpy(self._dof[name].copy()).to(device) for name in names))
        for name in ("armature", "lower", "upper"):
            getattr(self, name).copy_(torch.from_numpy(self._dof[name].copy()))
        armature = self._dof["armature"] + self._drives.armature.cpu().numpy()
        changed = self._set("dof_armature", self._layout.dof_qvel, armature)
        self._set("dof_frictionloss", self._layout.dof_qvel, self._dof["friction"])
        self._limit_velocities()
        scalar = self._layout.scalar
        limits = np.stack((self._dof["lower"], self._dof["upper"]), -1)[:, scalar]
        limited = self._worlds.model.jnt_limited[self._layout.joint[scalar]].astype(bool)
        self._set("jnt_range", self._layout.joint[scalar][limited], limits[:, limited])
        return changed

    def _limit_velocities(self) -> None:
        """Have the worlds clamp velocities, if there are limits."""
        limit = self._dof["velocity"]
        self._worlds.max_velocity = None
        if np.any((limit > 0) & (limit < LARGE)):
            largest = torch.full((len(limit), self._worlds.model.nv), LARGE, device=self._worlds.device)
            values = torch.from_numpy(np.where(limit > 0, limit, LARGE)).to(largest)
            largest[:, torch.from_numpy(self._layout.dof_qvel).to(largest.device)] = values
            self._worlds.max_velocity = largest

    def _upload_scales(self) -> None:
        """Write the lengths of the model that `Actor.scale` changes."""
        lay, model = self._layout, self._worlds.model
        owner = {
            name: np.repeat(np.arange(self._scale.shape[1]), np.diff(starts))
            for name, starts in (("body", lay.body_start), ("geom", lay.geom_start), ("joint", lay.dof_start))
        }
        below = np.setdiff1d(np.arange(len(lay.body)), lay.root)  # roots are placed by their coordinates
        for name, ids, actors in (
            *((name, lay.geom, owner["geom"]) for name in ("geom_size", "geom_pos", "geom_rbound", "geom_aabb")),
            ("body_pos", lay.body[below], owner["body"][below]),
            ("jnt_pos", lay.joint, owner["joint"]),
        ):
            target, given = self._worlds.model_field(name), getattr(model, name)[ids]
            factor = self._scale[:, actors].reshape(len(self._scale), len(ids), *[1] * (given.ndim - 1))
            rows = torch.from_numpy(ids).to(target.device)
            target[:, rows] = torch.from_numpy(factor * given).to(target).view(target[:, rows].shape)

    def _upload_bodies(self) -> bool:
        """Write mass, centre of mass and inertia of bodies that differ from the model."""
        body, model = self._layout.body, self._worlds.model
        for tensor, array in zip((self.mass, self.com, self.inertia), self._bodies, strict=True):
            tensor.copy_(torch.from_numpy(array))
        mass, com, inertia = self._bodies
        given = model.body_mass[body], model.body_ipos[body], self._model_inertia()
        pairs = zip((mass, com, inertia), given, strict=True)
        if "body_mass" not in self._own and all(np.allclose(a, b, rtol=1e-4, atol=1e-9) for a, b in pairs):
            return False
        values, axes = np.linalg.eigh(inertia)
        axes[..., 2] *= np.sign(np.linalg.det(axes))[..., None]
        self._set("body_mass", body, mass)
        self._set("body_ipos", body, com)
        self._set("body_inertia", body, values)
        self._set("body_iquat", body, _quaternions(axes))
        return True

    def _model_inertia(self) -> np.ndarray:
        """The inertia `(B, 3, 3)` in the model."""
        return np.concatenate([actor.asset.model.body_inertia for actor in self._sim.envs[0].actors])

    def _set(self, name: str, ids: np.ndarray, values: np.ndarray, column: int | None = None) -> bool:
        """Write rows `ids` of a model field, if they differ from the model's; whether they did."""
        shared = getattr(self._worlds.model, name)[ids]
        shared = shared if column is None else shared[..., column]
        if not len(ids) or (name not in self._own and np.allclose(values, shared[None], rtol=1e-5, atol=1e-9)):
            return False
        self._own.add(name)
        target = self._worlds.model_field(name)
        target = target if column is None else target[..., column]
        target[:, torch.from_numpy(ids).to(target.device)] = torch.from_numpy(np.ascontiguousarray(values)).to(target)
        return True


def _body_arrays(actor: Actor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mass, centre of mass and inertia of an actor's bodies."""
    props = actor.body_props
    mass = np.array([scalar(p.mass) for p in props])
    return mass, np.stack([p.com.array() for p in props]), np.stack([p.inertia.array() for p in props])


def _quaternions(axes: np.ndarray) -> np.ndarray:
    """Quaternions `(…, 4)`, w first, of rotation matrices `(…, 3, 3)` (Bar-Itzhack 2000)."""
    m = axes
    k = np.zeros((*m.shape[:-2], 4, 4))
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    k[..., 0, 0] = xx + yy + zz
    k[..., 1, 1], k[..., 2, 2], k[..., 3, 3] = xx - yy - zz, yy - xx - zz, zz - xx - yy
    k[..., 0, 1] = k[..., 1, 0] = m[..., 2, 1] - m[..., 1, 2]
    k[..., 0, 2] = k[..., 2, 0] = m[..., 0, 2] - m[..., 2, 0]
    k[..., 0, 3] = k[..., 3, 0] = m[..., 1, 0] - m[..., 0, 1]
    k[..., 1, 2] = k[..., 2, 1] = m[..., 1, 0] + m[..., 0, 1]
    k[..., 1, 3] = k[..., 3, 1] = m[..., 2, 0] + m[..., 0, 2]
    k[..., 2, 3] = k[..., 3, 2] = m[..., 2, 1] + m[..., 1, 2]
    return np.linalg.eigh(k)[1][..., -1]


def as_index(values: np.ndarray, device: torch.device) -> Tensor:
    """Numbers as an index tensor."""
    return torch.from_numpy(values).to(device)
