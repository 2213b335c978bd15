"""The skills learner as a whole, small: it runs for every kind of command, resumes exactly, and writes a skill."""

from pathlib import Path
from typing import Any

import pytest
import torch

import isaachrl
from isaachrl import config
from isaachrl.envs import StepResult, TaskEnv
from isaachrl.errors import ConfigError, SkillError
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills import SkillsCfg, SkillsLearner
from isaachrl.learn.skills.update import Signals
from tasks.common import reference
from tests.small_learner import SMALL, make_learner


@pytest.mark.parametrize("latents", ["none", "ase", "motion"])
def test_iterations_give_finite_signals(latents: str) -> None:
    learner = make_learner(latents, exploration_mix=latents == "ase")
    for _ in range(2):
        signals = learner.iterate()
    assert all(torch.isfinite(torch.tensor(value)) for value in signals.values()), signals
    assert learner.samples == 2 * 4 * 8
    expected = {"reward/style", "style/accuracy_agent", "style/accuracy_demo", "policy/kl"}
    assert expected <= set(signals)
    assert ("style/encoder_cosine" in signals) == (latents == "ase")


@pytest.mark.parametrize("latents", ["ase", "motion"])
def test_stopped_and_continued_equals_uninterrupted(latents: str) -> None:
    straight = make_learner(latents)
    for _ in range(2):
        straight.iterate()
    state = {"env": straight.env.state_dict(), "learner": straight.state_dict(), "torch": torch.get_rng_state()}
    state = torch.load(_saved(state), weights_only=True)
    continued = make_learner(latents)
    continued.iterate()  # so that everything has to be put back
    continued.env.load_state_dict(state["env"])
    continued.load_state_dict(state["learner"])
    for _ in range(2):
        straight.iterate()
        continued.iterate()
    for name, value in straight.skill.state_dict().items():
        assert torch.equal(value, continued.skill.state_dict()[name]), name
    assert torch.equal(straight.env.observe()["proprioception"], continued.env.observe()["proprioception"])
    assert torch.equal(straight.held.latent, continued.held.latent)


def test_without_a_stored_replay_a_new_one_fills_up_from_the_next_rollout_on() -> None:
    learner, other = (make_learner("motion", checkpoint_replay=False) for _ in range(2))
    learner.iterate()
    state = torch.load(_saved(learner.state_dict()), weights_only=True)
    assert "replay" not in state and "replay" in make_learner("motion").state_dict()
    other.load_state_dict(state)
    assert other.discriminator.replay.filled == 0
    other.iterate()
    assert other.discriminator.replay.filled == 4 * 8


def _saved(state: dict[str, Any]) -> Any:
    """The state as it comes back from a file."""
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_next_value_is_zero_after_a_fall_and_of_the_last_observation_after_a_timeout() -> None:
    learner = make_learner("none", num_envs=3)
    data = learner.rollout
    data["value"].copy_(torch.arange(12.0).view(4, 3))
    data["terminated"][1, 0] = True
    data["truncated"][2, 1] = True
    data["next_obs"].normal_()
    following = learner._next_values()
    expected = learner._value(*(data[name][2, 1:2] for name in ("next_obs", "known", "latent")))
    assert following[1, 0].item() == 0.0
    assert following[2, 1].item() == pytest.approx(expected.item())
    assert following[0].tolist() == [3.0, 4.0, 5.0]  # the next step's value, where the episode goes on


def test_new_commands_come_with_new_episodes_and_when_their_time_is_over() -> None:
    learner = make_learner("motion", latent={"size": 4, "hold_steps_min": 2, "hold_steps_max": 2, "match_start": 1.0})
    segments = learner.demos.segment_of(learner.task.start_clip, learner.task.start_time_s)
    assert torch.equal(learner.held.latent, learner.source.embedding.prototypes[segments])
    first = learner.held.latent.clone()
    with torch.no_grad():
        learner._step(0)
        assert torch.equal(learner.held.latent, first)
        learner._step(1)
    assert not torch.equal(learner.held.latent, first)


