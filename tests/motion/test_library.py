import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion.clip import Clip
from isaachrl.motion.library import MotionLibrary, to_qpos_qvel
from isaachrl.sim import Scene, compile_scene


def at(library, time_s, clip=0):
    return library.state(torch.tensor(clip), torch.tensor(float(time_s)))


def elbow(library, state):
    index = library.robot.joint_names.index("right_elbow")
    return rotations.to_rotvec(state.joint_quat[..., index, :])[..., 1]


def circle(make_clip, radius=2.0, lap_yaw=math.pi / 2, frames=11, turn0=0.3):
    """Walking to the left round a circle: each lap of one second turns by `lap_yaw`."""
    angle = turn0 + np.linspace(0, lap_yaw, frames)
    pos = np.stack((radius * np.sin(angle), -radius * np.cos(angle), np.full(frames, 0.9)), axis=-1)
    swing = -1 + 0.5 * np.sin(np.linspace(0, 2 * np.pi, frames))
    return make_clip(pos, yaw=angle, elbow=swing, fps=frames - 1.0, loop=True, name="circle")


def smooth_clip(robot, fps=120.0, seconds=1.0):
    """Every joint and the root swing smoothly by a random amount; rotations stay below a half turn."""
    rng, t = np.random.default_rng(0), np.arange(int(fps * seconds) + 1) / fps

    def swings(count):
        size, speed, start = rng.uniform(0.2, 0.7, count), rng.uniform(2, 5, count), rng.uniform(0, 6, count)
        return torch.tensor(size * np.sin(speed * t[:, None] + start))

    joints = rotations.from_rotvec(swings(3 * len(robot.joints)).unflatten(-1, (-1, 3)))
    for j, joint in enumerate(robot.joints):
        if not joint.ball:
            joints[:, j] = rotations.from_axis_angle(torch.tensor([joint.axis]).double(), swings(1)[:, 0])
    root = rotations.from_rotvec(swings(3) + torch.tensor([0.0, 0.0, 1.0]))
    return Clip("smooth", fps, robot.joint_names, robot.body_names, swings(3).numpy(), root.numpy(), joints.numpy())


def test_frames_are_blended(make_clip, robot):
    clip = make_clip([[0, 0, 1], [1, 0, 1], [3, 4, 1]], yaw=[0, 0.2, 0.6], elbow=[0, -0.4, -1.0])
    library = MotionLibrary([clip], robot, "cpu")
    state = at(library, 0.15)  # half way between the frames at 0.1 and 0.2 s
    torch.testing.assert_close(state.root_pos_w, torch.tensor([2.0, 2.0, 1.0]))
    torch.testing.assert_close(state.body_pos_w[0], state.root_pos_w)
    torch.testing.assert_close(rotations.heading(state.root_quat_w), torch.tensor(0.4))
    torch.testing.assert_close(elbow(library, state), torch.tensor(-0.7))
    # velocities at the two frames: (3 - 0) / 0.2 and (3 - 1) / 0.1 along x
    torch.testing.assert_close(state.root_linvel_w, torch.tensor([17.5, 30.0, 0.0]))
    torch.testing.assert_close(state.root_angvel_w, torch.tensor([0.0, 0.0, 3.5]))
    dof = robot.joints[robot.joint_names.index("right_elbow")].dof
    torch.testing.assert_close(state.dof_vel[dof], torch.tensor([-5.5]))


def test_nothing_is_extrapolated_outside_of_a_clip(make_clip, robot):
    clip = make_clip([[0, 0, 1], [1, 0, 1], [3, 0, 1]], yaw=[0, 0.2, 0.6], elbow=[0, -0.4, -1.0])
    library = MotionLibrary([clip], robot, "cpu")
    for time, frame, x in ((-0.04, 0.0, 0.0), (-70.0, 0.0, 0.0), (0.25, 0.2, 3.0), (1e4, 0.2, 3.0)):
        outside, inside = at(library, time), at(library, frame)
        assert outside.root_pos_w[0] == x
        for field, value in vars(outside).items():
            torch.testing.assert_close(value, getattr(inside, field), atol=1e-5, rtol=0, msg=field)


def test_a_straight_loop_goes_on_both_ways_and_keeps_its_height(make_clip, robot):
    x = np.linspace(0, 2, 11)
    pos = np.stack((x + 5, -0.5 * x, 0.9 + 0.01 * x), axis=-1)
    clip = make_clip(pos, elbow=-1 + 0.5 * np.sin(np.pi * x), loop=True)  # the elbow swings once in a lap of 1 s
    library = MotionLibrary([clip], robot, "cpu")
    for time in (0.0, 0.5, 1.0, 2.5, 40.3, -0.5, -3.2):
        state, lap = at(library, time), math.floor(time)
        expected = [5 + 2 * time, -time, 0.9 + 0.02 * (time - lap)]
        torch.testing.assert_close(state.root_pos_w, torch.tensor(expected), atol=1e-4, rtol=0)
        torch.testing.assert_close(state.root_linvel_w[:2], torch.tensor([2.0, -1.0]), atol=1e-4, rtol=0)
        inside = at(library, time - lap)
        torch.testing.assert_close(state.joint_quat, inside.joint_quat, atol=1e-4, rtol=0)
        torch.testing.assert_close(state.body_pos_w - state.root_pos_w, inside.body_pos_w - inside.root_pos_w)


