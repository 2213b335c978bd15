"""The measures of what a skill can do, on bodies that are moved by hand."""

import math

import pytest
import torch

from isaachrl.envs import TaskEnv
from isaachrl.learn.skills.evaluation import RolloutStats, SkillEvaluation, clip_latents
from isaachrl.maths import rotations
from tests.small_learner import SMALL, make_learner


def make_evaluation(num_envs=11, **changes):
    discriminator = SMALL["discriminator"] | {"demo_windows": 256}  # enough to know each motion's mean
    learner = make_learner("motion", num_envs=num_envs, latent={"size": 12}, discriminator=discriminator, **changes)
    assert isinstance(learner.env, TaskEnv)
    return SkillEvaluation(learner.skill, learner.env, learner.task, learner.demos), learner


def replay_clips(evaluation, learner, monkeypatch, slower=1.0):
    """Let the clip of each command play instead of physics: a perfect skill (at a share of the clips' speeds)."""
    env, task, embedding = evaluation.env, evaluation.task, evaluation.skill.embedding
    clock = {"s": torch.zeros(env.num_envs), "asked": torch.zeros(env.num_envs, dtype=torch.long)}

    def act(proprioception, latent):
        clock["asked"] = (latent @ embedding.prototypes.T).argmax(-1)
        return torch.zeros(env.num_envs, env.action_size)

    def advance(action):
        clock["s"] = clock["s"] + env.task.cfg.step_s
        state = task.library.state(clock["asked"], clock["s"])
        sim = env.sim
        sim.root_pos_w.copy_(state.root_pos_w)
        sim.root_quat_w.copy_(state.root_quat_w)
        sim.root_linvel_w.copy_(slower * state.root_linvel_w)
        sim.root_angvel_w.copy_(state.root_angvel_w)
        style = task.style_windows(clock["asked"], clock["s"])
        no = torch.zeros(env.num_envs, dtype=torch.bool)
        obs = {"proprioception": torch.zeros(env.num_envs, env.obs_sizes["proprioception"]), "style": style}
        return type("Result", (), {"obs": obs, "terminated": no})()

    monkeypatch.setattr(evaluation.skill, "act", act)
    monkeypatch.setattr(env, "advance", advance)
    monkeypatch.setattr(env, "reset", lambda: {"proprioception": None})
    return clock


def test_fallen_rollouts_do_not_count_as_recalled():
    evaluation, learner = make_evaluation()
    result = evaluation.report(learner.source.draw)
    assert set(result["clips"]) == set(learner.demos.names)
    # an untrained body falls within the seven seconds, and that is said
    assert result["clip_recall"] == result["coverage"] == 0.0
    for clip in result["clips"].values():
        assert clip["fall_rate"] == 1.0 and clip["recall"] == 0.0
        assert clip["nearest"] is clip["speed_mps"] is clip["power_w"] is None
    assert result["speed_range_mps"] is None and result["latent_response_s"] is None


def test_a_perfect_skill_has_full_recall_and_no_falls(monkeypatch):
    evaluation, learner = make_evaluation(num_envs=22)
    replay_clips(evaluation, learner, monkeypatch)
    result = evaluation.report(lambda n: learner.skill.embedding.prototypes.repeat(2, 1))
    assert result["clip_recall"] == result["coverage"] == 1.0
    clips = result["clips"]
    assert all(clip["recall"] == 1.0 and clip["fall_rate"] == 0.0 for clip in clips.values())
    assert clips["jog"]["speed_mps"] == pytest.approx(2.2, abs=0.05)
    assert clips["turn_left"]["turn_rate_rad_s"] == pytest.approx(1.0, abs=0.05)
    assert result["speed_range_mps"] == pytest.approx([0.0, 2.2], abs=0.05)
    assert result["turn_range_rad_s"] == pytest.approx([-1.0, 1.0], abs=0.05)
    # the velocities jump at once, smoothed over half a second they pass the middle after 0.5 s * ln 2
    assert result["latent_response_s"] == pytest.approx(0.5 * math.log(2), abs=0.08)


def test_the_encoder_recovers_the_latent_of_a_motion():
    discriminator = SMALL["discriminator"] | {"demo_windows": 8}
    learner = make_learner("ase", num_envs=11, latent={"size": 12}, discriminator=discriminator)
    commands = clip_latents(learner.skill, learner.demos)
    assert commands.shape == (11, 12)
    net = learner.skill.discriminator
    for segment in (0, 7):
        windows = net.norm(learner.demos.windows[segment])
        mean = torch.cat([net.logit_and_encoding(one[None], one.new_zeros(1, 0))[1] for one in windows]).mean(0)
        torch.testing.assert_close(commands[segment], mean / mean.norm())
    assert set(learner.evaluate()["clips"]) == set(learner.demos.names)


def test_commands_to_one_motion_cover_one(monkeypatch):
    evaluation, learner = make_evaluation(num_envs=22)
    replay_clips(evaluation, learner, monkeypatch)
    result = evaluation.report(lambda n: learner.skill.embedding.prototypes[:1].expand(n, -1))
    assert result["coverage"] == pytest.approx(1 / len(learner.demos.names))


