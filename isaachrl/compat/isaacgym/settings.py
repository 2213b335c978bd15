"""Settings of the launcher."""

from dataclasses import dataclass


@dataclass
class Settings:
    """What `isaachrl.isaacgym.install` was given: the engine, `auto`, `mujoco` or `mujoco_warp`."""

    engine: str = "auto"


SETTINGS = Settings()
