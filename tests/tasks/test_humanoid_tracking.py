"""HumanoidTracking: the reference and what is observed of it, joins of motions, rewards, ends."""

import math
from pathlib import Path

import pytest
import torch
import yaml

import isaachrl
import tasks  # noqa: F401  registers the tasks
from isaachrl.envs import TaskEnv
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.motion.kinematics import joint_quat_from_qpos, posture_distance_m2
from isaachrl.motion.library import to_qpos_qvel
from isaachrl.shipped import policies
from tasks.common import reference
from tasks.humanoid_tracking import HumanoidTracking


def make(num_envs: int = 8, **changes: object) -> tuple[TaskEnv, HumanoidTracking]:
    env = isaachrl.make("HumanoidTracking", num_envs=num_envs, cfg={"task": {"switch_s": 0.0, **changes}})
    assert isinstance(env, TaskEnv) and isinstance(env.task, HumanoidTracking)
    return env, env.task


def every(env: TaskEnv) -> torch.Tensor:
    return torch.ones(env.num_envs, dtype=torch.bool)


def put(env: TaskEnv, task: HumanoidTracking, clip: torch.Tensor, time_s: torch.Tensor) -> None:
    """Put all bodies into moments of clips, and let them follow these."""
    state = task.library.state(clip, time_s)
    env.sim.reset(every(env), *to_qpos_qvel(task.library.layout, state))
    task.follow(every(env), clip, time_s)


def test_a_body_that_does_not_act_follows_a_walk_for_some_time() -> None:
    env, task = make(32, motion="walk")
    for _ in range(10):
        result = env.advance(torch.zeros(32, 28))
    assert result.metrics["tracking_error_m"].median() < 0.08  # most of them
    assert env.sim.root_linvel_w[:, :2].norm(dim=-1).median() > 0.4
    assert result.metrics["forward_speed_mps"].median() > 0.4


def test_the_observation_is_the_error_of_the_coming_pose() -> None:
    env, task = make(4, motion="walk")
    ahead_s = reference.AHEAD_S[0]
    clip, time_s = torch.zeros(4, dtype=torch.long), torch.tensor([0.2, 0.5, 0.9, 0.4])
    put(env, task, clip, time_s)
    task.reference_time_s -= ahead_s  # so that the coming pose is the present one
    parts = dict(
        zip(
            [name for name, _, _ in task.obs_layout["reference"]],
            task.reference_observation().split([size for _, size, _ in task.obs_layout["reference"]], dim=1),
            strict=True,
        )
    )
    assert parts["body_pos_error_h_0.1s"].abs().max() < 1e-4
    assert torch.allclose(parts["up_b_0.1s"], reference.up_in_root_frame(env.sim.root_quat_w), atol=1e-5)
    velocity = reference.planar_velocity(env.sim)
    assert torch.allclose(parts["linvel_h_0.1s"][:, :2], velocity[:, :2], atol=1e-4)
    assert torch.allclose(parts["angvel_h_0.1s"][:, 2], velocity[:, 2], atol=1e-4)
    pose = joint_quat_from_qpos(task.library.layout, env.sim.joint_pos)
    target = reference.target_action(task.library.layout, pose, task.action_map)
    assert torch.allclose(parts["target"], target, atol=1e-4)
    raised = env.sim.qpos.clone()
    raised[:, 2] += 0.1  # a body that is too high: its reference is lower
    env.sim.reset(every(env), raised, env.sim.qvel.clone())
    error = task.reference_observation()[:, 28 : 28 + 45].unflatten(1, (15, 3))
    assert torch.allclose(error[..., 2], torch.full((4, 15), -0.1), atol=1e-4)
    assert error[..., :2].abs().max() < 1e-4


def test_the_observation_does_not_change_when_the_body_is_moved_and_turned() -> None:
    env, task = make(4, motion="jog")
    before = task.reference_observation()
    turn = rotations.from_yaw(torch.tensor([0.3, 1.5, -2.0, 3.1]))
    qpos, qvel = env.sim.qpos.clone(), env.sim.qvel.clone()
    qpos[:, :3] = rotations.rotate(turn, qpos[:, :3]) + torch.tensor([5.0, -3.0, 0.0])
    qpos[:, 3:7] = rotations.multiply(turn, qpos[:, 3:7])
    qvel[:, :3] = rotations.rotate(turn, qvel[:, :3])
    env.sim.reset(every(env), qpos, qvel)
    assert torch.allclose(task.reference_observation(), before, atol=1e-4)


