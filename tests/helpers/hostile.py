"""A class in which nearly everyone hands in something that would break a grader which believed it.

Everything here runs in the sandbox of the tests and in temporary folders alone.
"""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import textwrap
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from helpers.submissions import RIGHT, notebook

HONEST = ("ann", "ben")  # the first hands in what is right, the second what is half right
HALF = {"adamw": RIGHT["adamw"].replace("(1 - weight_decay) * theta", "(1 - weight_decay) ** 2 * theta")}
HEAD = "def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):\n"
ESCAPES = "\x1b]0;gone\x07\x1b[2J\r\x85\u2028\u2029\u202e\u200b\x00"
SAY = """
import os, struct, msgspec
def say(value):
    packed = msgspec.msgpack.encode(value)
    os.write(3, struct.pack(">Q", len(packed)) + packed)
"""


def body(code: str) -> dict[str, str]:
    """An ``adamw`` with this body."""
    return {"adamw": HEAD + textwrap.indent(textwrap.dedent(code).strip() + "\n", "    ")}


def saying(value: str) -> dict[str, str]:
    """An ``adamw`` that speaks for the worker."""
    return body(f"{textwrap.dedent(SAY)}\nsay({value})\nreturn theta, state")


def raising(text: str, kind: str = "ValueError") -> dict[str, str]:
    """An ``adamw`` that raises an error with this text, an expression."""
    return body(f"raise {kind}({text})")


def prose(text: str) -> dict[str, str]:
    """A written answer."""
    return {"written_1a_i": text}


# what is handed in by answers, in the released notebook
ANSWERS: Mapping[str, Mapping[str, str]] = {
    "half a character in an error": raising("'\\ud83d half'"),
    "escapes in an error": raising(ascii(ESCAPES)),
    "a line separator in an error": raising("'one\\u2028two\\x85three'"),
    "an error of three million letters": raising("'x' * 3_000_000"),
    "an error's name of three million letters": body("raise type('E' * 3_000_000, (Exception,), {})('x')"),
    "an error's name with escapes": body(f"raise type({'E' + ESCAPES[:-1]!a}, (Exception,), {{}})('x')"),
    "an error without a text": body("class E(Exception):\n    def __str__(self): raise self\nraise E()"),
    "a formula in an error": raising("'=HYPERLINK(\"http://x\")'", "KeyError"),
    "an endless error's chain": raising("{'a': ['b'] * 10**6}"),
    "a signature with escapes": {"adamw": f"def adamw(theta=type('x', (), {{'__repr__': lambda s: {ESCAPES!a}}})()): pass"},
    "a hundred parameters": {"adamw": f"def adamw({', '.join(f'p{i}' for i in range(100))}): pass"},
    "sizes that cancel": saying('{"type": "Returned", "changed": [], "result": {"type": "Numbers", "data": b"", "shape": [3000000, -3000000] * 40000}}'),
    "a buffer of nothing": saying('{"type": "Returned", "changed": [], "result": {"type": "Numbers", "data": b"", "shape": [1 << 39] * 3}}'),
    "a message of an exabyte": body("import os, struct\nos.write(3, struct.pack('>Q', 1 << 60))\nreturn theta, state"),
    "a message of three megabytes of lists": saying('{"type": "Returned", "changed": [], "result": {"type": "Sequence", "kind": "list", "items": [[[]]] * 1000000}}'),
    "a message that is no message": saying("[1, 2, 3]"),
    "a frame of dicts": body("return pd.DataFrame({'x': [{'a': 1}] * 200_000}), state"),
    "a frame of frames": body("return pd.DataFrame({'x': [pd.DataFrame({'y': [1]})] * 99}), state"),
    "a whole number without end": {"weight_decay_factor": "def weight_decay_factor(l2, lr):\n    return 10**400\n"},
    "a tensor without end": body("return torch.zeros(1).expand(1 << 40), state"),
    "an array of nine dimensions": body("return np.zeros([1] * 9), state"),
    "lists in lists": body("a = []\nfor _ in range(500): a = [a]\nreturn a, state"),
    "a list in itself": body("a = []\na.append(a)\nreturn a, state"),
    "a class of its own as t": body("class T(int):\n    def __repr__(self): return 'x' * 10**7\nreturn theta, State(T(1), 1, 2)"),
    "an answer that is no function": {"adamw": f"adamw = {ESCAPES!a} * 1000"},
    "an answer that is a frame": {"adamw": "adamw = pd.DataFrame({'x': [1, 2]})"},
    "a class as the answer": {"adamw": "class adamw:\n    def __init__(self, *a, **k): raise KeyError(self)"},
    "an endless loop": body("while True: pass"),
    "an endless loop at once": {"adamw": "while True: pass\n" + HEAD + "    return theta, state"},
    "all the memory": body("kept = [bytearray(b'x' * (1 << 26)) for _ in range(64)]"),
    "a sudden end": body("import os\nos._exit(0)"),
    "a crash": body("import ctypes\nctypes.string_at(0)"),
    "a recursion": body("return adamw(theta, grad, state, lr=lr, weight_decay=weight_decay)"),
    "source of a million brackets": {"adamw": "x = " + "(" * 10_000 + ")" * 10_000 + "\n" + HEAD + "    return theta, state"},
    "source with a zero byte": {"adamw": HEAD + "    return '\0', state"},
    "source with half a character": {"adamw": HEAD + "    return '\ud83d', state"},
    "source with odd line ends": {"adamw": HEAD + "    # \u2028 \x85 \x0c\n    return theta, state"},
    "pictures without end in prose": prose("![" * 100_000),
    "brackets without end in prose": prose("[" * 100_000),
    "quotes in quotes in prose": prose("> " * 9_000 + "x"),
    "emphasis without end in prose": prose("*a_ " * 5_000),
    "a formula without end": prose("$" + r"\frac{" * 700 + "1" + "}{2}" * 700 + "$"),
    "a formula that opens a link": prose(r"$\mmlToken{mi}[href=javascript:alert(1)]{x} \href{http://x}{y} \bbox[background:url(http://x)]{z}$"),
    "a formula by entities": prose("$&#92;href{javascript:alert(1)}{x}$ &lt;script&gt;"),
    "a script in prose": prose("<script>alert(1)</script><img src=x onerror=alert(1)> http://x.example www.x.example"),
    "escapes in prose": prose("Because " + ESCAPES),
    "half a character in prose": prose("Because \ud83d"),
    "a formula of a spreadsheet in prose": prose("=1+1"),
}  # fmt: skip


