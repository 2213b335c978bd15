import numpy as np
import pytest
import torch

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion import clip as clips
from isaachrl.motion import kinematics
from isaachrl.motion.checks import check_clip
from isaachrl.motion.synthesis import (
    CLIP_NAMES,
    body,
    builtin,
    builtin_clip,
    builtin_clips,
    engine,
    feet,
    numerics,
    skeleton,
    steps,
    timeline,
)
from isaachrl.motion.synthesis.legs import leg_rotations
from isaachrl.motion.synthesis.tables import Style
from isaachrl.shipped import ASSETS
from isaachrl.sim.soles import robot_soles

STRAIGHT = {
    "walk_slow": 0.6,
    "walk": 1.0,
    "walk_fast": 1.4,
    "jog": 2.2,
    "run": 2.8,
    "crouch": 0.7,
    "back": 0.6,
    "side_left": 0.5,
}
TURNS = {
    "curve_left": 0.48, "tight_right": -0.9 / 1.1, "turn_left": 1.0, "fast_turn_right": -2.0, "walk_turn_left": 1.6,
    "jog_curve_right": -0.8, "sharp_left": 2.0,
}  # fmt: skip
CHANGES = ("start", "stop", "speed_up", "slow_down", "accelerate", "brake", "about_left", "about_right")
QUIET = timeline.Noise(1, amplitude=0.0)


@pytest.fixture(scope="module")
def made():
    return {clip.name: clip for clip in builtin_clips()}


@pytest.fixture(scope="module")
def measured(made, robot):
    return {name: check_clip(clip, robot, robot_soles(robot)) for name, clip in made.items()}


@pytest.fixture(scope="module")
def model():
    return builtin.humanoid()


# ---- the clips


@pytest.mark.parametrize("name", CLIP_NAMES)
def test_feet_stand_still_on_the_floor_and_joints_keep_their_ranges(measured, name):
    checks = measured[name]
    assert checks.slip_cm < 1.0
    assert checks.penetration_mm < (4.0 if name in ("run", "accelerate") else 3.0)  # a foot lands faster there
    assert checks.margin_deg > 3.0
    assert 3.0 < checks.knee_deg[0] < checks.knee_deg[1] < (105.0 if name == "brake" else 95.0)
    assert checks.peak_speed_rad_s < 15.0


@pytest.mark.parametrize("name", CLIP_NAMES)
def test_loops_close(made, measured, name):
    clip = made[name]
    assert clip.loop == (name not in CHANGES)
    assert measured[name].seam_rad < 1e-4
    if clip.loop:
        assert clip.root_pos_w[-1, 2] == pytest.approx(clip.root_pos_w[0, 2], abs=1e-4)


@pytest.mark.parametrize(("name", "speed"), STRAIGHT.items())
def test_straight_gaits_go_at_the_commanded_speed(measured, name, speed):
    assert measured[name].net_m_s == pytest.approx(speed, rel=0.002)


@pytest.mark.parametrize(("name", "turn"), TURNS.items())
def test_curves_turn_at_the_commanded_rate(measured, name, turn):
    assert measured[name].turn_rad_s == pytest.approx(turn, rel=0.005)


def test_the_body_walks_the_way_it_is_meant_to(made, measured):
    assert measured["back"].forward_m_s < -0.55
    left = made["side_left"].root_pos_w
    assert left[-1, 1] - left[0, 1] == pytest.approx(0.5 * made["side_left"].duration_s, rel=0.01)
    assert max(measured[name].net_m_s for name in ("turn_left", "fast_turn_left")) < 0.05


def test_joint_accelerations_stay_moderate(made, robot):
    for clip in made.values():
        speed = kinematics.dof_velocity(robot, torch.from_numpy(clip.joint_quat), 1.0 / clip.fps)
        assert float((speed.diff(dim=0) * clip.fps).abs().max()) < 410.0


