"""Skill files: what is no skill, or one of another robot, is refused."""

import dataclasses
import json
import os
import random

import pytest
import torch

from isaachrl.errors import SkillError
from isaachrl.hierarchy.skill import FORMAT, Skill
from isaachrl.sim import load_robot
from tests.tiny_skill import make_tiny_skill


def test_a_file_of_another_kind_is_refused_without_foreign_advice(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# not a skill")
    with pytest.raises(SkillError, match=r"README\.md is damaged, or not a file of isaachrl.*RUN/skill\.pt") as error:
        Skill.load(path)
    assert "weights_only" not in str(error.value)


def test_a_skill_with_the_hash_of_an_earlier_version_says_what_to_do(tmp_path):
    robot, path = load_robot("humanoid"), tmp_path / "skill.pt"
    make_tiny_skill().stamped("62bba74549fa4b3c").save(path)
    with pytest.raises(SkillError, match="made by an earlier version of isaachrl.*Skill.load.*stamped") as error:
        Skill.load(path).check(robot, 1 / 30, "position")
    assert robot.model_hash in str(error.value)
    Skill.load(path).stamped(robot.model_hash).save(path)
    Skill.load(path).check(robot, 1 / 30, "position")


def test_a_skill_of_a_robot_that_moves_otherwise_is_refused():
    with pytest.raises(SkillError, match="its model hash is 2-0123, the task's is 2-"):
        make_tiny_skill().stamped("2-0123").check(load_robot("humanoid"), 1 / 30, "position")


def test_the_digest_is_of_what_the_controller_computes():
    skill, same = make_tiny_skill(), make_tiny_skill().stamped("2-0123")
    same.contract.training["seed"] = 7
    same.discriminator.head.bias.data += 1.0
    assert skill.digest() == same.digest() and len(skill.digest()) == 64
    for change in ({"action_scale": [0.5] * 28}, {"action_offset": [0.1] * 28}):
        other = make_tiny_skill()
        other.contract = dataclasses.replace(other.contract, **change)
        assert other.digest() != skill.digest(), change
    for tensor in (same.actor.body[0].weight.data, same.obs_norm.mean):
        before = same.digest()
        tensor[0] += 1e-3
        assert same.digest() != before


def test_a_command_of_zeros_is_a_point_of_the_sphere_as_all_are():
    skill = make_tiny_skill()
    command = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, -3.0, 4.0, 0.0]])
    latent = skill.project(command)
    torch.testing.assert_close(latent, torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, -0.6, 0.8, 0.0]]))
    proprioception = torch.randn(2, skill.contract.proprioception_size)
    exported = skill.controller_module()
    torch.testing.assert_close(exported(proprioception, command), exported(proprioception, latent))


def saved(path, values=None, **changes):
    """A skill file whose contract's values or whose content is changed; `...` takes a key out."""
    skill = make_tiny_skill()
    values = {"version": 1} | dataclasses.asdict(skill.contract) | (values or {})
    text = json.dumps({key: value for key, value in values.items() if value is not ...})
    content = {"format": FORMAT, "contract": text, "weights": skill.state_dict()} | changes
    torch.save({key: value for key, value in content.items() if value is not ...}, path)
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 3}, "it has skill format 3, and this version of isaachrl reads up to 2"),
        ({"version": True}, "it has skill format True"),
        ({"version": ...}, "it has skill format None"),
        ({"latents": "other"}, "latents is 'other', expected none or ase or motion"),
        ({"latents": ["none"]}, "latents is list, expected str"),
        ({"discriminator_loss": "x"}, "discriminator_loss is 'x', expected cross_entropy or least_squares"),
        ({"control": "x"}, "control is 'x', expected position or torque"),
        ({"style_frames": 0}, r"style_frames has sizes \[0\], expected 1 to 256 numbers of at least 1"),
        ({"style_frames": 10**9}, "its contract needs [0-9]+ weights or more"),
        ({"actor_hidden": [-4]}, "actor_hidden has sizes"),
        ({"actor_hidden": []}, "actor_hidden has sizes"),
        ({"actor_hidden": [10**6, 10**6]}, "its contract needs [0-9]+ weights or more, and it has"),
        ({"actor_hidden": [1] * 10**5}, "actor_hidden has sizes"),
        ({"actor_hidden": 5}, "actor_hidden is 5, expected list"),
        ({"discriminator_hidden": ["x"]}, "discriminator_hidden is list, expected list"),
        ({"actor_hidden": [8]}, "size mismatch for actor.body.0.weight"),
        ({"latent_size": -1}, "latent_size -1, expected positive numbers"),
        ({"latents": "ase", "latent_size": 0}, "latent_size 0, expected positive numbers"),
        ({"step_s": 0}, "step_s is 0 "),
        ({"step_s": float("nan")}, "step_s is nan, expected float"),
        ({"motions": []}, "it has 0 motions"),
        ({"motions": ["a"] * 5000}, "it has 5000 motions, expected 1 to 4096"),
        ({"action_scale": [1.0]}, "action_scale have .* entries, expected as many of each"),
        ({"proprioception": [["a", 1]]}, "proprioception is list, expected list"),
        ({"proprioception": 7}, "proprioception is 7, expected list"),
        ({"body_names": None}, "body_names is None, expected list"),
        ({"training": []}, "training is list, expected dict"),
        ({"robot": ...}, "robot missing"),
        ({"colour": "red"}, "does not know its contract: colour is unknown"),
    ],
)
def test_a_contract_that_makes_no_skill_is_refused(changes, said, tmp_path):
    with pytest.raises(SkillError, match=f"skill.pt cannot be used: .*{said}.*RUN/skill.pt"):
        Skill.load(saved(tmp_path / "skill.pt", changes))


