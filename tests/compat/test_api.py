"""Names, structures, helpers, bad input and the launcher."""

import math
import re
import sys

import numpy as np
import pytest
import torch

import isaachrl.isaacgym
from isaachrl.compat.isaacgym import gymapi, gymtorch, gymutil, torch_utils
from isaachrl.compat.isaacgym.gym import REFUSED
from isaachrl.errors import ConfigError
from tests.compat.scenes import GYM, HINGE, fill, load, new_sim, numbers, options, set_drives, transform

unwrap = gymtorch.unwrap_tensor


def test_every_refused_method_names_itself_and_the_reason():
    for reason, names in REFUSED.items():
        for name in names:
            with pytest.raises(NotImplementedError, match=re.escape(f"{name}: {reason}")):
                getattr(GYM, name)(None, 1, key=2)


def test_the_api_has_all_its_methods():
    assert len([name for name in dir(gymapi.Gym) if not name.startswith("_")]) == 312
    assert sum(len(names) for names in REFUSED.values()) == 152
    for name in ("ParticleState", "transform", "transform_inverse"):
        with pytest.raises(NotImplementedError, match=f"gymapi.{name}: "):
            getattr(gymapi, name)
    assert gymapi.carb_init() is gymapi.carb_init("{}") is True


def test_constants_are_names_of_the_module():
    assert (gymapi.DOF_MODE_NONE, gymapi.DOF_MODE_POS, gymapi.DOF_MODE_VEL, gymapi.DOF_MODE_EFFORT) == (0, 1, 2, 3)
    assert gymapi.AXIS_TRANSLATION | gymapi.AXIS_ROTATION == gymapi.AXIS_ALL
    assert gymapi.ContactCollection(1) is gymapi.CC_LAST_SUBSTEP
    assert gymapi.KEY_V is gymapi.KeyboardInput.KEY_V


def test_rotations_compose_and_turn_vectors():
    quarter = math.pi / 2
    q = gymapi.Quat.from_euler_zyx(quarter, 0.0, quarter)  # about x, then about the fixed z
    turned = q.rotate(gymapi.Vec3(0, 1, 0))
    assert (turned.x, turned.y, turned.z) == pytest.approx((0, 0, 1))
    assert gymapi.Quat.from_euler_zyx(0.3, -0.4, 0.5).to_euler_zyx() == pytest.approx((0.3, -0.4, 0.5))
    pose = gymapi.Transform(gymapi.Vec3(1, 2, 3), q)
    back = pose.inverse() * pose
    assert (back.p.length(), back.r.w) == pytest.approx((0.0, 1.0))
    point = pose.transform_point(gymapi.Vec3(0, 1, 0))
    assert (point.x, point.y, point.z) == pytest.approx((1, 2, 4))
    assert gymapi.Transform(gymapi.Vec3(1, 0, 0), None).r == gymapi.Quat()
    assert ((gymapi.Vec3(1, 2, 2) - gymapi.Vec3(0, 0, 1)) * 2 / 4).z == 0.5


def records(kind, numbers):
    return np.array([tuple(row) for row in numbers.tolist()], dtype=kind.dtype)


def plain(array):
    return np.stack([array[name] for name in array.dtype.names], -1).astype(float)


def matrices(numbers):
    """Rotation matrices of quaternions x, y, z, w, from their definition."""
    x, y, z, w = numbers.T
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]  # fmt: skip
    return np.stack(rows, -1).reshape(-1, 3, 3)


