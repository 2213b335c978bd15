"""Kinds of latents."""

from enum import Enum


class LatentKind(Enum):
    """The kind of a skill's latent.

    `none`: no latent, plain adversarial imitation (AMP, Peng et al. 2021). `ase`: a point of the unit sphere whose
    meaning is learned with an encoder (ASE, Peng et al. 2022). `motion`: a point of the unit sphere on which each
    motion has a prototype; the discriminator is conditioned on the latent.
    """

    none = "none"
    ase = "ase"
    motion = "motion"