def test_demonstrations_belong_to_the_command() -> None:
    learner = make_learner("motion", latent={"size": 16}, discriminator={**SMALL["discriminator"], "demo_windows": 64})
    names = learner.demos.names
    jog = learner.source.embedding.prototypes[names.index("jog")].expand(32, -1)
    speed = learner.source.demonstrations(jog)[:, 7]  # forward velocity in the newest frame
    assert speed.mean().item() == pytest.approx(2.2, abs=0.2)


def test_skill_file_round_trip_and_refusals(tmp_path: Path) -> None:
    learner = make_learner("motion")
    learner.iterate()
    learner.save_products(tmp_path)
    skill = Skill.load(tmp_path / "skill.pt")
    obs, latent = learner.env.observe(), learner.held.latent
    assert torch.equal(skill.act(obs["proprioception"], latent), learner.skill.act(obs["proprioception"], latent))
    assert torch.equal(skill.style_reward(obs["style"], latent), learner.skill.style_reward(obs["style"], latent))
    prototypes = learner.source.embedding.prototypes
    assert torch.equal(skill.prototype_of("jog"), prototypes[learner.demos.names.index("jog")])
    assert skill.contract.training["samples"] == learner.samples
    env = learner.env
    assert isinstance(env, TaskEnv)
    skill.check(env.sim.robot, env.task.cfg.step_s, "position")
    with pytest.raises(SkillError, match="control is position, the task's is torque"):
        skill.check(env.sim.robot, env.task.cfg.step_s, "torque")
    with pytest.raises(SkillError, match="did you mean jog"):
        skill.prototype_of("jogg")


def test_weights_hold_no_critic_that_was_never_trained() -> None:
    learner = make_learner("motion")
    assert "critic" in learner.weights()
    skill_alone = {key: value for key, value in learner.weights().items() if key not in ("critic", "value_norm")}
    learner.load_weights(skill_alone)
    assert set(learner.weights()) == set(skill_alone)


def test_a_skill_without_motion_commands_may_go_on_with_other_motions() -> None:
    state, other = make_learner("none").state_dict(), make_learner("none", seed=1, motion="walks")
    other.load_weights(state)
    assert torch.equal(other.skill.actor.state_dict()["body.0.weight"], state["skill"]["actor.body.0.weight"])
    assert len(other.skill.embedding.features) == len(other.demos.names) == 5