def test_functions_of_arrays_agree_with_numpy():
    random = np.random.default_rng(0)
    a, b, q = random.normal(size=(7, 3)), random.normal(size=(7, 3)), random.normal(size=(7, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    u, v, r = records(gymapi.Vec3, a), records(gymapi.Vec3, b), records(gymapi.Quat, q)
    near = {"atol": 1e-5}
    product = gymapi.dot(u, v)
    assert product.dtype == np.float32 and np.allclose(product, (a * b).sum(-1), **near)
    assert np.allclose(plain(gymapi.cross(u, v)), np.cross(a, b), **near)
    assert np.allclose(plain(gymapi.rotate(r, u)), np.einsum("nij,nj->ni", matrices(q), a), **near)
    assert np.allclose(plain(gymapi.rotate_inverse(r, u)), np.einsum("nji,nj->ni", matrices(q), a), **near)
    one = gymapi.Quat(*q[2])  # broadcast
    assert np.allclose(plain(gymapi.rotate(one, u)), a @ matrices(q)[2].T, **near)
    angles = random.uniform(-1.5, 1.5, (7, 3))
    turned = gymapi.eulers_to_quats_zyx(records(gymapi.Vec3, angles))
    assert turned.dtype == gymapi.Quat.dtype
    same = [gymapi.Quat.from_euler_zyx(*row) for row in angles.tolist()]
    assert np.allclose(plain(turned), [[s.x, s.y, s.z, s.w] for s in same], **near)
    assert np.allclose(plain(gymapi.quats_to_eulers_zyx(turned)), angles, **near)
    about_x, about_y, about_z = (
        matrices(plain(gymapi.eulers_to_quats_zyx(records(gymapi.Vec3, angles * axis)))) for axis in np.eye(3)
    )
    assert np.allclose(matrices(plain(turned)), about_z @ about_y @ about_x, **near)
    with pytest.raises(ConfigError, match=r"gymapi.dot: an array of type float64 came; one of gymapi.Vec3.dtype"):
        gymapi.dot(a, v)


def test_structures_are_read_from_elements_of_arrays():
    state = np.zeros(2, gymapi.RigidBodyState.dtype)
    state[1] = (((1, 2, 3), (0.5, 0.5, -0.5, 0.5)), ((4, 5, 6), (7, 8, 9)))
    pose = gymapi.Transform.from_buffer(state[1]["pose"])
    assert pose == gymapi.Transform(gymapi.Vec3(1, 2, 3), gymapi.Quat(0.5, 0.5, -0.5, 0.5))
    assert gymapi.Transform.from_buffer(state["pose"][1:]) == pose  # an array of one
    assert gymapi.Transform.from_buffer(state["pose"][1].tobytes()) == pose
    assert gymapi.Velocity.from_buffer(state["vel"][1]).angular == gymapi.Vec3(7, 8, 9)
    assert gymapi.Quat.from_buffer(state["pose"]["r"][1]) == pose.r
    assert gymapi.Vec3.from_buffer(np.array([1, 2, 3], np.float32)) == pose.p
    assert gymapi.Vec2.from_buffer(np.array([(1, 2)], gymapi.Vec2.dtype)) == gymapi.Vec2(1, 2)
    frame = gymapi.DofFrame.from_buffer(np.array(((1, 2, 3), (0, 0, 1)), gymapi.DofFrame.dtype))
    assert frame == gymapi.DofFrame(pose.p, gymapi.Vec3(0, 0, 1))
    with pytest.raises(
        ConfigError, match=r"Transform.from_buffer: the buffer has 56 bytes; .* has 28, pass states\[i\]"
    ):
        gymapi.Transform.from_buffer(np.zeros(2, gymapi.Transform.dtype))
    with pytest.raises(ConfigError, match="Vec3.from_buffer: list came"):
        gymapi.Vec3.from_buffer([1.0, 2.0, 3.0])


def test_functions_of_tensors_can_be_scripted_and_agree_with_matrices():
    def combined(q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch_utils.quat_rotate_inverse(q, torch_utils.quat_rotate(q, v)) + torch_utils.quat_apply(q, v)

    q = torch_utils.quat_from_euler_xyz(torch.tensor([0.3]), torch.tensor([-0.4]), torch.tensor([0.5]))
    v = torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.allclose(torch.jit.script(combined)(q, v), v + torch_utils.quat_rotate(q, v), atol=1e-5)
    angles = [angle.item() for angle in torch_utils.get_euler_xyz(q)]
    assert angles == pytest.approx([0.3, 2 * math.pi - 0.4, 0.5], abs=1e-5)
    about_z = torch_utils.quat_from_angle_axis(torch.tensor([0.5]), torch.tensor([[0.0, 0.0, 2.0]]))
    rest = torch_utils.quat_mul(torch_utils.quat_conjugate(about_z), q)
    assert torch_utils.get_euler_xyz(rest)[2].item() == pytest.approx(0.0, abs=1e-5)
    assert torch_utils.get_axis_params(2.0, 2) == [0.0, 0.0, 2.0]
    bounds = torch.tensor([-2.0]), torch.tensor([4.0])
    assert torch_utils.unscale(torch_utils.scale(torch.tensor([0.5]), *bounds), *bounds).item() == pytest.approx(0.5)
    assert gymtorch.__all__ == ["unwrap_tensor", "wrap_tensor"]  # no Tensor that hides TorchScript's


def test_arguments_of_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--sim_device", "cpu", "--task", "a1", "--headless", "--horovod"])
    custom = [{"name": "--task", "type": str, "default": "b"}, {"name": "--horovod", "action": "store_true"}]
    args = gymutil.parse_arguments("text", headless=True, custom_parameters=custom)
    assert (args.task, args.horovod, args.headless, args.use_gpu, args.use_gpu_pipeline) == (
        "a1",
        True,
        True,
        False,
        False,
    )
    assert args.physics_engine is gymapi.SIM_PHYSX and args.sim_device_type == "cpu"
    assert gymutil.parse_device_str("cuda:3") == ("cuda", 3)
    with pytest.raises(ConfigError, match="tpu"):
        gymutil.parse_device_str("tpu")


def test_a_configuration_becomes_parameters():
    params = gymapi.SimParams()
    physx = {"num_threads": 4, "contact_collection": 2, "unknown": 1}
    gymutil.parse_sim_config({"dt": 0.005, "gravity": [0, 0, -9.81], "up_axis": 1, "physx": physx}, params)
    assert (params.dt, params.gravity.z, params.up_axis) == (0.005, -9.81, gymapi.UP_AXIS_Z)
    assert params.physx.contact_collection is gymapi.CC_ALL_SUBSTEPS


def test_randomisation_reaches_the_physics(tmp_path):
    np.random.seed(0)
    params = {
        "range": [2.0, 2.0],
        "distribution": "uniform",
        "operation": "scaling",
        "schedule": "linear",
        "schedule_steps": 10,
    }
    assert gymutil.generate_random_samples(params, 3, 5).tolist() == [1.5] * 3  # half-way to a factor of 2
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)])
    set_drives(scene, driveMode=gymapi.DOF_MODE_EFFORT)
    scene.prepare()
    props = GYM.get_actor_dof_properties(scene.envs[1], 0)
    original = props.copy()
    additive = {"range": [0.6, 0.6], "distribution": "uniform", "operation": "additive"}
    gymutil.apply_random_samples(props, original, "armature", additive, 0)
    gymutil.get_property_setter_map(GYM)["dof_properties"](scene.envs[1], 0, props)
    GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(torch.ones(2)))
    scene.step()
    assert scene.wrap("dof_state")[:, 1].tolist() == pytest.approx([0.01 / 0.6, 0.01 / 1.2], rel=1e-4)
    sim_params = GYM.get_sim_params(scene.sim)
    gymutil.apply_random_samples(sim_params, {"gravity": gymapi.Vec3(0, 0, -1)}, "gravity", additive, 0)
    assert sim_params.gravity.z == pytest.approx(-0.4)


