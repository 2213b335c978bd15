"""The GPU engine on the CPU: against the CPU engine in float64, its bounds, and that nothing waits."""

import builtins
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from isaachrl.errors import CheckpointError, ConfigError, RecordError
from isaachrl.sim import Control, FreeBody, Scene, Shape, gpu_engine_obstacle, make_sim
from isaachrl.sim.compiler import CAPACITY, capacity, compile_scene
from tasks.humanoid_hrl_maze import HumanoidHRLMaze, HumanoidHRLMazeCfg
from tests.sim.worlds import (
    BOX,
    CPU,
    FEET,
    SCENE,
    SUBSTEPS,
    assert_same_bits,
    make_on,
    mask,
    random_ctrl,
    run,
    snapshot,
)  # fmt: skip
from tests.tape import TapeRecorder

ROOT = Path(__file__).resolve().parents[2]
SECOND = 30  # control steps


@pytest.fixture
def warp():
    return pytest.importorskip("warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')


@pytest.fixture
def make(warp):
    """Worlds of the GPU engine alone."""
    return lambda scene=SCENE, n=3: make_on("mujoco_warp", scene, n)


def pair(scene, n=4):
    """The same worlds on both engines."""
    return make_on("mujoco", scene, n), make_on("mujoco_warp", scene, n)


def drive(sims, steps, ctrl):
    """Let both engines do the same; returns how far each of their tensors is apart at the end."""
    for _ in range(steps):
        for sim in sims:
            sim.ctrl.copy_(ctrl)
            sim.step(SUBSTEPS)
    reference, other = (snapshot(sim) for sim in sims)
    return {name: float((reference[name] - other[name]).abs().max()) for name in reference if reference[name].numel()}


def test_the_engine_starts_warp_by_itself(warp):
    """In a new process, as at the begin of `train.py`: a stream of PyTorch can be had only from a Warp that runs."""
    code = """
import warp
from isaachrl.sim.worlds.warp import WarpWorlds
from warp._src import context
assert context.runtime is None
def scope(self):
    raise SystemExit(0 if context.runtime is not None else "Warp does not run yet")
WarpWorlds._scope = scope
from tests.sim.worlds import make_on
make_on("mujoco_warp")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# where two edges meet (a foot on the other), the engines find normals some degrees apart, and a foot that stands
# exactly flat is on the verge of one contact or four: motions below keep the feet apart
@pytest.mark.parametrize(("control", "scale"), [(Control.position, 0.2), (Control.torque, 0.5)])
def test_both_engines_agree_after_a_second(warp, control, scale):
    sims = pair(Scene(control=control, contact_bodies=(*FEET, "pelvis")))
    apart = drive(sims, SECOND, random_ctrl(sims[0], 0, scale))
    assert apart["qpos"] < 1e-4
    assert apart["body_pos_w"] < 1e-4 and apart["body_quat_w"] < 1e-4
    assert apart["qvel"] < 1e-3 and apart["body_linvel_w"] < 1e-3 and apart["body_angvel_w"] < 1e-3
    assert float((sims[0].qpos - sims[0].robot.qpos0).abs().amax(1).min()) > 0.1  # all of them have moved


def test_both_engines_agree_among_walls(warp):
    scene = HumanoidHRLMaze.scene(HumanoidHRLMazeCfg())
    sims, everyone = pair(scene), mask(True, True, True, True)
    places = torch.tensor([[box.pos_m for box in scene.boxes] + [(0.0, 0.0, 0.5)]]).expand(4, -1, -1)
    wall_x, wall_y, _ = scene.boxes[0].pos_m
    edge_y = wall_y + scene.boxes[0].half_size_m[1]
    for sim in sims:
        qpos, qvel = sim.qpos.clone(), torch.zeros_like(sim.qvel)
        qpos[:, 0], qpos[:, 1] = wall_x, edge_y + torch.tensor([0.4, 0.5, 0.6, 0.7])
        qvel[:, 1] = -1.0
        sim.move_mocap(everyone, places)
        sim.reset(everyone, qpos, qvel)
    legs_apart = torch.zeros_like(sims[0].ctrl)
    legs_apart[:, [sims[0].robot.dof_names.index(f"{side}_hip_x") for side in ("right", "left")]] = 0.35
    legs_apart[:, sims[0].robot.dof_names.index("right_hip_x")] *= -1.0
    drive(sims, 5, legs_apart)
    free = sims[0].root_linvel_w[:, 1].clone()
    assert drive(sims, SECOND - 5, legs_apart)["qpos"] < 1e-4
    assert bool((sims[0].root_linvel_w[:, 1] > free + 0.3).any())  # the wall has stopped some


def test_contact_forces_agree(warp):
    sims = pair(Scene(contact_bodies=FEET))
    drive(sims, SECOND // 2, random_ctrl(sims[0], 0, 0.05))
    ours, reference = sims[1].contact_force_w, sims[0].contact_force_w
    assert float(reference[..., 2].sum(1).min()) > 200.0  # standing
    assert float((ours - reference).norm(dim=-1).max()) < 0.02 * float(reference.norm(dim=-1).max())


def test_a_step_is_the_engines_own_substeps(make, warp):
    """`Sim.step` adds the fresh view alone: the state is that of so many plain steps."""
    import mujoco_warp

    sim, twin = make(), make()
    sim.ctrl.copy_(random_ctrl(sim, 1))
    twin.ctrl.copy_(sim.ctrl)
    sim.step(SUBSTEPS)
    with warp.ScopedDevice("cpu"):
        for _ in range(SUBSTEPS):
            mujoco_warp.step(twin.worlds._m, twin.worlds._d)
    assert torch.equal(sim.qpos, twin.qpos) and torch.equal(sim.qvel, twin.qvel)
    assert torch.equal(sim.contact_force_w, twin.contact_force_w)
    assert not torch.equal(sim.body_pos_w, twin.body_pos_w)  # a plain step leaves them one substep behind


def test_tensors_are_the_engines_own_memory(make):
    sim = make()
    assert sim.qpos.data_ptr() == sim.worlds._d.qpos.ptr and sim.ctrl.data_ptr() == sim.worlds._d.ctrl.ptr
    assert sim.body_pos_w.data_ptr() == sim.worlds._d.xpos.ptr + 3 * 4  # after the world's body
    assert sim.contact_force_w.data_ptr() == sim.worlds._d.sensordata.ptr


def test_nothing_waits_for_the_device(make, warp, monkeypatch):
    sim = make(Scene(boxes=(BOX,), contact_bodies=FEET))
    run(sim, 1)

    def waited(*args, **kwargs):
        raise AssertionError("something waited for the device")

    for name in ("synchronize", "synchronize_device", "synchronize_stream"):
        monkeypatch.setattr(warp, name, waited)
    monkeypatch.setattr(warp.array, "numpy", waited)
    monkeypatch.setattr(torch.Tensor, "cpu", waited)
    monkeypatch.setattr(torch.Tensor, "item", waited)
    sim.move_mocap(mask(True, False, True), torch.ones(3, 1, 3))
    sim.reset(mask(True, False, False), sim.qpos.clone(), sim.qvel.clone())
    run(sim, 2)
    sim.rays(torch.ones(3, 2, 3), torch.tensor([0.0, 0.0, -1.0]).expand(3, 2, 3))


def recorder_of(sim):
    return TapeRecorder(SimpleNamespace(device=sim.device, generator=None))


def test_rays_in_a_recording_are_cast_anew_by_every_replay(make):
    sim, recorder = make(Scene(boxes=(BOX,)), 2), None
    sim.move_mocap(mask(True, True), torch.tensor([0.0, 0.0, 0.1]).expand(2, 1, 3))
    start, ahead = sim.qpos.clone(), torch.tensor([-1.0, 0.0, 0.0]).expand(2, 1, 3)

    def put(x):
        qpos = start.clone()
        qpos[:, :3] = torch.tensor([x, 0.0, 0.15])
        sim.reset(mask(True, True), qpos, torch.zeros_like(sim.qvel))

    def work():  # two casts with arrays of their own
        near = sim.rays(sim.body_pos_w[:, :1], ahead)
        return near, sim.rays(sim.body_pos_w[:, :1] + torch.tensor([1.0, 0.0, 0.0]), ahead)

    put(2.0)
    recorder = recorder_of(sim)
    near, far = recorder.record(work)
    recorder.replay()  # the tape has computed while it recorded: its first replay does nothing
    for x in (2.0, 3.0, 1.0):
        put(x)
        recorder.replay()
        torch.testing.assert_close(near, torch.full((2, 1), x - 0.5))  # the box's half length
        torch.testing.assert_close(far, torch.full((2, 1), x + 0.5))


@pytest.mark.parametrize("call", [lambda sim: sim.apply_model_fields(), lambda sim: sim.model_field("body_mass")])
def test_the_model_is_not_written_in_a_recording(make, call):
    sim = make(SCENE, 1)
    with pytest.raises(
        RecordError, match=r"a step calls Sim\.\w+, which cannot be captured in a CUDA graph; call it between steps"
    ):
        recorder_of(sim).record(lambda: call(sim))
    call(sim)


SHORT = [("njmax", Scene(njmax=12)), ("nconmax", Scene(nconmax=3))]


@pytest.fixture
def no_slack(monkeypatch):
    monkeypatch.setattr("isaachrl.sim.worlds.warp.POOL_SLACK", 0)


@pytest.mark.parametrize(("name", "scene"), SHORT)
def test_too_little_room_is_counted_and_said_once(make, no_slack, caplog, name, scene):
    sim = make(scene, 2)
    assert sim.check_capacity() == {}  # nothing has been left out yet
    for _ in range(2):
        run(sim, 3)
        counts = sim.check_capacity()
        assert set(counts) == {name} and 1 <= counts[name] <= 2
    assert sim.check_capacity() == {}
    (line,) = [record.getMessage() for record in caplog.records if "left out of the physics" in record.getMessage()]
    size = getattr(scene, name)
    assert re.search(rf"in \d of 2 worlds task\.{name}={size}: there were .* type task\.{name}={2 * size}$", line)


@pytest.mark.parametrize(("name", "scene"), SHORT)
def test_more_room_is_as_if_it_had_been_there_from_the_beginning(make, no_slack, name, scene):
    sim, roomy = make(scene, 2), make(Scene(**{name: 8 * getattr(scene, name)}), 2)
    shown = {key: tensor.data_ptr() for key, tensor in vars(sim).items() if isinstance(tensor, torch.Tensor)}
    run(sim, 3)
    assert sim.check_capacity() and not roomy.check_capacity()
    sim.make_room({"hfield": 1.0})  # of which there is no more
    for _ in range(3):
        sim.make_room({name: 0.1})
    sim.load_state_dict({k: v for k, v in roomy.state_dict().items() if k != "room"})
    run(sim, 3), run(roomy, 3)
    assert sim.check_capacity() == {}
    assert_same_bits(snapshot(sim), snapshot(roomy))
    assert {key: tensor.data_ptr() for key, tensor in vars(sim).items() if isinstance(tensor, torch.Tensor)} == shown


@pytest.mark.parametrize("name", ["njmax", "nconmax"])
def test_room_that_was_doubled_three_times_may_be_short_now_and_then_but_not_always(make, name):
    sim = make(SCENE, 1)
    most = 8 * getattr(sim.worlds, name)
    for _ in range(3):
        sim.make_room({name: 1.0})
    sim.make_room({name: 0.5, "hfield": 1.0})  # half of the iterations: no error, and no more room either
    assert getattr(sim.worlds, name) == most
    with pytest.raises(ConfigError, match=rf"task\.{name}={most}: .*8 times the initial capacity"):
        sim.make_room({name: 0.51})
    other = "nconmax" if name == "njmax" else "njmax"
    before = getattr(sim.worlds, other)
    sim.make_room({name: 0.01, other: 0.01})  # of the other there is more
    assert (getattr(sim.worlds, name), getattr(sim.worlds, other)) == (most, 2 * before)


@pytest.mark.parametrize(
    "error", [RuntimeError("Failed to allocate 7 bytes\non device 'cuda:0'"), MemoryError("7 bytes")]
)
def test_without_memory_for_more_room_a_simulation_goes_on_with_what_it_has(make, monkeypatch, caplog, error):
    def refuse(nconmax, njmax):
        assert (nconmax, njmax) == (32, 512)
        raise error

    sim, other = make(SCENE, 1), make(SCENE, 1)
    data, shapes = sim.worlds._d, sim.worlds._d.efc.J.shape
    with monkeypatch.context() as patched:
        patched.setattr(sim.worlds, "_make_data", refuse)
        sim.make_room({"njmax": 1.0})
    assert (sim.worlds.nconmax, sim.worlds.njmax, sim.worlds._d.njmax) == (32, 256, 256) and sim.worlds._d is data
    assert sim.worlds._d.efc.J.shape == shapes and sim.state_dict()["room"].tolist() == [32, 256]
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line.startswith("there is no memory for task.njmax=512 (") and "7 bytes" in line and "\n" not in line
    run(sim, 2), run(other, 2)
    assert_same_bits(snapshot(sim), snapshot(other))
    sim.make_room({"njmax": 1.0})  # tried again
    assert sim.worlds.njmax == sim.worlds._d.njmax == 512 and sim.state_dict()["room"].tolist() == [32, 512]


def test_room_that_has_grown_is_stored_and_older_states_have_none(make):
    sim, other = make(SCENE, 1), make(SCENE, 1)
    sim.make_room({"njmax": 1.0})
    state = sim.state_dict()
    other.load_state_dict({name: values for name, values in state.items() if name != "room"})
    assert (other.worlds.nconmax, other.worlds.njmax) == (32, 256)
    other.load_state_dict(state)
    assert (
        (other.worlds.nconmax, other.worlds.njmax)
        == (32, 512)
        == (other.worlds._d.naconmax - 256, other.worlds._d.njmax)
    )


def test_a_body_on_more_of_an_uneven_floor_than_the_engine_takes_is_noticed(make, caplog):
    """The flag is set by hand: compiling the kernel that sets it takes a minute on the CPU."""
    import mujoco_warp

    sim = make(SCENE, 3)
    sim.worlds._overflow[1] = int(mujoco_warp.OverflowType.HFIELD)
    sim.worlds._overflow[2] = int(mujoco_warp.OverflowType.HFIELD | mujoco_warp.OverflowType.EPA_HORIZON)
    assert sim.check_capacity() == {"hfield": 2} and sim.check_capacity() == {}
    assert "in 2 of 3 worlds a body touched the uneven floor in more places" in caplog.text
    assert "task.disturb.rough_m=0 makes the floor even" in caplog.text


def test_violent_motion_fits_into_the_room_of_the_robot(make):
    sim = make(n=4)
    for i in range(40):
        sim.ctrl.copy_(random_ctrl(sim, i, 3.0))
        sim.step(SUBSTEPS)
    assert sim.check_capacity() == {}
    assert float(sim.contact_force_w.abs().max()) > 0


def test_room_comes_from_the_scene_then_from_the_robot():
    model = compile_scene(SCENE)
    assert capacity(Scene(), model) == (32, 256)
    assert capacity(Scene(nconmax=7), model) == (7, 256)
    assert capacity(Scene(njmax=9), model) == (32, 9)
    objects = tuple(FreeBody(name, Shape.ball, (0.1,), 0.5, (0.0, 0.0, 1.0)) for name in "ab")
    assert capacity(Scene(objects=objects), model) == (32 + 2 * 16, 256 + 2 * 64)
    assert capacity(Scene(objects=objects, njmax=9, nconmax=7), model) == (7, 9)
    model.numeric_data[:] = 5.0
    assert capacity(Scene(), model) == (5, 5)
    bare = type("Model", (), {"nnumeric": 0})()
    assert capacity(Scene(), bare) == CAPACITY


def test_a_state_of_the_other_engine_is_refused(warp):
    for one, other in (pair(SCENE, 1), reversed(pair(SCENE, 1))):
        with pytest.raises(CheckpointError, match=r"this engine needs .*sim=mujoco or sim=mujoco_warp"):
            one.load_state_dict(other.state_dict())


@pytest.fixture
def not_installed(monkeypatch):
    """As if the packages of the GPU engine were not there."""
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] in ("warp", "mujoco_warp") or name.endswith("worlds.warp"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.parametrize(("engine", "device"), [("mujoco_warp", "cpu"), ("mujoco_warp", "cuda:0"), ("auto", "cuda:0")])
def test_without_its_packages_the_engine_says_what_to_install(not_installed, engine, device):
    advice = r'type pip install -e "\.\[gpu\]" to install it, or sim=mujoco device=cpu to simulate on the CPU'
    with pytest.raises(ConfigError, match=rf"sim={engine} on device={device} needs MuJoCo Warp.*{advice}"):
        make_sim(Scene(), 1, engine, torch.device(device))


def test_the_obstacle_of_the_engine_is_what_to_install(not_installed):
    assert re.search(
        r'cannot be imported \(No module.*\); type pip install -e "\.\[gpu\]"$', gpu_engine_obstacle() or ""
    )


def test_the_obstacle_may_be_a_gpu_that_warp_cannot_use(warp, monkeypatch):
    monkeypatch.setattr(warp, "is_cuda_available", lambda: False)
    assert "finds no usable GPU; a newer driver may help" in (gpu_engine_obstacle() or "")
    monkeypatch.setattr(warp, "is_cuda_available", lambda: True)
    assert gpu_engine_obstacle() is None


def test_auto_takes_the_cpu_engine_on_the_cpu(caplog):
    with caplog.at_level(logging.INFO):
        assert make_sim(Scene(), 1, "auto", CPU).worlds.ENGINE == "mujoco"
    assert not caplog.records


# ------------------------------------------------------------------------------------------------ on a GPU

GPU = torch.device("cuda", 0)


def on_gpu(scene=SCENE, n=64):
    return make_sim(scene, n, "auto", GPU)


@pytest.mark.cuda
def test_a_gpu_agrees_with_the_cpu_engine_after_a_second():
    reference, sim = make_on("mujoco", SCENE, 4), on_gpu(n=4)
    ctrl = random_ctrl(reference, 0, 0.2)
    for _ in range(SECOND):  # the first steps run as they are, the others as a graph
        for one in (reference, sim):
            one.ctrl.copy_(ctrl)
            one.step(SUBSTEPS)
    assert float((reference.qpos - sim.qpos.cpu()).abs().max()) < 1e-4
    assert float((reference.body_pos_w - sim.body_pos_w.cpu()).abs().max()) < 1e-4


@pytest.mark.cuda
def test_a_gpu_resets_heals_and_sees_without_waiting():
    scene = Scene(boxes=(BOX,), contact_bodies=FEET)
    sim = on_gpu(scene)
    some = torch.arange(sim.num_envs, device=GPU) % 4 == 1
    broken = torch.where(some.unsqueeze(1), torch.nan, torch.zeros_like(sim.qvel))
    origin = torch.ones(sim.num_envs, 2, 3, device=GPU)
    down = torch.tensor([0.0, 0.0, -1.0], device=GPU).expand_as(origin)
    for _ in range(3):
        sim.step(SUBSTEPS)
        sim.reset(some, sim.qpos.clone(), torch.zeros_like(sim.qvel))
    start = sim.qpos.clone()
    sim.rays(origin, down)
    torch.cuda.set_sync_debug_mode("error")
    try:
        sim.move_mocap(some, torch.ones_like(sim.mocap_pos_w))
        sim.reset(some, start, broken)
        sim.step(SUBSTEPS)
        distance = sim.rays(origin, down)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(sim.diverged, some)
    assert torch.equal(sim.num_diverged, some.long())
    assert bool(sim.qpos.isfinite().all()) and bool(sim.body_linvel_w.isfinite().all())
    torch.testing.assert_close(distance.cpu(), torch.ones(sim.num_envs, 2))
    assert sim.check_capacity() == {}


@pytest.mark.cuda
def test_a_gpu_takes_model_fields_after_its_graph_was_captured():
    sim = on_gpu(Scene(), 2)
    for _ in range(3):
        sim.step(4)
    sim.model_field("opt.gravity")[1] *= 0.5
    sim.apply_model_fields()
    high = sim.robot.qpos0.to(GPU).repeat(2, 1)
    high[:, 2] = 5.0
    sim.reset(torch.ones(2, dtype=torch.bool, device=GPU), high, torch.zeros_like(sim.qvel))
    for _ in range(6):
        sim.step(4)
    dropped = (5.0 - sim.root_pos_w[:, 2]).cpu()
    assert float(dropped[1] / dropped[0]) == pytest.approx(0.5, abs=0.02)
