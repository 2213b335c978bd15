"""When updates are due, and how many."""

import logging

log = logging.getLogger(__name__)


def warn_if_nothing_was_learned(steps: int, learn_from: int, steps_per_iteration: int) -> None:
    """Say at the end of a training that it came before the first update, if it did.

    Args:
        steps: of every environment, done.
        learn_from: as many as have to be done before the first update.
        steps_per_iteration: of every environment.
    """
    if steps <= learn_from:
        log.warning(
            "nothing was learned: the first update comes after %d steps of every environment (train.warmup_steps; a run"
            " that is resumed without its memory warms up anew), and %d were done; type max_iterations=%d or more",
            learn_from, steps, learn_from // steps_per_iteration + 1,
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
