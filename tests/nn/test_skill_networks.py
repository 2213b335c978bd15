"""The skill's networks: shortcuts give what the long way gives."""

import torch
from torch.nn import functional

from isaachrl.nn import Precision, Rounding
from isaachrl.nn.skill_networks import Actor, Discriminator


def test_answers_to_several_commands_are_those_to_each() -> None:
    actor, obs, latents = Actor(7, 3, 2, [8, 6], [5, 4]), torch.randn(9, 7), torch.randn(2, 9, 3)
    for answer, latent in zip(actor.forward_multi(obs, *latents), latents, strict=True):
        torch.testing.assert_close(answer, actor(obs, latent), rtol=0, atol=1e-6)
    assert not torch.allclose(*actor.forward_multi(obs, *latents))


def test_answers_have_the_gradients_of_forward() -> None:
    actor, obs, latents = Actor(7, 3, 2, [8, 6], [5, 4]), torch.randn(9, 7), torch.randn(2, 9, 3)
    parameters = list(actor.parameters())
    short = torch.autograd.grad(sum(a.square().sum() for a in actor.forward_multi(obs, *latents)), parameters)
    long = torch.autograd.grad(sum(actor(obs, latent).square().sum() for latent in latents), parameters)
    for one, other in zip(short, long, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_rounded_gradients_of_answers_reach_the_parts_without_a_bias() -> None:
    actor, obs, latent = Actor(7, 3, 2, [8], [4]), torch.randn(64, 7), torch.randn(64, 3)
    weights = [parameter for parameter in actor.parameters() if parameter.dim() == 2]
    exact = torch.autograd.grad(actor(obs, latent).square().sum(), weights)
    with Rounding(Precision.mixed, torch.device("cpu")).gradients():
        (answer,) = actor.forward_multi(obs, latent)
    torch.testing.assert_close(answer, actor(obs, latent), rtol=0, atol=1e-6)
    for one, other in zip(torch.autograd.grad(answer.square().sum(), weights), exact, strict=True):
        # products in bfloat16 have results in bfloat16, whatever the processor makes them with
        assert torch.equal(one, one.bfloat16().float()) and not torch.equal(other, other.bfloat16().float())
        assert functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999


def test_an_actor_without_commands_answers_by_the_observation() -> None:
    actor, obs = Actor(7, 0, 2, [8], [4]), torch.randn(3, 7)
    (answer,) = actor.forward_multi(obs, obs[:, :0])
    assert torch.equal(answer, actor(obs, obs[:, :0]))


def test_logit_and_encoding_of_the_first_rows() -> None:
    net, windows = Discriminator(5, 0, 3, [8, 4]), torch.randn(6, 5)
    nothing = windows[:, :0]
    logit, encoding = net.logit_and_encoding(windows, nothing, rows=2)
    assert torch.equal(logit, net.logit(windows, nothing))
    assert net.encoder is not None
    expected = functional.normalize(net.encoder(net.features(windows, nothing)), dim=-1)
    torch.testing.assert_close(encoding, expected[:2], rtol=0, atol=1e-6)
    assert net.logit_and_encoding(windows, nothing)[1].shape == (6, 3)
