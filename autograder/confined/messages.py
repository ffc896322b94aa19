"""What crosses the wall between a student's code and the grader: typed messages of bounded size (msgpack).

Each kind of message stands here once, with its fields, their types and the bytes that it may have; one
that is anything else is ``Malformed``.  Nothing is unpickled or evaluated, and nothing is believed: kinds,
lengths and ranges are checked while a message is read, before anything is made of it.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import time
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar, Union

import msgspec
import numpy as np
import pandas as pd
import torch
from msgspec import Meta
from numpy.typing import NDArray

from adamw_pset.rule import State

KILOBYTE, MEGABYTE = 1 << 10, 1 << 20
DIMS, ITEMS, DEPTH, COLUMNS = 8, 4096, 6, 64
NAME, TEXT = 80, 300  # letters of a name, of a text: an error's first line has a hundred
ANSWER = 4 * MEGABYTE  # bytes of what an answer gives: a right one needs a few thousand
ASKED = 256 * MEGABYTE  # bytes of what the grader sends
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    )
}

Name: TypeAlias = Annotated[str, Meta(max_length=NAME)]
Text: TypeAlias = Annotated[str, Meta(max_length=TEXT)]
Whole: TypeAlias = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
Size: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 40)]
Shape: TypeAlias = Annotated[list[Size], Meta(max_length=DIMS)]
Place: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 20)]
Scalar: TypeAlias = bool | Whole | float | Text | None


class Malformed(ValueError):
    """A message that no honest worker sends."""


# --- values --------------------------------------------------------------------------------------


class Value(msgspec.Struct, forbid_unknown_fields=True):
    """What is neither a number, a text, a truth value nor None."""


class Dots(Value, tag=True):
    """``...``"""


class Numbers(Value, tag=True):
    """An array: float64 in C order."""

    shape: Shape
    data: bytes


class TensorOf(Value, tag=True):
    """A tensor: its numbers as float64, and the dtype that it had."""

    dtype: Annotated[str, Meta(pattern=f"^({'|'.join(DTYPES)})\\Z")]
    shape: Shape
    data: bytes


class Sequence(Value, tag=True):
    """A list, a tuple or a ``State``."""

    kind: Literal["list", "tuple", "state"]
    items: Annotated[list[AnyValue], Meta(max_length=ITEMS)]


class Table(Value, tag=True):
    """A data frame of numbers, texts and truth values."""

    columns: Annotated[dict[Name, Numbers | Annotated[list[Scalar], Meta(max_length=ITEMS)]], Meta(max_length=COLUMNS)]


class Other(Value, tag=True):
    """A value of another kind: the name of its type, and its shape if it has one."""

    name: Name
    shape: Shape | None = None


AnyValue: TypeAlias = Scalar | Dots | Numbers | TensorOf | Sequence | Table | Other


# --- messages ------------------------------------------------------------------------------------


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """What one side sends the other; ``most`` bytes are read of it."""

    most: ClassVar[int] = KILOBYTE


class Hello(Message, tag=True):
    """The worker is there; whether each of its children has namespaces of its own."""

    nested: bool


class Locked(Message, tag=True):
    """A child has locked itself in; no code of a student has run."""


class Died(Message, tag=True):
    """A child has ended: "time", "closed", "too many threads", "exit N" or "signal N"."""

    how: Annotated[str, Meta(max_length=40, pattern=r"^[a-z]+( [a-z0-9]+)*\Z")]


class Run(Message, tag=True):
    """Run these code cells, by their numbers; the questions, and by its number a cell that stands for a check."""

    cells: list[tuple[int, str]]
    questions: list[str]
    checks: dict[int, str]
    most = ASKED


class Begun(Message, tag=True):
    """The cell of this number is run next."""

    cell: Place


class Asked(Message, tag=True):
    """The notebook checks this question; the answer follows."""

    question: Name


class GoOn(Message, tag=True):
    """The grader has seen enough of the answer."""


class Ended(Message, tag=True):
    """The notebook's end: answers that are others than at their check, and what could not be done here.

    ``elsewhere``: a cell failed that may go well in a kernel; ``lacking``: those that import what is not here;
    ``unread``: those that this Python cannot read.
    """

    changed: Annotated[list[Name], Meta(max_length=COLUMNS)]
    elsewhere: bool
    lacking: Annotated[str, Meta(max_length=2 * TEXT)]
    unread: Annotated[list[Place], Meta(max_length=COLUMNS)]
    most = 16 * KILOBYTE


class AtEnd(Message, tag=True):
    """The grader asks for this answer, as it is at the notebook's end."""

    question: str


