"""HumanoidRise: HumanoidAMP for skills that get up; clips of rising are tracked, and bodies are tipped over."""

from dataclasses import dataclass, field

from tasks.humanoid_amp import FallenCfg, HumanoidAMPCfg


@dataclass
class HumanoidRiseCfg(HumanoidAMPCfg):
    """HumanoidAMP's configuration with other defaults.

    Imitation by a discriminator says nothing for millions of samples while a body lies otherwise than any clip does;
    so bodies are also paid for being where a clip has got to since, and for the height of their head, and who has lost
    the clip starts again.
    """

    episode_steps: int = 150
    motion: str = "rising"
    fallen: FallenCfg = field(default_factory=lambda: FallenCfg(share=0.3))
    track_within_m: float = 0.6
    reward: dict[str, float] = field(default_factory=lambda: {"alive": 1.0, "height": 1.0, "track": 2.0})
