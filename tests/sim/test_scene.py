import mujoco
import numpy as np
import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim import (
    Block,
    Box,
    Control,
    FreeBody,
    Integrator,
    Marker,
    Scene,
    Shape,
    compile_scene,
    describe_robot,
    load_robot,
    make_sim,
    scene_xml,
)


def test_the_humanoid_is_described_by_its_model():
    robot = load_robot("humanoid")
    assert (robot.num_bodies, robot.num_dofs, len(robot.joints)) == (15, 28, 12)
    assert robot.body_names[0] == "pelvis" and robot.parents[0] == -1
    assert all(parent < body for body, parent in enumerate(robot.parents))  # parents come first
    assert robot.body_index("pelvis", "left_foot").tolist() == [0, 14]
    knee = robot.joints[robot.joint_names.index("right_knee")]
    assert (knee.ball, knee.axis) == (False, (0.0, 1.0, 0.0))
    assert robot.dof_names[knee.dof] == ("right_knee",)
    assert robot.body_names[knee.body] == "right_shin"
    hip = robot.joints[robot.joint_names.index("left_hip")]
    assert hip.ball and robot.dof_names[hip.dof] == ("left_hip_x", "left_hip_y", "left_hip_z")
    torch.testing.assert_close(robot.dof_range_rad[knee.dof], torch.tensor([[0.0, 2.792527]]))
    torch.testing.assert_close(robot.effort_limit[knee.dof], torch.tensor([100.0]))
    torch.testing.assert_close(robot.qpos0[:7], torch.tensor([0.0, 0.0, 0.89, 1.0, 0.0, 0.0, 0.0]))
    assert len(robot.qpos0) == 7 + 4 * 8 + 4
    # the default pose has straight limbs: the foot hangs under the hip by the lengths of thigh and shin
    torch.testing.assert_close(robot.local_pos_m[robot.body_index("right_foot")], torch.tensor([[0.0, 0.0, -0.4099]]))


def test_the_slices_of_the_joints_fill_the_coordinates_without_a_gap():
    robot = load_robot("humanoid")
    qpos, dof = 0, 0
    for joint in robot.joints:
        assert (joint.qpos.start, joint.dof.start) == (qpos, dof)
        assert (joint.qpos.stop - qpos, joint.dof.stop - dof) == ((4, 3) if joint.ball else (1, 1))
        qpos, dof = joint.qpos.stop, joint.dof.stop
    assert (qpos, dof) == (len(robot.qpos0) - 7, robot.num_dofs)


def test_a_scene_holds_its_boxes_markers_and_clock():
    box = Box("wall", (0.5, 0.1, 1.0), (1.0, 2.0, 3.0))
    model = compile_scene(Scene(boxes=(box,), markers=("goal",), timestep_s=0.005, contact_bodies=("left_foot",)))
    assert model.opt.timestep == 0.005
    assert model.geom("wall").size.tolist() == [0.5, 0.1, 1.0]
    assert model.body("wall").pos.tolist() == [1.0, 2.0, 3.0]
    assert (model.body("wall").mocapid[0], model.body("goal").mocapid[0]) == (0, 1)
    assert model.geom("goal").contype == model.geom("goal").conaffinity == 0
    assert model.nsensor == 1 and model.sensor_dim[0] == 3


def test_the_hash_of_a_robot_does_not_depend_on_what_stands_around_it():
    bare = describe_robot(compile_scene(Scene()), "humanoid")
    scene = Scene(boxes=(Box("wall", (1.0, 1.0, 1.0)),), markers=("goal",), contact_bodies=("left_foot",))
    furnished = describe_robot(compile_scene(scene), "humanoid")
    assert bare.model_hash == furnished.model_hash
    assert bare.body_names == furnished.body_names
    assert bare.mass_kg == furnished.mass_kg
    torque = describe_robot(compile_scene(Scene(control=Control.torque)), "humanoid")
    assert torque.model_hash != bare.model_hash


