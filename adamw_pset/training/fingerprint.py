"""What makes two functions the same to a saved table: their source, the values they hold, what they call."""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from torch import Tensor


def fingerprint(function: Callable[..., Any]) -> str:
    """A short hash of a function's source, of the values it holds and of the helpers that it calls.

    Helpers are the functions, classes and constants that it uses from its own module or notebook, or
    from a module that is not an installed package.  A corrected function is another function.
    """
    return hashlib.sha256(_identity(function, set()).encode()).hexdigest()[:16]


def installed(module: str) -> bool:
    """Whether a module belongs to Python, to this package or to an installed one, not to the user."""
    top = module.partition(".")[0]
    if top == "adamw_pset" or top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _identity(value: Any, seen: set[int]) -> str:
    """Everything about ``value`` that tells it from another, as text that is the same in every process."""
    if isinstance(value, Tensor | np.ndarray):
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    if isinstance(value, list | tuple | dict):
        items = value.items() if isinstance(value, dict) else value
        return f"{type(value).__name__}({', '.join(_identity(each, seen) for each in items)})"
    if inspect.isroutine(value) or inspect.isclass(value) or hasattr(value, "__dict__"):
        if id(value) in seen:
            return "as above"
        seen.add(id(value))
    if isinstance(value, functools.partial):
        return f"partial({_identity((value.func, value.args, value.keywords), seen)})"
    if inspect.ismethod(value):
        return f"{_identity(value.__func__, seen)} of {_identity(value.__self__, seen)}"
    if inspect.isfunction(value):
        return _of_function(value, seen)
    if inspect.isclass(value):
        return _of_class(value, seen)
    if hasattr(value, "__dict__") and repr(value) == object.__repr__(value):
        return f"{_identity(type(value), seen)} {_identity(vars(value), seen)}"
    return repr(value)


def _of_function(function: Any, seen: set[int]) -> str:
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        text = repr(list(map(_bytecode, _codes(function.__code__))))
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    parts = [function.__defaults__, function.__kwdefaults__, held, dict(_helpers(function))]
    return f"{text} {_identity(parts, seen)}"


def _helpers(function: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each global that a function uses and that is not a library's, in order."""
    instructions = [i for code in _codes(function.__code__) for i in dis.get_instructions(code)]
    changed = {i.argval for i in instructions if i.opname == "STORE_GLOBAL"}
    for name in sorted({i.argval for i in instructions if i.opname == "LOAD_GLOBAL"} - changed):
        value = function.__globals__.get(name)
        home = getattr(value, "__module__", None)
        constant = isinstance(value, bool | int | float | str | tuple | Tensor | np.ndarray)
        if constant or (isinstance(home, str) and (home == function.__module__ or not installed(home))):
            yield name, value


def _of_class(cls: type, seen: set[int]) -> str:
    if installed(cls.__module__):
        return f"{cls.__module__}.{cls.__qualname__}"
    own = {name: value for name, value in sorted(vars(cls).items()) if name not in _NOT_BEHAVIOUR}
    return f"{cls.__qualname__} {_identity([cls.__bases__, own], seen)}"


_NOT_BEHAVIOUR = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)


def _bytecode(code: CodeType) -> tuple[Any, ...]:
    return code.co_code, code.co_names, [c for c in code.co_consts if not inspect.iscode(c)]
