"""What can be typed after `gpu_check.py`, and the sections there are."""

from dataclasses import dataclass

from isaachrl.errors import ConfigError, nearest

# seconds that a section may take on a GPU; together they are the budget
LIMITS_S = {
    "versions": 20.0,
    "engine": 75.0,
    "graphs": 85.0,
    "throughput": 80.0,
    "update": 95.0,
    "ppo": 40.0,
    "learning": 90.0,
    "user": 55.0,
}


@dataclass
class Options:
    """What can be typed.

    Args:
        device: where; the CPU makes it a dry run, in which little is done of everything.
        num_envs: N; a section takes more or fewer of them where its docstring says so.
        out: the results file; a line of JSON is appended when a section ends. What the sections print goes to a file
            of the same name that ends in `.log`.
        sections: some of them, with commas between; empty for all.
        budget_s: seconds for everything: a section gets what is left, and is skipped when nothing is.
        patience: factor on `budget_s` and on the limits of the sections, for a machine that is busy with other work; 0
            takes 1, and 6 on the CPU.
        samples: environment steps of the section `learning`.
        kernels: folder of compiled kernels (see `compile`) to use as Warp's cache.
        compile: compile the kernels into this folder and measure nothing; needs no GPU.
        arch: compute capability to compile for, such as 90 for 9.0.
        only: run this section here, and write its figures to `figures`; what the sections are started with.
        figures: see `only`.
    """

    device: str = "auto"
    num_envs: int = 4096
    out: str = "gpu_check.jsonl"
    sections: str = ""
    budget_s: float = 540.0
    patience: float = 0.0
    samples: int = 20_000_000
    kernels: str = ""
    compile: str = ""
    arch: int = 90
    only: str = ""
    figures: str = ""

    def __post_init__(self) -> None:
        """Refuse unknown sections and sizes that measure nothing."""
        for name in self.wanted:
            if name not in LIMITS_S:
                raise ConfigError(f"sections: there is no section {name!r}{nearest(name, LIMITS_S)}")
        if self.num_envs < 4 or self.samples < 1 or not (self.budget_s > 0 and self.patience >= 0):
            raise ConfigError(
                f"num_envs={self.num_envs} (4 or more), samples={self.samples} (1 or more), budget_s={self.budget_s}"
                f" (above 0) and patience={self.patience} (0 or more)"
            )
        if self.only and not self.figures:
            raise ConfigError(f"only={self.only} needs figures=FILE; type sections={self.only} for that section alone")

    @property
    def wanted(self) -> list[str]:
        """The sections that were typed."""
        return [word.strip() for word in (self.only or self.sections).split(",") if word.strip()]

    @property
    def names(self) -> list[str]:
        """The sections to run, in their own order."""
        return [name for name in LIMITS_S if name in self.wanted or not self.wanted]
