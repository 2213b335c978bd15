"""HumanoidRise: HumanoidAMP for skills that get up; clips of rising are tracked, and bodies are tipped over.

Imitation by a discriminator says nothing for millions of samples while a body lies otherwise than any clip does; so
bodies are also paid for being where a clip has got to since, and for the height of their head, and who has lost the
clip starts again.
"""

from dataclasses import field, make_dataclass

from tasks.humanoid_amp import FallenCfg, HumanoidAMPCfg

REWARD = {"alive": 1.0, "height": 1.0, "track": 2.0}

HumanoidRiseCfg = make_dataclass(
    "HumanoidRiseCfg",
    [
        ("episode_steps", int, field(default=150)),
        ("motion", str, field(default="rising")),
        ("fallen", FallenCfg, field(default_factory=lambda: FallenCfg(share=0.3))),
        ("track_within_m", float, field(default=0.6)),
        ("reward", dict[str, float], field(default_factory=REWARD.copy)),
    ],
    bases=(HumanoidAMPCfg,),
    namespace={"__doc__": "Configuration of HumanoidRise: HumanoidAMP's with other defaults."},
)
