"""How many updates are due."""


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
