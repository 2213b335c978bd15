"""How many updates are due."""

import logging

log = logging.getLogger(__name__)


def warn_if_nothing_is_learned(iterations: int, steps_per_iteration: int, learn_from: int) -> None:
    """Say that a training ends before its first update, where it does.

    Args:
        iterations: of the whole training.
        steps_per_iteration: of every environment.
        learn_from: steps of every environment before the first update.
    """
    if iterations * steps_per_iteration <= learn_from:
        least = learn_from // steps_per_iteration + 1
        log.warning(
            "nothing will be learned: the first update comes after %d steps of every environment (train.warmup_steps),"
            " and %d iterations make %d; type max_iterations=%d or more",
            learn_from, iterations, iterations * steps_per_iteration, least,
        )  # fmt: skip


class Schedule:
    """Turns a rate, which may be a fraction, into whole updates.

    Args:
        rate: updates each time it is asked.

    Attributes:
        owed: the fraction that is left.
    """

    def __init__(self, rate: float) -> None:
        self.rate, self.owed = rate, 0.0

    def updates(self) -> int:
        """Updates that are due now."""
        self.owed += self.rate
        due = int(self.owed + 1e-9)
        self.owed -= due
        return due