@pytest.mark.parametrize("lap_yaw", [math.pi / 2, -0.7, 1e-4])
def test_a_turning_loop_follows_its_circle(make_clip, robot, lap_yaw):
    library = MotionLibrary([circle(make_clip, lap_yaw=lap_yaw)], robot, "cpu")
    times = torch.tensor([0.0, 0.3, 1.0, 1.4, 2.9, 11.6, -0.1, -1.0, -5.7])  # all at frames, where the path is exact
    state = library.state(torch.zeros_like(times).long(), times)
    angle = 0.3 + lap_yaw * times
    expected = torch.stack((2 * angle.sin(), -2 * angle.cos(), torch.full_like(angle, 0.9)), dim=-1)
    torch.testing.assert_close(state.root_pos_w, expected, atol=3e-5, rtol=0)
    turned = rotations.multiply(rotations.conjugate(rotations.from_yaw(angle)), state.root_quat_w)
    torch.testing.assert_close(turned[..., 0].abs(), torch.ones(9), atol=1e-5, rtol=0)
    # the chord over two steps stands for the arc, also over the seam
    speed = 2 * math.sin(lap_yaw / 10) / 0.1
    forward = torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)), dim=-1)
    torch.testing.assert_close(state.root_linvel_w, speed * forward, atol=2e-4, rtol=0)
    spin = torch.tensor([0.0, 0.0, lap_yaw]).expand(9, 3)
    torch.testing.assert_close(state.root_angvel_w, spin, atol=2e-4, rtol=0)


def test_a_loop_has_the_same_velocities_on_both_sides_of_its_seam(make_clip, robot):
    library = MotionLibrary([circle(make_clip)], robot, "cpu")
    seam, before, after = at(library, 1.0), at(library, 0.9), at(library, 1.1)
    rate = (elbow(library, after) - elbow(library, before)) / 0.2
    assert rate.abs() > 1.0
    dof = robot.joints[robot.joint_names.index("right_elbow")].dof
    torch.testing.assert_close(seam.dof_vel[dof], rate[None], atol=1e-4, rtol=0)
    torch.testing.assert_close(at(library, 0.99999).dof_vel, seam.dof_vel, atol=1e-3, rtol=0)


def test_postures_are_the_bodies_of_states_in_the_first_lap(make_clip, robot):
    library = MotionLibrary([circle(make_clip)], robot, "cpu")
    clip, times = torch.zeros(4, dtype=torch.long), torch.tensor([0.0, 0.333, 0.75, 1.333])
    bodies = library.state(clip, times).body_pos_w
    postures = library.postures(clip, times)
    assert torch.allclose(postures[:3], bodies[:3], atol=1e-6)
    assert torch.allclose(postures[3], postures[1], atol=1e-5) and not torch.allclose(bodies[3], bodies[1], atol=0.1)


def test_velocities_are_the_derivative_of_the_coordinates(robot):
    model = compile_scene(Scene(robot="humanoid"))
    library = MotionLibrary([smooth_clip(robot)], robot, "cpu")
    h = 1 / 120
    for time in (0.1, 0.503, 0.871):
        qpos, qvel = to_qpos_qvel(library.layout, at(library, time))
        assert qpos.shape == (model.nq,) and qvel.shape == (model.nv,)
        before, after = (to_qpos_qvel(library.layout, at(library, time + s))[0].double().numpy() for s in (-h, h))
        numeric = np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, numeric, 2 * h, before, after)
        numeric[3:6] = _in_the_middle(before, qpos.double().numpy(), numeric[3:6])
        np.testing.assert_allclose(qvel, numeric, atol=0.02)
        assert np.abs(numeric).max() > 1.0


def _in_the_middle(before, middle, angvel):
    """The velocity of the free joint between two poses, seen from the body's frame in the middle."""
    world = rotations.rotate(torch.tensor(before[3:7]), torch.tensor(angvel))
    return rotations.rotate_inverse(torch.tensor(middle[3:7]), world).numpy()


def test_windows_are_many_single_reads(make_clip, robot):
    other = make_clip([[0, 0, 1], [0, 3, 1]], yaw=[0, 1], fps=2.0)
    library = MotionLibrary([circle(make_clip), other], robot, "cpu")
    ids, times = torch.tensor([[0], [1], [0]]), torch.tensor([0.2, 0.6, -2.3])[:, None] - torch.arange(4) / 30
    window = library.state(ids, times)
    assert window.joint_quat.shape == (3, 4, 12, 4) and window.body_pos_w.shape == (3, 4, 15, 3)
    for n in range(3):
        for w in range(4):
            single = at(library, times[n, w], clip=int(ids[n]))
            for field, value in vars(single).items():
                torch.testing.assert_close(getattr(window, field)[n, w], value, msg=field)


