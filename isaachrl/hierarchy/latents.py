"""The kinds of commands."""

from enum import Enum


class Latents(Enum):
    """What a skill's command is.

    `none`: no command, plain adversarial imitation (Peng et al. 2021). `ase`: points of a sphere to which an
    encoder learns to give meaning (Peng et al. 2022). `motion`: points of a sphere on which the clips have
    their places, with a discriminator that knows the point.
    """

    none = "none"
    ase = "ase"
    motion = "motion"