def test_rewards_are_largest_in_the_reference() -> None:
    env, task = make(4, motion="walk")
    clip, time_s = torch.zeros(4, dtype=torch.long), torch.tensor([0.2, 0.5, 0.9, 0.4])
    put(env, task, clip, time_s)
    task._tracking_error_m2.zero_()
    terms = task.reward_terms()
    assert all(
        torch.allclose(terms[name], torch.ones(4), atol=0.01) for name in ("posture", "velocity", "upright", "balance")
    )
    task._tracking_error_m2.fill_(0.01)  # 0.1 m, the scale
    assert torch.allclose(task.reward_terms()["posture"], torch.full((4,), 0.3679), atol=1e-3)
    env.sim.root_linvel_w.zero_()
    assert (task.reward_terms()["velocity"] < 0.2).all()
    env.sim.body_linvel_w.zero_()
    assert (task.reward_terms()["balance"] < 0.5).all()
    task.apply(torch.full((4, 28), 0.5))
    assert torch.allclose(task.reward_terms()["effort"], torch.full((4,), 7.0))


def test_a_residual_of_one_moves_targets_by_its_share_of_the_range() -> None:
    env, task = make(2, motion="stand", residual=0.25)
    lead = task.clip_action()
    task.apply(torch.tensor(0.4).expand(2, 28))
    wanted = task.action_map((lead + 0.1).clamp(-1.0, 1.0))
    assert torch.allclose(env.sim.ctrl, wanted, atol=1e-5)


def test_after_a_clip_without_loop_the_most_similar_moment_goes_on() -> None:
    env, task = make(4, motion="versatile")
    names = task.library.names
    start = names.index("start")
    clip = torch.full((4,), start)
    put(env, task, clip, task.library.durations_s[clip] - 0.01)
    env.advance(torch.zeros(4, 28))
    assert task.graph is not None
    after, after_s = int(task.graph.after[0][start]), float(task.graph.after[1][start])
    assert names[after] == "walk" and (task.reference_clip == after).all()
    assert torch.allclose(task.reference_time_s, torch.full((4,), after_s + task.cfg.step_s - 0.01), atol=1e-4)
    assert (task._lost_steps < 0).all()  # time to settle
    assert names[int(task.graph.after[0][names.index("rise_front")])] in ("stand", "wave")


def test_there_is_time_to_settle_wherever_the_next_clip_goes_on(tmp_path: Path) -> None:
    folder = Path(isaachrl.__file__).parent.parent / "assets" / "motions"
    listed = [{"file": str(folder / "stop.npz"), "end_s": 3.4, "start_s": 1.2}, {"file": str(folder / "stand.npz")}]
    (tmp_path / "two.yaml").write_text(yaml.safe_dump({"clips": listed}))
    env, task = make(2, motion=str(tmp_path / "two.yaml"))
    clip = torch.zeros(2, dtype=torch.long)
    assert task.graph is not None
    assert float(task.graph.after[1][0]) > float(task.library.durations_s[0])  # so time does not jump back
    put(env, task, clip, task.library.durations_s[clip] - 0.01)
    env.advance(torch.zeros(2, 28))
    assert (task.reference_clip == 1).all() and (task._lost_steps < 0).all()
    expected = posture_distance_m2(
        env.sim.body_pos_w, task.library.postures(task.reference_clip, task.reference_time_s)
    )
    assert torch.allclose(task.tracking_distance_m(), expected.sqrt())


def test_bodies_are_led_to_other_motions() -> None:
    env, task = make(64, motion="versatile", switch_s=0.1, switch_share=1.0)
    env.advance(torch.zeros(64, 28))
    changed = (task.reference_goal >= 0).nonzero()[:, 0]
    assert 8 < len(changed) < 40  # a third of them
    assert (task._lost_steps[changed] < 0).all()
    assert task.graph is not None
    goal = task.reference_goal[changed]
    assert (task.library.commands[goal] & ~task.lying_clips[goal]).all()
    clip, time_s = task.graph.enter(goal, reference.state_features(env.sim)[changed])
    assert torch.equal(task.reference_clip[changed], clip) and torch.equal(task.reference_time_s[changed], time_s)
    assert task.cfg.for_evaluation().switch_s == 0 and task.cfg.for_evaluation().motion == "versatile"


