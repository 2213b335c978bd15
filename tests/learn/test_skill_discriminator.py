"""Rewards of a whole rollout, in chunks that fit into the memory of a small GPU."""

import pytest
import torch

from tests.small_learner import make_learner


@pytest.mark.parametrize("latents", ["none", "ase", "motion"])
def test_rewards_in_chunks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch, latents: str) -> None:
    learner = make_learner(latents, num_envs=2)
    trainer = learner.discriminator
    window = torch.randn(7, 3, trainer.net.norm.mean.shape[-1])
    latent = torch.nn.functional.normalize(torch.randn(7, 3, learner.source.size), dim=-1)
    sizes: list[int] = []
    trainer.net.norm.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    with torch.no_grad():
        whole = trainer.rewards(window, latent)
        monkeypatch.setattr("isaachrl.learn.skills.discriminator._CHUNK_ROWS", 8)
        parts = trainer.rewards(window, latent)
    assert sizes == [21, 8, 8, 5]
    assert (whole[1] is None) == (parts[1] is None) == (latents != "ase")
    for one, other in zip(whole, parts, strict=True):
        if one is not None and other is not None:
            assert one.shape == (7, 3)
            torch.testing.assert_close(one, other)