def test_starting_and_stopping_begin_and_end_at_rest(made):
    start, stop = made["start"], made["stop"]
    assert np.abs(start.root_pos_w[3] - start.root_pos_w[0]).max() < 2e-3
    assert np.abs(stop.root_pos_w[-1] - stop.root_pos_w[-4]).max() < 2e-3
    late = np.linalg.norm(start.root_pos_w[-1] - start.root_pos_w[-61])
    early = np.linalg.norm(stop.root_pos_w[60] - stop.root_pos_w[0])
    assert late == pytest.approx(1.2, rel=0.05)
    assert early == pytest.approx(1.2, rel=0.05)


def test_the_shipped_files_are_what_the_code_makes(made):
    for name, clip in made.items():
        shipped = clips.load(ASSETS / "motions" / f"{name}.npz")
        np.testing.assert_allclose(shipped.root_pos_w, clip.root_pos_w, atol=1e-3)
        np.testing.assert_allclose(shipped.joint_quat, clip.joint_quat, atol=1e-3)


def test_the_same_clip_every_time(made):
    again = builtin_clip("walk")
    np.testing.assert_array_equal(again.joint_quat, made["walk"].joint_quat)


def test_an_unknown_clip_is_refused_with_the_nearest_name():
    with pytest.raises(ClipError, match="walk_slow"):
        builtin_clips(["walk_slwo"])


def test_no_two_strides_are_alike(made):
    hip = made["walk"].joint_names.index("right_hip")
    stride = (made["walk"].num_frames - 1) // 4
    first, second = made["walk"].joint_quat[:stride, hip], made["walk"].joint_quat[stride : 2 * stride, hip]
    assert 0.005 < np.abs(first - second).max() < 0.2


def test_without_noise_half_a_stride_later_is_the_mirror_image(model):
    clip = engine.synthesise("even", timeline.loop(Style(), (1.0, 0.0, 0.0), 2, QUIET), model, loop=True)
    half = (clip.num_frames - 1) // 4
    assert (clip.num_frames - 1) % 4 == 0
    mirror = builtin.mirrored(clip, "mirror")
    np.testing.assert_allclose(mirror.joint_quat[:-half], clip.joint_quat[half:], atol=2e-3)
    np.testing.assert_allclose(mirror.root_pos_w[:-half, 2], clip.root_pos_w[half:, 2], atol=1e-3)


def test_mirroring_swaps_sides_and_flips_y(made):
    mirror = builtin.mirrored(made["curve_left"], "m")
    np.testing.assert_array_equal(mirror.root_pos_w[:, 1], -made["curve_left"].root_pos_w[:, 1])
    right, left = mirror.joint_names.index("right_knee"), mirror.joint_names.index("left_knee")
    np.testing.assert_allclose(mirror.joint_quat[:, right], made["curve_left"].joint_quat[:, left], atol=1e-6)
    yaw = rotations.heading(torch.from_numpy(mirror.root_quat_w))
    original = rotations.heading(torch.from_numpy(made["curve_left"].root_quat_w))
    torch.testing.assert_close(yaw, -original)


@pytest.mark.parametrize("speed", [0.6, 1.0, 1.4, 2.2])
def test_swinging_soles_clear_the_floor(model, speed):
    line = timeline.loop(Style(), (speed, 0.0, 0.0), 1, QUIET)
    path = engine.posture(line, model, body.still(line.t_s)).feet[steps.LEFT]
    rotation = feet.rotation(path)
    corners = [path.ankle + rotation @ np.array([x, 0.0, -model.sole_depth_m]) for x in (model.heel_m, model.toe_m)]
    lowest = np.minimum(corners[0][:, 2], corners[1][:, 2])
    for before, after in zip(*[iter(pair) for pair in _swings(line)], strict=True):
        length = after - before
        middle = (line.t_s > before + 0.25 * length) & (line.t_s < after - 0.25 * length)
        if line.t_s[0] < before and after < line.t_s[-1]:
            assert lowest[middle].min() > 0.004


