"""Builds the worlds of a simulation from its environments."""

import numpy as np
import torch
from torch import Tensor

from isaachrl.compat.isaacgym.objects import Actor, Env, Sim, scalar
from isaachrl.errors import ConfigError
from isaachrl.sim import worlds as w

MAX_KINDS = 30  # contact bits of a MuJoCo geom


def build_world(sim: Sim) -> w.World:
    """The content of one world, which is that of the first environment.

    Raises:
        ConfigError: there is no environment.
        NotImplementedError: the environments hold different assets.
    """
    if not sim.envs:
        raise ConfigError("the simulation has no environment: call create_env and create_actor before prepare_sim")
    first = sim.envs[0]
    for env in sim.envs:
        same = len(env.actors) == len(first.actors) and all(
            a.asset.model is b.asset.model or a.asset.model.xml == b.asset.model.xml
            for a, b in zip(env.actors, first.actors, strict=True)
        )
        if not same:
            raise NotImplementedError(
                f"environment {env.index} holds other assets than environment 0: isaachrl simulates copies of one world"
            )
    if any(isinstance(ground, w.HeightMap) for ground in sim.ground) and any(e.origin.length() > 0 for e in sim.envs):
        raise NotImplementedError(
            "terrain with a spacing of environments: create them with lower = upper = Vec3(0, 0, 0)"
        )
    gravity = sim.params.gravity.array()
    world = w.World(timestep_s=sim.params.dt / max(sim.params.substeps, 1), gravity=gravity, ground=list(sim.ground))
    world.sizes_differ = any(actor.scale != 1.0 for env in sim.envs for actor in env.actors)
    bits = contact_bits(first)
    for actor, (contype, conaffinity) in zip(first.actors, bits, strict=True):
        friction = shape_friction(actor)
        world.actors.append(
            w.Actor(
                asset=actor.asset.model,
                pos=actor.pose.p.array(),
                quat=actor.pose.r.wxyz(),
                fixed=actor.asset.options.fix_base_link,
                gravity=not actor.asset.options.disable_gravity,
                contype=contype,
                conaffinity=conaffinity,
                friction=mixed_friction(friction, sim.ground),
            )  # fmt: skip
        )
    world.attractors = [_attractor(first, number) for number in range(len(first.attractors))]
    return world


def shape_friction(actor: Actor) -> np.ndarray:
    """`(S,)` friction of an actor's shapes."""
    return np.array([scalar(shape.friction) for shape in actor.shape_props])


def mixed_friction(friction: np.ndarray, ground: list) -> np.ndarray:
    """Friction of shapes against the ground: the average of both, as PhysX has it by default."""
    return 0.5 * (friction + ground[0].friction) if ground else friction


def contact_bits(env: Env) -> list[tuple[np.ndarray, np.ndarray]]:
    """`contype` and `conaffinity` of each actor's shapes.

    Shapes touch if their groups are equal or one is -1, and their filters have no bit in common. Each pair of group and
    filter is one kind, with one bit.

    Raises:
        NotImplementedError: there are more kinds than bits.
    """
    kinds: dict[tuple[int, int], int] = {}
    numbers = []
    for actor in env.actors:
        filters = [actor.filter if actor.filter >= 0 else shape.filter for shape in actor.shape_props]
        numbers.append([kinds.setdefault((actor.group, int(bits)), len(kinds)) for bits in filters])
    if len(kinds) > MAX_KINDS:
        raise NotImplementedError(f"{len(kinds)} combinations of collision group and filter; at most {MAX_KINDS}")
    affinity = [sum(1 << j for other, j in kinds.items() if _touch(kind, other)) for kind in kinds]
    result = []
    for actor, row in zip(env.actors, numbers, strict=True):
        solid = np.array(actor.asset.model.geom_solid, bool)
        contype = np.array([1 << kind for kind in row], dtype=np.int64) * solid
        result.append((contype, np.array([affinity[kind] for kind in row], dtype=np.int64) * solid))
    return result


def _touch(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether shapes of two kinds of (group, filter) touch."""
    return (a[0] == b[0] or -1 in (a[0], b[0])) and a[1] & b[1] == 0


def _attractor(env: Env, number: int) -> w.Attractor:
    """An attractor; its handle counts bodies of the environment."""
    given, body = env.attractors[number], env.attractors[number].rigid_handle
    for i, actor in enumerate(env.actors):
        if body < len(actor.asset.model.body_names):
            offset, target = given.offset.p.array(), given.target.p.array()
            return w.Attractor(i, body, offset, target, given.stiffness)
        body -= len(actor.asset.model.body_names)
    raise ConfigError(f"an attractor has rigid_handle {given.rigid_handle}, which is no body of the environment")


def start_state(sim: Sim, layout: w.Layout, worlds: w.Worlds) -> dict[str, Tensor]:
    """Coordinates of all worlds at the poses that their actors were created with."""
    n = len(sim.envs)
    qpos = np.tile(worlds.model.qpos0, (n, 1))
    mocap_pos, mocap_quat = np.zeros((n, worlds.model.nmocap, 3)), np.zeros((n, worlds.model.nmocap, 4))
    for row, env in enumerate(sim.envs):
        for i, columns in zip(layout.floating, layout.root_qpos, strict=True):
            qpos[row, columns] = np.concatenate(_pose(env.actors[i]))
        for i, mocap in zip(layout.fixed, layout.mocap, strict=True):
            mocap_pos[row, mocap], mocap_quat[row, mocap] = _pose(env.actors[i])
    arrays = {"qpos": qpos, "qvel": np.zeros((n, worlds.model.nv)), "mocap_pos": mocap_pos, "mocap_quat": mocap_quat}
    return {name: torch.tensor(a, dtype=torch.float32, device=worlds.device) for name, a in arrays.items()}


def _pose(actor: Actor) -> tuple[np.ndarray, np.ndarray]:
    """The actor's first pose."""
    return actor.pose.p.array(), actor.pose.r.wxyz()
