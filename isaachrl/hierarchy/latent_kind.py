"""The kinds of latents that a skill can follow."""

from enum import Enum


class LatentKind(Enum):
    """What a skill's latent is.

    `none`: there is none, plain adversarial imitation (AMP, Peng et al. 2021). `ase`: a point of the unit sphere, to
    which an encoder learns to give a meaning (ASE, Peng et al. 2022). `motion`: a point of the unit sphere on which
    every motion has a prototype, with a discriminator that is conditioned on the point.
    """

    none = "none"
    ase = "ase"
    motion = "motion"