def _swings(line):
    stances = steps.footsteps(line, steps.LEFT)
    return [step.push_s for step in stances[:-1]], [step.strike_s for step in stances[1:]]


# ---- the parts


def test_the_table_is_linear_between_its_columns_and_held_beyond():
    np.testing.assert_allclose(Style().at("cadence", [0.8, 3.0, 9.0]), [99.5, 168.0, 168.0])
    np.testing.assert_allclose(Style({"cadence": 80}).at("cadence", [0.0, 2.0]), [80.0, 80.0])


def test_an_unknown_gait_parameter_is_refused():
    with pytest.raises(KeyError, match="cadnce"):
        Style({"cadnce": 1.0})


def test_a_quintic_meets_value_rate_and_acceleration_at_both_ends():
    # x = t^5 between 1 and 2
    t = np.linspace(1.0, 2.0, 7)
    np.testing.assert_allclose(numerics.quintic(t, 1.0, 2.0, (1, 5, 20), (32, 80, 160)), t**5, rtol=1e-12)


def test_a_pendulum_over_a_swaying_pressure_sways_less():
    # x'' = k (x - sin(at)) is solved by k / (k + a^2) sin(at)
    t = np.arange(0.0, 10.0, 1.0 / 120.0)
    pressure = np.sin(3.0 * t)[:, None]
    x = numerics.pendulum(pressure, np.full(len(t), 12.0), 1.0 / 120.0)
    np.testing.assert_allclose(x[400:800, 0], 12.0 / 21.0 * pressure[400:800, 0], atol=1e-3)


def test_without_stiffness_a_pendulum_flies_straight():
    x = numerics.pendulum(np.array([[0.0], [9.0], [9.0], [9.0], [4.0]]), np.zeros(5), 0.1)
    np.testing.assert_allclose(x[:, 0], [0.0, 1.0, 2.0, 3.0, 4.0], atol=1e-12)


def test_a_quaternion_of_a_matrix_is_that_of_its_rotation():
    q = rotations.normalize(torch.randn(50, 4, dtype=torch.float64))
    q = q * torch.sign(q[:, :1])
    np.testing.assert_allclose(numerics.quaternion(rotations.to_matrix(q).numpy()), q.numpy(), atol=1e-7)


def test_a_constant_turn_follows_a_circle():
    velocity = np.tile([1.0, 0.0, 0.5], (1201, 1))
    path = timeline.integrate(velocity, 0)
    np.testing.assert_allclose(np.hypot(path[:, 0], path[:, 1] - 2.0), 2.0, atol=1e-3)
    assert path[-1, 2] == pytest.approx(5.0)


def test_prints_of_a_straight_walk_lie_a_stride_apart_and_a_width_beside_each_other():
    line = timeline.loop(Style(), (1.0, 0.0, 0.0), 2, QUIET)
    right, left = steps.footsteps(line, steps.RIGHT), steps.footsteps(line, steps.LEFT)
    stride = line.clip.stop - line.clip.start - 1
    assert right[3].ankle[0] - right[2].ankle[0] == pytest.approx(stride / 240.0, abs=1e-4)
    assert right[3].ankle[1] == pytest.approx(-0.0675)
    assert left[3].ankle[1] == pytest.approx(0.0675)
    assert left[3].strike_s - right[3].strike_s == pytest.approx(stride / 480.0, abs=1e-4)
    assert (right[3].push_s - right[3].strike_s) / (stride / 240.0) == pytest.approx(0.64, abs=1e-3)


