"""HumanoidAMP and what the humanoid's tasks share: senses, style, motors, falls, starts."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import isaachrl
import tasks  # noqa: F401  registers the tasks
from isaachrl.envs import TaskEnv
from isaachrl.errors import ClipError, ConfigError
from isaachrl.learn.skills.motions import Demonstrations
from isaachrl.maths import rotations
from isaachrl.motion import clip as clips
from isaachrl.motion.kinematics import dof_pos, posture_distance_m2
from isaachrl.motion.library import to_qpos_qvel
from isaachrl.shipped import ASSETS
from isaachrl.sim import Control, load_robot
from tasks.common import humanoid
from tasks.humanoid_amp import HumanoidAMP

CPU = torch.device("cpu")


def make(num_envs: int = 4, **changes: object) -> TaskEnv:
    """An environment of HumanoidAMP with a short window."""
    env = isaachrl.make("HumanoidAMP", num_envs=num_envs, cfg={"task": {"style_frames": 3, **changes}})
    assert isinstance(env, TaskEnv)
    return env


def amp(env: TaskEnv) -> HumanoidAMP:
    assert isinstance(env.task, HumanoidAMP)
    return env.task


def test_senses_and_style_do_not_change_when_the_scene_is_moved_and_turned() -> None:
    env = make()
    for _ in range(3):
        env.advance(0.1 * torch.randn(4, 28))
    task, before = amp(env), humanoid.proprioception(env.sim)
    style = task.style_frame(humanoid.motion_state(env.sim, task.library.layout))
    turn = rotations.from_yaw(torch.tensor([0.3, 1.5, -2.0, 3.1]))
    qpos, qvel = env.sim.qpos.clone(), env.sim.qvel.clone()
    qpos[:, :3] = rotations.rotate(turn, qpos[:, :3]) + torch.tensor([5.0, -3.0, 0.0])
    qpos[:, 3:7] = rotations.multiply(turn, qpos[:, 3:7])
    qvel[:, :3] = rotations.rotate(turn, qvel[:, :3])  # the angular velocity is in the body's own frame
    env.sim.reset(torch.ones(4, dtype=torch.bool), qpos, qvel)
    after = task.style_frame(humanoid.motion_state(env.sim, task.library.layout))
    assert torch.allclose(humanoid.proprioception(env.sim), before, atol=1e-4)
    assert torch.allclose(after, style, atol=1e-4)


def test_proprioception_parts_are_where_the_layout_says() -> None:
    env = make()
    sim, sizes = env.sim, [size for _, size, _ in humanoid.proprioception_layout(env.sim.robot)]
    parts = humanoid.proprioception(sim).split(sizes, dim=1)
    to_heading = rotations.world_to_heading(sim.root_quat_w)
    height, position, axis_x, axis_z, linear, angular = parts
    assert torch.equal(height.squeeze(1), sim.root_pos_w[:, 2])
    head = sim.robot.body_names.index("head")
    arm_w = sim.body_pos_w[:, head] - sim.root_pos_w
    assert torch.allclose(
        position.view(4, -1, 3)[:, head - 1], (to_heading @ arm_w.unsqueeze(-1)).squeeze(-1), atol=1e-5
    )
    for part, world in ((linear, sim.body_linvel_w), (angular, sim.body_angvel_w)):
        assert torch.allclose(part.view(4, -1, 3), world @ to_heading.mT, atol=1e-4)
    assert torch.allclose(axis_x.view(4, -1, 3).norm(dim=-1), torch.ones(4, 15), atol=1e-5)
    assert torch.allclose(axis_z.view(4, -1, 3).norm(dim=-1), torch.ones(4, 15), atol=1e-5)
    assert sum(sizes) == 223


def test_a_recorded_frame_and_the_simulated_one_at_reset_are_the_same() -> None:
    env = make()
    task = amp(env)
    simulated = task.style_frame(humanoid.motion_state(env.sim, task.library.layout))
    recorded = task.style_windows(task.start_clip, task.start_time_s).unflatten(1, (3, -1))
    assert torch.allclose(task.history, recorded, atol=1e-5)
    # key bodies are blended between frames in the clip and computed exactly in the simulation: a few millimetres
    assert (simulated - recorded[:, 0]).abs().max().item() < 0.02


def test_the_window_is_newest_first() -> None:
    env = make()
    first = amp(env).history[:, 0].clone()
    env.advance(torch.zeros(4, 28))
    assert torch.equal(amp(env).history[:, 1], first)


def test_targets_of_hinges_balls_and_torques() -> None:
    robot = load_robot("humanoid")
    position = humanoid.ActionMap(robot, Control.position, CPU)
    knee, hip = robot.dof_names.index("right_knee"), robot.dof_names.index("right_hip_x")
    assert position.offset[knee].item() == pytest.approx(math.radians(80))
    assert position.scale[knee].item() == pytest.approx(0.7 * math.radians(160))
    assert position.offset[hip].item() == 0.0
    assert position.scale[hip].item() == pytest.approx(1.2 * math.radians(140))
    shoulder = robot.dof_names.index("left_shoulder_y")
    assert position.scale[shoulder].item() == pytest.approx(math.pi)
    torque = humanoid.ActionMap(robot, Control.torque, CPU)
    control = torque(torch.full((1, 28), -2.0))  # clamped to -1
    assert torch.equal(control[0], -robot.effort_limit)


def test_mean_action_asks_for_a_standing_pose() -> None:
    task = amp(make(motion="stand"))
    target = task.action_map(task.mean_action().unsqueeze(0))[0]
    names = task.sim.robot.dof_names
    assert 0.1 < target[names.index("right_knee")].item() < 0.4  # clips of standing keep 12 to 15 degrees
    assert abs(target[names.index("abdomen_y")].item()) < 0.2
    assert torch.equal(amp(make(motion="stand", control="torque")).mean_action(), torch.zeros(28))


def test_a_world_that_broke_counts_as_a_fall(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log into the working folder
    env = make()
    env.sim.reset(torch.tensor([False, True, False, False]), env.sim.qpos.clone(), torch.full_like(env.sim.qvel, 1e30))
    result = env.advance(amp(env).mean_action().expand(4, -1))
    assert result.diverged.tolist() == [False, True, False, False] == result.terminated.tolist()
    assert result.metrics["fall_rate"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert result.reward.tolist() == [1.0, 0.0, 1.0, 1.0]


def test_nothing_is_sensed_that_nobody_reads() -> None:
    assert make().sim.model.nsensor == 0  # type: ignore[attr-defined]


def test_a_fall_ends_the_episode_and_pays_nothing() -> None:
    env = make()
    qpos = env.sim.robot.qpos0.expand(4, -1).clone()
    qpos[1, 2:7] = torch.tensor([0.3, math.sqrt(0.5), 0.0, -math.sqrt(0.5), 0.0])  # on its back
    env.sim.reset(torch.ones(4, dtype=torch.bool), qpos, torch.zeros(4, env.sim.qvel.shape[1]))
    result = env.advance(amp(env).mean_action().expand(4, -1))
    assert result.terminated.tolist() == [False, True, False, False]
    assert result.reward.tolist() == [1.0, 0.0, 1.0, 1.0]
    assert result.metrics["fall_rate"].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_time_truncates_and_never_terminates() -> None:
    env = make(episode_steps=2, motion="stand")
    action = amp(env).mean_action().expand(4, -1)
    assert not env.step(action).done.any()
    result = env.step(action)
    assert result.truncated.all() and not result.terminated.any()
    assert (env.progress == 0).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"style_frames": 1}, ConfigError, "a window needs at least 2 frames"),
        ({"motion": "wallk"}, ClipError, "no motion 'wallk'.*did you mean walk"),
        ({"episode_steps": 0}, ConfigError, "must be positive"),
        ({"control": "speed"}, ConfigError, "control"),
        ({"reward": {"alife": 1.0}}, ConfigError, "did you mean alive"),
        ({"fallen": {"share": 1.5}}, ConfigError, "must be between 0 and 1"),
        ({"fallen": {"least_tilt_deg": 90, "most_tilt_deg": 80}}, ConfigError, "expected 0 <= least <= most"),
        ({"fallen": {"rise_s": 0}}, ConfigError, "must be above 0"),
    ],
)
def test_bad_values_are_refused(changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**changes)


def test_no_window_reaches_back_before_a_clip_that_does_not_loop() -> None:
    task = amp(make(64, motion="stop", style_frames=10))
    demos = Demonstrations(task, 64, 12.0, torch.Generator().manual_seed(0))
    assert task.window_s == pytest.approx(0.3)
    assert task.start_time_s.min() >= 0.3
    # before its beginning the clip stands still in the middle of a step: equal frames one after the other
    for windows in (task.history, demos.windows[0].unflatten(-1, (10, -1))):
        assert (windows.diff(dim=1).abs().amax(-1) > 0).all()


def fallen(num_envs: int = 64, **changes: object) -> TaskEnv:
    """An environment in which every episode begins on the floor."""
    return make(num_envs, motion="walk", fallen={"share": 1.0} | changes)


def test_fallen_bodies_lie_just_above_the_floor_at_rest_with_the_joints_of_the_clips() -> None:
    env = fallen(256)
    sim = env.sim
    tilt = rotations.axis_z(sim.root_quat_w)[:, 2].arccos().rad2deg()
    leaning = 10  # degrees by which a trunk in the clip is not quite upright
    assert tilt.min() > 70 - leaning and tilt.max() < 110 + leaning
    assert tilt.max() - tilt.min() > 30
    assert torch.allclose(sim.body_pos_w[..., 2].amin(1), torch.full((256,), 0.15), atol=1e-4)
    assert not sim.qvel.any()
    newest, oldest = env.observe()["style"].view(256, 3, -1)[:, [0, -1]].unbind(1)
    assert torch.equal(newest, oldest)
    env.task.after_physics()
    assert torch.allclose(env.observe()["style"].view(256, 3, -1)[:, 0], newest, atol=1e-4)


def test_who_lies_has_time_to_rise_and_then_has_failed() -> None:
    env = fallen(8, rise_s=0.5)
    rest = torch.zeros(8, 28)
    for step in range(1, 16):
        result = env.advance(rest)
        assert result.terminated.tolist() == [step == 15] * 8
    assert result.metrics["recovery_rate"].tolist() == [0.0] * 8 == [1.0 - x for x in result.metrics["fall_rate"]]
    assert (result.terms["alive"] == 0).all()


def test_who_has_stood_for_a_while_is_up_and_may_fall_like_everybody() -> None:
    env = fallen(2, rise_s=9.0, up_s=0.5)
    task = amp(env)
    stand = task._bank_qpos[:2]
    down = env.sim.qpos.clone()
    everyone = torch.ones(2, dtype=torch.bool)
    env.sim.reset(everyone, stand, torch.zeros_like(env.sim.qvel))
    for _ in range(14):
        task.after_physics()
    assert task.recovering.all()
    env.sim.reset(everyone, torch.stack((stand[0], down[1])), torch.zeros_like(env.sim.qvel))
    task.after_physics()  # half a second is over for the first; the second starts to count anew
    assert task.recovering.tolist() == [False, True]
    env.sim.reset(everyone, down, torch.zeros_like(env.sim.qvel))
    task.after_physics()
    assert task.terminated().tolist() == [True, False]
    assert task.metrics()["recovery_rate"].tolist() == [1.0, 0.0]


def test_a_share_of_the_episodes_begins_on_the_floor() -> None:
    env = make(512, motion="walk", fallen={"share": 0.25})
    down = amp(env)._is_low(env.sim)
    assert torch.equal(down, amp(env).recovering) and 0.15 < down.float().mean() < 0.35
    assert torch.equal(amp(env).metrics()["recovery_rate"].isnan(), ~down)
    assert "recovery_rate" not in make().task.metrics()


def test_a_clip_that_begins_on_the_floor_gives_time_to_rise(tmp_path: Path) -> None:
    stand = clips.load(ASSETS / "motions" / "stand.npz")
    lying = replace(
        stand, root_pos_w=np.tile(np.float32([0, 0, 0.15]), (stand.num_frames, 1)),
        root_quat_w=np.tile(np.float32([0.5**0.5, 0, 0.5**0.5, 0]), (stand.num_frames, 1)),
    )  # fmt: skip
    lying.save(tmp_path / "lying.npz")
    stand.save(tmp_path / "stand.npz")
    env = make(64, motion=str(tmp_path))
    task = amp(env)
    on_the_floor = env.sim.root_pos_w[:, 2] < 0.5
    assert 0.2 < on_the_floor.float().mean() < 0.8
    assert torch.equal(task.recovering, on_the_floor) and not task.started_fallen.any()
    result = env.advance(torch.zeros(64, 28))
    assert not result.terminated.any()
    assert "recovery_rate" not in result.metrics


def test_the_height_of_the_head_pays() -> None:
    env = make(2, motion="stand", reward={"alive": 0.0, "height": 2.0})
    assert torch.allclose(env.advance(torch.zeros(2, 28)).reward, torch.full((2,), 2.0), atol=0.05)
    env.sim.body_pos_w[:, env.sim.robot.body_names.index("head"), 2] *= 0.5
    assert torch.allclose(env.task.reward_terms()["height"], torch.full((2,), 0.5), atol=0.02)


def test_postures_are_alike_wherever_they_are_and_face() -> None:
    one = torch.randn(5, 15, 3)
    turned = rotations.rotate(rotations.from_yaw(torch.linspace(-3, 3, 5)).unsqueeze(1).expand(5, 15, 4), one)
    there = turned + torch.tensor([4.0, -7.0, 0.0])
    assert torch.allclose(posture_distance_m2(one, there), torch.zeros(5), atol=1e-5)
    raised = there + torch.tensor([0.0, 0.0, 0.3])
    assert torch.allclose(posture_distance_m2(one, raised), torch.full((5,), 0.09), atol=1e-5)
    mirrored = one * torch.tensor([1.0, -1.0, 1.0])
    angles = torch.linspace(0, 2 * torch.pi, 721)
    every = rotations.rotate(
        rotations.from_yaw(angles)[:, None, None].expand(721, 5, 15, 4), mirrored.expand(721, 5, 15, 3)
    )
    shift = every.mean(2, keepdim=True) - one.mean(1, keepdim=True)
    shift[..., 2] = 0
    best = (every - shift - one).square().sum(-1).mean(-1).amin(0)  # by trying
    assert torch.allclose(posture_distance_m2(mirrored, one), best, rtol=1e-3)


def test_tracking_pays_for_being_where_the_clip_has_got_to() -> None:
    env = make(32, motion="walk", reward={"alive": 0.0, "track": 1.0})
    task = amp(env)
    step_s = task.cfg.step_s

    def play(lag_s: float) -> torch.Tensor:
        """Rewards `(32,)` after ten steps of bodies that are put where the clip was `lag_s` ago."""
        moment_s = task.start_time_s + 10 * step_s
        state = task.library.state(task.start_clip, moment_s - lag_s)
        every = torch.ones(32, dtype=torch.bool)
        env.sim.reset(every, *to_qpos_qvel(task.library.layout, state))
        task.follow(every, task.start_clip, moment_s - step_s)
        task.after_physics()
        return task.reward_terms()["track"]

    assert torch.allclose(play(0.0), torch.ones(32), atol=1e-3)
    assert (play(0.5) < 0.9).all()  # about half a cycle: the other leg is in front
    assert not make(2, motion="walk").task.reward_terms()["track"].any()


@pytest.mark.parametrize(("pace", "least", "most"), [(0.0, 0.0, 0.8), (0.25, 0.99, 1.0)])
def test_a_reference_with_a_pace_stays_with_a_body_that_is_slower(pace: float, least: float, most: float) -> None:
    env = make(16, motion="walk", track_pace=pace, reward={"track": 1.0})
    task, every = amp(env), torch.ones(16, dtype=torch.bool)
    for step in range(1, 41):  # to 0.2 s behind the clip, of 1.1 s in a cycle
        state = task.library.state(task.start_clip, task.start_time_s + 0.85 * step * task.cfg.step_s)
        env.sim.reset(every, *to_qpos_qvel(task.library.layout, state))
        task.after_physics()
    assert least <= task.tracking.mean() <= most


def test_tracking_with_balance_is_the_mean_of_four_terms() -> None:
    reward = {"alive": 0.0, "track": 2.0}
    env = make(16, motion="curve_left", track_balance=True, track_scale=0.0613, reward=reward)
    task, every = amp(env), torch.ones(16, dtype=torch.bool)
    state = task.library.state(task.start_clip, task.start_time_s)
    env.sim.reset(every, *to_qpos_qvel(task.library.layout, state))
    task.follow(every, task.start_clip, task.start_time_s)
    assert torch.allclose(task._similarity(), torch.ones(16), atol=0.02)
    moment = task.start_clip, task.start_time_s, torch.full((16,), 0.01)  # 0.1 m
    env.sim.body_linvel_w += torch.tensor([0.3, 0.0, 0.0])
    terms = task._likeness.terms(*moment)
    assert torch.allclose(terms["posture"], torch.full((16,), math.exp(-1.0)), atol=1e-4)
    # the capture point lies sqrt(0.92 / 9.81) s of that velocity away
    assert torch.allclose(terms["balance"], torch.full((16,), 0.45), atol=0.12)
    product = terms["posture"] * terms["velocity"] ** 0.5 * terms["upright"] ** 0.3 * terms["balance"] ** 0.5
    assert torch.allclose(task._likeness.mean(*moment), product ** (1 / 2.3))


def test_an_episode_ends_where_a_motion_has_not_been_done_for_some_time() -> None:
    env = make(4, motion="walk", track_lost_s=0.12, reward={"track": 1.0})
    task, every = amp(env), torch.ones(4, dtype=torch.bool)
    task.follow(every, task.start_clip, task.start_time_s)
    task.release(torch.tensor([False, True, False, False]))
    task.recovering[2] = True
    ended = []
    for _ in range(4):
        env.sim.body_pos_w[:3, ::2, 2] += 0.7  # far from its posture
        task.after_physics()
        ended.append(task.terminated().tolist())
        env.sim.body_pos_w[:3, ::2, 2] -= 0.7
    assert ended == [[False] * 4] * 3 + [[True, False, False, False]]
    task.follow(every, task.start_clip, task.start_time_s)
    assert not task.terminated().any() and task.follows.all()
    assert task.cfg.for_evaluation().track_lost_s == 0.0


def test_an_episode_ends_where_a_body_stands_instead_of_going() -> None:
    env = make(3, motion="side_left", track_lost_s=0.5, reward={"track": 1.0})
    task, every = amp(env), torch.ones(3, dtype=torch.bool)
    time_s = torch.zeros(3)
    state = task.library.state(task.start_clip, time_s)
    env.sim.reset(every, *to_qpos_qvel(task.library.layout, state))
    env.sim.root_linvel_w.zero_()
    env.sim.root_angvel_w.zero_()
    task.follow(every, task.start_clip, time_s)
    ended = []
    for _ in range(40):
        env.sim.root_linvel_w[1:, 1] = torch.tensor([0.35, -0.35])  # to the left, as the clip; to the right
        task.after_physics()
        task.tracking.fill_(0.5)
        ended.append(task.terminated().tolist())
    first = [next((step for step, rows in enumerate(ended) if rows[body]), None) for body in range(3)]
    assert first[1] is None
    # the reference's mean velocity exceeds 0.15 m/s after a quarter of a second
    assert first[0] is not None and first[2] is not None and 20 <= first[2] <= first[0] <= 26


def test_a_clip_that_ends_as_it_begins_is_followed_again_and_another_one_into_a_motion_like_its_end() -> None:
    env = make(6, motion="versatile", reward={"track": 1.0})
    task, names = amp(env), amp(env).library.names
    task.set_goals(torch.arange(len(names)))
    assert task.graph is not None
    clip = torch.tensor([names.index(name) for name in ("walk", "cmu_jump", "start", "stop", "cmu_jump", "start")])
    end_s = task.library.durations_s[clip] - torch.tensor([0.01, 0.01, 0.01, 0.01, 0.1, 0.1])
    task.lead_to(torch.ones(6, dtype=torch.bool), clip)
    task.reference_clip, task.reference_time_s = clip, end_s
    task.after_physics()
    expected = end_s + task.cfg.step_s
    expected[1] -= task.library.durations_s[clip[1]]
    over = torch.tensor([2, 3])
    assert [names[at] for at in task.reference_clip.tolist()] == [
        "walk", "cmu_jump", "walk", "stand", "cmu_jump", "start",
    ]  # fmt: skip
    expected[over] += task.graph.after[1][clip[over]] - task.library.durations_s[clip[over]]
    assert torch.allclose(task.reference_time_s, expected, atol=1e-5)
    # so the way ends there: it does not lead back to the motion that is over
    assert task.reference_goal.tolist() == [*clip[:2].tolist(), -1, -1, *clip[4:].tolist()]
    for _ in range(15):
        task.after_physics()
    assert [names[at] for at in task.reference_clip[2:4].tolist()] == ["walk", "stand"]


def test_who_is_tipped_over_stood_before_and_tracks_the_rising_that_begins_like_it() -> None:
    env = make(256, motion="rising", fallen={"share": 1.0}, reward={"track": 1.0})
    task, sim = amp(env), env.sim
    heads = sim.body_pos_w[:, sim.robot.body_names.index("head"), 2]
    assert heads.max() < 1.0  # lying clips tipped over would stand
    assert (task.start_clip < 2).all() and task.start_time_s.max() < 1.0  # the first second of a rise is on the floor
    wanted = task.library.state(task.start_clip, task.start_time_s).body_pos_w
    other = task.library.state(1 - task.start_clip, torch.full((256,), 0.1)).body_pos_w
    chosen, not_chosen = (posture_distance_m2(sim.body_pos_w, pos) for pos in (wanted, other))
    assert (chosen <= not_chosen + 1e-6).all()


def test_nobody_can_be_tipped_over_who_never_stands() -> None:
    with pytest.raises(ConfigError, match="no moment of motion='walk' is above"):
        make(2, motion="walk", fallen={"share": 0.5}, min_height_m={"head": 1.5})


def test_getting_up_cannot_be_tracked_where_no_clip_shows_it() -> None:
    with pytest.raises(ConfigError, match="no body lies in motion='walk'; type motion=rising"):
        make(2, motion="walk", fallen={"share": 0.5}, reward={"track": 1.0})


def test_who_has_lost_the_clip_starts_again_but_not_in_an_evaluation() -> None:
    env = make(4, motion="stand", track_within_m=0.3)
    task = amp(env)
    task.start_time_s.zero_()
    env.sim.body_pos_w[:2, :, 2] += torch.tensor([[0.29], [0.31]])  # all bodies as much too high
    task.after_physics()
    assert task.terminated().tolist() == [False, True, False, False]
    assert task.cfg.for_evaluation().track_within_m == 0 and not task.cfg.for_evaluation().tracks
    with pytest.raises(ConfigError, match="track_within_m=-1"):
        make(1, track_within_m=-1.0)


def test_a_height_limit_of_no_body_is_refused():
    with pytest.raises(ConfigError, match=r"task\.min_height_m\.hed: there is no such body; did you mean head"):
        make(2, motion="walk", min_height_m={"hed": 0.5})


def test_clip_actions_lead_the_joints_along_the_clip() -> None:
    env = make(16, motion="wave", reward={"track": 1.0})
    task, sim = amp(env), env.sim
    elbow = sim.robot.dof_names.index("right_elbow")
    for _ in range(6):
        env.advance(task.clip_action())
    times = task.start_time_s + 6 * task.cfg.step_s
    wanted = dof_pos(task.library.layout, task.library.state(task.start_clip, times).joint_quat)[:, elbow]
    reached = sim.qpos[:, 7:][:, sim.robot.joints[sim.robot.joint_names.index("right_elbow")].qpos].squeeze(-1)
    assert wanted.std() > 0.2  # it swings
    assert (reached - wanted).abs().mean() < 0.3 * (wanted - wanted.mean()).abs().mean()


def test_a_body_that_is_tipped_over_has_not_got_up() -> None:
    env = make(8, motion="walks")
    task = amp(env)
    assert not task.recovery_enabled
    task.tip_over()
    assert task.recovering.all() and (env.sim.body_pos_w[..., 2].amax(1) < 0.9).all()
    for _ in range(40):
        result = env.advance(torch.zeros(8, 28))
    assert task.recovering.all() and not result.terminated.any()  # it may lie for a time


def test_starts_are_drawn_from_clips_by_their_weights() -> None:
    env = make(64, motion="locomotion")
    task = amp(env)
    task.start_weights = torch.zeros(task.library.num_clips)
    task.start_weights[[2, 5]] = torch.tensor([1.0, 3.0])
    drawn = []
    for _ in range(8):
        env.reset()
        drawn.append(task.start_clip.clone())
    clip = torch.cat(drawn)
    assert set(clip.tolist()) == {2, 5}
    assert (clip == 5).float().mean().item() == pytest.approx(0.75, abs=0.08)


def test_a_bend_below_the_standing_height_is_neither_a_fall_nor_a_rise() -> None:
    low = {"pelvis": 0.4, "head": 0.6}
    env = make(64, motion=str(ASSETS / "motions" / "cmu" / "cmu_bend_and_rise.npz"), min_height_m=low)
    task, head = amp(env), env.sim.robot.body_names.index("head")
    assert env.sim.body_pos_w[:, head, 2].min() < 0.8
    assert not task.recovering.any() and not task.terminated().any() and not task.lying_clips.any()
