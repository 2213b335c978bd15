"""When updates are due, and how many."""

import logging
from dataclasses import dataclass

from isaachrl.learn.goals.updates.top_update import TopUpdate
from isaachrl.learn.goals.updates.worker_update import WorkerUpdate

log = logging.getLogger(__name__)


class Schedule:
    """Turns a rate, which may be a fraction, into whole numbers of updates.

    Args:
        rate: updates per call.

    Attributes:
        remainder: the fraction carried over to the next call.
    """

    def __init__(self, rate: float) -> None:
        self.rate, self.remainder = rate, 0.0

    def updates(self) -> int:
        """Number of updates that are due now."""
        self.remainder += self.rate
        due = int(self.remainder + 1e-9)
        self.remainder -= due
        return due


@dataclass
class LevelTrainer:
    """Trains one level.

    Args:
        update: one update of the level.
        schedule: updates per decision of the level.
        period: environment steps per decision of the level.
    """

    update: WorkerUpdate | TopUpdate
    schedule: Schedule
    period: int

    def train(self, steps: int) -> None:
        """Run the updates that are due after `steps` steps of every environment."""
        if steps % self.period:
            return
        self.update.prepare()
        for _ in range(self.schedule.updates()):
            self.update.step()


def warn_if_untrained(steps: int, learn_from: int, steps_per_iteration: int) -> None:
    """Warn at the end of a training that was too short for a single update.

    Args:
        steps: of every environment, done.
        learn_from: steps before the first update.
        steps_per_iteration: of every environment.
    """
    if steps <= learn_from:
        log.warning(
            "nothing was learned: the first update comes after %d steps of every environment (train.warmup_steps; a run"
            " that is resumed without its replay warms up again), and %d were done; type max_iterations=%d or more",
            learn_from, steps, learn_from // steps_per_iteration + 1,
        )  # fmt: skip