def test_slip_is_the_speed_of_the_soles_on_the_floor():
    evaluation, _ = make_evaluation(num_envs=2)
    sim = evaluation.env.sim
    feet = list(evaluation._soles)
    sim.body_linvel_w.zero_()
    sim.body_angvel_w.zero_()
    sim.body_quat_w.copy_(rotations.from_yaw(torch.zeros(1)).expand_as(sim.body_quat_w))
    sole = -min(float(corners[:, 2].min()) for corners in evaluation._soles.values())
    for foot in feet:
        sim.body_pos_w[:, foot, 2] = sole
    sim.body_pos_w[1, feet[1], 2] = sole + 0.5  # lifted: whatever it does is no slip
    sim.body_linvel_w[0, feet[0], 0] = 0.3
    sim.body_linvel_w[1, feet[1], 0] = 5.0
    slipped, touching = evaluation._slip()
    assert touching.tolist() == [8.0, 4.0]
    assert slipped.tolist() == pytest.approx([4 * 0.3, 0.0])
    sim.body_linvel_w.zero_()
    sim.body_angvel_w[0, feet[0], 1] = 2.0  # about the ankle: the sole moves by height times rate
    assert evaluation._slip()[0][0].item() == pytest.approx(4 * 2.0 * sole, rel=1e-4)


def test_power_is_torque_times_velocity(monkeypatch):
    evaluation, _ = make_evaluation(num_envs=2)
    sim = evaluation.env.sim
    torque = torch.zeros(2, sim.robot.num_dofs)
    torque[0, 3], torque[0, 5] = 10.0, -4.0
    monkeypatch.setattr(type(sim), "motor_torque", property(lambda self: torque))
    sim.joint_vel.fill_(0.5)
    assert evaluation._power().tolist() == pytest.approx([5.0 + 2.0, 0.0])


def test_fewer_environments_than_motions_ask_for_fewer(monkeypatch):
    evaluation, learner = make_evaluation(num_envs=3)
    replay_clips(evaluation, learner, monkeypatch)
    result = evaluation.report(learner.source.draw)
    assert list(result["clips"]) == list(learner.demos.names[:3])
    assert result["clip_recall"] == 1.0


def test_what_clips_do_is_said_beside_what_bodies_do(monkeypatch):
    evaluation, learner = make_evaluation(num_envs=11)
    replay_clips(evaluation, learner, monkeypatch)
    clips = evaluation._by_clip(evaluation.roll_out(evaluation.latents), torch.arange(11))
    for name, clip in clips.items():
        for measure in ("speed_mps", "turn_rate_rad_s"):
            assert clip[measure] == pytest.approx(clip[f"clip_{measure}"], abs=0.15), name
        assert clip["arm_rad_s"] == pytest.approx(clip["clip_arm_rad_s"], rel=0.15, abs=0.02), name
    assert clips["jog"]["clip_speed_mps"] == pytest.approx(2.2, abs=0.05)
    assert clips["stand"]["arm_rad_s"] < 0.05 < clips["walk"]["arm_rad_s"] < clips["jog"]["arm_rad_s"]


def test_recovery_is_the_share_that_got_up_from_the_floor(monkeypatch):
    evaluation, learner = make_evaluation(num_envs=4)
    env, seen = evaluation.env, []

    def advance(action):
        seen.append(learner.task.recovering.clone())
        learner.task.recovering[len(seen) % 2] = False  # two of four get up

    monkeypatch.setattr(env, "advance", advance)
    assert evaluation._recovery(evaluation.latents[:4]) == 0.5
    assert seen[0].all() and len(seen) == 150  # five seconds


def test_a_transition_ends_in_the_motion_that_it_ends_in():
    evaluation, learner = make_evaluation(motion="versatile")
    names = learner.demos.names
    elsewhere = {names[i]: names[motion] for i, motion in enumerate(evaluation.ends_in.tolist()) if motion != i}
    assert elsewhere == {"start": "walk", "stop": "stand", "rise_front": "stand", "rise_back": "stand"}
    commanded = torch.arange(22) % 2 + names.index("start")
    stats = RolloutStats(
        torch.full((22,), names.index("walk")), *torch.ones(2, 22), torch.ones(22) > 0, *torch.ones(3, 22)
    )
    clips = evaluation._by_clip(stats, commanded)
    assert clips["start"]["recall"] == 1.0 and clips["stop"]["recall"] == 0.0


@pytest.mark.parametrize(("pace", "least", "most"), [(1.0, 1.0, 1.0), (0.0, 0.05, 0.5)])
def test_a_skill_without_latents_is_compared_with_its_clip(pace, least, most, monkeypatch):
    """A body that walks as the clip does reaches all of its moments, one that stands in one of them those near it."""
    learner = make_learner("none", num_envs=6, motion="walk")
    env, task, clock = learner.env, learner.task, {"s": torch.linspace(0.0, 1.0, 6)}
    assert isinstance(env, TaskEnv)
    monkeypatch.setattr(learner.skill, "act", lambda proprioception, latent: torch.zeros(6, env.action_size))

    def advance(action):
        clock["s"] = clock["s"] + pace * env.task.cfg.step_s
        bodies = task.library.state(torch.zeros(6, dtype=torch.long), clock["s"]).body_pos_w
        env.sim.body_pos_w.copy_(bodies + torch.tensor([3.0, -2.0, 0.04]))  # elsewhere, and 4 cm above the floor
        env.sim.body_pos_w[0] += 100.0  # of the one that falls
        down = torch.tensor([True] + [False] * 5)
        return type("Result", (), {"obs": {"proprioception": None}, "terminated": down})()

    monkeypatch.setattr(env, "advance", advance)
    report = learner.evaluate()
    assert report["pose_error_m"] == pytest.approx(0.04, abs=0.003)
    assert least <= report["moments_reached"] <= most
