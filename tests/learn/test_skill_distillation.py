"""Learning a skill from a policy that tracks the motions."""

from pathlib import Path

import pytest
import torch

import isaachrl
from isaachrl import config
from isaachrl.envs import TaskEnv
from isaachrl.errors import ConfigError
from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.learn.ppo.learner import PpoLearner
from isaachrl.learn.skills import SkillsCfg, SkillsLearner
from isaachrl.learn.skills.distillation import Distillation, goes_somewhere
from isaachrl.tensor_file import read_tensors, write_tensors
from tasks.common.reference import posture_change_m
from tests.small_learner import SMALL, make_learner

ROBOT = {"robot": "humanoid", "substeps": 4, "timestep_s": 1 / 120, "residual": 0.25}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy that tracks motions."""
    env = isaachrl.make("HumanoidTracking", num_envs=4, cfg={"task": {"motion": "walk", "residual": 0.25}})
    learner = PpoLearner(env, config.build(PpoCfg, {"horizon": 4, "hidden": [8]}), 0)
    with torch.no_grad():
        learner.agent.model.a2c_network.mu.bias.fill_(0.2)
    path = tmp_path_factory.mktemp("tracker") / "weights.pt"
    content = {"task": "HumanoidTracking", "config": {"task": ROBOT}}
    write_tensors(content | {"learner_state": learner.policy_weights()}, path)
    return path


def make(tracker: Path, push: float = 0.0, **changes: object) -> SkillsLearner:
    task = {"motion": "gaits", "reward": {"track": 1.0}, "disturb": {"push": push}}
    env = isaachrl.make("HumanoidAMP", num_envs=32, cfg={"task": task})
    distillation = {
        "tracker": str(tracker),
        "iterations": 8,
        "updates": 30,
        "learning_rate": 1e-2,
        "rows": 64,
        "replay_size": 512,
    }
    values = SMALL | {"latent": {"size": 4}, "distillation": distillation | changes}
    return SkillsLearner(env, config.build(SkillsCfg, values), 0)


def test_the_tracker_adds_its_residual_to_what_leads_along_the_motion(tracker: Path) -> None:
    learner = make(tracker)
    proprioception, lead = learner.obs["proprioception"], learner.task.clip_action()
    action = learner.distillation.tracker.act(proprioception)
    inside = action.abs() < 1
    added = (action - lead)[inside]
    assert added.mean().item() == pytest.approx(0.25 * 0.197, abs=0.01)  # tanh(0.2), and small weights


def test_states_count_where_a_teacher_knows_them(tracker: Path) -> None:
    learner = make(tracker)
    n = learner.env.num_envs
    followed, rising = (torch.zeros(n, dtype=torch.bool) for _ in range(2))
    followed[:3], rising[2:4] = True, True
    learner.task.follow(torch.ones(n, dtype=torch.bool), learner.task.start_clip, learner.task.start_time_s)
    learner.env.sim.body_pos_w[1, :, 2] += 0.5
    learner.task.follow(torch.ones(n, dtype=torch.bool), learner.task.start_clip, learner.task.start_time_s)
    _, counts = learner.distillation.taught(learner.obs["proprioception"], followed, rising)
    assert counts[:5].tolist() == [True, False, False, False, False]  # too far; no teacher of getting up


def refuse(*_: object) -> torch.Tensor:
    raise AssertionError("the tracker was asked")


def test_the_policy_comes_to_act_as_its_teacher_does(tracker: Path) -> None:
    learner = make(tracker)
    learner.skill.actor.initialize_output(torch.zeros(28))
    before = learner.policy_update.learning_rate
    signals = [learner.iterate() for _ in range(8)]
    assert signals[-1]["loss/distillation"] < 0.7 * signals[0]["loss/distillation"]
    assert "loss/policy" not in signals[0] and learner.policy_update.learning_rate == before
    assert all(signal["policy/log_std"] == learner.cfg.distillation.log_std for signal in signals)
    assert signals[-1]["loss/value"] < 2 * signals[0]["loss/value"]
    assert all(learner.held.matched.tolist())  # all commands are motions, and followed
    teacher = learner.distillation
    later = learner.iterate()
    assert "loss/distillation" not in later and "loss/policy" in later
    # nobody asks the tracker any more, and its stored states are forgotten
    assert "loss/teacher" not in later and learner._distillation is None
    teacher.tracker.act = refuse  # pyright: ignore[reportAttributeAccessIssue]
    learner._distillation = teacher
    learner.iterate()
    assert later["policy/log_std"] == learner.cfg.log_std
    assert later["policy/learning_rate"] < 1e-4


def test_pushes_begin_after_the_teachers_and_weaken_with_the_noise(
    tracker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = make(tracker, push=0.3, iterations=2, updates=1)
    learner.cfg.max_iterations, learner.cfg.push_end = 8, 0.2
    learner.cfg.anneal_from, learner.cfg.anneal_to = 0.5, 0.75
    assert isinstance(learner.env, TaskEnv)
    shares: list[float] = []
    monkeypatch.setattr(learner.env.disturbance, "fade", shares.append)
    log_stds = [learner.iterate()["policy/log_std"] for _ in range(8)]
    assert shares == pytest.approx([0.0, 0.0, 1.0, 1.0, 1.0, 0.6, 0.2, 0.2])
    assert log_stds[4] == learner.cfg.log_std and log_stds[6] == learner.cfg.log_std_end


def test_afterwards_the_policy_stays_near_its_teacher(tracker: Path) -> None:
    learner = make(tracker, iterations=1, updates=1, weight=1.0)
    learner.skill.actor.initialize_output(torch.zeros(28))
    learner.cfg.latent.at_clip = 1.0
    learner.cfg.target_kl = 0.0
    first, second = (learner.iterate() for _ in range(2))
    learner.policy_update._set_learning_rate(3e-3)
    *_, last = (learner.iterate() for _ in range(12))
    assert "loss/policy" in second and "loss/teacher" not in first
    assert last["loss/teacher"] < 0.9 * second["loss/teacher"]


def test_a_resumed_training_goes_on_alike(tracker: Path, tmp_path: Path) -> None:
    one, other = (make(tracker, within_s=0.02) for _ in range(2))  # some bodies are farther away
    for _ in range(4):
        one.iterate()
    torch.save({"learner": one.state_dict(), "env": one.env.state_dict()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other.env.load_state_dict(state["env"])
    other.load_state_dict(state["learner"])
    assert one.iterate() == other.iterate()


def test_a_trained_skill_needs_no_tracker(tmp_path: Path) -> None:
    learner = make(tmp_path / "moved")
    other = make(tmp_path / "moved")
    other.load_weights(learner.weights())
    assert other.policy() and other.exports()


def test_the_latest_states_are_kept(tracker: Path) -> None:
    distillation = make(tracker, replay_size=8).distillation
    for first, count in ((0, 5), (5, 6), (100, 20)):
        values = torch.arange(float(first), first + count).unsqueeze(1)
        distillation._store(*(values.expand(-1, buffer.shape[1]) for buffer in _buffers(distillation)))
        assert all((buffer == buffer[:, :1]).all() for buffer in _buffers(distillation))
    assert distillation.filled == 8 and distillation.obs[:, 0].min() == 100
    assert torch.equal(distillation.obs[:, 0], distillation.action[:, 0])


def test_bodies_that_have_lost_their_motion_are_led_to_it_again(tracker: Path) -> None:
    learner = make(tracker, within_s=0.2)
    task, held, n = learner.task, learner.held, learner.env.num_envs
    every = torch.ones(n, dtype=torch.bool)
    held.matched.fill_(True)
    held.segment.copy_(learner.demos.segment_of(task.start_clip, task.start_time_s))
    held.led.fill_(100)
    held.led[2] = 5  # it has just been led
    learner.env.sim.body_pos_w[1:3, ::2, 2] += 0.5
    task.follow(every, task.start_clip, task.start_time_s)
    before = task.reference_goal.clone()
    learner.distillation.find_lost(held)
    assert (task.reference_goal != before).nonzero()[:, 0].tolist() == [1]
    assert task.reference_goal[1] == held.segment[1] and held.led[:3].tolist() == [100, 0, 5]


def test_near_is_what_a_motion_changes_in_a_moment_and_far_for_gestures(tracker: Path) -> None:
    task, distillation = (learner := make(tracker, in_place=0.3)).task, learner.distillation
    names, height_m = task.library.names, task.sim.robot.height_m
    limit_m = dict(zip(names, distillation._within_m.tolist(), strict=True))
    assert limit_m["stand"] == pytest.approx(0.3 * height_m)
    assert 0.055 < limit_m["walk"] < 0.08 < limit_m["jog"] < 0.2  # their feet move at these speeds
    assert limit_m["walk"] == pytest.approx(task.posture_change_m(0.12)[names.index("walk")].item())
    assert distillation._within_m.min() >= 0.025 * height_m
    n = learner.env.num_envs
    every, gesture = torch.ones(n, dtype=torch.bool), torch.arange(n) % 2 == 0
    clip = torch.where(gesture, names.index("stand"), names.index("walk"))
    learner.env.sim.body_pos_w.copy_(task.library.postures(clip, torch.zeros(n)))
    learner.env.sim.body_pos_w[:, ::2, 2] += 0.2
    task.follow(every, clip, torch.zeros(n))
    _, counts = distillation.taught(learner.obs["proprioception"], every, ~every)
    assert torch.equal(counts, gesture)


def test_a_posture_changes_by_the_time_between() -> None:
    library = isaachrl.make("HumanoidAMP", num_envs=1, cfg={"task": {"motion": "walk"}}).task.library
    stride_s = float(library.durations_s[0])
    none, some, whole = (float(posture_change_m(library, lag_s)[0]) for lag_s in (0.0, 0.12, stride_s))
    assert none == 0 and some > 0.05 and whole < 1e-3  # the clip is a loop


def test_clips_that_go_somewhere_are_told_from_those_done_in_place() -> None:
    cfg = {"task": {"motion": "versatile", "min_height_m": {"pelvis": 0.4, "head": 0.6}}}
    library = isaachrl.make("HumanoidAMP", num_envs=1, cfg=cfg).task.library
    names = {name for name, goes in zip(library.names, goes_somewhere(library).tolist(), strict=True) if not goes}
    in_place = {"stand", "wave", "cmu_jump", "cmu_punch", "cmu_bend_and_rise", "cmu_jumping_jacks"}
    assert names - {"rise_front", "rise_back"} == in_place


def _buffers(distillation: Distillation) -> tuple[torch.Tensor, ...]:
    return distillation.obs, distillation.latent, distillation.action


def test_trackers_that_do_not_fit_are_refused(tracker: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.distillation\.tracker=nowhere.*task=HumanoidTracking"):
        make(Path("nowhere")).iterate()
    write_tensors({"task": "HumanoidHRLMaze"}, tmp_path / "maze.pt")
    with pytest.raises(ConfigError, match="it is a policy of task=HumanoidHRLMaze"):
        make(tmp_path / "maze.pt").iterate()
    write_tensors(read_tensors(tracker) | {"config": {"task": ROBOT | {"robot": "g1"}}}, tmp_path / "g1.pt")
    with pytest.raises(ConfigError, match=r"its task\.robot is g1, not humanoid"):
        make(tmp_path / "g1.pt").iterate()
    with pytest.raises(ConfigError, match="type task.reward.track=1"):
        make_learner("motion", distillation={"tracker": str(tracker)})


def test_what_goes_on_after_the_end_of_a_motion_is_followed_too() -> None:
    learner = make_learner("motion", num_envs=4, motion="versatile", tracks=True, reward={"following": 1.0})
    task, every = learner.task, torch.ones(4, dtype=torch.bool)
    names = list(task.library.names)
    clip = torch.full((4,), names.index("start"))
    task.lead_to(every, torch.full((4,), list(learner.demos.names).index("start")))
    task.reference_clip.copy_(clip)
    task.reference_time_s.copy_(task.library.durations_s[clip] - 0.01)
    learner.held.matched.fill_(True)
    learner.held.hold.fill_(100)
    with torch.no_grad():
        for step in range(2):
            learner._step(step)
    followed, known = learner._followed()
    assert [names[index] for index in task.reference_clip.tolist()] == ["walk"] * 4
    assert learner.rollout["matched"][1].bool().all() and followed.all() and (known[:, 0] == 1.0).all()
