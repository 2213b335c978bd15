"""A training that begins with the networks of a skill of other motions."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.nn.motion_embedding import MotionEmbedding


def is_of_other_motions(state: dict[str, Any], motions: Sequence[str], latent_size: int) -> bool:
    """Whether a learner's weights belong to `motion` latents of other motions or of another size."""
    theirs = state.get("contract", {})
    return theirs.get("latents") == LatentKind.motion.value and (list(theirs["motions"]), theirs["latent_size"]) != (
        list(motions),
        latent_size,
    )


def with_latents_of(state: dict[str, Any], embedding: MotionEmbedding) -> dict[str, Any]:
    """Weights of a learner with `motion` latents, changed to take the latents of another embedding.

    An affine map takes each new prototype to the place that the old embedding gives to its motion. It becomes a part of
    the layers that a latent enters, so that at first motions that both know are done as before, and new ones like those
    that they resemble.

    Args:
        state: the learner's weights: of the skill, and of the critic where it has one.
        embedding: the new one.
    """
    skill = dict(state["skill"])
    old = _embedding(skill)
    target = old.embed(embedding.features.to(old.features.device))
    prototypes = functional.pad(embedding.prototypes.double().cpu(), (0, 1), value=1.0)
    change = (torch.linalg.pinv(prototypes) @ target.double().cpu()).float().to(target.device)
    for layer in ("actor.style.0", "discriminator.trunk.0"):
        skill |= _through(skill, layer, change)
    skill |= {f"embedding.{name}": value for name, value in embedding.state_dict().items()}
    changed = state | {"skill": skill}
    if "critic" in state:
        changed["critic"] = state["critic"] | _through(state["critic"], "body.0", change)
    return changed


def with_inputs(critic: dict[str, Tensor], own: dict[str, Tensor], latent_size: int) -> dict[str, Tensor]:
    """A critic's weights with the inputs of another one: what only that one knows is ignored at first.

    Args:
        critic: the weights.
        own: those of the other one.
        latent_size: number of the last inputs, the latent.
    """
    norm = {name: value for name, value in own.items() if name.startswith("known_norm.")}
    known = len(norm.get("known_norm.mean", ()))
    if known == len(critic.get("known_norm.mean", ())):
        return critic
    critic = {name: value for name, value in critic.items() if not name.startswith("known_norm.")}
    weight = critic["body.0.weight"]
    obs = own["body.0.weight"].shape[1] - known - latent_size
    latent = weight[:, weight.shape[1] - latent_size :]
    weight = torch.cat((weight[:, :obs], weight.new_zeros(len(weight), known), latent), dim=1)
    return critic | norm | {"body.0.weight": weight}


def _through(weights: Mapping[str, Tensor], layer: str, change: Tensor) -> dict[str, Tensor]:
    """A layer whose last d inputs are a latent, for latents that `change (d' + 1, d)` maps to it."""
    weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
    own = weight.shape[1] - change.shape[1]
    weight = torch.cat((weight[:, :own], weight[:, own:] @ change.T), dim=1)
    return {f"{layer}.weight": weight[:, :-1], f"{layer}.bias": bias + weight[:, -1]}


def _embedding(skill: dict[str, Tensor]) -> MotionEmbedding:
    """The embedding in a skill's weights."""
    parts = {name.removeprefix("embedding."): value for name, value in skill.items() if name.startswith("embedding.")}
    embedding = MotionEmbedding(parts["features"], parts["scale"], parts["prototypes"].shape[1])
    embedding.load_state_dict(parts)
    return embedding
