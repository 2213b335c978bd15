"""State dicts of objects that list their stateful attributes."""

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.errors import CheckpointError
from isaachrl.schema import state_mismatch


class Stateful:
    """Mixin that implements `state_dict` and its counterparts for the attributes that a class lists.

    An attribute may be a tensor, a number, a `torch.Generator`, or an object with a `state_dict` of its own, such as a
    network, an optimizer or another `Stateful`. None is left out.

    Attributes:
        WEIGHTS: names of attributes that acting needs.
        STATE: names of further attributes that an exact continuation needs.
    """

    WEIGHTS: ClassVar[tuple[str, ...]] = ()
    STATE: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """Copies of all attributes."""
        return {name: _copy_of(part) for name, part in self._parts(self.WEIGHTS + self.STATE)}

    def weights(self) -> dict[str, Any]:
        """Copies of what `load_weights` needs."""
        parts = self._parts(self.WEIGHTS)
        return {name: part.weights() if isinstance(part, Stateful) else _copy_of(part) for name, part in parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from `state_dict`.

        Raises:
            CheckpointError: an attribute is missing in it.
            ValueError: a tensor has another shape or type; one without rows takes any number of rows.
        """
        for name, part in self._parts(self.WEIGHTS + self.STATE):
            setattr(self, name, _loaded(part, _find(state, name), name))

    def load_weights(self, state: dict[str, Any]) -> None:
        """Load only the weights, from `weights` or `state_dict`. Raises the errors of `load_state_dict`."""
        for name, part in self._parts(self.WEIGHTS):
            if isinstance(part, Stateful):
                part.load_weights(_find(state, name))
            else:
                setattr(self, name, _loaded(part, _find(state, name), name))

    def _parts(self, names: tuple[str, ...]) -> list[tuple[str, Any]]:
        """Names and values of the attributes that are not None."""
        parts = [(name, getattr(self, name)) for name in names]
        return [(name, part) for name, part in parts if part is not None]


def _find(state: dict[str, Any], name: str) -> Any:
    """The stored attribute of that name."""
    if name not in state:
        raise CheckpointError(
            f"the checkpoint has {', '.join(state)}, but not {name!r}: it was written by another version of"
            " isaachrl, or with another variant of the learner; train again, or use the version that wrote it"
        )
    return state[name]


def _copy_of(part: Any) -> Any:
    """The stored form of an attribute."""
    if isinstance(part, Tensor):
        return part.clone()
    if isinstance(part, torch.Generator):
        return part.get_state()
    if isinstance(part, Stateful):
        return part.state_dict()
    return copy.deepcopy(part.state_dict()) if hasattr(part, "state_dict") else part


def _loaded(part: Any, stored: Any, name: str) -> Any:
    """The attribute in its stored state: the same object if it can load a state, else a new one."""
    if isinstance(part, Tensor):
        if mismatch := state_mismatch(part, stored, name):
            raise ValueError(mismatch)
        return stored.to(part.device, copy=True)
    if isinstance(part, torch.Generator):
        part.set_state(stored.cpu())
    elif isinstance(part, Stateful):
        part.load_state_dict(stored)
    elif hasattr(part, "load_state_dict"):
        part.load_state_dict(copy.deepcopy(stored))  # an optimizer keeps references to the loaded tensors
    else:
        return stored
    return part
