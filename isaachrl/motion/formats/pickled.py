"""Pickles read as data: strings, numbers, lists, dictionaries and arrays of plain numbers. Nothing in them is called.

Python's own unpickler is no base for that, even with a `find_class` that resolves nothing: a megabyte takes the process
down (a deeply nested tuple as a key), and a memo's number makes it fill the memory. So the opcodes that such data is
made of are interpreted here. A call is written down, not made; an array is built from what was written down, once its
type, shape and length have been checked.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isaachrl.errors import brief

MAX_OPCODES = 100_000  # a motion of 15 bodies takes 400; each of them adds at most one object
MAX_DIMENSIONS = 4

_RECONSTRUCT, _SCALAR, _DTYPE, _DICT = "_reconstruct", "scalar", "dtype", "OrderedDict"
_KNOWN = {
    "collections OrderedDict": _DICT,
    "numpy ndarray": "ndarray",
    "numpy dtype": _DTYPE,
    "numpy.core.multiarray _reconstruct": _RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _RECONSTRUCT,
    "numpy.core.multiarray scalar": _SCALAR,
    "numpy._core.multiarray scalar": _SCALAR,
}
_NUMBERS = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))

_NOTHING = frozenset(("PROTO", "FRAME"))
_LITERALS = frozenset(
    ("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
     "SHORT_BINBYTES", "BINBYTES", "BINBYTES8")
)  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class PickleError(ValueError):
    """A pickle is damaged, or holds something else than plain data."""


@dataclass(frozen=True)
class _Function:
    """A name that was imported."""

    name: str


@dataclass(eq=False)
class Call:
    """A call that was not made: of what, with which arguments, and the state that its result was to be given."""

    function: str
    args: tuple[Any, ...]
    state: Any = None


def load(data: bytes) -> Any:
    """What a pickle (protocol 3 and later) holds; its arrays and their numbers are `Call`s.

    Raises:
        PickleError: it holds anything but plain data, or too much of it.
        Exception: any other, where the pickle is damaged.
    """
    machine = _Machine()
    for count, (opcode, arg, _) in enumerate(pickletools.genops(data)):
        if count >= MAX_OPCODES:
            raise PickleError(f"it takes more than {MAX_OPCODES} steps to build")
        if opcode.name == "STOP":
            return machine.pop()
        machine.step(opcode.name, arg)
    raise PickleError("it is cut off")


def only_item(content: Any) -> Any:
    """The object in an array `()` of objects; other content as it is."""
    if not (isinstance(content, Call) and content.function == _RECONSTRUCT):
        return content
    _, shape, _, _, items = content.state
    if shape != () or not isinstance(items, list) or len(items) != 1:
        raise PickleError("it is no array of one object")
    return items[0]


def array(call: Any) -> NDArray[Any]:
    """The array of numbers that a call was to build; read-only.

    Raises:
        PickleError: it is none, or its length is not that of its shape.
    """
    if not isinstance(call, Call) or call.function not in (_RECONSTRUCT, _SCALAR):
        raise PickleError(f"expected an array of numbers, got {kind(call)}")
    if call.function == _SCALAR:
        dtype, data = call.args
        shape, fortran = (), False
    else:
        _, shape, dtype, fortran, data = call.state
    dtype = _number_type(dtype)
    if not isinstance(data, bytes):
        raise PickleError(f"the content of an array must be bytes, got {kind(data)}")
    # before they are multiplied: a number in a file may have a million digits
    plain = isinstance(shape, tuple) and len(shape) <= MAX_DIMENSIONS and all(type(n) is int for n in shape)
    if not plain or not all(0 < n <= len(data) for n in shape):
        raise PickleError("an array's shape is no tuple of a few sizes that fit into its content")
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise PickleError(f"an array of {dtype} has the shape {shape} and {len(data)} bytes, which do not fit")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran is True else "C")


def number(value: Any) -> int | float | bool:
    """A plain number, or that of a numpy scalar.

    Raises:
        PickleError: it is none.
    """
    return value if isinstance(value, int | float) else array(value).item()


def _number_type(call: Any) -> np.dtype[Any]:
    """The type of plain numbers that a call was to make: no fields, no subarrays, no objects."""
    if not isinstance(call, Call) or call.function != _DTYPE:
        raise PickleError(f"expected a type of numbers, got {kind(call)}")
    name, state = call.args[0], call.state
    if not isinstance(name, str) or name not in _NUMBERS:
        raise PickleError("expected an array of numbers, got one of another type")
    if not isinstance(state, tuple) or any(entry is not None for entry in state[2:5]):
        raise PickleError(f"a type of numbers has fields or parts: {name}")
    order = state[1]
    if not isinstance(order, str) or order not in ("<", ">", "|"):
        raise PickleError("a type of numbers has no byte order")
    return np.dtype(order + name)


def kind(value: Any) -> str:
    """What a value is, for a message; never its content, which may be of any size."""
    return f"a call of {value.function}" if isinstance(value, Call) else type(value).__name__


class _Machine:
    """The stack and the memo that opcodes work on."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        """Take the top off the stack."""
        return self._stack.pop()

    def step(self, name: str, arg: Any) -> None:
        """Carry out one opcode."""
        if name in _NOTHING:
            return
        if name in _LITERALS:
            self._stack.append(arg)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            start = len(self._stack) - _TUPLES[name]
            self._stack.append(tuple(self._from(start)))
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if arg is None else arg] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[arg])
        else:
            self._build(name, arg)

    def _build(self, name: str, arg: Any) -> None:
        """Carry out an opcode that puts several objects together."""
        match name:
            case "MARK":
                self._marks.append(len(self._stack))
            case "TUPLE":
                self._stack.append(tuple(self._from(self._marks.pop())))
            case "APPEND" | "APPENDS":
                items = self._from(self._marks.pop() if name == "APPENDS" else len(self._stack) - 1)
                self._top(list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self._from(self._marks.pop() if name == "SETITEMS" else len(self._stack) - 2)
                if not all(isinstance(key, str) for key in items[::2]):  # others might be slow or deep to hash
                    raise PickleError("a key of a dictionary is no string")
                self._top(dict).update(zip(items[::2], items[1::2], strict=True))
            case "GLOBAL":
                self._import(arg)
            case "STACK_GLOBAL":
                module, attribute = self._from(len(self._stack) - 2)
                self._import(f"{_text(module)} {_text(attribute)}")
            case "REDUCE":
                self._call()
            case "BUILD":
                state = self.pop()
                self._top(Call).state = state
            case _:
                raise PickleError(f"it holds pickled code or data of another kind: the opcode {name}")

    def _from(self, start: int) -> list[Any]:
        """Take everything from a place on the stack upwards."""
        if start < 0:
            raise PickleError("it takes more from the stack than there is")
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _top(self, kind: type[Any]) -> Any:
        """The top of the stack, which must be of a kind."""
        if type(self._stack[-1]) is not kind:
            raise PickleError(f"it adds to a {kind(self._stack[-1])} as if that were a {kind.__name__}")
        return self._stack[-1]

    def _import(self, name: str) -> None:
        """Look a name up in the table of those that are known; nothing is imported."""
        if name not in _KNOWN:
            raise PickleError(f"it holds pickled code: it wants to import {brief('.'.join(name.split(' ')))}")
        self._stack.append(_Function(_KNOWN[name]))

    def _call(self) -> None:
        """Write a call down; an ordered dictionary is a dictionary."""
        function, args = self._from(len(self._stack) - 2)
        if not isinstance(function, _Function) or not isinstance(args, tuple):
            raise PickleError("it calls something that was not imported")
        if function.name == _DICT and args:
            raise PickleError("an ordered dictionary is built from something else than its items")
        self._stack.append({} if function.name == _DICT else Call(function.name, args))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PickleError("a name to import is no string")
    return value
