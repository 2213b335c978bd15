import mujoco
import numpy as np
import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim import Box, Scene, load_robot, make_sim
from isaachrl.sim.compiler import compile_scene
from isaachrl.sim.robot_file import find_robot, shipped_robots

# a robot in a scene of its own: floor, light, sky, ledge, sensor, contact pair, keyframes; rays would see its base
LAMP = """<mujoco><asset>
  <texture name="floor" type="2d" builtin="checker" width="8" height="8"/><material name="floor" texture="floor"/>
  <texture type="skybox" builtin="flat" width="8" height="8"/></asset>
<worldbody><geom name="floor" type="plane" size="5 5 .1" material="floor"/><light pos="0 0 3"/><camera name="far"/>
  <body name="ledge"><geom name="ledge" size=".1"/></body>
  <body name="base" pos="0 0 1">{root}<geom name="base" size=".1" group="1"/><site name="imu"/>
    <body pos="0 .3 0"><joint name="neck" axis="0 1 0"/><geom size=".1" group="3" pos=".2 0 0"/></body></body>{more}
</worldbody>
<contact><pair geom1="floor" geom2="base"/></contact><actuator><position joint="neck" kp="10"/></actuator>
<sensor><accelerometer site="imu"/></sensor>
<keyframe><key name="home" qpos="0 0 .5 1 0 0 0 .7"/><key name="bow" qpos="0 0 .6 1 0 0 0 .9"/></keyframe></mujoco>"""
FREE = "<freejoint/>"
URDF = """<robot name="box"><link name="base">{inertia}{mesh}</link><link name="arm">{inertia}<collision><geometry>
  <sphere radius=".1"/></geometry></collision></link><joint name="swing" type="revolute"><parent link="base"/>
  <child link="arm"/><origin xyz="0 0 .5" rpy="0 .3 0"/><axis xyz="0 1 0"/><limit lower="-1" upper="2" effort="30"
  velocity="5"/></joint></robot>"""
INERTIA = '<inertial><mass value="2"/><inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial>'
MESH = '<{kind}><geometry><mesh filename="{file}"/></geometry></{kind}>'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def lamp(path, root=FREE, more=""):
    return write(path / "lamp.xml", LAMP.format(root=root, more=more))


def test_what_stands_around_a_robot_is_left_out(tmp_path):
    scene = Scene(lamp(tmp_path), boxes=(Box("wall", (0.1, 1.0, 1.0), (2.0, 0.0, 0.0)),), contact_bodies=("base",))
    model = compile_scene(scene)
    assert [model.body(b).name for b in range(model.nbody)] == ["world", "base", "unnamed_1", "wall"]
    assert (model.nlight, model.ncam, model.nkey, model.npair, model.nsensor) == (0, 0, 0, 0, 1)
    assert model.geom("floor").type == mujoco.mjtGeom.mjGEOM_PLANE and model.geom_group[1:3].tolist() == [0, 3]
    sim = make_sim(scene, 1, "mujoco", torch.device("cpu"))
    ray = sim.rays(torch.tensor([[[-3.0, 0.0, 1.0]]]), torch.tensor([[[1.0, 0.0, 0.0]]]))
    assert ray.item() == pytest.approx(4.9), "the ray passes through the base and ends at the wall"


def test_a_pair_with_a_floor_lets_the_robots_geom_collide(tmp_path):
    file = lamp(tmp_path)
    pair = '<pair geom1="floor" geom2="base" condim="6" friction="2 2 .01 .001 .001"/>'
    text = LAMP.format(root=FREE, more="").replace('<pair geom1="floor" geom2="base"/>', pair)
    write(tmp_path / "lamp.xml", text.replace('name="base" size', 'name="base" contype="0" conaffinity="0" size'))
    base = compile_scene(Scene(file)).geom("base")
    assert (base.contype, base.conaffinity, base.condim) == (1, 0, 6)
    assert base.friction.tolist() == [2.0, 0.01, 0.001]


def test_a_robot_of_which_nothing_would_be_drawn_is_drawn(tmp_path):
    file = lamp(tmp_path)
    write(tmp_path / "lamp.xml", LAMP.format(root=FREE, more="").replace('group="1"', 'group="4"'))
    assert compile_scene(Scene(file)).geom_group[1:3].tolist() == [0, 0]


def test_the_standing_pose_is_a_keyframe_or_given_or_as_written(tmp_path):
    file = lamp(tmp_path)
    robot = load_robot(file)
    np.testing.assert_allclose(robot.stand_qpos, [0, 0, 0.5, 1, 0, 0, 0, 0.7], atol=1e-6)
    torch.testing.assert_close(robot.qpos0, torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]))
    for stand, angle in (("bow", 0.9), ("{neck: -0.2}", -0.2)):
        other = load_robot(write(tmp_path / f"{stand[1:3]}.yaml", f"model: lamp.xml\nstand: {stand}\n"))
        assert other.stand_qpos[7].item() == pytest.approx(angle)
        assert other.model_hash == robot.model_hash and other.name == stand[1:3]


