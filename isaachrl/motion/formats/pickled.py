"""Safe parsing of pickles with strings, numbers, lists, dictionaries and numeric arrays. Nothing in them is called.

Python's unpickler is not safe even with a `find_class` that resolves nothing: a deeply nested tuple as a key crashes
the process, and a large memo index exhausts the memory. This module interprets the few opcodes that such data needs.
Calls are recorded, not made; arrays are built from recorded calls after a check of dtype, shape and length.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isaachrl.errors import brief

MAX_OPCODES = 100_000  # a motion of 15 bodies takes 400
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
    """A pickle is damaged or contains unsupported data."""


@dataclass(frozen=True)
class _Function:
    """An imported name."""

    name: str


@dataclass(eq=False)
class Call:
    """A recorded call: function, arguments, and the state for `__setstate__` of its result."""

    function: str
    args: tuple[Any, ...]
    state: Any = None


def load(data: bytes) -> Any:
    """The content of a pickle (protocol 3 and later), with arrays and NumPy scalars as `Call`s.

    Raises:
        PickleError: it contains unsupported data, or too much.
        Exception: any other, if the pickle is damaged.
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
    """The object in a 0-d object array; other content unchanged."""
    if not (isinstance(content, Call) and content.function == _RECONSTRUCT):
        return content
    _, shape, _, _, items = content.state
    if shape != () or not isinstance(items, list) or len(items) != 1:
        raise PickleError("it is no array of one object")
    return items[0]


def array(call: Any) -> NDArray[Any]:
    """The numeric array of a call; read-only.

    Raises:
        PickleError: it is not a numeric array, or its length does not fit its shape.
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
    # check sizes before multiplying them: an integer in a file may have a million digits
    is_shape = isinstance(shape, tuple) and len(shape) <= MAX_DIMENSIONS and all(type(n) is int for n in shape)
    if not is_shape or not all(0 < n <= len(data) for n in shape):
        raise PickleError("an array's shape is no tuple of a few sizes that fit into its content")
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise PickleError(f"an array of {dtype} has the shape {shape} and {len(data)} bytes, which do not fit")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran is True else "C")


def number(value: Any) -> int | float | bool:
    """The number in a Python number or NumPy scalar.

    Raises:
        PickleError: it is neither.
    """
    return value if isinstance(value, int | float) else array(value).item()


def _number_type(call: Any) -> np.dtype[Any]:
    """The dtype of a call, which must be numeric."""
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
    """The kind of a value, for messages; not its content, which may be large."""
    return f"a call of {value.function}" if isinstance(value, Call) else type(value).__name__


class _Machine:
    """The pickle machine: stack and memo."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        """Pop the top of the stack."""
        return self._stack.pop()

    def step(self, name: str, arg: Any) -> None:
        """Execute one opcode."""
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
        """Execute an opcode that combines several objects."""
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
                if not all(isinstance(key, str) for key in items[::2]):  # hashing others may be slow or recursive
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
        """Pop everything from an index of the stack upwards."""
        if start < 0:
            raise PickleError("it takes more from the stack than there is")
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _top(self, kind: type[Any]) -> Any:
        """The top of the stack, which must have this type."""
        if type(self._stack[-1]) is not kind:
            raise PickleError(f"it adds to a {kind(self._stack[-1])} as if that were a {kind.__name__}")
        return self._stack[-1]

    def _import(self, name: str) -> None:
        """Push a known name; nothing is imported."""
        if name not in _KNOWN:
            raise PickleError(f"it holds pickled code: it imports {brief('.'.join(name.split(' ')))}")
        self._stack.append(_Function(_KNOWN[name]))

    def _call(self) -> None:
        """Record a call; an OrderedDict becomes a dict."""
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