def prepared(tmp_path):
    scene = new_sim()
    return fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)]).prepare()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: GYM.set_dof_state_tensor(s.sim, unwrap(torch.zeros(3, 2))), r"\(3, 2\).*4 numbers"),
        (lambda s: GYM.set_dof_state_tensor_indexed(s.sim, unwrap(torch.zeros(1, 2)), numbers(0), 1),
         "whole simulation"),
        (lambda s: GYM.set_dof_state_tensor(s.sim, np.zeros(4)), "unwrap_tensor is needed; ndarray came"),
        (lambda s: GYM.set_dof_state_tensor_indexed(s.sim, unwrap(torch.zeros(2, 2)), unwrap(torch.zeros(1)), 1),
         "int32"),
        (lambda s: GYM.set_dof_state_tensor_indexed(s.sim, unwrap(torch.zeros(2, 2)), numbers(0, 2), 2),
         "set_dof_state_tensor: there is no actor 2; .*get_actor_index.* 0 to 1"),
        (lambda s: GYM.set_dof_position_target_tensor_indexed(s.sim, unwrap(torch.zeros(2)), numbers(-1), 1),
         "set_dof_position_target_tensor: there is no actor -1"),
        (lambda s: GYM.set_actor_root_state_tensor_indexed(s.sim, unwrap(torch.zeros(2, 13)), numbers(0, 1), 3),
         "set_actor_root_state_tensor: count is 3, but 2 actor indices came"),
        (lambda s: unwrap(torch.zeros(4, 2).T), "contiguous"),
        (lambda s: GYM.create_env(s.sim, gymapi.Vec3(), gymapi.Vec3(), 1), "create_env came after prepare_sim"),
        (lambda s: GYM.get_actor_dof_properties(s.envs[0], 4), "actor handle 4"),
        (lambda s: GYM.set_actor_dof_properties(s.envs[0], 0, np.zeros(3)), "hand it back"),
        (lambda s: GYM.refresh_dof_state_tensor(None), "a simulation is needed"),
    ],
)  # fmt: skip
def test_bad_calls_say_what_to_do(tmp_path, call, message):
    scene = prepared(tmp_path)
    with pytest.raises(ConfigError, match=message):
        call(scene)


