"""What makes a rule another rule to a saved table, and what does not."""

from __future__ import annotations

import linecache
from typing import Any

import pytest

from adamw_pset.training.fingerprint import fingerprint

RULE = """
HALF, BETAS = 0.5, (0.9, 0.999)

def half(x):
    return HALF * x

def twice(rule):
    def changed(theta, *, lr):
        return rule(theta, lr=2 * lr)
    return changed

@twice
def rule(theta, *, lr):
    if lr in {"a", "b"}:
        return BETAS
    def step(x):
        return half(x) * lr
    return theta - step(theta)
"""


def marked(text: str, name: str, with_source: bool) -> str:
    """The fingerprint of the function ``rule`` of a notebook that reads ``text``."""
    file = f"<cell {name} {hash(text)}>"
    if with_source:
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    home: dict[str, Any] = {"__name__": "__notebook__"}
    exec(compile(text, file, "exec"), home)
    return fingerprint(home["rule"])


@pytest.mark.parametrize("with_source", [True, False])
@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("return theta", "# towards the minimum\n    return theta", True),
        ("return theta", "\n\n    return theta", True),
        ("theta - step(theta)", "(theta - step( theta ))  # a step", True),
        ("*, lr):\n    if", '*, lr):\n    """A docstring."""\n    if', True),
        ("def step(x):\n", "def step(x):\n        'Another.'\n", True),
        ("def half(x):\n", "def half(x):\n# at the edge\n    '''Half of x.'''\n", True),
        ("theta - step", "theta + step", False),
        ("step(theta)", "step(2.0)", False),
        ("half(x) * lr", "half(x) * -lr", False),
        ('"a", "b"', '"a", "c"', False),
        ("theta, *, lr):\n    if", "theta, *, lr=1.0):\n    if", False),
        ("HALF *", "HALF /", False),
        ("HALF, BETAS = 0.5", "HALF, BETAS = 0.25", False),
        ("(0.9", "(0.8", False),
        ("lr=2 * lr", "lr=3 * lr", False),
        ("@twice\n", "", False),
    ],
)
def test_what_makes_another_rule(old: str, new: str, same: bool, with_source: bool) -> None:
    assert RULE.count(old) == 1
    assert (marked(RULE, "a", with_source) == marked(RULE.replace(old, new), "b", with_source)) is same


def test_lambdas_of_one_line_are_told_apart() -> None:
    line = "rules = (lambda x: x), (lambda x: -x)\nrule = rules[{}]"
    assert marked(line.format(0), "c", True) != marked(line.format(1), "c", True)


def test_a_method_may_hold_a_comment_at_the_edge() -> None:
    text = 'class Rule:\n    def __call__(self, x):\n{}        return x * """\n{}"""\nrule = Rule()\n'
    plain, commented, other = (
        marked(text.format(*parts), "d", True) for parts in (("", "a"), ("# no\n", "a"), ("", "b"))
    )
    assert plain == commented != other
