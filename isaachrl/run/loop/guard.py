"""The guard of a training: it ends when weights are not finite, and never writes those."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isaachrl.errors import DivergenceError, IsaacHRLError
from isaachrl.learn import collectives
from isaachrl.learn.learner import Learner

log = logging.getLogger(__name__)

_MAX_NAMES = 3  # of tensors and signals in a message


class Guard:
    """Checks a learner's signals after each iteration, and its tensors when necessary.

    Only the tensors decide, since a signal can be nan although the weights are finite. They are checked before anything
    is written and when a further signal is not finite. Checking them in every iteration would take some learners more
    than 1 % of their time.

    Args:
        learner: the learner.
        checkpoints: folder of the checkpoints; None on ranks that do not write any.
    """

    def __init__(self, learner: Learner, checkpoints: Path | None) -> None:
        self._learner, self._checkpoints = learner, checkpoints
        self._since: dict[str, int] = {}  # first iteration in which a signal was not finite

    def iterate(self) -> dict[str, float]:
        """One iteration of the learner; returns its signals.

        Raises:
            DivergenceError: weights are not finite.
        """
        learner = self._learner
        try:
            signals = learner.iterate()
        except IsaacHRLError:
            raise
        except Exception as error:  # such weights can raise anywhere, for example in PyTorch's distributions
            if broken := not_finite(learner.weights()):
                raise self._error(broken) from error
            raise
        new = [name for name, value in signals.items() if not math.isfinite(value) and name not in self._since]
        if new:
            self._since |= dict.fromkeys(new, learner.iteration)
            self.check(learner.weights())
            log.warning("not finite since iteration %d, while weights are: %s", learner.iteration, ", ".join(new))
        return signals

    def check(self, state: dict[str, Any]) -> None:
        """Check that a state of the learner is finite, on all ranks together.

        Raises:
            DivergenceError: a tensor on this or another rank is not.
        """
        broken = not_finite(state)
        if any(collectives.max_over_ranks(bool(broken))):
            raise self._error(broken)

    def _error(self, broken: list[str]) -> DivergenceError:
        """The error, with the first signals that were not finite, the last good file, and what to type."""
        tensors = _first_names(broken) or "tensors of another process"
        signals = _first_names([f"{name} (iteration {since})" for name, since in self._since.items()])
        first = f"; signals that were not finite, in order: {signals}" if signals else ""
        found = self._checkpoints.glob("*.pt") if self._checkpoints else ()
        saved = max(found, key=lambda path: path.stat().st_mtime, default=None)
        last, advice = "this run had saved nothing yet", "start again"
        if saved is not None:
            last, advice = f"{saved} is the last good file, and intact", f"type checkpoint={saved} for its weights"
        return DivergenceError(
            f"the training has diverged: after iteration {self._learner.iteration}, {tensors} not finite{first};"
            f" {last}; {advice} and lower the learning rates, or fix the reward if it was first"
        )


def not_finite(state: Any) -> list[str]:
    """Names of the floating-point tensors in a nested state that contain nan or infinity.

    One host sync per device; one per tensor if there are such numbers.
    """
    tensors = dict(_tensors(state, ""))
    sums: dict[torch.device, list[Tensor]] = defaultdict(list)
    for tensor in tensors.values():  # ten times as fast as isfinite on every entry
        sums[tensor.device].append(tensor.detach().sum().double())
    if all(torch.stack(rows).isfinite().all() for rows in sums.values()):
        return []
    return [name for name, tensor in tensors.items() if not tensor.isfinite().all()]


def _tensors(state: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Floating-point tensors of nested dicts and lists by their dotted path."""
    if isinstance(state, Tensor):
        if state.is_floating_point():
            yield name, state
    elif isinstance(state, dict | list | tuple):
        for key, entry in state.items() if isinstance(state, dict) else enumerate(state):
            yield from _tensors(entry, f"{name}.{key}" if name else str(key))


def _first_names(names: list[str]) -> str:
    """The first few names, and the number of others."""
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
