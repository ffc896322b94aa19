"""What crosses the wall between a student's code and the grader: plain values in typed, bounded buffers.

A message is a length, a JSON header and raw float64 buffers.  Nothing is unpickled or evaluated, and
``unpack`` believes nothing: sizes, kinds and shapes are checked before a number is looked at.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import struct
import time
from typing import Any

import numpy as np
import pandas as pd
import torch

from adamw_pset.rule import State

LIMIT = 4 << 20  # bytes of a message: a right answer needs a few thousand
DIMS, ITEMS, DEPTH = 8, 4096, 6
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


class Malformed(ValueError):
    """A message that no honest worker sends."""


class Opaque:
    """Stands for a value of another kind: only the name of its type crosses the wall."""


def opaque(name: str, shape: tuple[int, ...] | None = None) -> Any:
    """A value whose type has this name, and which has this shape if it has one."""
    value = type(name, (Opaque,), {})()
    if shape is not None:
        value.shape = shape
    return value


def pack(value: Any) -> bytes:
    """``value`` as a message."""
    buffers: list[bytes] = []
    header = json.dumps({"value": _spec(value, buffers, 0), "sizes": [len(b) for b in buffers]}).encode()
    return struct.pack(">I", len(header)) + header + b"".join(buffers)


def send(connection: socket.socket, value: Any) -> None:
    """Send ``value``, with its length before it."""
    message = pack(value)
    connection.sendall(struct.pack(">Q", len(message)) + message)


def receive(connection: socket.socket, limit: int = LIMIT, deadline: float | None = None) -> Any:
    """The next message, or None if the other side has closed.

    Raises ``Malformed`` for anything that is not a message of at most ``limit`` bytes, ``TimeoutError``
    after ``deadline`` (of ``time.monotonic``).
    """
    start = _exactly(connection, 8, deadline)
    if not start:
        return None
    (size,) = struct.unpack(">Q", start)
    if size > limit:
        raise Malformed(f"a message of {size} bytes")
    return unpack(_exactly(connection, size, deadline))


def unpack(message: bytes) -> Any:
    """The value of a message; raises ``Malformed``."""
    try:
        (size,) = struct.unpack(">I", message[:4])
        header = json.loads(message[4 : 4 + size])
        buffers, place = [], 4 + size
        for length in header["sizes"]:
            buffers.append(message[place : place + int(length)])
            place += int(length)
        return _value(header["value"], buffers, 0)
    except Malformed:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
        RecursionError,
        struct.error,
    ) as error:
        raise Malformed(type(error).__name__) from None


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


# --- values to headers ---------------------------------------------------------------------------


def _spec(value: Any, buffers: list[bytes], depth: int) -> dict[str, Any]:
    if depth > DEPTH:
        return {"kind": "opaque", "name": "object"}
    if value is None or value is ...:
        return {"kind": "plain", "value": "none" if value is None else "ellipsis"}
    if isinstance(value, bool | np.bool_):
        return {"kind": "plain", "value": bool(value)}
    if isinstance(value, int | np.integer) and abs(int(value)) < 1 << 62:
        return {"kind": "plain", "value": int(value)}
    if isinstance(value, float | np.floating):
        return {"kind": "float", "value": float(value)}
    if isinstance(value, str):
        return {"kind": "text", "value": value}
    if isinstance(value, torch.Tensor) and not value.is_complex():
        numbers = value.detach().cpu().double().numpy()
        return {"kind": "tensor", "dtype": str(value.dtype).removeprefix("torch."), **_buffer(numbers, buffers)}
    if isinstance(value, pd.DataFrame):
        columns = {str(name): _spec(_column(value[name]), buffers, depth + 1) for name in value}
        return {"kind": "frame", "items": columns}
    if isinstance(value, np.ndarray | pd.Series):
        return _array_spec(np.asarray(value), buffers)
    if isinstance(value, tuple | list) and len(value) <= ITEMS:
        kind = "state" if isinstance(value, State) else "tuple" if isinstance(value, tuple) else "list"
        return {"kind": kind, "items": [_spec(part, buffers, depth + 1) for part in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"kind": "dict", "items": {key: _spec(part, buffers, depth + 1) for key, part in value.items()}}
    return {"kind": "opaque", "name": _name(type(value).__name__)}


def _array_spec(array: Any, buffers: list[bytes]) -> dict[str, Any]:
    if array.dtype.kind == "O":
        with contextlib.suppress(TypeError, ValueError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "fiub":
        return {"kind": "opaque", "name": "ndarray", "shape": list(array.shape)}
    return {"kind": "array", **_buffer(array.astype(np.float64), buffers)}


def _buffer(numbers: Any, buffers: list[bytes]) -> dict[str, Any]:
    if numbers.nbytes > LIMIT // 4:  # only its shape is of use
        return {"kind": "opaque", "name": "ndarray", "shape": list(numbers.shape)}
    buffers.append(np.ascontiguousarray(numbers).tobytes())
    return {"shape": list(numbers.shape), "buffer": len(buffers) - 1}


def _column(series: Any) -> Any:
    return series.to_numpy() if series.dtype.kind in "fiu" else series.tolist()


def _name(text: str) -> str:
    return text[:40] if text.isidentifier() else "object"


# --- headers to values ---------------------------------------------------------------------------


def _value(spec: Any, buffers: list[bytes], depth: int) -> Any:
    if depth > DEPTH + 1:
        raise Malformed("too deep")
    kind = spec["kind"]
    if kind == "plain":
        plain = spec["value"]
        if isinstance(plain, str):
            return {"none": None, "ellipsis": ...}[plain]
        if not isinstance(plain, int):
            raise Malformed("plain")
        return plain
    if kind == "float":
        return float(spec["value"])
    if kind == "text":
        return str(spec["value"])
    if kind == "opaque":
        shape = spec.get("shape")
        return opaque(_name(str(spec["name"])), None if shape is None else _shape(shape))
    if kind in ("tensor", "array"):
        return _numbers(spec, buffers)
    items = spec["items"]
    if len(items) > ITEMS:
        raise Malformed("too many items")
    if kind in ("frame", "dict"):
        named = {str(name): _value(item, buffers, depth + 1) for name, item in items.items()}
        return pd.DataFrame(named) if kind == "frame" else named
    parts = [_value(item, buffers, depth + 1) for item in items]
    if kind == "state":
        return State(*parts)
    return tuple(parts) if kind == "tuple" else parts


def _numbers(spec: Any, buffers: list[bytes]) -> Any:
    shape = _shape(spec["shape"])
    data = buffers[spec["buffer"]]
    if len(data) != 8 * math.prod(shape):
        raise Malformed("a buffer of another size than its shape")
    numbers = np.frombuffer(data, dtype=np.float64).reshape(shape).copy()
    return torch.from_numpy(numbers).to(DTYPES[spec["dtype"]]) if spec["kind"] == "tensor" else numbers


def _shape(shape: Any) -> tuple[int, ...]:
    if len(shape) > DIMS or not all(isinstance(n, int) and 0 <= n < 1 << 40 for n in shape):
        raise Malformed("shape")
    return tuple(shape)
