"""The guard of a training: what is not finite ends it, and is never written."""

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

_NAMED = 3  # tensors and signals that a message names


class Guard:
    """Looks at a learner's signals after each iteration, and at its tensors where that is called for.

    The tensors decide, for a signal alone may be odd where nothing is wrong with what was learned. They are looked at
    before anything is written and whenever another signal turns out not to be finite, and not in every iteration,
    which would cost some learners more than a hundredth of it.

    Args:
        learner: what learns.
        checkpoints: where this process saves them; None where another process does.
    """

    def __init__(self, learner: Learner, checkpoints: Path | None) -> None:
        self._learner, self._checkpoints = learner, checkpoints
        self._since: dict[str, int] = {}  # the first iteration in which a signal was not finite

    def iterate(self) -> dict[str, float]:
        """One iteration of the learner; returns its signals.

        Raises:
            DivergenceError: weights are not finite any more.
        """
        learner = self._learner
        try:
            signals = learner.iterate()
        except IsaacHRLError:
            raise
        except Exception as error:  # what a method makes of such weights differs: PyTorch's distributions refuse them
            if broken := not_finite(learner.weights()):
                raise self._error(broken) from error
            raise
        odd = [name for name, value in signals.items() if not math.isfinite(value) and name not in self._since]
        if odd:
            self._since |= dict.fromkeys(odd, learner.iteration)
            self.check(learner.weights())
            log.warning("not finite since iteration %d, while weights are: %s", learner.iteration, ", ".join(odd))
        return signals

    def check(self, state: dict[str, Any]) -> None:
        """Refuse a state of the learner that is not finite; all processes together, and all alike.

        Raises:
            DivergenceError: a tensor of it, or of another process, is not finite.
        """
        broken = not_finite(state)
        if any(collectives.max_over_ranks(bool(broken))):
            raise self._error(broken)

    def _error(self, broken: list[str]) -> DivergenceError:
        """What went first, what is left, and what to type."""
        tensors = _some(broken) or "tensors of another process"
        signals = _some([f"{name} (iteration {since})" for name, since in self._since.items()])
        first = f"; signals that were not finite, in order: {signals}" if signals else ""
        found = self._checkpoints.glob("*.pt") if self._checkpoints else ()
        saved = max(found, key=lambda path: path.stat().st_mtime, default=None)
        left, advice = "this run had saved nothing yet", "start again"
        if saved is not None:
            left, advice = f"{saved} is the last good file, and intact", f"type checkpoint={saved} for its weights"
        return DivergenceError(
            f"the training has diverged: after iteration {self._learner.iteration}, {tensors} not finite{first};"
            f" {left}; {advice} and lower the learning rates, or mend the reward if it was first"
        )


def not_finite(state: Any) -> list[str]:
    """Names of the floating-point tensors in a nested state that hold nan or infinity.

    A device is waited for once, or once a tensor when it has such numbers.
    """
    tensors = dict(_tensors(state, ""))
    sums: dict[torch.device, list[Tensor]] = defaultdict(list)
    for tensor in tensors.values():  # a sum of what is not finite is not, and takes a tenth of the time of looking
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


def _some(names: list[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
