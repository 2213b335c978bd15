"""The measures of a card on few bodies: pushes reach them and end, and nothing of them stays behind."""

import pytest
import torch

from isaachrl.envs.disturbance import GRAVITY_MPS2
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills import evaluation as skill_evaluation
from isaachrl.run.card import impulses, measures
from isaachrl.run.card.measures import RecordedEvaluation
from tests.small_learner import make_learner

MOVING = {
    "walk": {"speed_mps": 1.1, "turn_rate_rad_s": 0.05},
    "tight_left": {"speed_mps": 1.0, "turn_rate_rad_s": 0.8},
    "stand": {"speed_mps": 0.0, "turn_rate_rad_s": 0.0},
}


@pytest.fixture
def shipped(monkeypatch):
    """`shipped(n)`: an evaluation of the shipped skill on n bodies, with short times."""
    for name, value in {"SETTLE_S": 0.1, "PHASE_S": 0.1, "WATCH_S": 0.6, "IMPULSES_NS": (0.0, 60.0)}.items():
        monkeypatch.setattr(measures, name, value)

    def build(num_envs):
        discriminator = {"hidden": [8], "rows": 8, "replay_size": 16, "demo_windows": 128}
        learner = make_learner("motion", num_envs=num_envs, latent={"size": 16}, discriminator=discriminator)
        skill = Skill.load("assets/skills/humanoid.pt")
        skill.embedding = learner.skill.embedding  # of the same clips
        learner.skill = skill
        return RecordedEvaluation(learner)

    return build


def test_pushes_go_in_their_direction_for_their_time_and_end(shipped, monkeypatch):
    evaluation = shipped(17)  # four directions, two impulses and two shares of the weight, and one that is left over
    outcomes, forces, sim = [], [], evaluation.env.sim
    original = sim.push
    monkeypatch.setattr(sim, "push", lambda force: (forces.append(force.clone()), original(force)))
    monkeypatch.setattr(
        impulses.Watch, "outcome", lambda *a, f=impulses.Watch.outcome, **k: outcomes.append(f(*a, **k)) or outcomes[-1]
    )
    found = measures.push_tolerance(evaluation, MOVING)
    assert found["motion"] == "walk", "the one that is nearest to walking straight on at 1 m/s"
    change = outcomes[0].change_h[:, 1, 0] - outcomes[0].change_h[:, 0, 0]
    assert change[0, 0] > 0.5 and change[2, 0] < -0.5, "from the back, from the front"
    assert change[1, 1] > 0.5 and change[3, 1] < -0.5, "from the right, from the left: y is to the left"
    size = torch.stack(forces).norm(dim=-1)
    assert not size[:, 16].any() and not size[-1].any()
    assert (size[:, 1] > 0).sum() == 3 and size[:, 1].max() == pytest.approx(60.0 / 0.1)
    assert (size[:, 2] > 0).sum() == 15 and size[:, 2].max() == pytest.approx(0.3 * sim.robot.mass_kg * GRAVITY_MPS2)
    assert set(found["j80_ns"]) == {"all", *impulses.DIRECTIONS} and set(found["push_0.5"]) == {"falls", "recovery_s"}


def test_too_few_worlds_or_no_body_that_stays_up_give_no_tolerance(shipped):
    evaluation = shipped(11)
    assert measures.push_tolerance(evaluation, MOVING) is None
    assert measures.push_tolerance(evaluation, {"walk": {"speed_mps": None}}) is None


def test_falls_are_counted_without_and_with_pushes_which_end(monkeypatch):
    learner = make_learner("motion", num_envs=4)
    env, shares, lengths = learner.env, [], iter([[3.0, 300, 300, 300], [9.0, 9, 300, 300], [1.0, 1, 1, 300]])

    def episodes(own, policy, per_env, on_step):
        shares.append(0.0 if own.disturbance is None else own.disturbance._max_force_n)
        if own.disturbance is not None:
            own.sim.push(torch.ones(4, 3))
        return type("Episodes", (), {"lengths": torch.tensor(next(lengths)).unsqueeze(1)})

    monkeypatch.setattr(measures, "run_episodes", episodes)
    assert measures.falls(learner) == {"changing_commands": 0.25, "push_0.3": 0.5, "push_0.5": 0.75}
    weight = env.sim.robot.mass_kg * GRAVITY_MPS2
    assert shares == pytest.approx([0.0, 0.3 * weight, 0.5 * weight])
    assert env.disturbance is None and not env.sim.worlds.xfrc_applied.any()


def test_a_skill_without_latents_is_measured_without_commands(monkeypatch):
    learner = make_learner("none", num_envs=11)
    evaluation = RecordedEvaluation(learner)
    assert evaluation.latents.shape == (11, 0)
    assert evaluation.skill.act(learner.obs["proprioception"], evaluation.latents).shape == (11, 28)
    for name in ("falls", "push_tolerance"):
        monkeypatch.setattr(measures, name, lambda *_: None)
    for name in ("SETTLE_S", "MEASURE_S", "RESPONSE_LIMIT_S"):
        monkeypatch.setattr(skill_evaluation, name, 0.1)
    found = measures.measure(evaluation)
    assert found["recall"] is found["command_information"] is found["response_s"] is found["coverage"] is None
    assert found["motions"]["jog"]["recall"] is None
    assert found["motions"]["jog"]["clip_speed_mps"] == pytest.approx(2.2, abs=0.3)


def test_a_skill_that_ignores_its_commands_is_told_from_the_shipped_one(shipped, monkeypatch):
    """Every command leads to a walk, as in a collapsed training: nothing of the command can be told from the motion."""
    monkeypatch.setattr(skill_evaluation, "SETTLE_S", 1.0)
    monkeypatch.setattr(skill_evaluation, "MEASURE_S", 1.5)
    evaluation, information = shipped(33), []
    act, walk = evaluation.skill.act, evaluation.skill.prototype_of("walk").expand(33, -1)
    for controller in (act, lambda proprioception, latent: act(proprioception, walk)):
        monkeypatch.setattr(evaluation.skill, "act", controller)
        evaluation.rollouts.clear()
        evaluation.roll_out(evaluation.latents[torch.arange(33) % 11])
        assert evaluation.rollouts[0].up.float().mean() > 0.9
        information.append(measures.command_information(evaluation))
    assert information[0] > 0.6 and information[1] < 0.3, information