def test_a_file_that_changed_is_read_again(tmp_path):
    file = lamp(tmp_path)
    assert load_robot(file).mass_kg == load_robot(file).mass_kg
    before = load_robot(file).mass_kg
    text = (tmp_path / "lamp.xml").read_text().replace('name="base" size=".1"', 'name="base" size=".2"')
    write(tmp_path / "lamp.xml", text)
    assert load_robot(file).mass_kg > before


def test_a_urdf_gets_a_free_joint_motors_and_its_meshes_from_packages(tmp_path):
    tetrahedron = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    write(tmp_path / "robots/box_pkg/meshes/base.obj", tetrahedron)
    meshes = MESH.format(kind="collision", file="package://box_pkg/meshes/base.obj")
    meshes += MESH.format(kind="visual", file="package://box_pkg/meshes/looks.dae")
    file = write(tmp_path / "robots/box_pkg/urdf/box.urdf", URDF.format(inertia=INERTIA, mesh=meshes))
    robot = load_robot(file)
    assert robot.body_names == ("base", "arm") and robot.dof_names == ("swing",)
    torch.testing.assert_close(robot.dof_range_rad, torch.tensor([[-1.0, 2.0]]))
    torch.testing.assert_close(robot.effort_limit, torch.tensor([30.0]))
    torch.testing.assert_close(robot.stiffness, torch.tensor([90.0]))
    assert robot.mass_kg == pytest.approx(4.0)
    # elsewhere the package is found by the roots of a YAML file
    write(tmp_path / "far/box.urdf", URDF.format(inertia=INERTIA, mesh=meshes))
    yaml = write(tmp_path / "far/box.yaml", "model: box.urdf\nroots: [../robots]\n")
    assert load_robot(yaml).model_hash == robot.model_hash


def refusals(tmp_path):
    """Files of robots, and how they are refused."""
    missing = MESH.format(kind="collision", file="package://pkg/base.stl")
    foreign = MESH.format(kind="collision", file="looks.dae")
    write(tmp_path / "looks.dae", "<COLLADA/>")
    ball = '<body name="ball"><freejoint/><geom size=".1"/></body>'
    mesh = '<mujoco><asset><mesh name="m" file="gone.stl"/></asset><worldbody><body>{}</body></worldbody></mujoco>'
    mesh = mesh.format('<freejoint/><geom type="mesh" mesh="m"/>')
    lost, dae = (URDF.format(inertia=INERTIA, mesh=one) for one in (missing, foreign))
    return [
        (lamp(tmp_path / "a", root=""), 'has no free joint.*write <freejoint name="root"/> in its body'),
        (lamp(tmp_path / "b", more=ball), "second body that moves, 'ball', beside 'base'; remove it"),
        (write(tmp_path / "c.urdf", lost), "1 of 1 meshes are missing, such as package://pkg/base.stl; .*roots: "),
        (write(tmp_path / "d.urdf", dae), r"does not read the collision mesh looks.dae; convert it to .stl"),
        (write(tmp_path / "e.urdf", "<robot"), "is no XML"),
        (write(tmp_path / "f.urdf", "<mujoco/>"), "is no URDF: its root is <mujoco>"),
        (write(tmp_path / "g.xml", mesh), "MuJoCo cannot read .*gone.stl.*put the file there, or correct its path"),
        (write(tmp_path / "h.xml", "<mujoco/>"), "the model has no body"),
        (str(tmp_path / "none.xml"), "there is no such file"),
        ("humanoidd", "no robot 'humanoidd' is shipped; did you mean humanoid.*robot=FILE"),
    ]  # fmt: skip


def test_models_that_are_no_robot_are_refused_with_what_to_write(tmp_path):
    for file, message in refusals(tmp_path):
        with pytest.raises(ConfigError, match=message):
            load_robot(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "no valid YAML"),
        ("roles: {}", "expected the line 'model: FILE'"),
        ("model: gone.xml", "there is no such file"),
        ("model: lamp.xml\nrole: {}", "unknown key role; did you mean roles"),
        ("model: lamp.xml\nstand: up", "stand: up is no keyframe.*bow, home"),
        ("model: lamp.xml\nstand: {nek: 1}", r"stand\.nek=1 is no hinge; did you mean neck"),
        ("model: lamp.xml\nstand: [1]", "expected the name of a keyframe, or {joint: rad}"),
        ("model: lamp.xml\nstand: {neck: .nan}", r"stand\.neck=nan: expected a number"),
        ("model: lamp.xml\nroles: {tail: base}", r"roles\.tail is no role"),
        ("model: lamp.xml\nroles: [1]", "roles: expected keys with values"),
        ("model: lamp.xml\nroots: up", "roots: expected a list of folders"),
        ("model: lamp.xml\nmotors: {kp: 1}", r"unknown key motors\.kp"),
        ("model: lamp.xml\nmotors: {effort: -1}", r"motors\.effort=-1: expected a number of 0 or more"),
        ("model: lamp.xml\nmotors: {effort: much}", r"motors\.effort='much': expected a number"),
    ],
)
def test_a_yaml_file_is_checked_key_by_key(tmp_path, text, message):
    lamp(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_robot(write(tmp_path / "robot.yaml", text))


def test_shipped_robots_are_found_by_name():
    assert {"ant", "humanoid"} <= set(shipped_robots())
    assert find_robot("humanoid").name == find_robot("assets/humanoid/humanoid.xml").name == "humanoid"
