"""The command line of `gpu_check.py`, and its sections."""

from dataclasses import dataclass

from isaachrl.config import bounded, positive
from isaachrl.errors import ConfigError, nearest

# time limits of the sections on a GPU, seconds; their sum is the budget
LIMITS_S = {
    "versions": 20.0,
    "engine": 75.0,
    "graphs": 85.0,
    "throughput": 80.0,
    "update": 95.0,
    "ppo": 40.0,
    "learning": 90.0,
    "compat": 120.0,
    "cartpole": 120.0,
    "user": 55.0,
}


@dataclass
class Options:
    """The command line.

    Args:
        device: of the checks; on the CPU a short dry run.
        num_envs: N; some sections use a multiple, see their docstrings.
        out: results file, to which a line of JSON per section is appended. The sections' output goes to a file of the
            same name with the suffix `.log`.
        sections: to run, separated by commas; empty for all.
        budget_s: time limit of all sections; a section gets at most the rest.
        patience: factor of all time limits, for a busy machine; 0 takes 1, and 6 on the CPU.
        samples: environment steps of the section `learning`.
        kernels: folder of compiled kernels (see `compile`) to use as Warp's cache.
        compile: compile the kernels into this folder and measure nothing; needs no GPU.
        arch: compute capability to compile for, such as 90 for 9.0.
        only: run this section in this process, and write its figures to `figures`; set by the parent process.
        figures: see `only`.
    """

    device: str = "auto"
    num_envs: int = bounded(4096, 4)
    out: str = "gpu_check.jsonl"
    sections: str = ""
    budget_s: float = positive(780.0)
    patience: float = bounded(0.0, 0.0)
    samples: int = bounded(20_000_000, 1)
    kernels: str = ""
    compile: str = ""
    arch: int = 90
    only: str = ""
    figures: str = ""

    def __post_init__(self) -> None:
        """Validate the sections."""
        for name in self.selected:
            if name not in LIMITS_S:
                raise ConfigError(f"sections: there is no section {name!r}{nearest(name, LIMITS_S)}")
        if self.only and not self.figures:
            raise ConfigError(f"only={self.only} needs figures=FILE; type sections={self.only} for only that section")

    @property
    def selected(self) -> list[str]:
        """The sections that were typed."""
        return [word.strip() for word in (self.only or self.sections).split(",") if word.strip()]

    @property
    def names(self) -> list[str]:
        """The sections to run, in their own order."""
        return [name for name in LIMITS_S if name in self.selected or not self.selected]
