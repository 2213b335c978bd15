import pickle
import struct

import numpy as np
import pytest

from isaachrl.errors import ClipError
from isaachrl.motion.formats import isaac_gym_amp, pickled

NDARRAY = b"cnumpy\nndarray\n"


def piece(value):
    """The opcodes that push a value."""
    return pickle.dumps(value, protocol=3)[2:-1]


def put(number):
    return b"r" + struct.pack("<I", number)


def get(number):
    return b"j" + struct.pack("<I", number)


def whole(*pieces):
    return b"\x80\x03" + b"".join(pieces) + b"."


def calls(name, *args):
    """The opcodes of a call."""
    module, function = name.rsplit(".", 1)
    return f"c{module}\n{function}\n(".encode() + b"".join(args) + b"tR"


VOID = calls("numpy.dtype", piece("V8"), piece(False), piece(True))

# What Python's unpickler makes of these three, with numpy's names alone, takes the process down.
CRAFTED = {
    "a pointer": [NDARRAY, b")", piece(np.dtype("O")), piece(b"AAAAAAAA"), b"\x87R"],
    "a view of freed memory": [
        *(piece(np.full(1 << 17, 0x4141414141414141)), put(1000)),
        *(NDARRAY, b")", piece(np.dtype("O")), get(1000), b"\x87R", put(1001)),
        *(get(1000), piece((1, (1,), np.dtype("i8"), False, bytes(8))), b"b"),
        get(1001),
    ],
    "a type that grows": [
        *(VOID, put(1000)),
        *(NDARRAY, b")", get(1000), piece(b"AAAAAAAA"), b"\x87R", put(1001)),
        *(get(1000), piece((3, "|", None, None, None, 10**9, 1, 0)), b"b"),
        get(1001),
    ],
}


def load(tmp_path, robot, content):
    with open(tmp_path / "crafted.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(content)
    return isaac_gym_amp.load(tmp_path / "crafted.npy", robot, {})


@pytest.mark.parametrize("name", CRAFTED)
def test_memory_is_out_of_reach(robot, tmp_path, name):
    with pytest.raises(ClipError, match=r"crafted\.npy is"):
        load(tmp_path, robot, whole(*CRAFTED[name]))


HOSTILE = {
    "a deep key": (b"}", b")", b"\x85" * 90_000, b"Ns"),
    "endless depth": (b")", b"\x85" * 200_000),
    "endless items": (b"](", b"N" * 200_000, b"e"),
    "a great memo": (b"N", put(0xFFFFFFFF)),
    "no such memo": (get(7),),
    "a great text": (b"\x8d", struct.pack("<Q", 1 << 40)),
    "great bytes": (b"\x8e", struct.pack("<Q", (1 << 63) - 1)),
    "a great frame": (b"\x95", struct.pack("<Q", 1 << 60), b"}"),
    "a negative length": (b"\x8b", struct.pack("<i", -5)),
    "a great number": (b"\x8b", struct.pack("<i", 1 << 20), b"\x7f" * (1 << 20)),
    "a number of many digits": (b"I" + b"9" * 100_000 + b"\n",),
    "extension codes": (b"\x82\x01",),
    "a persistent number": (b"Pname\n",),
    "a persistent object": (piece("name"), b"Q"),
    "a new object": (NDARRAY, b")\x81"),
    "a new object with keywords": (NDARRAY, b")}\x92"),
    "an old instance": (b"(inumpy\nndarray\n",),
    "an old object": (b"(", NDARRAY, b"o"),
    "a buffer": (b"\x97",),
    "a set": (b"\x8f",),
    "state of a class": (NDARRAY, piece((None, {"shape": 3})), b"b"),
    "state of a dictionary": (b"}", piece({"keys": 1}), b"b"),
    "items of a call": (calls("numpy.ndarray"), b"Na"),
    "a call of a text": (piece("text"), b")R"),
    "a call of a call": (calls("numpy.ndarray"), b")R"),
    "a call without arguments": (NDARRAY, b"NR"),
    "a dictionary of pairs": (calls("collections.OrderedDict", piece([("fps", 1)])),),
    "a key without a value": (b"}(", piece("fps"), b"u"),
    "a key of bytes": (b"}", piece(b"fps"), b"Ns"),
    "nothing": (),
    "no mark": (b"t",),
    "an empty stack": (b"b",),
    "a name that is none": (b"NN\x93",),
    "a name with controls": (b"c\x1b[2J\nsystem\n",),
    "a list in itself": (b"]", put(0), get(0), b"a"),
    "an array of two objects": (piece(np.array([{}, {}], dtype=object)),),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused(robot, tmp_path, name):
    with pytest.raises(ClipError, match=r"crafted\.npy ") as error:
        load(tmp_path, robot, whole(*HOSTILE[name]))
    assert str(error.value).isprintable() and len(str(error.value)) < 300


def read_array(*pieces):
    return pickled.array(pickled.load(whole(*pieces)))


def build(dtype, shape, data, fortran=False):
    """The opcodes of an array's call and its state."""
    start = calls("numpy._core.multiarray._reconstruct", NDARRAY, piece((0,)), piece(b"b"))
    return (start, b"(", piece(1), piece(shape), dtype, piece(fortran), piece(data), b"tb")


def dtype(name, *state):
    made = calls("numpy.dtype", piece(name), piece(False), piece(True))
    return made + piece(state or (3, "<", None, None, None, -1, -1, 0)) + b"b"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f8").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(4, dtype=np.uint8),
        np.array([True, False]),
        np.float16([1.5, -2]),
        np.int64(7),
    ],
)
@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_and_scalars_come_back(array, protocol):
    back = pickled.array(pickled.load(pickle.dumps(array, protocol=protocol)))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