class Define(Message, tag=True):
    """One answer by itself: code cells by their numbers, the question, and the cells that it set aside."""

    cells: list[tuple[int, str]]
    question: str
    own: list[int]
    most = ASKED


class Missing(Message, tag=True):
    """There is no answer, and what stopped the cells that define it; ``here``: it may go well in a kernel."""

    errors: Annotated[str, Meta(max_length=2 * TEXT)]
    here: bool = False
    most = 4 * KILOBYTE


class Ambiguous(Message, tag=True):
    """These cells define the answer in different ways."""

    cells: Annotated[list[Place], Meta(max_length=ITEMS)]
    most = 32 * KILOBYTE


class Constant(Message, tag=True):
    """The answer is no function."""

    value: AnyValue
    most = ANSWER


class Parameter(msgspec.Struct, forbid_unknown_fields=True):
    """A parameter of a function; its default as text."""

    name: Name
    kind: Annotated[int, Meta(ge=0, le=4)]
    default: Annotated[str, Meta(max_length=20)] | None = None


class Function(Message, tag=True):
    """The answer can be called; its parameters if they are known, and whether its body is empty."""

    parameters: Annotated[list[Parameter], Meta(max_length=COLUMNS)] | None
    is_empty: bool
    most = 64 * KILOBYTE


class Call(Message, tag=True):
    """Call the answer."""

    args: list[AnyValue]
    kwargs: dict[str, AnyValue]
    most = ASKED


class Returned(Message, tag=True):
    """What a call returned, and which arguments it changed in place."""

    result: AnyValue
    changed: Annotated[list[Place], Meta(max_length=COLUMNS)]
    most = ANSWER


class Raised(Message, tag=True):
    """What a call raised: the name of the exception, its text, and the line it came from."""

    name: Name
    text: Text
    where: Text
    most = 8 * KILOBYTE


M = TypeVar("M", bound=Message)


def send(connection: socket.socket, message: Message) -> None:
    """Send ``message``, with its length before it."""
    packed = msgspec.msgpack.encode(message)
    connection.sendall(struct.pack(">Q", len(packed)) + packed)


def receive(connection: socket.socket, *expected: type[M], deadline: float | None = None) -> M | None:
    """The next message, one of the ``expected`` kinds; None if the other side has closed.

    Raises ``Malformed`` for anything else, and ``TimeoutError`` after ``deadline`` (of ``time.monotonic``).
    """
    start = _exactly(connection, 8, deadline)
    if not start:
        return None
    (size,) = struct.unpack(">Q", start)
    if size > max(kind.most for kind in expected):
        raise Malformed(f"a message of {size} bytes")
    return decode(_exactly(connection, size, deadline), *expected)


def decode(packed: bytes, *expected: type[M]) -> M:
    """A message of one of the ``expected`` kinds; raises ``Malformed``."""
    try:
        message: M = _decoder(expected).decode(packed)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Malformed(type(error).__name__) from None
    if len(packed) > message.most:
        raise Malformed(f"a {type(message).__name__} of {len(packed)} bytes")
    return message


@cache
def _decoder(expected: tuple[type[Message], ...]) -> Any:
    return msgspec.msgpack.Decoder(Union[expected])  # noqa: UP007


