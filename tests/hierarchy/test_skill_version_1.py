"""Skill files of format 1, whose weights and keys had other names, are still read."""

import json

import torch

from isaachrl.hierarchy.skill import Skill
from tests.tiny_skill import make_tiny_skill


def test_a_file_of_format_1_is_the_same_skill(tmp_path):
    skill = make_tiny_skill()
    skill.save(tmp_path / "new.pt")
    content = torch.load(tmp_path / "new.pt", weights_only=True)
    contract = json.loads(content["contract"]) | {"version": 1}
    contract["judgement"] = contract.pop("discriminator_loss")
    old = {"discriminator.head": "discriminator.judge", "embedding.prototypes": "space.places", "embedding.": "space."}
    weights = {}
    for name, value in content["weights"].items():
        for new_name, old_name in old.items():
            name = name.replace(new_name, old_name)
        weights[name] = value
    assert {"discriminator.judge.weight", "space.places", "space.width"} <= set(weights)
    torch.save(content | {"contract": json.dumps(contract), "weights": weights}, tmp_path / "old.pt")
    loaded = Skill.load(tmp_path / "old.pt")
    assert loaded.contract == Skill.load(tmp_path / "new.pt").contract
    for name, value in skill.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
