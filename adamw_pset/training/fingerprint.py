"""What makes two functions the same to a saved table: what they do, the values they hold, what they call."""

from __future__ import annotations

import ast
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
    """A short hash of what a function does, of the values it holds and of the helpers that it calls.

    Comments, formatting and docstrings do not count.  Helpers are the functions, classes and constants that it uses
    from its own module or notebook, or from a module that is not an installed package.  A corrected function is
    another function.
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
    text = _statements(function.__code__) or repr(list(map(_instructions, _codes(function.__code__))))
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


class _Bare(ast.NodeTransformer):
    """Leaves out docstrings, and other values that stand alone."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


def _statements(code: CodeType) -> str | None:
    """The source of a ``def``, in one form and without comments, the same in every Python; None if it has none."""
    try:
        source = inspect.getsource(code)
        (node,) = ast.parse(f"if True:\n{source}" if source[0].isspace() else source).body
    except (OSError, SyntaxError, ValueError):
        return None
    if isinstance(node, ast.If):
        (node,) = node.body
    same = isinstance(node, ast.FunctionDef) and node.name == code.co_name
    return ast.unparse(_Bare().visit(node)) if same else None


def _instructions(code: CodeType) -> list[Any]:
    """What the bytecode does: for a lambda, and where there is no source."""
    steps: list[Any] = [code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], code.co_flags & 0b1111]
    for instruction in dis.get_instructions(code):
        value = instruction.argval
        if isinstance(value, frozenset):
            value = sorted(map(repr, value))
        steps.append((instruction.opname, "code" if inspect.iscode(value) else value))
    return [*steps, code.co_exceptiontable]