def test_foreign_files_are_no_skills(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="train.py task=HumanoidAMP"):
        Skill.load(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(SkillError, match="damaged, or not a file of isaachrl: it is not an archive of tensors"):
        Skill.load(tmp_path / "text.pt")
    torch.save({"model": torch.zeros(1)}, tmp_path / "foreign.pt")
    with pytest.raises(SkillError, match="is not a skill file"):
        Skill.load(tmp_path / "foreign.pt")
    with pytest.raises(SkillError, match=r"it is a checkpoint; type checkpoint=.*umaze.pt"):
        Skill.load("assets/skills/umaze.pt")


def test_values_that_cannot_run_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.latent\.size=1"):
        config.build(SkillsCfg, {"latent": {"size": 1}}, "train")
    for values, message in (
        ({"discriminator": {"hidden": []}}, r"train\.discriminator\.hidden=\[\]: expected 1 or more entries"),
        ({"discriminator": {"rows": 0}}, r"train\.discriminator\.rows=0: expected a number from 1 to"),
        ({"discriminator": {"replay_keep": 2}}, r"replay_keep=2\.0: expected a number from 0 to 1"),
        ({"latent": {"temperature": 0}}, r"train\.latent\.temperature=0"),
        ({"clip": -1}, r"train\.clip=-1"),
    ):
        with pytest.raises(ConfigError, match=message):
            config.build(SkillsCfg, values, "train")
    with pytest.raises(ConfigError, match=r"unknown key train\.horzion; did you mean horizon"):
        config.build(SkillsCfg, {"horzion": 3}, "train")


def test_no_learner_draws_what_an_environment_draws() -> None:
    seeds = {make_learner("none", num_envs=2, seed=seed).generator.initial_seed() for seed in (0, 1)}
    assert len(seeds) == 2 and not seeds & {0, 1, 2}


def test_a_saved_state_does_not_change_with_the_learner() -> None:
    learner = make_learner("motion")
    learner.iterate()
    state = learner.state_dict()
    kept = {name: state[name].clone() for name in ("latent", "hold", "demo_windows")}
    learner.held.hold -= 1
    learner.held.latent.mul_(2.0)
    learner.demos.windows.add_(1.0)
    assert all(torch.equal(state[name], value) for name, value in kept.items())


def test_a_diverged_world_gets_no_reward_and_its_window_is_not_learned_from() -> None:
    learner = make_learner("motion", reward={"style": 1.0, "task": 0.0})
    before = learner.obs["style"].clone()
    step = learner.env.step

    def broken(action: torch.Tensor) -> StepResult:
        result = step(action)
        result.metrics["diverged"][2] = 1.0
        result.terminated[2] = True
        result.terminal_obs["style"][2] = 1e3
        return result

    learner.env.step = broken  # type: ignore[method-assign]
    with torch.no_grad():
        learner._step(0)
    data = learner.rollout
    assert data["diverged"][0].tolist() == [False, False, True, *[False] * 5]
    assert torch.equal(data["window"][0, 2], before[2])
    assert not torch.equal(data["window"][0, 1], before[1])
    reward = learner._reward(Signals.empty())
    assert reward[0, 2] == 0.0 and (reward[0, :2] > 0).all()
    learner.env.step = step  # type: ignore[method-assign]
    learner.iterate()
    assert learner.discriminator.replay.window.abs().max() < 100.0


def _following() -> SkillsLearner:
    """Half of its commands are motions; each is held for two steps."""
    cfg = {"task": {"motion": "walks", "reward": {"alive": 0.0, "track": 1.0}}}
    env = isaachrl.make("HumanoidAMP", num_envs=64, cfg=cfg)
    latent = {"hold_steps_min": 2, "hold_steps_max": 2, "match_start": 0.0, "at_clip": 0.5, "between_clips": 0.0}
    return SkillsLearner(env, config.build(SkillsCfg, SMALL | {"latent": latent, "reward": {"following": 1.0}}), 0)


def test_bodies_are_led_to_the_motion_commanded() -> None:
    learner = _following()
    task, demos, prototypes = learner.task, learner.demos, learner.source.embedding.prototypes
    with torch.no_grad():
        learner._step(0)
        assert (learner.held.led == 1).all()
        learner._step(1)  # now every hold time is over
    is_prototype = (learner.held.latent @ prototypes.T).amax(-1) > 0.9999
    assert torch.equal(learner.held.matched, is_prototype) and 0.3 < is_prototype.float().mean() < 0.7
    assert (learner.held.led == 0).all()
    segments = (learner.held.latent @ prototypes.T).argmax(-1)
    assert torch.equal(task.reference_goal[is_prototype], segments[is_prototype])
    assert torch.equal(task.graph.clip, demos.clips)
    assert torch.equal(task.follows, learner.held.matched)  # nothing is asked of the others
    clip, time_s = task.graph.enter(segments, reference.state_features(task.sim))
    assert torch.equal(task.reference_clip[is_prototype], clip[is_prototype])
    assert torch.equal(task.reference_time_s[is_prototype], time_s[is_prototype])


def test_following_is_rewarded_and_known_to_the_critic_where_a_motion_is_commanded() -> None:
    learner = _following()
    with torch.no_grad():
        for step in range(4):
            learner._step(step)
        data, signals = learner.rollout, Signals.empty()
        reward = learner._reward(signals)
        learner.cfg.reward.following = 0.0
        assert torch.allclose(
            reward - learner._reward(Signals.empty()), data["task_reward"] * data["matched"], atol=1e-6
        )
    assert torch.equal(data["known"][..., 0], data["matched"].float())
    matched, known = learner._followed()
    assert torch.equal(known[matched, 1:], learner.task.reference_observation()[matched])
    assert matched.any() and not known[~matched].any() and not data["known"][~data["matched"]].any()


def test_who_is_on_the_floor_follows_no_command() -> None:
    learner = _following()
    learner.task.recovering.fill_(True)
    before = learner.task.reference_time_s.clone()
    learner.held.hold.zero_()
    learner.held.renew()
    assert not learner.held.matched.any() and torch.equal(learner.task.reference_time_s, before)


def test_other_latents_follow_nothing() -> None:
    assert torch.isfinite(torch.tensor(make_learner("ase", reward={"following": 1.0}).iterate()["reward/total"]))