@pytest.mark.parametrize("text", [..., None, 5, "{", "[]", "[1]", "7", '"x"', "[" * 100_000, torch.ones(1)])
def test_an_invalid_contract_is_refused(text, tmp_path):
    with pytest.raises(SkillError, match="its contract is no JSON|it has skill format None"):
        Skill.load(saved(tmp_path / "skill.pt", contract=text))


def without(name):
    return lambda weights: {key: value for key, value in weights.items() if key != name}


def with_value(name, change):
    return lambda weights: weights | {name: change(weights[name])}


BODY = "actor.body.0.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: ..., "its weights are not tensors by name"),
        (lambda _: 5, "its weights are not tensors by name"),
        (lambda weights: list(weights.values()), "its weights are not tensors by name"),
        (lambda weights: weights | {BODY: 5}, "its weights are not tensors by name"),
        (lambda _: {}, "its contract needs [0-9]+ weights or more, and it has 0"),
        (without(BODY), "its contract needs|Missing key"),
        (without("actor.body.0.bias"), r"Missing key\(s\).*actor.body.0.bias"),
        (lambda weights: weights | {"more": torch.ones(2)}, r"Unexpected key\(s\).*more"),
        (lambda weights: weights | {5: torch.ones(2)}, "its weights are not tensors by name"),
        (with_value(BODY, lambda w: w.T.contiguous()), "size mismatch for actor.body.0.weight"),
        (with_value(BODY, lambda w: w[:1, :1].expand(w.shape)), "its weight actor.body.0.weight is no plain tensor"),
        (with_value(BODY, lambda w: w.to_sparse()), "its weight actor.body.0.weight is no plain tensor"),
        (with_value(BODY, lambda w: w.to("meta")), "its weight actor.body.0.weight is no plain tensor"),
        (with_value(BODY, lambda w: w.to(torch.complex64)), "its weight actor.body.0.weight is no plain tensor"),
        (with_value(BODY, lambda w: w.long()), "its weight actor.body.0.weight is no plain tensor"),
        (with_value(BODY, lambda w: w * torch.nan), "actor.body.0.weight holds values that are not finite; probably"),
        (with_value("obs_norm.var", lambda w: w / 0), "obs_norm.var holds values that are not finite"),
    ],
)
def test_weights_that_are_not_those_of_the_contract_are_refused(change, said, tmp_path):
    with pytest.raises(SkillError, match=f"skill.pt cannot be used: .*{said}.*RUN/skill.pt"):
        Skill.load(saved(tmp_path / "skill.pt", weights=change(make_tiny_skill().state_dict())))


def test_weights_that_share_one_storage_are_counted_once(tmp_path):
    big = torch.zeros(10**5)
    weights = {str(i): big[: 10**5] for i in range(100)}
    with pytest.raises(SkillError, match="its contract needs [0-9]+ weights or more, and it has 100000"):
        Skill.load(saved(tmp_path / "skill.pt", {"actor_hidden": [4000]}, weights=weights))


@pytest.mark.parametrize("content", [None, 5, [1], torch.ones(2), {}, {"format": 5}, {"format": torch.ones(2)}])
def test_a_file_that_holds_something_else_is_no_skill(content, tmp_path):
    torch.save(content, tmp_path / "skill.pt")
    with pytest.raises(SkillError, match=r"skill.pt is not a skill file: a pretraining run writes one as RUN/skill.pt"):
        Skill.load(tmp_path / "skill.pt")


def test_flipped_bytes_of_a_skill_are_noticed(tmp_path):
    path = tmp_path / "skill.pt"
    make_tiny_skill().save(path)
    whole, draw = path.read_bytes(), random.Random(0)
    with path.open("r+b", buffering=0) as file:
        for _ in range(300):
            place = draw.randrange(len(whole))
            os.pwrite(file.fileno(), bytes([whole[place] ^ draw.randrange(1, 256)]), place)
            with pytest.raises(SkillError, match="is damaged"):
                Skill.load(path)
            os.pwrite(file.fileno(), whole[place : place + 1], place)
    assert torch.equal(Skill.load(path).actor.body[0].weight, make_tiny_skill().actor.body[0].weight)


def test_a_skill_of_an_earlier_version_is_read(tmp_path):
    skill = Skill.load(saved(tmp_path / "skill.pt"))
    assert skill.contract == Skill.load(saved(tmp_path / "skill.pt")).contract
    assert torch.equal(skill.actor.body[0].weight, make_tiny_skill().actor.body[0].weight)
