"""The verdict on a skill: converged, collapsed or undertrained, by the table of thresholds below."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONVERGED, COLLAPSED, UNDERTRAINED = "converged", "collapsed", "undertrained"


@dataclass(frozen=True)
class Threshold:
    """A bound on a measure.

    Args:
        measure: its path in the measures, such as `falls.changing_commands`.
        bound: the least value, or the largest one if `is_most`.
        verdict: on a skill that does not meet it.
        reason: why this bound.
        is_most: whether the bound is from above.
    """

    measure: str
    bound: float
    verdict: str
    reason: str
    is_most: bool = False

    def __str__(self) -> str:
        return f"{self.measure} {'<=' if self.is_most else '>='} {self.bound:g}"

    def value(self, measures: Mapping[str, Any]) -> float | None:
        """The measure; None if the skill has none."""
        found: Any = measures
        for key in self.measure.split("."):
            found = found[key]
        return found

    def met_by(self, value: float) -> bool:
        """Whether a value meets it."""
        return value <= self.bound if self.is_most else value >= self.bound


# the first one that is not met decides; a measure that a skill has not counts as met
THRESHOLDS = (
    Threshold(
        "falls.changing_commands", 0.2, UNDERTRAINED,
        "a body that falls more often has not learned to stay up, and what its commands do cannot be told yet",
        is_most=True,
    ),
    Threshold(
        "command_information", 0.5, COLLAPSED,
        "below, most commands look alike: the body stays up, and the latent hardly matters",
    ),
    Threshold("recall", 0.8, UNDERTRAINED, "at most one of five motions may miss its command"),
    Threshold("coverage", 0.8, UNDERTRAINED, "a high level that draws latents has to reach most of the motions"),
    Threshold(
        "falls.changing_commands", 0.05, UNDERTRAINED,
        "a high level changes commands all the time, and each of its episodes is several of these long", is_most=True,
    ),
    Threshold(
        "speed_error", 0.25, UNDERTRAINED, "beyond, it has the clips' poses, but not their speeds and turn rates",
        is_most=True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A threshold and the value that it was compared with."""

    threshold: Threshold
    value: float | None

    @property
    def met(self) -> bool:
        """Whether the value meets it; true without a value."""
        return self.value is None or self.threshold.met_by(self.value)


def compare(measures: Mapping[str, Any]) -> tuple[str, list[Finding]]:
    """The verdict, and every threshold with its value."""
    findings = [Finding(threshold, threshold.value(measures)) for threshold in THRESHOLDS]
    return next((finding.threshold.verdict for finding in findings if not finding.met), CONVERGED), findings