def test_a_walk_is_left_for_standing_through_a_clip_that_stops() -> None:
    env, task = make(2, motion="versatile")
    names = task.library.names
    walk, stop, stand = (torch.full((2,), names.index(name)) for name in ("walk", "stop", "stand"))
    put(env, task, walk, torch.tensor([0.4, 2.0]))
    task.lead_to(every(env), stand)
    seen = []
    for _ in range(60):
        seen.append(task.reference_clip.clone())
        if (seen[-1] == stand).all():
            break
        task._advance_reference()
    ways = torch.stack(seen)
    assert (ways[-1] == stand).all() and (ways == stop).any(0).all()
    assert ((ways == walk) | (ways == stop) | (ways == stand)).all()


def test_an_episode_ends_where_the_reference_is_lost_for_several_steps() -> None:
    env, task = make(4, motion="stand", track_within_m=0.3)
    ended = []
    for _ in range(4):
        env.sim.body_pos_w[1:2, ::2, 2] += 0.7  # far from its posture
        env.sim.body_pos_w[2:, :, 2] += torch.tensor([[0.45], [-0.6]])  # a jump; a pelvis near the floor
        task.after_physics()
        ended.append(task.terminated().tolist())
        env.sim.body_pos_w[2:, :, 2] -= torch.tensor([[0.45], [-0.6]])
        env.sim.body_pos_w[1:2, ::2, 2] -= 0.7
    assert ended == [[False] * 4] * 3 + [[False, True, False, True]]


def test_motions_that_fail_are_begun_in_more_often() -> None:
    env, task = make(32, motion="locomotion")
    hard = int(task.reference_clip[0])
    task._lost_steps[task.reference_clip == hard] = 4.0
    before = task.start_weights.clone()
    task.cfg.practise = False
    task.after_reward({})
    assert torch.equal(task.start_weights, before) and not task.cfg.for_evaluation().practise
    task.cfg.practise = True
    task.after_reward({})
    shares = task.start_weights / task.library.weights
    assert shares[hard] > shares[[i for i in range(len(shares)) if i != hard]].max()


def test_what_the_task_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigError, match="added to joint targets"):
        make(control="torque")
    with pytest.raises(ConfigError, match="end by task.track_within_m"):
        make(track_lost_s=1.0)
    with pytest.raises(ConfigError, match="type task.fallen.share=0"):
        make(fallen={"share": 0.1})


def test_the_capture_point_is_where_an_inverted_pendulum_would_come_to_rest() -> None:
    env, _ = make(2, motion="stand")
    point, sim = reference.CapturePoint(env.sim), env.sim
    still = torch.zeros_like(sim.body_linvel_w)
    turned = rotations.from_yaw(torch.full((2,), math.pi / 2))
    at_rest = point(turned, sim.body_pos_w, still)
    still[..., 0] = 0.5  # to the right of a body that faces y
    pelvis_m = float(sim.robot.stand_pos_m[0, 2])
    moved = point(turned, sim.body_pos_w, still) - at_rest
    expected = torch.tensor([0.0, -0.5 * math.sqrt(pelvis_m / 9.81)]).expand(2, 2)
    assert torch.allclose(moved, expected, atol=1e-5)
    assert at_rest.norm(dim=-1).max() < 0.1  # a standing body is above its feet


def test_an_evaluation_says_which_clips_are_lost_and_from_where() -> None:
    env, policy = isaachrl.load(policies()["HumanoidTracking"], num_envs=56, device="cpu")
    assert isinstance(env, TaskEnv) and isinstance(env.task, HumanoidTracking)
    task, names = env.task, env.task.library.names  # 28 clips, two bodies for each
    found = task.evaluate(lambda: env.advance(policy.act(env.observe())))["clips"]
    assert list(found) == list(names)
    for name in ("stand", "walk", "crouch"):
        assert found[name]["tracked"] == 1.0 and found[name]["error_m"] < 0.05 and not found[name]["lost_from_s"]
    noise = torch.Generator().manual_seed(0)
    lost = task.evaluate(lambda: env.advance(2.0 * torch.rand(56, 28, generator=noise) - 1.0))["clips"]["run"]
    duration_s = float(task.library.durations_s[names.index("run")])
    assert lost["tracked"] == 0.0 and math.isnan(lost["error_m"])
    assert lost["lost_from_s"] == pytest.approx([0.25 * duration_s, 0.75 * duration_s], abs=0.006)