def test_a_torque_motor_has_unit_gain_a_little_damping_and_its_limit():
    position, torque = (compile_scene(Scene(control=control)) for control in Control)
    assert (torque.actuator_gainprm[:, 0] == 1).all()
    assert (torque.actuator_biasprm[:, :2] == 0).all()
    assert torque.actuator_biasprm[:, 2] == pytest.approx(0.1 * position.actuator_biasprm[:, 2])
    assert (torque.actuator_forcerange == position.actuator_forcerange).all()
    assert (position.actuator_gainprm[:, 0] > 1).all()


def test_an_unknown_robot_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"no robot 'humanoidd' is shipped; did you mean humanoid\?.*robot=FILE"):
        load_robot("humanoidd")


def test_an_unknown_contact_body_is_refused_with_the_bodies():
    for scene in (Scene(contact_bodies=("left_toe",)), Scene(object_contact_bodies=("left_toe",))):
        message = r"contact body 'left_toe' is not a body of 'humanoid' \(.*left_foot.*\)"
        with pytest.raises(ConfigError, match=message):
            compile_scene(scene)


def test_an_unknown_body_is_refused_with_the_bodies():
    with pytest.raises(KeyError, match="humanoid has no body 'tail'; it has pelvis, torso"):
        load_robot("humanoid").body_index("pelvis", "tail")


@pytest.mark.parametrize(
    ("num_envs", "engine", "message"),
    [
        (2, "mujuco", r"sim=mujuco: unknown engine; did you mean mujoco or mujoco_warp\? \(valid: auto, "),
        (0, "mujoco", "num_envs=0: at least 1 environment is needed, type num_envs=1 or more"),
        (-3, "auto", "num_envs=-3: at least 1"),
    ],
)
def test_worlds_that_cannot_be_built_are_refused(num_envs, engine, message):
    with pytest.raises(ConfigError, match=message):
        make_sim(Scene(), num_envs, engine, torch.device("cpu"))


def test_a_block_slides_along_its_axes_behind_the_robots_coordinates():
    block = Block("crate", (0.5, 0.5, 0.5), (2.0, 0.0, 0.5), 3.0, (("x", -1.0, 1.0), ("z", -0.5, 0.0)), damping=2.0)
    scene = Scene(robot="ant", control=Control.torque, blocks=(block,))
    model = compile_scene(scene)
    assert model.nq == 15 + 2 and model.body("crate").mass[0] == pytest.approx(3.0)
    slides = [model.joint("crate_x"), model.joint("crate_z")]
    assert [joint.qposadr[0] for joint in slides] == [15, 16]
    assert [joint.axis.tolist() for joint in slides] == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    assert [joint.range.tolist() for joint in slides] == [[-1.0, 1.0], [-0.5, 0.0]]
    assert model.dof_damping[-2:].tolist() == [2.0, 2.0] and model.dof_armature[-2:].tolist() == [0.0, 0.0]
    assert describe_robot(model, "ant").num_dofs == 8, "a block is no part of the robot"


