"""Where the bodies and degrees of freedom of an assembled model's actors are."""

from dataclasses import dataclass

import mujoco
import numpy as np

from isaachrl.sim.worlds.assemble import Actor, prefix
from isaachrl.sim.worlds.asset import ROOT_JOINT


@dataclass
class Layout:
    """Numbers into a model's arrays, as `(…)` int64 arrays. A actors, B bodies, D degrees of freedom, S shapes.

    Attributes:
        body: `(B,)` bodies, actor by actor; `body_start (A + 1,)` where each actor's begin.
        root: `(A,)` the actors' roots as numbers in `body`.
        tree: `(B,)` the body at the root of each body's tree, whose centre of mass `cvel` refers to.
        floating, fixed: actors of each kind.
        root_qpos, root_qvel: `(F, 7)` and `(F, 6)` coordinates of the floating actors' roots.
        mocap: `(X,)` mocap bodies of the fixed actors.
        dof_start: `(A + 1,)` where each actor's degrees of freedom begin.
        dof_qvel: `(D,)` velocities; these are also the rows of `dof_armature` and the like.
        scalar, scalar_qpos: hinges and slides, as degrees of freedom and coordinates.
        ball, ball_qpos: `(K, 3)` and `(K, 4)` the same of ball joints.
        limit: `(L,)` limited degrees of freedom of ball joints, whose actuators follow the drives.
        joint: `(D,)` joints.
        geom: `(S,)` shapes, actor by actor; `geom_start (A + 1,)`.
        tendon: `(T,)` fixed tendons, actor by actor; `tendon_start (A + 1,)`.
    """

    body: np.ndarray
    body_start: np.ndarray
    root: np.ndarray
    tree: np.ndarray
    floating: np.ndarray
    fixed: np.ndarray
    root_qpos: np.ndarray
    root_qvel: np.ndarray
    mocap: np.ndarray
    dof_start: np.ndarray
    dof_qvel: np.ndarray
    scalar: np.ndarray
    scalar_qpos: np.ndarray
    ball: np.ndarray
    ball_qpos: np.ndarray
    limit: np.ndarray
    joint: np.ndarray
    geom: np.ndarray
    geom_start: np.ndarray
    tendon: np.ndarray
    tendon_start: np.ndarray


def layout(model: mujoco.MjModel, actors: list[Actor]) -> Layout:
    """The layout of a model made by `assemble` of these actors."""
    body, geom, joint, scalar, ball, tendon = [], [], [], [], [], []
    for i, actor in enumerate(actors):
        asset, start = actor.asset, prefix(i)
        body += [model.body(start + name).id for name in asset.body_names]
        geom += [model.geom(start + name).id for name in asset.geom_names]
        tendon += [model.tendon(start + part.name).id for part in asset.tendons]
        for dof in asset.dofs:
            number = len(joint)
            joint.append(model.joint(start + dof.joint).id)
            if dof.kind != "ball":
                scalar.append(number)
            elif dof.axis == 0:
                ball.append([number, number + 1, number + 2])
    dofs = [dof for actor in actors for dof in actor.asset.dofs]
    axes = [dof.axis for dof in dofs]
    adr, vadr = model.jnt_qposadr, model.jnt_dofadr
    parts = ("body_names", "dofs", "geom_names", "tendons")
    starts = [_starts(len(getattr(actor.asset, part)) for actor in actors) for part in parts]
    floating = [i for i, actor in enumerate(actors) if not actor.fixed]
    fixed = [i for i, actor in enumerate(actors) if actor.fixed]
    free = [model.joint(prefix(i) + ROOT_JOINT).id for i in floating]
    ids, joints, balls = _ids(body), _ids(joint), _ids(ball).reshape(-1, 3)
    root = starts[0][:-1]
    return Layout(
        body=ids,
        body_start=starts[0],
        root=root,
        tree=model.body_rootid[ids].astype(np.int64),
        floating=_ids(floating),
        fixed=_ids(fixed),
        root_qpos=_ids(adr[free])[:, None] + np.arange(7),
        root_qvel=_ids(vadr[free])[:, None] + np.arange(6),
        mocap=_ids(model.body_mocapid[ids[root[fixed]]]),
        dof_start=starts[1],
        dof_qvel=_ids(vadr[joints]) + _ids(axes),
        scalar=_ids(scalar),
        scalar_qpos=_ids(adr[joints[_ids(scalar)]]),
        ball=balls,
        ball_qpos=_ids(adr[joints[balls[:, 0]]])[:, None] + np.arange(4),
        limit=_ids([i for i, dof in enumerate(dofs) if dof.kind == "ball" and dof.limited]),
        joint=joints,
        geom=_ids(geom),
        geom_start=starts[2],
        tendon=_ids(tendon),
        tendon_start=starts[3],
    )


def _ids(values: object) -> np.ndarray:
    """Numbers as an array of int64, also if there are none."""
    return np.asarray(values, dtype=np.int64)


def _starts(counts: object) -> np.ndarray:
    """Where groups of these sizes start, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(list(counts)))).astype(np.int64)  # pyright: ignore[reportArgumentType, reportCallIssue]