def _exactly(connection: socket.socket, size: int, deadline: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
        part = connection.recv(min(1 << 16, size - len(parts)))
        if not part:
            if parts:
                raise Malformed("half a message")
            return b""
        parts += part
    return bytes(parts)


def text(value: object, most: int = TEXT) -> str:
    """``str(value)``, made to fit into a message: whole characters, at most so many."""
    return str(value)[:most].encode(errors="replace").decode()


# --- values to what crosses ----------------------------------------------------------------------


def pack(value: Any, depth: int = 0) -> AnyValue:
    """``value`` as it crosses; of what is not data the name of its type alone."""
    if value is None or value is ...:
        return None if value is None else Dots()
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer) and abs(int(value)) <= 1 << 62:
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, torch.Tensor) and not value.is_complex():
        numbers = _numbers(value.detach().cpu().double().numpy())
        if isinstance(numbers, Other):
            return numbers
        return TensorOf(str(value.dtype).removeprefix("torch."), numbers.shape, numbers.data)
    if isinstance(value, pd.DataFrame):
        return _table(value)
    if isinstance(value, np.ndarray | pd.Series):
        return _array(np.asarray(value))
    if isinstance(value, tuple | list) and len(value) <= ITEMS and depth < DEPTH:
        kind: Any = "state" if isinstance(value, State) else "tuple" if isinstance(value, tuple) else "list"
        return Sequence(kind, [pack(part, depth + 1) for part in value])
    return Other(_name(type(value).__name__))


def _array(array: NDArray[Any]) -> Numbers | Other:
    if array.dtype.kind == "O":
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            array = array.astype(np.float64)
    return _numbers(array) if array.dtype.kind in "fiub" else Other("ndarray", list(array.shape)[:DIMS])


def _numbers(array: NDArray[Any]) -> Numbers | Other:
    if 8 * array.size > ANSWER // 4 or array.ndim > DIMS:  # only its shape is of use
        return Other("ndarray", list(array.shape)[:DIMS])
    return Numbers(list(array.shape), np.ascontiguousarray(array, dtype=np.float64).tobytes())


def _table(frame: pd.DataFrame) -> Table | Other:
    columns: dict[str, Any] = {}
    if len(frame) <= ITEMS and frame.columns.is_unique and len(frame.columns) <= COLUMNS:
        for name in frame:
            column = frame[name]
            if column.dtype.kind in "fiu":
                columns[text(name, NAME)] = _array(column.to_numpy())
            else:
                columns[text(name, NAME)] = [pack(part, DEPTH) for part in column.tolist()]
        if not any(
            isinstance(part, Value) for column in columns.values() if isinstance(column, list) for part in column
        ):
            return Table(columns)
    return Other("DataFrame", list(frame.shape))


def _name(name: str) -> str:
    return name[:40] if name.isidentifier() else "object"


# --- and back ------------------------------------------------------------------------------------


class Opaque:
    """Stands for a value of another kind: only the name of its type crosses the wall."""


def opaque(name: str, shape: tuple[int, ...] | None = None) -> Any:
    """A value whose type has this name, and which has this shape if it has one."""
    value = type(name, (Opaque,), {})()
    if shape is not None:
        value.shape = shape
    return value


def unpack(value: AnyValue, depth: int = 0) -> Any:
    """The value that ``pack`` was given; raises ``Malformed`` for what it never makes."""
    if depth > DEPTH:
        raise Malformed("too deep")
    if isinstance(value, Numbers | TensorOf):
        return _array_or_tensor(value)
    if isinstance(value, Sequence):
        parts = [unpack(part, depth + 1) for part in value.items]
        if value.kind == "state" and len(parts) != len(State._fields):
            raise Malformed("a State of another length")
        return State(*parts) if value.kind == "state" else tuple(parts) if value.kind == "tuple" else parts
    if isinstance(value, Table):
        columns = {n: c if isinstance(c, list) else _array_or_tensor(c) for n, c in value.columns.items()}
        try:
            return pd.DataFrame(columns)
        except ValueError:
            raise Malformed("columns of several lengths") from None
    if isinstance(value, Other):
        return opaque(_name(value.name), None if value.shape is None else tuple(value.shape))
    return ... if isinstance(value, Dots) else value


def _array_or_tensor(value: Numbers | TensorOf) -> Any:
    if len(value.data) != 8 * math.prod(value.shape):
        raise Malformed("a buffer of another size than its shape")
    numbers = np.frombuffer(value.data, dtype=np.float64).reshape(value.shape).copy()
    return torch.from_numpy(numbers).to(DTYPES[value.dtype]) if isinstance(value, TensorOf) else numbers