def test_objects_come_last_and_change_nothing_about_the_robot():
    block = Block("sled", (0.5, 0.5, 0.5), (2.0, 0.0, 0.5), 3.0, (("x", -1.0, 1.0),))
    objects = (
        FreeBody("box", Shape.box, (0.1, 0.2, 0.3), 4.0, (1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 2.0), friction=0.5),
        FreeBody("log", Shape.capsule, (0.1, 0.5), 3.0, (0.0, 4.0, 0.1), rolling=0.02),
        FreeBody("ball", Shape.ball, (0.2,), 0.5, (0.0, 5.0, 0.2)),
    )
    walls = (Box("wall", (1.0, 1.0, 1.0)),)
    model = compile_scene(
        Scene(objects=objects, blocks=(block,), boxes=walls, markers=("goal",), solimp=(0.9, 0.95, 1))
    )
    names = [item.name for item in objects]
    assert [model.body(b).name for b in range(model.nbody - 3, model.nbody)] == names
    assert [model.geom(g).name for g in range(model.ngeom - 3, model.ngeom)] == names
    assert model.qpos0[-21:-14].tolist() == [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0]
    assert model.joint("sled_x").qposadr[0] == model.nq - 22
    assert model.body_mass[-3:].tolist() == pytest.approx([4.0, 3.0, 0.5])
    assert model.geom("box").size.tolist() == [0.1, 0.2, 0.3] and model.geom("log").size.tolist() == [0.1, 0.5, 0.0]
    assert model.geom("box").friction[0] == 0.5 and model.geom("log").friction[2] == pytest.approx(0.002)
    assert (abs(model.geom_solimp[:, :2] - [0.9, 0.95]) < 1e-9).all()
    robot, bare = describe_robot(model, "humanoid"), load_robot("humanoid")
    assert (robot.model_hash, robot.body_names, robot.mass_kg) == (bare.model_hash, bare.body_names, bare.mass_kg)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_m": (0.1,)}, r"object 'it': size_m=\(0.1,\) has 1 numbers, and a box needs 3"),
        ({"shape": Shape.capsule}, r"object 'it': size_m=\(0.1, 0.2, 0.3\) has 3 numbers, and a capsule needs 2"),
        ({"size_m": (0.1, 0.0, 0.3)}, r"size_m=\(0.1, 0.0, 0.3\) and mass_kg=4.0 must be above 0"),
        ({"mass_kg": float("nan")}, "mass_kg=nan must be above 0"),
        ({"friction": -1.0}, "friction=-1.0 and rolling=0.05 must be 0 or more"),
        ({"name": "pelvis"}, "object 'pelvis' needs another name: a body of the scene has this one"),
    ],
)
def test_objects_that_cannot_be_built_are_refused(changes, message):
    given = {"name": "it", "shape": Shape.box, "size_m": (0.1, 0.2, 0.3), "mass_kg": 4.0, "pos_m": (0.0, 0.0, 1.0)}
    with pytest.raises(ConfigError, match=message):
        compile_scene(Scene(objects=(FreeBody(**(given | changes)),)))


def test_markers_have_colours_and_sizes_of_their_own():
    model = compile_scene(Scene(robot="ant", markers=("goal", Marker("apple", (0.0, 1.0, 0.0, 1.0), 0.1))))
    assert model.geom("apple").rgba.tolist() == [0.0, 1.0, 0.0, 1.0] and model.geom("apple").size[0] == 0.1
    assert (model.body("goal").mocapid[0], model.body("apple").mocapid[0]) == (0, 1)
    assert model.geom("goal").contype == model.geom("goal").conaffinity == 0


@pytest.mark.parametrize("integrator", list(Integrator))
def test_the_integrator_is_the_scenes(integrator):
    expected = {"implicitfast": "IMPLICITFAST", "euler": "EULER", "rk4": "RK4"}[integrator.value]
    model = compile_scene(Scene(robot="ant", integrator=integrator))
    assert model.opt.integrator == getattr(mujoco.mjtIntegrator, f"mjINT_{expected}")


def test_contacts_take_the_scenes_own_impedance():
    model = compile_scene(Scene(robot="ant", solimp=(0.9, 0.95, 0.002)))
    assert (abs(model.geom_solimp[:, :3] - [0.9, 0.95, 0.002]) < 1e-9).all()


def test_a_scene_as_mjcf_is_the_same_model():
    scene = Scene(markers=("goal",), timestep_s=0.005)
    text = scene_xml(scene)
    compiled, read = compile_scene(scene), mujoco.MjModel.from_xml_string(text)
    assert "input=" not in text, "which MuJoCo 3 refuses"
    for name in ("body_mass", "dof_armature", "actuator_gainprm", "actuator_biasprm", "geom_size", "body_mocapid"):
        np.testing.assert_allclose(getattr(read, name), getattr(compiled, name), rtol=1e-5, atol=1e-9)
    assert read.opt.integrator == compiled.opt.integrator and abs(read.opt.timestep - 0.005) < 1e-12
