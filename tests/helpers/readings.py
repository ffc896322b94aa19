"""Situations that a notebook may be in, in which the grader and a kernel should agree."""

from __future__ import annotations

import textwrap

from autograder.grading.finding import NOT_GRADED

F = "weight_decay_factor"
IMPORTS = "import os, sys\nimport numpy as np\nimport torch\nfrom adamw_pset import State, check, sweep, make_data\n"
R = f"def {F}(l2, lr):\n    return l2 * lr\n"
W = f"def {F}(l2, lr):\n    return l2 + lr\n"
C = f'check("{F}", {F})'
HELPED = f"def {F}(l2, lr):\n    return helper(l2, lr)\n"
HELPER = "def helper(a, b):\n    return a * b\n"
OTHER = "def helper(a, b):\n    return a\n"
PERSON = NOT_GRADED  # what a person is asked


class Own(str):
    """The source of a cell that carries the question's id; other cells are the student's own."""


class Text(Own):
    """Such a cell, retyped to Markdown."""


def indented(source: str, by: str = "    ") -> str:
    return textwrap.indent(source, by)


def defining(first: str) -> str:
    """A right answer that uses ``helper``, below something that makes it."""
    return first + "\n" + HELPED


# name: (whether it is right, cells).  The notebook's own imports stand before them.
ALIKE: dict[str, tuple[bool, list[str]]] = {
    "plain": (True, [R, C]),
    "wrong": (False, [W, C]),
    "open": (False, [Own(f"{F} = ..."), C]),
    "no check": (True, [Own(R)]),
    # --- what IPython makes of a cell
    "a line magic": (True, ["%matplotlib inline\n" + R, C]),
    "a magic that only a kernel has": (True, ["%autosave 0\n" + R, C]),
    "%%time": (True, ["%%time\n" + R, C]),
    "%%capture": (True, ["%%capture\n" + R, C]),
    "%%capture with a name": (True, ["%%capture kept\n" + R, C]),
    "%%timeit": (False, [Own("%%timeit -n1 -r1\n" + R), C]),
    "%timeit": (True, ["%timeit -n1 -r1 1 + 1\n" + R, C]),
    "a shell line": (True, ["!true\n" + R, C]),
    "a shell line with a result": (True, ["files = !true\n" + R, C]),
    "%%bash before": (True, ["%%bash\ntrue\n", R, C]),
    "an unknown cell magic": (False, ["%%nothing_of_that_name\n" + R, C]),
    "help after": (True, ["len?\n" + R, C]),
    "help before": (True, ["?len\n" + R, C]),
    "more help": (True, ["np.diag??\n" + R, C]),
    "an indented cell": (True, [indented(R), C]),
    "tabs": (True, [R.replace("    ", "\t"), C]),
    "prompts of Python": (True, [">>> " + R.strip().replace("\n", "\n... "), C]),
    "prompts of IPython": (True, ["In [3]: " + R.strip().replace("\n", "\n   ...: "), C]),
    "a line that begins with !=": (True, [f"def {F}(l2, lr):\n    assert (\n        l2\n        != -1\n    )\n    return l2 * lr", C]),
    "a line that begins with %": (True, [f"x = (7\n% 4)\ndef {F}(l2, lr):\n    return l2 * lr * x / 3", C]),
    "a text that looks like a magic": (True, ['x = """\n%%bash\n!ls\n"""\n' + R, C]),
    "a line separator in a comment": (True, ["# as on the slide\u2028page 7\n" + R, C]),
    "a no-break space": (False, [R.replace("    ", "\u00a0   "), C]),
    "top-level await": (True, ["import asyncio\nawait asyncio.sleep(0)\n" + R, C]),
    "the value of the cell before": (True, ["3", f"x = _\ndef {F}(l2, lr):\n    return l2 * lr * x / 3", C]),
    "a semicolon at the end": (True, [R, C + ";"]),
    "get_ipython": (True, [f"get_ipython().run_cell({R!r})", C]),
    "display": (True, ["display(np.eye(2))\n" + R, C]),
    "a figure": (True, ["import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])\nplt.show()\n" + R, C]),
    "a module written and imported": (True, ["%%writefile own_module_of_a_test.py\n" + HELPER, "from own_module_of_a_test import helper\n" + HELPED, C]),
    # --- namespaces
    "a star import": (True, ["from math import *", f"def {F}(l2, lr):\n    return exp(log(l2 * lr))", C]),
    "the package's star import": (True, ["from adamw_pset import *\n" + R, C]),
    "the package's check": (True, [R, f"import adamw_pset as p\np.check({F!r}, {F})"]),
    "globals()": (True, [f"globals()[{F!r}] = lambda l2, lr: l2 * lr", C]),
    "exec": (True, [f"exec({R!r})", C]),
    "a registry": (True, [f"ALL = {{}}\ndef kept(f):\n    ALL[f.__name__] = f\n    return f\n@kept\n{R}", f"{F} = ALL[{F!r}]\n" + C]),
    "a dict filled by a call": (True, ["P = {}\ndef fill(d): d['x'] = 1\nfill(P)", f"def {F}(l2, lr):\n    return l2 * lr * P['x']", C]),
    "a list filled in a loop": (True, ["L = []\nfor k in range(3):\n    L.append(k)", f"def {F}(l2, lr):\n    return l2 * lr * L[1]", C]),
    "a dataclass": (True, ["from dataclasses import dataclass\n@dataclass\nclass K:\n    one: float = 1.0\nk = K()", f"def {F}(l2, lr):\n    return l2 * lr * k.one", C]),
    "a dataclass of strings": (True, ["from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass K:\n    one: float = 1.0\n", f"def {F}(l2: Nothing, lr):\n    return l2 * lr * K().one", C]),
    "an annotation of nothing": (False, [R.replace("l2,", "l2: Nothing,"), C]),
    "an enum": (True, ["import enum\nclass E(enum.Enum):\n    ONE = 1\n", f"def {F}(l2, lr):\n    return l2 * lr * E.ONE.value", C]),
    "a pickled class": (True, ["import pickle\nclass K:\n    one = 1\nk = pickle.loads(pickle.dumps(K()))", f"def {F}(l2, lr):\n    return l2 * lr * k.one", C]),
    "the main module": (True, [HELPER, f"import __main__\ndef {F}(l2, lr):\n    return __main__.helper(l2, lr)", C]),
    "a lambda": (True, [f"{F} = lambda l2, lr: l2 * lr", C]),
    "a walrus": (True, [f"({F} := lambda l2, lr: l2 * lr)", C]),
    "a partial": (True, [HELPER, f"import functools\n{F} = functools.partial(helper)", C]),
    "a cache": (True, ["import functools\n@functools.lru_cache\n" + R, C]),
    "an object that can be called": (True, [f"class K:\n    def __call__(self, l2, lr):\n        return l2 * lr\n{F} = K()", C]),
    "a static method": (True, [f"class K:\n    @staticmethod\n    def f(l2, lr):\n        return l2 * lr\n{F} = K.f", C]),
    "a closure": (True, [f"def made(k):\n    return lambda l2, lr: k * l2 * lr\n{F} = made(1)", C]),
    "a default that is bound anew": (True, [f"k = 1\ndef {F}(l2, lr, k=k):\n    return k * l2 * lr\nk = 5", C]),
    "defined in an if": (True, [f"if sys.version_info > (3,):\n{indented(R)}else:\n{indented(W)}", C]),
    "defined in a try": (True, [f"try:\n    import nothing_of_that_name\nexcept ImportError:\n{indented(R)}", C]),
    "defined in a with": (True, [f"with open(os.devnull):\n{indented(R)}", C]),
    "defined in a loop": (True, [f"for k in (0, 1):\n    def {F}(l2, lr, k=k):\n        return k * l2 * lr", C]),
    "defined in a match": (True, [f"match 3:\n    case 3:\n{indented(R, '        ')}", C]),
    # --- order
    "a helper in its own cell": (True, [HELPER, HELPED, C]),
    "a helper below": (True, [HELPED, HELPER, C]),
    "a helper after the check": (True, [HELPED, C, HELPER]),
    "a helper of the same name later": (True, [HELPER, HELPED, C, OTHER]),
    "a helper of the same name before": (False, [HELPER, OTHER, HELPED, C]),
    "no helper": (False, [HELPED, C]),
    "a helper that is deleted": (False, [HELPER, HELPED, "del helper", C]),
    "a helper in a cell that fails before it": (False, ["1 / 0\n" + HELPER, HELPED, C]),
    "a builtin bound later": (True, [f"def {F}(l2, lr):\n    return sum([l2 * lr])", C, "sum = 0"]),
    "a builtin bound before": (False, ["sum = 0", f"def {F}(l2, lr):\n    return sum([l2 * lr])", C]),
    "answered below": (True, [Own(f"{F} = ..."), C, R]),
    "right, then wrong": (True, [R, C, W]),
    "wrong, then right": (True, [W, C, R, C]),
    "wrong, then right, not checked again": (True, [W, C, R]),
    "another name is checked": (True, ["def mine(l2, lr):\n    return l2 * lr", f"check({F!r}, mine)"]),
    "a copy of the cell": (True, [R, R, C]),
    "wrong and right in one cell": (True, [W + R, C]),
    # --- cells that fail
    "a failure before": (True, ["1 / 0", R, C]),
    "a failure above it in its cell": (False, ["1 / 0\n" + R, C]),
    "a failure below it in its cell": (True, [R + "1 / 0\n", C]),
    "a cell that cannot be read": (True, ["def broken(:\n", R, C]),
    "its cell cannot be read": (False, [R.replace("(l2, lr):", "(l2, lr:"), C]),
    "mended below": (True, [R.replace("(l2, lr):", "(l2, lr:"), R, C]),
    "a SystemExit": (True, ["raise SystemExit", R, C]),
    "an interrupt": (True, ["raise KeyboardInterrupt", R, C]),
    "a question to the student": (True, ["name = input()", R, C]),
    "a check that fails in its cell": (True, [W + C, R]),
    # --- settings
    "errors of numpy": (True, ["np.seterr(all='raise')\n" + R, C]),
    "warnings as errors": (True, ["import warnings\nwarnings.simplefilter('error')\n" + R, C]),
    "another type by default": (True, ["torch.set_default_dtype(torch.float64)\n" + R, C]),
    "a thread that is left": (True, ["import threading, time\nthreading.Thread(target=time.sleep, args=(2,), daemon=True).start()\n" + R, C]),
    "a check of their own": (False, ["def check(*_): print('right')", W, C]),
    "a check of their own, and right": (True, ["def check(*_): print('right')", R, C]),
    "prints": (True, [f"def {F}(l2, lr):\n    print('x' * 10_000)\n    return l2 * lr", C]),
}  # fmt: skip
