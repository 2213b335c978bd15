"""What MJCF and URDF files become."""

import numpy as np
import pytest
import torch

from isaachrl.compat.isaacgym import gymapi, terrain_utils
from isaachrl.errors import ConfigError
from tests.compat.scenes import GYM, HINGE, fill, load, new_sim, options, transform

LINK = '<link name="{}"><inertial><mass value="{}"/><inertia ixx="0.1" iyy="0.2" izz="0.3"/></inertial></link>'
JOINT = (
    '<joint name="{0}_joint" type="{1}" {2}><parent link="{3}"/><child link="{0}"/><origin xyz="0 0 {4}"/>{5}</joint>'
)
LIMIT = '<limit lower="-1" upper="2" effort="7" velocity="3"/><axis xyz="0 1 0"/>'


def urdf(*parts):
    return f'<robot name="r">{"".join(parts)}</robot>'


def test_links_of_urdf_are_in_depth_first_order_of_their_names(tmp_path):
    scene = new_sim()
    links = [LINK.format(name, 1) for name in ("base", "RF", "LH", "LF", "LF_foot")]
    joints = [JOINT.format(name, "revolute", "", "base", 1, LIMIT) for name in ("RF", "LH", "LF")]
    joints.append(JOINT.format("LF_foot", "revolute", "", "LF", 1, LIMIT))
    asset = load(scene, tmp_path, urdf(*links, *joints), ".urdf", armature=0.3)
    assert GYM.get_asset_rigid_body_names(asset) == ["base", "LF", "LF_foot", "LH", "RF"]
    assert GYM.get_asset_dof_names(asset) == ["LF_joint", "LF_foot_joint", "LH_joint", "RF_joint"]
    props = GYM.get_asset_dof_properties(asset)[0]
    names = ("hasLimits", "lower", "upper", "driveMode", "velocity", "effort", "armature")
    assert [float(props[name]) for name in names] == pytest.approx([1, -1, 2, 0, 3, 7, 0.3])


@pytest.mark.parametrize(
    ("collapse", "bodies", "mass"), [(True, ["base", "foot"], 3.0), (False, ["base", "foot", "plate"], 1.0)]
)
def test_fixed_joints_are_fused_unless_the_file_forbids_it(tmp_path, collapse, bodies, mass):
    scene = new_sim()
    links = [LINK.format("base", 1), LINK.format("plate", 2), LINK.format("foot", 1)]
    joints = [
        JOINT.format("plate", "fixed", "", "base", 0.3, ""),
        JOINT.format("foot", "fixed", 'dont_collapse="true"', "base", 1, ""),
    ]
    asset = load(scene, tmp_path, urdf(*links, *joints), ".urdf", collapse_fixed_joints=collapse)
    assert GYM.get_asset_rigid_body_names(asset) == bodies
    base = asset.body_props[0]
    assert base.mass == pytest.approx(mass)
    if collapse:  # the centre of 1 kg at 0 and 2 kg at 0.3 m
        assert base.com.z == pytest.approx(0.2)
        arms = 1 * 0.2**2 + 2 * 0.1**2
        assert [base.inertia.x.x, base.inertia.y.y, base.inertia.z.z] == pytest.approx([0.2 + arms, 0.4 + arms, 0.6])


def test_a_mass_without_inertia_has_that_of_its_shapes(tmp_path):
    scene = new_sim()
    text = urdf(
        '<link name="a"><inertial><mass value="6"/></inertial><collision><origin xyz="0 0 1"/><geometry>'
        '<box size="1 1 1"/></geometry></collision></link>'
    )
    body = load(scene, tmp_path, text, ".urdf").body_props[0]
    assert (body.mass, body.com.z, body.inertia.x.x) == pytest.approx((6.0, 1.0, 1.0))


