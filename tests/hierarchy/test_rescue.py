"""Two skills that take turns: one follows latents, the other gets fallen bodies up."""

import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import ConfigError, SkillError
from isaachrl.hierarchy.rescue import RescueController, track_fall
from tasks.common import humanoid
from tests.tiny_skill import LATENT_SIZE, make_tiny_skill

assert tasks
LIMITS = {"pelvis": 0.5, "head": 0.85}


def make(n=2, seed=0, **task):
    cfg = {"task": {"start_motion": "stand", "layout": "corridor"} | task}
    return isaachrl.make("HumanoidHRLMaze", n, device="cpu", seed=seed, cfg=cfg)


@pytest.fixture
def files(tmp_path):
    make_tiny_skill().save(tmp_path / "skill.pt")
    make_tiny_skill(latent_size=0).save(tmp_path / "rise.pt")
    return {"skill": str(tmp_path / "skill.pt"), "rescue": str(tmp_path / "rise.pt")}


def test_a_fall_lasts_until_half_a_second_upright():
    fallen, upright = torch.zeros(1, dtype=torch.bool), torch.zeros(1)
    states = []
    for low in (False, True, False, False, True, False, False, False, False):  # 0.125 s each
        fallen, upright = track_fall(torch.tensor([low]), fallen, upright, 0.125)
        states.append(fallen.item())
    assert states == [False, True, True, True, True, True, True, True, False]


def test_each_body_is_controlled_by_the_skill_that_its_height_asks_for():
    skill, rescue = make_tiny_skill(), make_tiny_skill(latent_size=0)
    controller = RescueController(skill, rescue, LIMITS, num_envs=3)
    names = [name for name, _, _ in skill.contract.proprioception]
    assert names[:2] == ["root_height", "body_pos_h"]
    proprioception, latent = (
        torch.rand(3, skill.contract.proprioception_size),
        skill.project(torch.rand(3, LATENT_SIZE)),
    )
    head = 1 + 3 * (skill.contract.body_names.index("head") - 1) + 2
    proprioception[:, 0] = torch.tensor([0.9, 0.4, 0.9])
    proprioception[:, head] = torch.tensor([0.5, 0.6, -0.2])  # the second one's root is too low, the third one's head
    action = controller.act(proprioception, latent)
    assert controller.fallen.tolist() == [False, True, True]
    rising = rescue.act(proprioception, latent[:, :0])
    assert torch.equal(action, torch.cat((skill.act(proprioception, latent)[:1], rising[1:])))
    controller.restart(torch.tensor([False, True, False]))
    assert controller.fallen.tolist() == [False, False, True]


def test_heights_are_those_of_the_simulation(files):
    env = make(3, **files)
    sim = env.inner.sim
    low = humanoid.FallDetector(sim.robot, LIMITS, sim.device)
    qpos = sim.qpos.clone()
    qpos[1, 2] -= 0.5
    qpos[2, 2:7] = torch.tensor([0.6, 0.5**0.5, 0.0, 0.5**0.5, 0.0])  # lies in the air: its head is too low
    sim.reset(torch.ones(3, dtype=torch.bool), qpos, torch.zeros_like(sim.qvel))
    env.skill.act(env.observe()["proprioception"], torch.zeros(3, LATENT_SIZE))
    assert env.skill.fallen.tolist() == low(sim).tolist() == [False, True, True]


def test_a_rescue_goes_on_after_a_resume_and_ends_with_the_episode(files):
    def played(env, decisions):
        for _ in range(decisions):
            result = env.advance(torch.zeros(8, LATENT_SIZE))
        return env.inner.sim.qpos.clone(), env.skill.fallen.clone(), result.metrics["falls"]

    env = make(8, **files)
    played(env, 12)  # with random weights every body falls within two seconds
    assert env.skill.fallen.any() and torch.equal(env.skill.fallen, env.inner.task.fallen)
    kept = env.state_dict()
    expected = played(env, 6)
    again = make(8, seed=5, **files)
    again.load_state_dict(kept)
    for one, other in zip(expected, played(again, 6), strict=True):
        assert torch.equal(one, other)
    env.reset()
    assert not env.skill.fallen.any() and env.skill in env.parts()


def test_a_rescue_that_does_not_fit_is_refused(files, tmp_path):
    with pytest.raises(SkillError, match=r"task.rescue=.*skill.pt: expected a skill that gets up .*it takes latents"):
        make(skill=files["skill"], rescue=files["skill"])
    with pytest.raises(SkillError, match="task.rescue=nowhere.pt: expected a skill that gets up .*task=HumanoidRise"):
        make(skill=files["skill"], rescue="nowhere.pt")
    with pytest.raises(ConfigError, match="task.skill=none"):
        make(skill="none", rescue=files["rescue"])
    make_tiny_skill(latent_size=0, step_s=1 / 60).save(tmp_path / "slow.pt")
    with pytest.raises(SkillError, match="control interval"):
        make(skill=files["skill"], rescue=str(tmp_path / "slow.pt"))
