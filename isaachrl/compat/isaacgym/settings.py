"""Settings of the launcher."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isaachrl.compat.isaacgym.film import WorldFilm


@dataclass
class Settings:
    """What the launcher was given.

    Attributes:
        engine: of `isaachrl.isaacgym.install`: `auto`, `mujoco` or `mujoco_warp`.
        film: gets every step of simulations; None films nothing.
        logs: whether this project's messages go to the standard error, see `isaachrl.compat.isaacgym.messages`.
    """

    engine: str = "auto"
    film: "WorldFilm | None" = None
    logs: bool = False


SETTINGS = Settings()