def test_reading_never_looks_at_a_value(make_clip, robot):
    # tensors on the meta device have no values: whatever needs one fails
    library = MotionLibrary([circle(make_clip)], robot, "meta")
    state = library.state(torch.zeros(6, 1, dtype=torch.long, device="meta"), torch.zeros(6, 3, device="meta"))
    qpos, qvel = to_qpos_qvel(library.layout, state)
    assert qpos.shape == (6, 3, 43) and qvel.shape == (6, 3, 34)


def test_clips_are_drawn_by_weight_and_by_seed(make_clip, robot):
    clips = [make_clip([[0, 0, 1]] * 2, name=name) for name in "abcd"]
    library = MotionLibrary(clips, robot, "cpu", weights=[0.0, 3.0, 1.0, 0.0])
    assert library.num_clips == 4 and library.names == ("a", "b", "c", "d")
    torch.testing.assert_close(library.weights, torch.tensor([0.0, 0.75, 0.25, 0.0]))
    ids = library.sample_clips(4000, torch.Generator().manual_seed(3))
    counts = torch.bincount(ids, minlength=4)
    assert counts[0] == 0 and counts[3] == 0
    assert abs(counts[1] / 4000 - 0.75) < 0.03
    assert torch.equal(ids, library.sample_clips(4000, torch.Generator().manual_seed(3)))


def test_times_fill_the_clip_after_its_margin(make_clip, robot):
    short, long = make_clip([[0, 0, 1]] * 3), make_clip([[0, 0, 1]] * 41)
    library = MotionLibrary([short, long, circle(make_clip)], robot, "cpu")
    torch.testing.assert_close(library.durations_s, torch.tensor([0.2, 4.0, 1.0]))
    ids = torch.arange(3).repeat_interleave(500)
    times = library.sample_times(ids, torch.Generator().manual_seed(0)).reshape(3, 500)
    assert (times >= 0).all() and (times.amax(1) <= library.durations_s).all()
    assert (times.amin(1) < 0.02 * library.durations_s).all() and (times.amax(1) > 0.98 * library.durations_s).all()
    late = library.sample_times(ids, torch.Generator().manual_seed(0), margin_s=1.0).reshape(3, 500)
    torch.testing.assert_close(late[0], torch.full((500,), 0.2))  # shorter than the margin: its last frame
    assert 1.0 <= late[1].min() < 1.1
    assert late[2].min() < 0.1, "a loop has a past before its first frame"


def test_mean_speed_and_turn_rate(make_clip, robot):
    straight = make_clip([[0, 0, 1], [3, 4, 1], [6, 8, 7]], yaw=[3.0, 3.1, 3.2], fps=2.0)
    library = MotionLibrary([straight, circle(make_clip, lap_yaw=-1.0)], robot, "cpu")
    chord = 10 * 2 * 2 * math.sin(0.05)
    torch.testing.assert_close(library.mean_speed_mps, torch.tensor([10.0, chord]))
    torch.testing.assert_close(library.mean_turn_rate_rad_s, torch.tensor([0.2, -1.0]), atol=1e-5, rtol=0)


def test_joints_in_another_order_are_sorted_by_name(robot):
    clip = smooth_clip(robot, fps=30.0)
    turned = replace(clip, joint_names=clip.joint_names[::-1], joint_quat=clip.joint_quat[:, ::-1])
    library = MotionLibrary([clip, turned], robot, "cpu")
    assert torch.equal(at(library, 0.4, 0).joint_quat, at(library, 0.4, 1).joint_quat)


def test_clips_of_another_robot_are_refused(make_clip, robot):
    clip = make_clip([[0, 0, 1]] * 2)
    names = ("tail", *clip.joint_names[1:])
    with pytest.raises(ClipError, match="(?s)'made'.*the clip has the joints tail, .*'humanoid' has abdomen, "):
        MotionLibrary([replace(clip, joint_names=names)], robot, "cpu")


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.inf], [1e308, 1e308]])
def test_senseless_weights_are_refused(make_clip, robot, weights):
    with pytest.raises(ClipError, match="weight"):
        MotionLibrary([make_clip([[0, 0, 1]] * 2)] * 2, robot, "cpu", weights)


def test_an_empty_library_is_refused(robot):
    with pytest.raises(ClipError, match="at least one clip"):
        MotionLibrary([], robot, "cpu")


def test_planar_velocities_are_those_ahead_and_to_the_left(make_clip, robot):
    library = MotionLibrary([circle(make_clip)], robot, "cpu")
    clip, times = torch.zeros(3, dtype=torch.long), torch.tensor([0.2, 0.5, 0.8])
    # a quarter of a turn and of a circle of 2 m in a second, to the left, along the chords between frames
    expected = torch.tensor([[math.pi, 0.0, math.pi / 2]]).expand(3, -1)
    assert torch.allclose(library.planar_velocity(clip, times), expected, atol=0.02)
