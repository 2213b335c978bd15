"""A simulation whose up axis is y, the default of `SimParams`: gravity, ground, states, forces, refused terrain."""

import math

import numpy as np
import pytest

from isaachrl.compat.isaacgym import gymapi, terrain_utils
from tests.compat.scenes import GYM, Scene, fill, load, options, transform

pytestmark = pytest.mark.usefixtures("each_engine")
POST = (
    """<mujoco><worldbody><body name="post"><geom type="box" size=".1 .05 .2" mass="2"/></body></worldbody></mujoco>"""
)
ARM = """<mujoco><worldbody><body name="base"><geom size=".02" mass="1" contype="0" conaffinity="0"/>
<body name="arm"><joint name="swing" axis="0 1 0"/><inertial pos="0.3 0 0" mass="2" diaginertia=".1 .1 .1"/></body>
</body></worldbody></mujoco>"""
UPRIGHT = gymapi.Quat.from_axis_angle(gymapi.Vec3(1, 0, 0), -math.pi / 2)  # the file's z to the world's y


def new_sim(ground_m=None):
    """Defaults but for a step of 0.01 s: gravity along -y, a ground whose normal is y."""
    params = gymapi.SimParams()
    params.dt, params.up_axis = 0.01, gymapi.UP_AXIS_Y
    scene = Scene(GYM.create_sim(0, -1, gymapi.SIM_PHYSX, params))
    if ground_m is not None:
        plane = gymapi.PlaneParams()
        plane.distance = ground_m
        GYM.add_ground(scene.sim, plane)
    return scene


def test_a_turned_body_stands_on_the_ground_and_its_weight_is_along_y(tmp_path):
    scene = new_sim(ground_m=0.5)  # below the origin
    post = load(scene, tmp_path, POST)
    fill(scene, [(post, transform(y=-0.25, r=UPRIGHT), None, 0), (post, transform(x=1, y=0.0), None, 0)]).prepare()
    scene.step(80)
    root = scene.wrap("actor_root_state").view(2, 2, 13)
    assert root[1, 0, :7].tolist() == pytest.approx([0, -0.3, 0, -math.sqrt(0.5), 0, 0, math.sqrt(0.5)], abs=2e-3)
    assert root[1, 1, :3].tolist() == pytest.approx([1, -0.45, 0], abs=2e-3)  # lies on its narrow side: y is the file's
    force = scene.wrap("net_contact_force").view(2, 2, 3)
    assert force[1, 0].tolist() == pytest.approx([0, 2 * 9.8, 0], abs=0.2)
    assert force[0, 1].tolist() == pytest.approx([0, 2 * 9.8, 0], abs=0.2)


def test_environments_are_spread_over_x_and_z():
    scene = new_sim()
    sphere = GYM.create_sphere(scene.sim, 0.1, options())
    for i in range(4):
        env = GYM.create_env(scene.sim, gymapi.Vec3(-1, 0, -2), gymapi.Vec3(1, 3, 2), 2)
        GYM.create_actor(env, sphere, transform(y=1.0), "ball", i, 0)
        scene.envs.append(env)
    scene.prepare()
    origins = [GYM.get_env_origin(env) for env in scene.envs]
    assert [(o.x, o.y, o.z) for o in origins] == [(0, 0, 0), (2, 0, 0), (0, 0, 4), (2, 0, 4)]
    scene.step(10)
    falling = scene.wrap("actor_root_state")[3]
    assert falling[:3].tolist() == pytest.approx([0, 1 - 9.8 / 2 * 0.1**2, 0], abs=3e-3)  # relative to its environment
    assert falling[7:10].tolist() == pytest.approx([0, -0.98, 0], abs=1e-4)


def test_gravity_turns_a_turned_joint(tmp_path):
    """Turned by `UPRIGHT` the joint's axis is -z, about which the weight at +x turns forwards."""
    scene = new_sim()
    fill(scene, [(load(scene, tmp_path, ARM, fix_base_link=True), transform(y=2, r=UPRIGHT), None, 0)]).prepare()
    scene.step()
    acceleration = 2 * 9.8 * 0.3 / (0.1 + 2 * 0.3**2)
    assert scene.wrap("dof_state")[0, 1].item() == pytest.approx(0.01 * acceleration, rel=1e-3)
    assert scene.wrap("rigid_body_state").view(2, 2, 13)[0, 1, 8].item() == pytest.approx(
        -0.3 * 0.01 * acceleration, rel=1e-3
    )


def test_terrain_is_refused():
    scene = new_sim()
    params = gymapi.HeightFieldParams()
    params.nbRows = params.nbColumns = 4
    with pytest.raises(NotImplementedError, match=r"add_heightfield: .*up_axis = gymapi\.UP_AXIS_Z"):
        GYM.add_heightfield(scene.sim, np.zeros((4, 4), np.int16), params)
    vertices, triangles = terrain_utils.convert_heightfield_to_trimesh(np.zeros((4, 4), np.int16), 0.5, 0.1, 1.5)
    mesh = gymapi.TriangleMeshParams()
    mesh.nb_vertices, mesh.nb_triangles = len(vertices), len(triangles)
    with pytest.raises(NotImplementedError, match=r"add_triangle_mesh: .*up_axis = gymapi\.UP_AXIS_Z"):
        GYM.add_triangle_mesh(scene.sim, vertices.flatten(), triangles.flatten(), mesh)