def _png(chunks: bytes = b"", size: tuple[int, int] = (2, 2)) -> bytes:
    image = io.BytesIO()
    Image.new("RGB", size, "red").save(image, "PNG")
    data = image.getvalue()
    return data[:33] + chunks + data[33:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _jpeg(side: int) -> bytes:
    image = io.BytesIO()
    noise = Image.frombytes("L", (side // 8, side // 8), os.urandom((side // 8) ** 2)).resize((side, side))
    noise.convert("RGB").save(image, "JPEG", quality=95)
    return image.getvalue()


def _with_pictures(*pictures: bytes) -> Any:
    made = notebook(prose("Because of the pictures."))
    for cell in made["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "written_1a_i":
            cell["attachments"] = {
                f"{i}.png": {"image/png": base64.b64encode(picture).decode()} for i, picture in enumerate(pictures)
            }
    return made


def _cell(id: str, kind: str = "code", source: Any = "x = 1") -> Any:
    return {"cell_type": kind, "id": id, "metadata": {"nbgrader": {"grade_id": id}}, "source": source}


# what is handed in as a file
FILES: Mapping[str, Callable[[], Any]] = {
    "a picture with half a profile": lambda: _with_pictures(_png(_chunk(b"iCCP", b"x\0"))),
    "a picture with a profile that bursts": lambda: _with_pictures(_png(_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 26))))),
    "a picture whose text bursts": lambda: _with_pictures(_png(_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1 << 26))))),
    "a picture of many pixels": lambda: _with_pictures(_png(size=(30_000, 3_000))),
    "a picture that is none": lambda: _with_pictures(b"<svg onload=alert(1)>"),
    "four large photographs": lambda: _with_pictures(*[_jpeg(3400)] * 4),
    "93000 cells with one id": lambda: {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [_cell("adamw")] * 93_000},
    "1900 cells with one id": lambda: {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [_cell("adamw", source=RIGHT["adamw"])] * 1900},
    "forty megabytes of nothing": lambda: '{"cells": [' + "[]," * 13_000_000 + "[]]}",
    "sixty megabytes of text": lambda: '{"cells": "' + "x" * 60_000_000 + '"}',
    "brackets in brackets": lambda: "[" * 5_000_000,
    "numbers without end": lambda: '{"cells": [], "x": ' + "9" * 3_000_000 + "}",
    "cells that are none": lambda: {"cells": [3]},
    "cells in a cell": lambda: {"cells": [_cell("adamw", source={"cells": [1]})]},
    "half a character in the metadata": lambda: {"cells": [_cell("adamw", "\ud83d")], "metadata": {"kernelspec": {"name": "\ud83d\x1b[2J"}}},
    "another kernel with escapes": lambda: {"cells": [_cell("adamw")], "metadata": {"language_info": {"name": ESCAPES}}},
    "nothing": lambda: b"",
    "zeros": lambda: bytes(1000),
    "UTF-16 that ends": lambda: b"\xff\xfe{\0\x22\0\x00\xd8",
    "half a file": lambda: json.dumps(notebook(RIGHT))[:5000],
}  # fmt: skip