def test_a_run_flies_freely_between_contacts_and_bounces_about_zero():
    line = timeline.loop(Style(), (2.2, 0.0, 0.0), 4, QUIET)
    height = body.bounce(line)
    acceleration = np.gradient(np.gradient(height, timeline.DT_S), timeline.DT_S)
    share = np.mod(2.0 * line.phase, 1.0)
    flying = (share > 0.84) & (share < 0.92)  # in contact until 2 x 0.38 of the step
    np.testing.assert_allclose(acceleration[flying], -9.81, atol=0.05)
    assert np.mean(height[line.clip][:-1]) == pytest.approx(0.0, abs=1e-3)
    # 1 cm of flight in 0.09 s, and 9.81 (2.067 (0.285 / pi)^2 - 0.1425^2 / 2) in contact
    assert np.ptp(height) == pytest.approx(0.0099 + 0.0672, abs=0.001)


def test_a_standing_foot_turns_about_the_edge_that_touches_the_floor(model):
    line = timeline.loop(Style(), (1.0, 0.0, 0.0), 1, QUIET)
    step = steps.footsteps(line, steps.RIGHT)[3]
    t_s = np.linspace(step.strike_s, step.push_s, 50)
    pitch, ankle = feet.stance_pitch(step, t_s), feet.stance_ankle(model, step, t_s)
    turn = numerics.turn_z(np.full(50, step.yaw)) @ numerics.turn_y(-pitch)
    edges = np.where(pitch > 0, model.heel_m, model.toe_m)
    corner = np.stack((edges, np.zeros(50), np.full(50, -model.sole_depth_m)), axis=1)
    touching = ankle + (turn @ corner[..., None])[..., 0]
    np.testing.assert_allclose(touching[:, 2], 0.0, atol=1e-12)
    print_of = step.ankle + edges[:, None] * np.array([np.cos(step.yaw), np.sin(step.yaw)])
    np.testing.assert_allclose(touching[:, :2], print_of, atol=1e-12)
    assert np.degrees(pitch[0]) == pytest.approx(15.5)
    assert np.degrees(pitch[-1]) == pytest.approx(-57.0)


def test_a_leg_reaches_its_ankle_with_the_knee_in_front(model):
    hip = np.array([[0.0, 0.1, 0.9], [0.2, -0.1, 0.8]])
    right_angle = np.hypot(model.thigh_m, model.shin_m)
    ankle = hip + np.array([[0.0, 0.0, -right_angle], [0.3, 0.05, -0.6]])
    thigh, shin = leg_rotations(model, hip, ankle, np.zeros(2), np.zeros(2))
    knee = hip - model.thigh_m * thigh[..., 2]
    np.testing.assert_allclose(knee - model.shin_m * shin[..., 2], ankle, atol=1e-9)
    assert np.all(knee[:, 0] > 0.5 * (hip + ankle)[:, 0])
    assert (thigh[0, :, 2] @ shin[0, :, 2]) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(np.swapaxes(thigh, 1, 2) @ thigh, np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-9)


def test_the_centre_of_mass_of_a_straight_body_lies_on_its_middle(model, robot):
    still = np.broadcast_to(np.eye(3), (1, robot.num_bodies, 3, 3))
    com = skeleton.centre_of_mass(model, still)
    assert com[0, 1] == pytest.approx(0.0, abs=1e-6)
    weights = model.mass_kg / robot.mass_kg
    pos, _ = kinematics.forward(
        robot, torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([1.0, 0, 0, 0]).expand(1, 12, 4)
    )
    np.testing.assert_allclose(com[0], weights @ (pos[0].numpy() + model.com_b_m), atol=1e-5)


def test_variations_repeat_with_their_period_and_stay_within_their_size():
    noise = timeline.Noise(4, amplitude=0.03, seed=2)
    phase = np.linspace(0.0, 4.0, 400)
    for wave in (noise.width, noise.arms):
        np.testing.assert_allclose(wave(phase), wave(phase + 4.0), atol=1e-12)
        assert 0.01 < np.abs(wave(phase)).max() <= 0.03
    assert 0.01 < np.abs(np.gradient(noise.cadence(phase), phase)).max() <= 0.0301
