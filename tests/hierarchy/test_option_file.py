"""What stands for an option: a motion, a skill file, a trained policy; and what is refused."""

import ntpath
import os

import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import SkillError
from isaachrl.hierarchy import option_file
from isaachrl.hierarchy.option_file import read_options
from isaachrl.maths.vectors import on_sphere
from isaachrl.tensor_file import write_tensors
from tests.tiny_policy import SKILL, save_tiny_policy, tiny_policy_content

assert tasks
RISING = "assets/skills/rising.pt"


def read(**specs):
    return read_options(specs, SKILL, torch.device("cpu"))


def test_a_motion_is_a_latent_of_the_skill():
    options = read(go=f"{SKILL}:jog", walk="walk", rise=RISING)
    skill = options["go"].skill
    assert skill is options["walk"].skill, "files are read once"
    assert torch.equal(options["go"].latent, skill.prototype_of("jog"))
    assert options["rise"].latent.shape == (0,) and options["rise"].skill.latent_size == 0
    assert read(maze="mazes")["maze"].group == "HumanoidHRLMaze", "shipped files go by their name"


def test_a_policy_acts_as_it_does_in_its_own_task():
    env, policy = isaachrl.load("assets/skills/umaze.pt", num_envs=3, device="cpu")
    option = read(maze="assets/skills/umaze.pt")["maze"]
    assert (option.group, option.steps) == ("HumanoidHRLMaze", 5)
    obs = env.observe()
    assert option.policy is not None
    action = option.policy(torch.cat((obs["proprioception"], obs["task"]), dim=-1))
    assert torch.equal(action, policy.act(obs))


def test_a_run_is_a_policy(tmp_path):
    option = read(goto=save_tiny_policy(tmp_path / "run"))["goto"]
    assert (option.group, option.steps) == ("HumanoidLocation", 5)
    latent = on_sphere(option.policy(torch.rand(2, option.policy.sizes[0])))
    torch.testing.assert_close(latent, option.skill.prototype_of("walk").expand(2, -1))


@pytest.mark.parametrize(
    ("spec", "path", "motion"),
    [
        (r"C:\skills\own.pt:walk", r"C:\skills\own.pt", "walk"),
        ("C:/skills/own.pt", "C:/skills/own.pt", ""),
        ("own.pt:walk", "own.pt", "walk"),
    ],
)
def test_a_drive_of_windows_is_part_of_the_path(monkeypatch, spec, path, motion):
    monkeypatch.setattr(os.path, "splitdrive", ntpath.splitdrive)
    assert option_file._file_and_motion(spec) == (path, motion) and option_file._is_path(spec)
    assert not option_file._is_path("walk")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("wlak", "task.options.it=wlak: the skill has no latent for 'wlak'; did you mean walk.*an option is a motion"),
        ("nowhere.pt", "there is no file or run nowhere.pt; an option is a motion of task.skill"),
        ("runs/nowhere", "there is no file or run runs/nowhere"),
        (SKILL, r"the skill takes latents, so name one of its motions \(stand, walk_slow"),
        (f"{RISING}:walk", "the skill has no latent for 'walk'"),
        ("./README.md", "README.md is damaged, or not a file of isaachrl"),
    ],
)
def test_what_is_no_option_is_refused(spec, message):
    with pytest.raises(SkillError, match=message):
        read(it=spec)


def broken(**changes):
    content = tiny_policy_content()
    model = content["learner_state"]["agent"]["model"]
    name = next((key for key in changes if key in ("weight", "missing")), "")
    if name == "weight":
        model["a2c_network.mu.bias"] = changes["weight"]
    elif name == "missing":
        del model["a2c_network.mu.bias"]
    else:
        content["config"]["task"] |= changes
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            broken(weight=torch.full((16,), torch.nan)),
            "its weight a2c_network.mu.bias holds values that are not finite",
        ),
        (broken(weight=torch.zeros(7)), "its weights cannot be used .*size mismatch"),
        (broken(weight=[1.0]), "its weights are not tensors by name"),
        (broken(missing=True), "its weights cannot be used .*mu.bias"),
        (broken(skill="none"), "no skill file none"),
        (broken(skill=3), "it names no task, skill and number of steps, but .*3, 5"),
        (broken(hierarchy={"steps": 0}), "it names no task, skill and number of steps"),
        (broken(hierarchy=None), "it is no policy over a skill .task HumanoidLocation, learner ppo"),
        ({"format": "isaachrl.checkpoint", "task": "AntMaze", "learner": "hiro"}, "task AntMaze, learner hiro"),
        (
            tiny_policy_content() | {"skill": "another"},
            "its policy was trained on another skill than .*humanoid.pt holds",
        ),
        ([1], "is not a skill file"),
    ],
)
def test_a_file_that_is_no_policy_over_a_skill_is_refused(tmp_path, content, message):
    write_tensors(content, tmp_path / "policy.pt")
    with pytest.raises(SkillError, match=message):
        read(goto=str(tmp_path / "policy.pt"))
