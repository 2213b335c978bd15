"""Kernels beside those of MuJoCo Warp: broken worlds, and velocities of bodies. One thread is one world or body."""

import warp as wp


@wp.kernel(enable_backward=False)
def heal(
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
    """Put worlds whose numbers are not below `limit` back to the model's defaults, and flag them."""
    world = wp.tid()
    sound = wp.abs(qpos[world, 0]) < limit
    for i in range(qpos.shape[1]):
        sound = sound and wp.abs(qpos[world, i]) < limit  # false for NaN, too
    for i in range(qvel.shape[1]):
        sound = sound and wp.abs(qvel[world, i]) < limit and wp.abs(qacc[world, i]) < limit
    if sound:
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
    """Add the flags to the counts; sensors of a flagged world say nothing."""
    world = wp.tid()
    if diverged[world]:
        count[world] = count[world] + wp.int64(1)
        for i in range(sensordata.shape[1]):
            sensordata[world, i] = 0.0


@wp.kernel(enable_backward=False)
def linear_velocity(
    first: int,
    cvel: wp.array2d[wp.spatial_vector],
    xpos: wp.array2d[wp.vec3],
    subtree_com: wp.array2d[wp.vec3],
    linvel: wp.array2d[wp.vec3],
) -> None:
    """Velocity of bodies' origins: the engine's `cvel` (angular, linear) is that at the whole robot's centre of mass.

    The robot's bodies stand together in the model, from body `first`, its root, on.
    """
    world, i = wp.tid()
    velocity = cvel[world, first + i]
    arm = xpos[world, first + i] - subtree_com[world, first]
    linvel[world, i] = wp.spatial_bottom(velocity) + wp.cross(wp.spatial_top(velocity), arm)