def test_mjcf_that_mujoco_refuses_is_cleaned(tmp_path):
    scene = new_sim()
    (tmp_path / "part.xml").write_text('<mujocoinclude><geom size=".1" material="nowhere"/></mujocoinclude>')
    text = """<mujoco><option apirate="5"/><compiler coordinate="local" angle="degree"/><worldbody>
    <geom type="plane" size="1 1 1"/><light/><body name="b" pos="0 0 5"><freejoint/><include file="part.xml"/>
    <body name="c"><joint name="j" range="0 90" limited="true" stiffness="3" damping="2" frictionloss="1"/>
    <geom size=".1" class="none"/></body><body name="d"><joint name="j" axis="1 0 0"/><geom size=".1"/></body></body>
    </worldbody><contact><exclude body1="b" body2="c"/></contact>
    <actuator><motor joint="j" gear="15" ctrllimited="true" ctrlrange="-2 2"/></actuator>
    <keyframe><key qpos="1"/></keyframe></mujoco>""".replace(' class="none"', "")
    asset = load(scene, tmp_path, text)
    assert GYM.get_asset_rigid_body_names(asset) == ["b", "c", "d"]
    assert GYM.get_asset_dof_names(asset) == ["j", "j_1"]
    first, second = GYM.get_asset_dof_properties(asset)
    assert (int(first["driveMode"]), int(second["driveMode"])) == (gymapi.DOF_MODE_EFFORT, gymapi.DOF_MODE_NONE)
    assert [float(first[n]) for n in ("upper", "stiffness", "damping")] == pytest.approx([np.pi / 2, 3, 2])
    (motor,) = GYM.get_asset_actuator_properties(asset)
    assert (motor.motor_effort, motor.lower_control_limit, motor.control_limited) == (15.0, -2.0, True)
    fill(scene, [(asset, transform(z=1), None, 0)], 1).prepare()
    assert scene.wrap("actor_root_state")[0, 2].item() == 1.0  # the file's own position does not count


def test_bodies_and_degrees_of_freedom_are_found_by_name_in_the_environment(tmp_path):
    scene = new_sim()
    asset = load(scene, tmp_path, HINGE, fix_base_link=True)
    fill(scene, [(asset, transform(), None, 0), (asset, transform(x=1), None, 0)])
    env = scene.envs[1]
    assert GYM.find_actor_rigid_body_handle(env, 1, "arm") == 3
    assert GYM.find_actor_rigid_body_index(env, 1, "arm", gymapi.DOMAIN_SIM) == 7
    assert GYM.find_actor_dof_handle(env, 1, "swing") == 1
    assert GYM.find_actor_handle(env, "actor1") == 1
    assert GYM.find_asset_rigid_body_index(asset, "nobody") == -1
    assert GYM.get_rigid_transform(env, 3).p.x == 1.0  # before the worlds are built
    scene.prepare()
    assert GYM.get_rigid_transform(env, 3).p.x == 1.0


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [("<mujoco><worldbody/></mujoco>", ".xml", "no body"), ("<mujoco>", ".xml", "no valid XML"),
     ('<mujoco><worldbody><body><geom type="tube"/></body></worldbody></mujoco>', ".xml", "cannot read the asset"),
     (urdf('<link name="a"/><link name="b"/>'), ".urdf", "2 root links"),
     (urdf('<link name="a"><collision><geometry><mesh filename="package://x/y.dae"/></geometry></collision></link>'),
      ".urdf", "does not exist"), ("", ".usd", "neither MJCF")],
)  # fmt: skip
def test_bad_files_are_refused_with_the_reason(tmp_path, text, suffix, message):
    with pytest.raises(ConfigError, match=message):
        load(new_sim(), tmp_path, text, suffix)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no asset file"):
        GYM.load_asset(new_sim().sim, str(tmp_path), "none.xml", options())


def ground(scene, raw, mesh):
    if mesh:
        vertices, triangles = terrain_utils.convert_heightfield_to_trimesh(raw, 0.5, 0.1, 1.5)
        params = gymapi.TriangleMeshParams()
        params.nb_vertices, params.nb_triangles = len(vertices), len(triangles)
        params.transform.p.x = -1.0
        GYM.add_triangle_mesh(scene.sim, vertices.flatten(order="C"), triangles.flatten(order="C"), params)
    else:
        params = gymapi.HeightFieldParams()
        params.column_scale = params.row_scale = 0.5
        params.vertical_scale, params.nbRows, params.nbColumns = 0.1, raw.shape[1], raw.shape[0]
        params.transform.p.x = -1.0
        GYM.add_heightfield(scene.sim, raw, params)