def test_what_is_not_simulated_is_refused(tmp_path):
    with pytest.raises(NotImplementedError, match="SIM_FLEX"):
        GYM.create_sim(0, 0, gymapi.SIM_FLEX, gymapi.SimParams())
    with pytest.raises(NotImplementedError, match="headless=True"):
        GYM.create_viewer(new_sim().sim, gymapi.CameraProperties())
    scene = prepared(tmp_path)
    with pytest.raises(ConfigError, match="set_actor_scale came after prepare_sim"):
        GYM.set_actor_scale(scene.envs[0], 0, 1.1)
    with pytest.raises(ConfigError, match="scale 0.0; it must be above 0"):
        GYM.set_actor_scale(scene.envs[0], 0, 0.0)
    different = new_sim()
    for i, size in enumerate((0.1, 0.2)):
        env = GYM.create_env(different.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
        GYM.create_actor(env, GYM.create_box(different.sim, size, size, size, options()), transform(), "a", i, 0)
    with pytest.raises(NotImplementedError, match="copies of one world"):
        different.prepare()


def test_simulate_needs_prepare_sim():
    with pytest.raises(ConfigError, match="before prepare_sim"):
        GYM.simulate(new_sim().sim)


SCRIPT = """import sys
import isaacgym
from isaacgym import gymapi, rlgpu, terrain_utils
from isaacgym.gymtorch import *
from isaacgym.torch_utils import *
import numpy as np
open(sys.argv[1], "w").write(f"{np.Inf} {gymapi.SIM_PHYSX:d} {quat_mul.__name__} {sys.argv[2]} {__name__}")
"""


def test_the_launcher_runs_a_script(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", [*sys.path])
    isaachrl.isaacgym.main([str(tmp_path / "script.py"), str(tmp_path / "out"), "task=X"])
    assert (tmp_path / "out").read_text() == "inf 0 quat_mul task=X __main__"


@pytest.mark.parametrize("arguments", [[], ["--engine"], ["nowhere.py"], ["--engine=physx", __file__]])
def test_the_launcher_refuses_bad_commands(arguments):
    with pytest.raises(ConfigError, match="SCRIPT|no script|engine"):
        isaachrl.isaacgym.main(arguments)
