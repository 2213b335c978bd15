"""The judge's opinions of a whole rollout, in parts that fit into a small card's memory."""

import pytest
import torch

from tests.small_learner import make_learner


@pytest.mark.parametrize("latents", ["none", "ase", "motion"])
def test_opinions_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch, latents: str) -> None:
    learner = make_learner(latents, num_envs=2)
    judge = learner.judge
    window = torch.randn(7, 3, judge.net.norm.mean.shape[-1])
    latent = torch.nn.functional.normalize(torch.randn(7, 3, learner.commands.size), dim=-1)
    sizes: list[int] = []
    judge.net.norm.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    with torch.no_grad():
        whole = judge.opinions(window, latent)
        monkeypatch.setattr("isaachrl.learn.skills.judge._ROWS_AT_ONCE", 8)
        parts = judge.opinions(window, latent)
    assert sizes == [21, 8, 8, 5]
    assert (whole[1] is None) == (parts[1] is None) == (latents != "ase")
    for one, other in zip(whole, parts, strict=True):
        if one is not None and other is not None:
            assert one.shape == (7, 3)
            torch.testing.assert_close(one, other)
