"""A choice among frozen controllers: hold time, hand-over and contracts, with numbers worked by hand."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import ConfigError, SkillError
from isaachrl.hierarchy.hierarchical_env import StatefulController
from isaachrl.hierarchy.options import Option, OptionController, SwitchCfg
from isaachrl.nn.policy_mean import PolicyMean
from tests.tiny_skill import make_tiny_skill

assert tasks
SIZES = {"proprioception": 1, "Walk": 1}


class FakeSkill:
    """Acts with its level plus the first number of the latent, on one motor; a control step takes 0.1 s."""

    def __init__(self, level, latent_size=2):
        self.level, self.latent_size = level, latent_size
        self.contract = SimpleNamespace(step_s=0.1, proprioception_size=1, dof_names=["hip"])

    def act(self, proprioception, latent):
        return self.level + (latent[:, :1] if self.latent_size else torch.zeros_like(proprioception))


class FakePolicy(torch.nn.Module):
    """An action whose direction is (cos, sin) of the sum of its inputs."""

    sizes = (2, 2)

    def forward(self, policy_input):
        angle = policy_input.sum(-1)
        return torch.stack((angle.cos(), angle.sin()), dim=-1)


def constant(level):
    return Option(FakeSkill(level, 0), torch.zeros(0))


def controller(num_envs=1, hold_s=0.0, blend_s=0.0, **options):
    return OptionController(options, SIZES, num_envs, SwitchCfg(hold_s, blend_s))


def choose(*wanted, count=3):
    return torch.nn.functional.one_hot(torch.tensor(wanted), count).float()


def played(own, *choices):
    """Actions of world 0, of successive choices."""
    inputs = torch.zeros(1, 1)
    return [own.act(inputs, choose(choice, count=own.latent_size))[0, 0].item() for choice in choices]


def test_the_largest_number_chooses():
    own = controller(low=constant(-0.5), high=constant(0.5), off=constant(0.0))
    assert isinstance(own, StatefulController) and own.latent_size == 3
    assert own.project(torch.tensor([[-0.9, -0.2, -0.3], [0.1, 0.0, 0.7]])).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert own.action_contract["actions"] == ["low", "high", "off"]


def test_an_option_is_held():
    own = controller(hold_s=0.3, low=constant(-0.5), high=constant(0.5))
    assert played(own, 0, 1, 1, 1, 0, 0, 0) == [-0.5, -0.5, -0.5, 0.5, 0.5, 0.5, -0.5]


def test_a_hand_over_is_linear_and_continuous():
    own = controller(blend_s=0.4, low=constant(-0.6), high=constant(0.2))
    # the difference is -0.8, and 3/4, 2/4, 1/4 and 0 of it are added
    assert played(own, 0, 1, 1, 1, 1, 1) == pytest.approx([-0.6, -0.4, -0.2, 0.0, 0.2, 0.2])


def test_a_switch_within_a_hand_over_does_not_jump_either():
    own = controller(blend_s=0.4, low=constant(-0.6), high=constant(0.2))
    # at the second switch the action is -0.2, and the difference 0.4
    assert played(own, 0, 1, 1, 0, 0, 0, 0) == pytest.approx([-0.6, -0.4, -0.2, -0.3, -0.4, -0.5, -0.6])


def test_a_hand_over_starts_from_what_the_motors_can_do():
    own = controller(blend_s=0.2, wild=constant(3.0), calm=constant(0.0))
    assert played(own, 0, 1, 1) == pytest.approx([1.0, 0.5, 0.0])


def test_a_policy_sets_a_latent_that_is_held():
    skill = FakeSkill(0.0)
    walk = Option(skill, torch.zeros(2), FakePolicy(), "Walk", steps=2)
    own = controller(num_envs=2, walk=walk, stand=Option(skill, torch.tensor([0.0, 1.0])))
    assert own.groups == ("proprioception", "Walk")
    first, second = torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 2.0], [0.0, 2.0]])

    def act(inputs, *wanted):
        return own.act(inputs, choose(*wanted, count=2)).flatten().tolist()

    assert act(first, 0, 1) == pytest.approx([1.0, 0.0])
    assert act(second, 0, 0) == pytest.approx([1.0, math.cos(2)])  # the second world decides at its switch
    assert act(second, 0, 0) == pytest.approx([math.cos(2), math.cos(2)])
    assert act(first, 0, 0) == pytest.approx([math.cos(2), math.cos(1)])


def test_a_new_episode_starts_without_a_hand_over():
    own = controller(num_envs=2, hold_s=1.0, blend_s=0.4, low=constant(-0.6), high=constant(0.2))
    inputs = torch.zeros(2, 1)
    own.act(inputs, choose(0, 0, count=2))
    own.restart(torch.tensor([False, True]))
    assert own.act(inputs, choose(1, 1, count=2)).flatten().tolist() == pytest.approx([-0.6, 0.2])


def test_a_stored_state_goes_on():
    own, other = (controller(hold_s=0.2, blend_s=0.4, low=constant(-0.6), high=constant(0.2)) for _ in range(2))
    played(own, 0, 0, 1)
    state = own.state_dict()
    straight = played(own, 1, 0, 0)
    other.load_state_dict(state)
    assert played(other, 1, 0, 0) == straight
    assert state["age"].item() == 1, "a copy"


def test_an_invalid_choice_passes_through_and_leaves_no_trace():
    own = controller(num_envs=2, low=constant(-0.6), high=constant(0.2))
    inputs = torch.zeros(2, 1)
    own.act(inputs, choose(0, 1, count=2))
    spoilt = choose(0, 0, count=2)
    spoilt[1] = torch.nan
    action = own.act(inputs, spoilt)
    assert action[0].item() == pytest.approx(-0.6) and action[1].isnan().all()
    assert own.act(inputs, choose(0, 1, count=2)).flatten().tolist() == pytest.approx([-0.6, 0.2])


def test_what_an_option_reads_must_be_there():
    walk = Option(FakeSkill(0.0), torch.zeros(2), FakePolicy(), "Walk")
    with pytest.raises(SkillError, match="option walk: it was trained on Walk, .* no observation group.* has prop"):
        OptionController({"walk": walk}, {"proprioception": 1}, 1, SwitchCfg())
    with pytest.raises(SkillError, match="option walk: it reads 1 numbers of Walk, this task has 3"):
        OptionController({"walk": walk}, SIZES | {"Walk": 3}, 1, SwitchCfg())
    other = dataclasses.replace(walk, skill=FakeSkill(0.0, 5))
    with pytest.raises(SkillError, match="option walk: its policy sets 2 numbers, its skill takes 5"):
        OptionController({"walk": other}, SIZES, 1, SwitchCfg())


def make(n=2, **task):
    cfg = {"start_motion": "stand"} | task
    return isaachrl.make("HumanoidLocation", n, device="cpu", cfg={"task": cfg})


def test_options_of_another_body_or_clock_are_refused_by_name(tmp_path):
    make_tiny_skill(latent_size=0, step_s=1 / 60).save(tmp_path / "slow.pt")
    with pytest.raises(SkillError, match="option rise: .*its control interval is 0.016667, the task's is 0.033333"):
        make(options={"walk": "walk", "rise": str(tmp_path / "slow.pt")})
    other = make_tiny_skill(latent_size=0)
    scale = [2.0 * value for value in other.contract.action_scale]
    other.contract = dataclasses.replace(other.contract, action_scale=scale)
    other.save(tmp_path / "strong.pt")
    with pytest.raises(SkillError, match="option rise: .*its action_scale is"):
        make(options={"walk": "walk", "rise": str(tmp_path / "strong.pt")})
    with pytest.raises(SkillError, match="option rise: .*its control is position, the task's is torque"):
        make(options={"rise": "assets/skills/rising.pt"}, control="torque")


@pytest.mark.parametrize(
    "wrong", [{"skill": "none"}, {"hierarchy": {"style_weight": 0.1}}, {"rescue": "assets/skills/rising.pt"}]
)
def test_keys_that_do_not_go_with_options_are_refused(wrong):
    with pytest.raises(ConfigError, match="task.options needs a skill .*type task.skill=PATH task.hier"):
        make(options={"walk": "walk"}, **wrong)


def test_a_task_over_options_has_a_number_for_each():
    env = make(4, options={"walk": "walk", "left": "tight_left", "rise": "assets/skills/rising.pt"})
    assert (env.action_size, env.action_contract["actions"]) == (3, ["walk", "left", "rise"])
    env.reset()
    result = env.step(torch.tensor([[0.5, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [torch.nan, 0.0, 0.0]]))
    assert env.skill.active.tolist()[:3] == [0, 1, 2] and result.diverged.tolist() == [False, False, False, True]
    state = env.state_dict()
    again = make(4, options={"walk": "walk", "left": "tight_left", "rise": "assets/skills/rising.pt"})
    again.load_state_dict(state)
    action = torch.tensor([[0.0, 1.0, 0.0]] * 4)
    assert torch.equal(env.step(action).reward, again.step(action).reward)


def test_a_policy_needs_all_its_layers():
    with pytest.raises(KeyError):
        PolicyMean({"a2c_network.mu.weight": torch.zeros(2, 3)})


def torque_changes(blend_s):
    """Largest change of a torque in a control step, N m: in the gait before a hand-over, and in its first step."""
    cfg = {
        "options": {"jog": "jog", "rise": "rising"}, "start_motion": "stand", "hierarchy": {"steps": 1},
        "switch": {"blend_s": blend_s},
    }  # fmt: skip
    env = isaachrl.make("HumanoidLocation", 16, sim="mujoco", device="cpu", cfg={"task": cfg})
    choices = torch.eye(2).repeat_interleave(torch.tensor([100, 1]), dim=0)
    torques = []
    for choice in choices:
        env.step(choice.expand(16, 2))
        torques.append(env.inner.sim.motor_torque.clone())
    change = torch.stack(torques).diff(dim=0).abs().amax(-1)
    return change[60:-1].amax(0).mean(), change[-1].mean()


def test_torques_do_not_jump_in_a_hand_over_of_a_jogging_body():
    gait, jump = torque_changes(blend_s=0.0)
    same_gait, blended = torque_changes(blend_s=0.2)
    assert gait == same_gait
    assert blended < 0.6 * jump and blended < 0.6 * gait