# names of folders and of notebooks, as bytes
NAMES: Mapping[bytes, bytes] = {
    b"not \xff UTF-8": b"explore_Adam.ipynb",
    b"a\rreturn": b"explore_Adam.ipynb",
    "a\u2028separator\x85".encode(): b"explore_Adam.ipynb",
    b"\x1b]0;gone\x07escapes": b"explore_Adam.ipynb",
    b"=1+1": b"explore_Adam.ipynb",
    b"-o": b"explore_Adam.ipynb",
    b"..x": b"explore_Adam.ipynb",
    b"ANN": b"explore_Adam.ipynb",
    b"ann ": b"explore_Adam.ipynb",
    b"n" * 250: b"explore_Adam.ipynb",
    "e\u0301va".encode(): b"explore_Adam.ipynb",
    "\u00e9va".encode(): b"explore_Adam.ipynb",
    b"notebook named by a return": b"a\rb\x1b[2J\xe2\x80\xa8.ipynb",
    b"notebook that is not UTF-8": b"\xff.ipynb",
}


def hand_in_all(folder: Path) -> None:
    """Write the class to ``folder``: a subfolder a student, named for what is in it."""
    contents: dict[str, Any] = {HONEST[0]: notebook(RIGHT), HONEST[1]: notebook(RIGHT | HALF)}
    contents |= {name: notebook(RIGHT | dict(answers)) for name, answers in ANSWERS.items()}
    contents |= {name: make() for name, make in FILES.items()}
    for name, content in contents.items():
        _write(os.fsencode(folder), os.fsencode(name), b"explore_Adam.ipynb", content)
    for name, file in NAMES.items():
        _write(os.fsencode(folder), name, file, notebook({"weight_decay_factor": RIGHT["weight_decay_factor"]}))
    (folder / "a link").symlink_to(folder / HONEST[0])
    (folder / "a pipe" / "explore_Adam").mkdir(parents=True)
    os.mkfifo(folder / "a pipe" / "explore_Adam" / "explore_Adam.ipynb")
    (folder / "a folder" / "explore_Adam" / "explore_Adam.ipynb").mkdir(parents=True)
    (folder / "no notebook").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "a loose file.ipynb").write_text("{}", encoding="utf-8")


def _write(folder: bytes, student: bytes, file: bytes, content: Any) -> None:
    place = os.path.join(folder, student, b"explore_Adam")
    os.makedirs(place)
    data = (
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    with open(os.path.join(place, file), "wb") as out:
        out.write(data)