@pytest.mark.parametrize(
    "array",
    [
        np.array(["text"]),
        np.array([1j]),
        np.array(["2001-01-01"], "M8[D]"),
        np.zeros(2, "i4,f8"),
        np.zeros(2, "V8"),
        np.array([None]),
        np.longdouble([1.0]),
        np.zeros((2, 0)),
        np.zeros((1, 1, 1, 1, 1)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_other_arrays_are_refused(array):
    with pytest.raises(pickled.PickleError):
        read_array(piece(array))


F8, EIGHT = dtype("f8"), bytes(8)
WRONG_ARRAYS = {
    "negative": build(F8, (-1,), EIGHT),
    "negative twice": build(F8, (-1, -1), EIGHT),
    "great": build(F8, (1 << 62,), EIGHT),
    "great and nothing": build(F8, (1 << 62, 0), b""),
    "of a million digits": build(F8, (1 << 4_000_000,) * 4, EIGHT),
    "a truth": build(F8, (True,), EIGHT),
    "a fraction": build(F8, (1.0,), EIGHT),
    "a list": build(F8, [1], EIGHT),
    "short": build(F8, (2,), EIGHT),
    "long": build(F8, (1,), EIGHT * 2),
    "objects as content": build(F8, (1,), [1.0]),
    "text as content": build(F8, (8,), "12345678"),
    "fields": build(dtype("f8", 3, "<", None, ("a",), {"a": (np.dtype("O"), 0)}, -1, -1, 0), (1,), EIGHT),
    "parts": build(dtype("f8", 3, "<", (np.dtype("O"), (1,)), None, None, -1, -1, 0), (1,), EIGHT),
    "no order": build(dtype("f8", 3, "?", None, None, None, -1, -1, 0), (1,), EIGHT),
    "short state": build(dtype("f8", 3), (1,), EIGHT),
    "not a type": build(piece("f8"), (1,), EIGHT),
    "not a name": build(calls("numpy.dtype", piece(8)), (1,), EIGHT),
    "no name": build(calls("numpy.dtype"), (1,), EIGHT),
    "no state": (calls("numpy._core.multiarray._reconstruct", NDARRAY, piece((0,)), piece(b"b")),),
    "a class": (NDARRAY,),
    "numbers": (piece([1.0, 2.0]),),
}


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_arrays_that_do_not_fit_are_refused(name):
    with pytest.raises((pickled.PickleError, IndexError, TypeError, ValueError)):
        read_array(*WRONG_ARRAYS[name])


def test_no_size_or_flag_of_a_type_is_believed():
    huge = dtype("f8", 3, "<", None, None, None, 10**9, 10**9, 255)
    np.testing.assert_array_equal(read_array(*build(huge, (1,), struct.pack("<d", 2.5), fortran=[1])), [2.5])
