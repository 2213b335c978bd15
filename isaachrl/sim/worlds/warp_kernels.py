"""Warp kernels: reset of diverged worlds, contacts of objects, body velocities. A thread per world, sensor or body."""

import warp as wp


@wp.kernel(enable_backward=False)
def reset_diverged(
    limit: float,
    qpos0: wp.array2d[float],
    mocap_pos0: wp.array[wp.vec3],
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    qacc: wp.array2d[float],
    warmstart: wp.array2d[float],
    time: wp.array[float],
    mocap_pos: wp.array2d[wp.vec3],
    diverged: wp.array[bool],
) -> None:
    """Reset worlds with a number of `limit` or more, or NaN, to the model's defaults, and flag them."""
    world = wp.tid()
    finite = wp.abs(qpos[world, 0]) < limit
    for i in range(qpos.shape[1]):
        finite = finite and wp.abs(qpos[world, i]) < limit  # false for NaN
    for i in range(qvel.shape[1]):
        finite = finite and wp.abs(qvel[world, i]) < limit and wp.abs(qacc[world, i]) < limit
    if finite:
        return
    diverged[world] = True
    time[world] = 0.0
    for i in range(qpos.shape[1]):
        qpos[world, i] = qpos0[world % qpos0.shape[0], i]
    for i in range(qvel.shape[1]):
        qvel[world, i] = 0.0
        qacc[world, i] = 0.0
        warmstart[world, i] = 0.0
    for i in range(mocap_pos.shape[1]):
        mocap_pos[world, i] = mocap_pos0[i]


@wp.kernel(enable_backward=False)
def count_diverged(diverged: wp.array[bool], count: wp.array[wp.int64], sensordata: wp.array2d[float]) -> None:
    """Add the flags to the counts and zero the sensors of flagged worlds."""
    world = wp.tid()
    if diverged[world]:
        count[world] = count[world] + wp.int64(1)
        for i in range(sensordata.shape[1]):
            sensordata[world, i] = 0.0


@wp.kernel(enable_backward=False)
def gather_contacts(
    first: int, diverged: wp.array[bool], sensordata: wp.array2d[float], found: wp.array2d[bool]
) -> None:
    """Set the flags of sensors, from number `first` on, that found a contact; clear those of diverged worlds."""
    world, i = wp.tid()
    if diverged[world]:
        found[world, i] = False
    elif sensordata[world, first + i] > 0.0:
        found[world, i] = True


@wp.kernel(enable_backward=False)
def linear_velocity(
    first: int,
    cvel: wp.array2d[wp.spatial_vector],
    xpos: wp.array2d[wp.vec3],
    subtree_com: wp.array2d[wp.vec3],
    linvel: wp.array2d[wp.vec3],
) -> None:
    """Velocity of body origins; the engine's `cvel` (angular, linear) is the velocity at the tree's centre of mass.

    The tree's bodies are consecutive in the model, from its root, body `first`.
    """
    world, i = wp.tid()
    velocity = cvel[world, first + i]
    arm = xpos[world, first + i] - subtree_com[world, first]
    linvel[world, i] = wp.spatial_bottom(velocity) + wp.cross(wp.spatial_top(velocity), arm)