@pytest.mark.parametrize("mesh", [False, True])
def test_balls_rest_on_the_heights_of_the_map(mesh, each_engine):
    raw = np.zeros((13, 9), np.int16)
    raw[8:, :5], raw[8:, 5:] = 10, -5  # 1 m and -0.5 m from x = 3 m on, split at y = 2.25 m
    scene = new_sim()
    ground(scene, raw, mesh)
    asset = GYM.create_sphere(scene.sim, 0.1, options(angular_damping=5.0))
    actors = [(asset, transform(x, y, 1.5), None, 1) for x, y in ((0.5, 1), (4.2, 1), (4.2, 3.3))]
    fill(scene, actors, 1, spacing=0.0).prepare()
    scene.step(120)
    assert scene.wrap("actor_root_state")[:, 2].tolist() == pytest.approx([0.1, 1.1, -0.4], abs=0.02)


def test_other_meshes_and_terrain_with_spacing_are_refused():
    scene = new_sim()
    params = gymapi.TriangleMeshParams()
    params.nb_vertices, params.nb_triangles = 4, 4
    with pytest.raises(NotImplementedError, match="convert_heightfield_to_trimesh"):
        GYM.add_triangle_mesh(scene.sim, np.zeros(12), np.array([[0, 1, 2], [0, 2, 3], [0, 1, 3], [1, 2, 3]]), params)
    ground(scene, np.zeros((4, 4), np.int16), mesh=False)
    fill(scene, [(GYM.create_sphere(scene.sim, 0.1, options()), transform(), None, 0)], 2)
    with pytest.raises(NotImplementedError, match="spacing"):
        scene.prepare()


def test_terrains_have_their_heights():
    def piece():
        return terrain_utils.SubTerrain("t", 40, 40, vertical_scale=0.01, horizontal_scale=0.1)

    np.random.seed(0)
    assert terrain_utils.sloped_terrain(piece(), 0.5).height_field_raw[20, 7] == 100
    stairs = terrain_utils.stairs_terrain(piece(), 0.4, 0.15).height_field_raw
    assert stairs[[0, 3, 4, 39], 0].tolist() == [15, 15, 30, 150]
    pyramid = terrain_utils.pyramid_stairs_terrain(piece(), 0.4, 0.15, 1.0).height_field_raw
    assert (pyramid[0, 0], pyramid[4, 20], pyramid[20, 20], pyramid.max()) == (0, 15, 45, 45)
    slope = terrain_utils.pyramid_sloped_terrain(piece(), -0.5, 1.0).height_field_raw
    assert slope[0, 20] == 0 and slope.min() == slope[20, 20] and slope[20, 20] == slope[18, 20]
    rough = terrain_utils.random_uniform_terrain(piece(), -0.05, 0.05, 0.01, 0.4).height_field_raw
    assert rough.min() >= -5 and rough.max() <= 5 and rough.std() > 1
    wave = terrain_utils.wave_terrain(piece(), 2, 0.4).height_field_raw
    assert wave.max() == 40 and wave.min() <= -38
    stones = terrain_utils.stepping_stones_terrain(piece(), 0.5, 0.2, 0.0, 1.0, -2.0).height_field_raw
    assert set(np.unique(stones)) == {-200, -1, 0} and (stones[15:25, 15:25] == 0).all()
    blocks = terrain_utils.discrete_obstacles_terrain(piece(), 0.2, 0.5, 1.0, 20, 1.0).height_field_raw
    assert set(np.unique(blocks)) <= {-20, -10, 0, 10, 20} and (blocks[15:25, 15:25] == 0).all()


def test_a_wall_of_a_mesh_is_vertical():
    raw = np.zeros((4, 3), np.int16)
    raw[2:] = 10
    vertices, triangles = terrain_utils.convert_heightfield_to_trimesh(raw, 0.5, 0.1, 1.0)
    grid = vertices.reshape(4, 3, 3)
    assert grid[:, 0, 0].tolist() == pytest.approx([0.0, 1.0, 1.0, 1.5])
    assert triangles.shape == (12, 3) and triangles.max() == 11
    a, b, c = (torch.tensor(vertices[triangles[:, i]]) for i in range(3))
    assert (torch.linalg.cross(b - a, c - a)[:, 2] >= 0).all()  # faces look up
