"""What a name needs of a notebook, run by itself: for a notebook whose other work cannot run here."""

from __future__ import annotations

import ast
import dis
import linecache
from collections.abc import Collection, Iterable, Iterator, Sequence
from types import CodeType, ModuleType
from typing import Any, NamedTuple

Namespace = dict[str, Any]


class Ambiguous(Exception):
    """Several cells define a name in different ways, and none of them is its own; ``cells`` are their numbers."""

    def __init__(self, cells: list[int]) -> None:
        super().__init__(f"cells {', '.join(map(str, cells))} define it in different ways")
        self.cells = cells


def by_itself(cells: Iterable[tuple[int, str]], name: str, own: Collection[int]) -> Namespace:
    """What there is after the statements that ``name`` needs have run, in order, and no others.

    ``own`` are the cells that the question set aside: where several cells define the name in different
    ways, the one that stands there is the answer.  Raises ``Ambiguous`` if none or several do.
    """
    statements = parse(cells)
    last = {each.cell: each for each in statements if name in each.binds}  # in each cell the last counts
    candidates = [last[cell] for cell in own if cell in last] or list(last.values())
    ways = {ast.dump(each.node) for each in candidates}
    if len(ways) > 1 and all(isinstance(each.node, ast.FunctionDef) for each in candidates):
        raise Ambiguous(sorted(each.cell for each in candidates))
    if ways and all(isinstance(each.node, ast.FunctionDef) for each in last.values()):
        counts = candidates[0].place
        statements = [each for each in statements if name not in each.binds or each.place == counts]
    namespace = vars(ModuleType("__main__"))
    for each in needed(statements, [name]):
        try:
            exec(each.code, namespace)
        except (Exception, SystemExit):  # whatever a student's code raises: the next may do without it
            continue
    return namespace


class Statement(NamedTuple):
    """A top-level statement: its cell, its place among all, what it binds and what it uses."""

    cell: int
    place: int
    node: ast.stmt
    code: CodeType
    binds: frozenset[str]
    uses: frozenset[str]
    changes: frozenset[str]  # objects that it may change: the x of x.append(1), x[0] = 1


def parse(cells: Iterable[tuple[int, str]]) -> list[Statement]:
    """The statements of numbered cells, as IPython makes Python of them, but for cells that cannot be read."""
    from IPython.core.inputtransformer2 import TransformerManager

    statements: list[Statement] = []
    for number, raw in cells:
        name = f"<cell {number}>"
        try:
            source = TransformerManager().transform_cell(raw)
            linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
            for node in ast.parse(source, name).body:
                code = compile(ast.Module([node], []), name, "exec")
                statements.append(_statement(number, len(statements), node, code))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return statements


def needed(statements: Sequence[Statement], names: Collection[str]) -> list[Statement]:
    """The statements that have to run, in order, for ``names`` to be what the notebook makes them.

    All that bind or change one of the names, or a name that such a statement uses, and so on.
    """
    wanted, places = set(names), set[int]()
    while True:
        more = [s for s in statements if s.place not in places and (s.binds | s.changes) & wanted]
        if not more:
            return [each for each in statements if each.place in places]
        for each in more:
            places.add(each.place)
            wanted |= each.uses


def _statement(cell: int, place: int, node: ast.stmt, code: CodeType) -> Statement:
    binds, uses = set(), set()
    for depth, instruction in _instructions(code):
        if instruction.opname == "STORE_GLOBAL" or (instruction.opname == "STORE_NAME" and depth == 0):
            binds.add(instruction.argval)
        elif instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            uses.add(instruction.argval)
    return Statement(cell, place, node, code, frozenset(binds), frozenset(uses), frozenset(_changes(node)))


def _instructions(code: CodeType, depth: int = 0) -> Iterator[tuple[int, dis.Instruction]]:
    for instruction in dis.get_instructions(code):
        yield depth, instruction
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant, depth + 1)


def _changes(node: ast.stmt) -> Iterator[str]:
    """The x of ``x.append(1)``, ``x[0] = 1`` and ``x.y = 1``, inside of loops and the like too."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.For | ast.While | ast.If | ast.With | ast.Try):
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt):
                yield from _changes(inner)
    for target in targets:
        base = target
        while isinstance(base, ast.Attribute | ast.Subscript):
            base = base.value
        if isinstance(base, ast.Name) and base is not target:
            yield base.id
