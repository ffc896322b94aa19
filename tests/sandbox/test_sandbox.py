"""Attacks: whatever a submission does, it gains nothing, and the next one is graded as if alone."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.submissions import IMPORTS, RIGHT, descendants, grade_one

from adamw_pset import State
from adamw_pset.checks.run_answer import Stopped, observe
from autograder.assignment.questions import QUESTIONS
from autograder.confined import messages
from autograder.sandbox import sandbox
from autograder.sandbox.sandbox import Sandbox, SandboxError

WRONG = (
    "def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):\n    return theta, state\n"
)


def rule(body: str) -> str:
    """An ``adamw`` that does something else before it gives back θ unchanged."""
    head = "def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):\n"
    return head + textwrap.indent(textwrap.dedent(body).strip() + "\nreturn theta, state\n", "    ")


def attacking(first: str, answer: str) -> str:
    """``answer``, and ``first`` so that it runs when the answer is defined: it needs what comes of it."""
    if not first:
        return answer
    head, body = answer.split("\n", 1)
    lines = textwrap.indent(textwrap.dedent(first).strip(), "        ")
    attack = f"def attack():\n    try:\n{lines}\n    except Exception:\n        pass\n    return 1\n"
    return f"{attack}attacked = attack()\n{head}\n    attacked\n{body}"


SAY = """
        import os, struct, msgspec
        def say(value):
            packed = msgspec.msgpack.encode(value)
            os.write(3, struct.pack(">Q", len(packed)) + packed)
        """

# name: (code that runs when the answer is defined, the answer)
ATTACKS = {
    "patched comparisons": (
        """
        import numpy, torch
        numpy.isclose = numpy.allclose = numpy.array_equal = lambda *a, **k: True
        torch.equal = torch.allclose = lambda *a, **k: True
        """,
        WRONG,
    ),
    "an object that equals everything": (
        """
        global Same
        class Same(float):
            def __eq__(self, other): return True
            def __sub__(self, other): return 0.0
            def __array__(self, *a, **k): return numpy.zeros(3)
        """,
        rule("return Same(), state"),
    ),
    "a tensor that equals everything": (
        """
        global Same
        class Same(torch.Tensor):
            @classmethod
            def __torch_function__(cls, f, types, args=(), kwargs=None): return torch.zeros(3)
        """,
        rule("return Same(), state"),
    ),
    "IPython transformers": (
        """
        from IPython import get_ipython
        get_ipython().ast_transformers.append(object())
        """,
        WRONG,
    ),
    "display hooks": ("import sys\nsys.displayhook = lambda value: print(10)\nsys.excepthook = print\n", WRONG),
    "frames": (
        "",
        rule("""
        import sys
        frame = sys._getframe()
        while frame:
            for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
                if name in ("expected", "worked", "reference", "inputs", "right"):
                    return value[0]["theta"][0], state
            frame = frame.f_back
        """),
    ),
    "the garbage collector": (
        "",
        rule("""
        import gc
        for thing in gc.get_objects():
            if isinstance(thing, dict) and ("expected" in thing or "mistakes" in thing):
                return thing["expected"], state
            if callable(thing) and getattr(thing, "__module__", "") .startswith("adamw_pset.optimizers") \\
                    and getattr(thing, "__name__", "") == "adamw":
                return thing(theta, grad, state, lr=lr, weight_decay=weight_decay, beta1=beta1,
                             beta2=beta2, eps=eps)
        """),
    ),
    "the answers of the package": (
        "",
        rule("""
        from adamw_pset.optimizers import adamw as known
        return known(theta, grad, state, lr=lr, weight_decay=weight_decay, beta1=beta1, beta2=beta2, eps=eps)
        """),
    ),
    "the answers from the disk": (
        "",
        rule("""
        import os
        for folder, inside, files in os.walk("/"):
            inside[:] = [name for name in inside if name not in ("usr", "proc", "lib", "lib64", "include", "share")]
            for file in files:
                if file in ("worked_numbers.json", "questions.py", "grade.py", "gradebook.db", "seed.txt"):
                    raise AssertionError('REACHED', folder + "/" + file)
        """),
    ),
    "torch.optim": (
        "",
        rule("""
        p = torch.nn.Parameter(theta.clone())
        p.grad = grad.clone()
        torch.optim.AdamW([p], lr=lr, weight_decay=weight_decay / lr).step()
        return p.detach(), state
        """),
    ),
    "torch.optim's functional form": (
        "",
        rule("""
        from torch.optim.adamw import adamw as known
        known([theta], [grad], [state.m], [state.v], [], [torch.tensor(1.0)], foreach=False)
        """),
    ),
    "the kin of torch.optim": ("", rule("torch.optim.NAdam([torch.nn.Parameter(theta)], lr=lr).step()")),
    "torch's fused kernel": (
        "",
        rule("""
        torch._fused_adamw_([theta], [grad], [state.m], [state.v], [], [torch.tensor(1.0)], lr=lr, beta1=beta1,
                            beta2=beta2, weight_decay=weight_decay / lr, eps=eps, amsgrad=False, maximize=False)
        """),
    ),
    "torch's fused kernel by its C++ name": (
        "",
        rule("""
        torch.ops.aten._fused_adamw_([theta], [grad], [state.m], [state.v], [], [torch.tensor(1.0)], lr=lr,
            beta1=beta1, beta2=beta2, weight_decay=weight_decay / lr, eps=eps, amsgrad=False, maximize=False)
        return theta, State(1, state.m, state.v)
        """),
    ),
    "scikit-learn's Adam": (
        "",
        rule("""
        from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
        AdamOptimizer([theta.numpy()], lr).update_params([theta.numpy()], [grad.numpy()])
        """),
    ),
    "scikit-learn's Adam as it was compiled": (
        "",
        rule("""
        import marshal, os, sklearn.neural_network
        for folder, _, files in os.walk(os.path.dirname(sklearn.neural_network.__file__)):
            for file in files:
                if file.startswith("_stochastic") and file.endswith(".pyc"):
                    marshal.loads(open(os.path.join(folder, file), "rb").read()[16:])
                    raise AssertionError('REACHED', file)
        """),
    ),
    "listmount and statmount": (
        "",
        rule("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        for number in (457, 458):
            if libc.syscall(number, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1:
                raise AssertionError('REACHED', number, ctypes.get_errno())
        """),
    ),
    "the network": ("", rule("import socket\nsocket.create_connection(('127.0.0.1', 80), 1)")),
    "a program": ("", rule("import subprocess\nsubprocess.run(['true'], check=True)")),
    "a fork": ("", rule("import os\nos.fork()")),
    "a fork bomb": ("", rule("import os\nwhile True: os.fork()")),
    "a fork bomb of threads": (
        "",
        rule("""
        import threading, time
        while True: threading.Thread(target=time.sleep, args=(60,)).start()
        """),
    ),
    "a fork bomb of small threads": (
        "",
        rule("""
        import _thread, time
        _thread.stack_size(32768)
        while True: _thread.start_new_thread(time.sleep, (60,))
        """),
    ),
    "shared memory that no limit counts": (
        "",
        rule("""
        import ctypes, platform
        call = ctypes.CDLL(None, use_errno=True).syscall
        for number in {"x86_64": [29, 64, 68, 240], "aarch64": [194, 190, 186, 180]}[platform.machine()]:
            if call(number, 0, 1 << 20, 0o1600, 0, 0, 0) >= 0: raise AssertionError("REACHED", number)
        """),
    ),
    "system calls by their numbers": (
        "",
        rule("""
        import ctypes, platform
        call = ctypes.CDLL(None, use_errno=True).syscall
        numbers = {"x86_64": [57, 58, 59, 41, 101, 165, 272, 308, 310, 319, 321, 0x40000039],
                   "aarch64": [221, 198, 117, 40, 97, 268, 270, 279, 280]}[platform.machine()]
        clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
        for number, first in [*((n, 0) for n in numbers), (clone, 17), (clone, 0x10000011), (425, 8), (435, 0), (438, 0)]:
            if call(number, first, 0, 0, 0, 0, 0) >= 0: raise AssertionError("REACHED", number)
        """),
    ),
    "brackets without end": ("", "x = " + "(" * 50_000 + "\n" + WRONG),
    "many files": ("", rule("for i in range(10**6): open(str(i), 'wb').write(bytes(1 << 20))")),
    "killing the parent": ("", rule("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(-1, 9)")),
    "killing itself": ("", rule("import os\nos.kill(os.getpid(), 9)\nos._exit(0)")),
    "leaving in silence": ("import os\nos._exit(0)", WRONG),
    "a crash of the interpreter": ("", rule("import ctypes\nctypes.string_at(0)")),
    "much memory": ("", rule("kept = [bytearray(1 << 28) for _ in range(64)]")),
    "much recursion": ("", rule("def f(n): return f(n + 1)\nimport sys\nsys.setrecursionlimit(10**9)\nf(0)")),
    "much output": (
        "print('x' * (200 << 20))",
        rule("import sys\nfor _ in range(200): sys.__stdout__.write('x' * (1 << 20))"),
    ),
    "a large result": ("", rule("return torch.zeros(1 << 26), state")),
    "a long list": ("", rule("return [theta] * (1 << 20), state")),
    "a nested result": ("", rule("x = []\nfor _ in range(900): x = [x]\nreturn x, state")),
    "writing where it should not": (
        "",
        rule("""
        import os
        done = []
        for path in ("/room/autograder/confined/worker.py", "/room/x", "/usr/x", "/tmp/../x", "/etc/x", "/x", "/dev/x", "/dev/shm/x",
                     os.__file__, torch.__file__, "/proc/self/mem"):
            try:
                open(path, "ab").write(b"x")
                done.append(path)
            except OSError:
                pass
        if done: raise AssertionError('REACHED', "could write " + str(done))
        """),
    ),
    "nbgrader's exchange, with what others handed in": (
        "",
        rule("import os\nif os.listdir('/usr/local/share'): raise AssertionError('REACHED')"),
    ),
    "other processes": (
        "",
        rule("""
        import os
        seen = [name for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []
        if seen: raise AssertionError('REACHED', "processes " + str(seen))
        for pid in range(2, 200):
            try: os.kill(pid, 0)
            except ProcessLookupError: continue
            raise AssertionError('REACHED', "process " + str(pid))
        """),
    ),
    "the environment": (
        "",
        rule(
            "import os\nif set(os.environ) - {'LANG', 'HOME', 'TMPDIR', 'OMP_NUM_THREADS', 'PWD', 'LC_CTYPE', 'PYTHONHASHSEED', 'KMP_DUPLICATE_LIB_OK'}: raise AssertionError('REACHED', str(dict(os.environ)))"
        ),
    ),
    "a numpy.py beside the notebook": (
        "import sys\nsys.path.insert(0, '.')\nopen('numpy.py', 'w').write('boom')",
        WRONG,
    ),
    "a forged reply": (SAY + 'say({"type": "Returned", "result": {"score": 10}, "changed": []})', WRONG),
    "a score as the reply": (SAY + 'say({"type": "Returned", "result": 10, "changed": []})', WRONG),
    "an odd introduction": (
        SAY + 'say({"type": "Function", "parameters": [{"name": "theta", "kind": 99}], "is_empty": 0})',
        WRONG,
    ),
    "an introduction that is a list": (SAY + "say([1, 2, 3])", WRONG),
    "a signature that Python does not have": (
        SAY
        + 'say({"type": "Function", "parameters": [{"name": "a", "kind": 4}, {"name": "a", "kind": 0}], "is_empty": False})',
        WRONG,
    ),
    "a death of its own making": (SAY + 'say({"type": "Died", "how": "\\x1b]0;gone\\x07"})', WRONG),
    "nonsense on the line": ("import os\nos.write(3, b'\\xff' * 100)", WRONG),
    "half a message on the line": (
        "import os\nos.write(3, b'\\0' * 7 + b'\\x09abc')\nos.close(3)\nimport time\ntime.sleep(99)",
        WRONG,
    ),
    "patching the worker": (
        """
        import autograder.confined.worker, adamw_pset.checks.run_answer, sys
        autograder.confined.worker.called = lambda *a: autograder.confined.messages.Returned([1, 2], [])
        adamw_pset.checks.run_answer.observe = None
        """,
        WRONG,
    ),
    "an endless loop": ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)", rule("while True: pass")),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gains_nothing_and_hurts_no_one(name: str, box: Sandbox) -> None:
    finding = grade_one(box, "adamw", attacking(*ATTACKS[name]))
    assert finding.mistake, finding
    assert "REACHED" not in finding.message, finding
    for question in ("adamw", "best_accuracy"):  # whoever comes next
        assert grade_one(box, question, RIGHT[question]).message == "Right."


LEAVING = "open('left', 'w').write('for a friend')\nopen('/tmp/left', 'w').write('x')\nimport os\nos.mkdir('sub')"
FINDING = """
import os
left = [name for place in (".", "/tmp", "/dev/shm") for name in os.listdir(place) if not name.startswith("ipython-")]
if left: raise AssertionError('REACHED', str(left))
"""


def test_a_submission_leaves_nothing_for_the_next(box: Sandbox) -> None:
    for first, reached in ((LEAVING, False), (LEAVING + FINDING, True), (FINDING, False)):
        assert ("REACHED" in grade_one(box, "adamw", rule(first)).message) == reached


FUSED = "[theta], [grad], [state.m], [state.v], [], [torch.tensor(1.0)]"
OPTIONS = "lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay / lr, eps=eps, amsgrad=False, maximize=False"
ROADS = {  # to torch's own AdamW
    "the C++ operator": ("", f"torch.ops.aten._fused_adamw_({FUSED}, {OPTIONS})"),
    "a refusal taken back": (
        "import sys\nfor library in sys.modules['autograder.confined.worker'].kept_alive: library._destroy()",
        f"torch.ops.aten._fused_adamw_({FUSED}, {OPTIONS})",
    ),
    "a refusal found and taken back": (
        "import gc, torch\nfor thing in gc.get_objects():\n    if type(thing).__name__ in ('Library', '_DispatchModule'): getattr(thing, '_destroy', thing.reset)()",
        f"torch.ops.aten._fused_adamw_({FUSED}, {OPTIONS})",
    ),
    "the one that is not in place": ("", f"torch.ops.aten._fused_adamw({FUSED}, {OPTIONS})"),
    "torch's table of functions": ("", f"torch._C._VariableFunctions._fused_adamw_({FUSED}, {OPTIONS})"),
    "the compiler's table": ("", f"torch._C._jit_get_operation('aten::_fused_adamw_')[0]({FUSED}, {OPTIONS})"),
    "lr as a tensor": (
        "",
        f"torch.ops.aten._fused_adamw_.tensor_lr({FUSED}, {OPTIONS.replace('lr=lr', 'lr=torch.tensor(lr)')})",
    ),
}


@pytest.mark.parametrize("name", ROADS)
def test_no_road_leads_to_torch_s_own_adamw(name: str, box: Sandbox) -> None:
    first, call = ROADS[name]
    finding = grade_one(box, "adamw", attacking(first, rule(f"{call}\nreturn theta, State(1, state.m, state.v)")))
    assert "computes this: write it yourself" in finding.message, finding


BLOCKED = [
    "torch.optim",
    "torch.optim's functional form",
    "the kin of torch.optim",
    "torch's fused kernel",
    "torch's fused kernel by its C++ name",
    "scikit-learn's Adam",
    "the answers of the package",
]


TABLE_ROADS = {  # to what the package works out of a table itself
    "the card": "from adamw_pset import tuning_card\n    return tuning_card(table).iloc[0, 0]",
    "a map's means": "from adamw_pset.maps.plots import _means\n    return _means(table, 'val_accuracy').max()",
    "the card's maps": "from adamw_pset.maps.measures import accuracy_maps\n    return accuracy_maps(table)[2].mean(0).max()",
    "a map in words": "from adamw_pset.maps import plots\n    return float(plots.describe(table).split('Best ')[1][:5])",
}


@pytest.mark.parametrize("name", TABLE_ROADS)
def test_the_package_s_own_measures_are_off_limits_in_check_and_in_the_grader(name: str, box: Sandbox) -> None:
    source = f"def best_accuracy(table):\n    {TABLE_ROADS[name]}\n"
    assert "computes this: write it yourself" in grade_one(box, "best_accuracy", source).message
    space: dict[str, Any] = {}
    exec(source, space)
    seen = observe("function", QUESTIONS["best_accuracy"].inputs(), space["best_accuracy"])
    assert seen.event is not None
    assert seen.event.id == "off_limits"


@pytest.mark.parametrize("name", BLOCKED)
def test_delegation_gets_a_readable_reason(name: str, box: Sandbox) -> None:
    assert "computes this: write it yourself" in grade_one(box, "adamw", ATTACKS[name][1]).message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("while True: pass", "takes too long"),
        ("kept = [bytearray(1 << 28) for _ in range(64)]", "more memory"),
        ("import os\nos._exit(7)", "nothing ends Python"),
        ("import ctypes\nctypes.CDLL(None)._exit(7)", "exit 7"),
        (
            "import _thread, time\n_thread.stack_size(32768)\n"
            "while True:\n    try: _thread.start_new_thread(time.sleep, (60,))\n    except RuntimeError: time.sleep(1)",
            "too many threads",
        ),
        ("import ctypes\nctypes.string_at(0)", "signal 11"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyError('k')", "KeyError: 'k'\n    line 2:  raise KeyError('k')"),
    ],
)
def test_a_crash_is_told_as_what_it_was(body: str, words: str, box: Sandbox) -> None:
    finding = grade_one(box, "adamw", rule(body))
    assert finding.status == "graded"
    assert words in finding.message


def test_sleeping_is_no_way_out(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "PATIENCE", 5.0)
    finding = grade_one(box, "adamw", rule("import time\ntime.sleep(99)"))
    assert finding.mistake == "timed_out"


def test_a_file_can_be_written_and_read(box: Sandbox) -> None:
    before = (
        "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f: print(f.write('x'), f.read())\nfine = f.name\n"
    )
    head, body = RIGHT["adamw"].split("\n", 1)
    assert grade_one(box, "adamw", f"{head}\n    fine.upper()\n{body}", before=before).message == "Right."


def test_prints_and_warnings_cost_nothing(box: Sandbox) -> None:
    noise = (
        "    import sys, warnings\n    print('x' * 10**6)\n    print('y', file=sys.stderr)\n    warnings.warn('z')\n"
    )
    head, body = RIGHT["adamw"].split("\n", 1)
    assert grade_one(box, "adamw", f"{head}\n{noise}{body}", before="1 / 0").message == "Right."


# --- messages ------------------------------------------------------------------------------------------

VALUES = [
    None,
    ...,
    True,
    3,
    -2.5,
    float("inf"),
    "text",
    (1, [2.0, None]),
    torch.arange(6.0, dtype=torch.float64).reshape(2, 3),
    torch.tensor(1.5, dtype=torch.float32),
    torch.tensor([1, 2], dtype=torch.int64),
    torch.zeros(0, 3),
    np.arange(4.0),
    np.array([True, False]),
    State(2, torch.ones(2), torch.zeros(2)),
    pd.DataFrame({"lr": [0.1, 0.2], "name": ["a", "b"], "bad": [True, False]}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_cross_the_wall_unchanged(value: Any) -> None:
    sent = msgspec.msgpack.encode(messages.Returned(messages.pack(value), []))
    back = messages.unpack(messages.decode(sent, messages.Returned).result)
    if isinstance(value, np.ndarray):
        np.testing.assert_array_equal(back, value.astype(float))
    elif isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(back, value)
    elif isinstance(value, torch.Tensor):
        assert back.dtype == value.dtype
        assert torch.equal(back, value)
    elif isinstance(value, State):
        assert isinstance(back, State)
        assert torch.equal(back.m, value.m)
    else:
        assert back == value
        assert type(back) is type(value)


def test_of_other_values_only_the_kind_crosses() -> None:
    frame = pd.DataFrame({"x": [{"a": 1}, {1, 2}]})
    values = [object(), lambda: 1, torch.zeros(1, dtype=torch.complex64), {1, 2}, {"a": 1}, 10**400, frame]
    back = messages.unpack(messages.pack(values))
    names = ["object", "function", "Tensor", "set", "dict", "int", "DataFrame"]
    assert [type(part).__name__ for part in back] == names


def test_a_name_that_is_none_is_not_believed() -> None:
    assert type(messages.unpack(messages.Other("\x1b[2J"))).__name__ == "object"


def test_a_text_crosses_cut_and_in_whole_characters() -> None:
    assert messages.pack("half \ud83d " + "x" * 999) == "half ? " + "x" * (messages.TEXT - 7)


def _forged(value: Any) -> bytes:
    return msgspec.msgpack.encode({"type": "Returned", "result": value, "changed": []})


def _nested(times: int) -> Any:
    value: Any = 1
    for _ in range(times):
        value = {"type": "Sequence", "kind": "list", "items": [value]}
    return value


NUMBERS = {"type": "Numbers", "shape": [1], "data": bytes(8)}
FORGED = {
    "nothing": b"",
    "a byte": b"\0",
    "no msgpack": b"\xff" * 40,
    "half a message": _forged(1)[:-3],
    "more after it": _forged(1) + b"\0",
    "no map": msgspec.msgpack.encode([1, 2]),
    "another kind": msgspec.msgpack.encode({"type": "Hello", "nested": True}),
    "a field more": msgspec.msgpack.encode({"type": "Returned", "result": 1, "changed": [], "score": 10}),
    "places without end": msgspec.msgpack.encode({"type": "Returned", "result": 1, "changed": [0] * 99}),
    "a place before the first": msgspec.msgpack.encode({"type": "Returned", "result": 1, "changed": [-1]}),
    "a name without end": msgspec.msgpack.encode({"type": "Raised", "name": "E" * 3_000_000, "text": "", "where": ""}),
    "half a character": _forged("abc").replace(b"abc", b"\xed\xa0\xbd"),
    "an unknown value": _forged({"type": "Code", "data": b""}),
    "a whole number of 65 bits": _forged(1).replace(b"\xa6result\x01", b"\xa6result\xcf" + b"\xff" * 8),
    "a buffer of another size": _forged(NUMBERS | {"shape": [9]}),
    "a size below 0": _forged(NUMBERS | {"shape": [-1]}),
    "sizes that cancel": _forged(NUMBERS | {"shape": [3_000_000, -3_000_000] * 4}),
    "a product without end": _forged(NUMBERS | {"shape": [1 << 39] * 8}),
    "nine dimensions": _forged(NUMBERS | {"shape": [1] * 9}),
    "a dtype of its own": _forged(NUMBERS | {"type": "TensorOf", "dtype": "os"}),
    "a dtype and a new line": _forged(NUMBERS | {"type": "TensorOf", "dtype": "float64\n"}),
    "a State of one": _forged({"type": "Sequence", "kind": "state", "items": [1]}),
    "lists in lists": _forged(_nested(50)),
    "lists in lists in lists": b"\x91" * 100_000,
    "items without end": _forged({"type": "Sequence", "kind": "list", "items": [0] * 5000}),
    "a frame of frames": _forged({"type": "Table", "columns": {"x": [{"type": "Table", "columns": {}}]}}),
    "columns of several lengths": _forged({"type": "Table", "columns": {"x": [1], "y": [1, 2]}}),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_message_is_refused(name: str) -> None:
    with pytest.raises(messages.Malformed):
        messages.unpack(messages.decode(FORGED[name], messages.Returned, messages.Raised).result)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (messages.Missing, messages.Missing("€" * 600 + "x")),
        (messages.Constant, messages.Constant([messages.Numbers([500_000], bytes(4_000_000))] * 2)),
        (messages.Function, messages.Function([messages.Parameter("x" * 80, 1)] * 65, False)),
    ],
)
def test_a_message_over_its_budget_is_refused(kind: type[messages.Message], message: messages.Message) -> None:
    with pytest.raises(messages.Malformed):
        messages.decode(msgspec.msgpack.encode(message), kind)


def test_a_message_that_announces_too_much_is_not_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack(">Q", 1 << 60))
        with pytest.raises(messages.Malformed, match="a message of"):
            messages.receive(ours, messages.Returned)


def test_without_bubblewrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "sudo apt-get install bubblewrap" in sandbox.missing()


@pytest.fixture(scope="module")
def other_job(box: Sandbox) -> Iterator[Sandbox]:
    """A second sandbox beside ``box``, as a second job has one."""
    with Sandbox() as made:
        yield made


REACHING = {  # for what another job has, at the same time, under the same user
    "signals": "import os\nfor pid in [*range(2, 40_000), -1]:\n    try: os.kill(pid, 9)\n    except OSError: pass",
    "process groups": "import os\nfor group in range(2, 40_000):\n    try: os.killpg(group, 9)\n    except OSError: pass",
    "tracing": "import ctypes\nfor pid in range(1, 999):\n    if ctypes.CDLL(None).ptrace(16, pid, 0, 0) == 0: raise AssertionError('REACHED', pid)",
    "priorities": "import os\nfor pid in range(2, 40_000):\n    try: os.setpriority(os.PRIO_PROCESS, pid, 19)\n    except OSError: continue\n    raise AssertionError('REACHED', pid)",
    "names in shared memory": "import os\nfor folder in ('/dev/shm', '/dev/mqueue', '/run', '/var/tmp'):\n    if os.path.isdir(folder) and os.access(folder, os.W_OK): raise AssertionError('REACHED', folder)",
    "a full disk": "import os\ntry:\n    for i in range(99): open(str(i), 'wb').write(bytes(1 << 20))\nexcept OSError: pass",
    "all the memory": "kept = [bytearray(b'x' * (1 << 26)) for _ in range(64)]",
    "all the threads": "import _thread, time\n_thread.stack_size(32768)\nwhile True: _thread.start_new_thread(time.sleep, (60,))",
}


@pytest.mark.parametrize("name", REACHING)
def test_one_job_s_submission_does_not_reach_another_s(name: str, box: Sandbox, other_job: Sandbox) -> None:
    cells = [
        (1, IMPORTS + "import os, threading\n"),
        (2, RIGHT["weight_decay_factor"]),
        (3, "def left_here():\n    return len(os.listdir('.')), threading.active_count()\n"),
    ]
    with (
        other_job.answer(cells, "weight_decay_factor", [2]) as factor,
        other_job.answer(cells, "left_here", [3]) as left,
    ):
        finding = grade_one(box, "adamw", rule(REACHING[name]))
        assert finding.mistake, finding
        assert "REACHED" not in finding.message, finding
        assert factor.value(0.5, 0.1) == 0.05
        assert left.value() == (0, 1)


def test_a_cell_goes_first_where_memory_ends(box: Sandbox) -> None:
    """The kernel ends what has the highest score; the grader and its worker keep theirs."""
    assert box._process is not None
    with box.answer([(1, RIGHT["counterexample"])], "counterexample", [1]) as answer:
        scores = [int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in descendants(box._process.pid)]
        assert answer.value is not None
    assert sorted(scores)[-1] == 1000
    assert scores.count(1000) == 1


def test_what_differs_from_process_to_process_is_in_no_sentence(box: Sandbox, other_job: Sandbox) -> None:
    """Addresses, the order of sets, random numbers: a regrade says the same."""
    body = (
        "import random\nraise ValueError(object(), {'a', 'b', 'c'}, random.random(), np.random.rand(), torch.rand(1))"
    )
    said = {grade_one(one, "adamw", rule(body)).message for one in (box, other_job)}
    assert len(said) == 1, said


def test_folders_of_killed_graders_are_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    for name in ("grader-dead", "grader-alive", "grader-young", "other"):
        (tmp_path / name / "code").mkdir(parents=True)
        if name != "grader-young":
            os.utime(tmp_path / name, (1, 1))
    alive = os.open(tmp_path / "grader-alive", os.O_RDONLY)
    fcntl.flock(alive, fcntl.LOCK_SH)
    sandbox.clear_away()
    os.close(alive)
    assert {path.name for path in tmp_path.iterdir()} == {"grader-alive", "grader-young", "other"}


def test_a_worker_that_dies_is_replaced(box: Sandbox) -> None:
    assert box._process is not None
    box._process.kill()
    box._process.wait()
    assert grade_one(box, "adamw", RIGHT["adamw"]).message == "Right."


def test_a_worker_that_does_not_start_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has its stderr as well lives on."""
    lasting = "import subprocess, sys; print(subprocess.Popen(['sleep', '300']).pid, file=sys.stderr)"
    monkeypatch.setattr(sandbox, "boot", lambda *_: lasting)
    with pytest.raises(SandboxError, match=r"did not start: \d+$") as said, Sandbox(confined=False):
        pass
    os.kill(int(str(said.value).split()[-1]), 9)  # fails if it has ended


def test_a_cell_that_cannot_be_locked_is_our_fault_and_not_graded(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> None:
        raise Stopped("timed_out")

    monkeypatch.setattr(sandbox.Session, "receive", silent)
    finding = grade_one(box, "adamw", RIGHT["adamw"])
    assert (finding.status, finding.mistake) == ("not graded", "sandbox")


def test_one_worker_an_answer_where_cells_do_not_nest(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "_nested", False)
    assert grade_one(box, "adamw", RIGHT["adamw"]).message == "Right."


@pytest.mark.parametrize(("memory", "mistake"), [(64, "out_of_memory"), (512, "")])
def test_an_answer_has_the_memory_that_was_chosen(memory: int, mistake: str) -> None:
    """A right answer that holds 200 MB for a moment."""
    source = RIGHT["adamw"].replace("    t = state.t", "    held = bytearray(200 << 20)\n    t = state.t", 1)
    with Sandbox(memory=memory) as chosen:
        assert grade_one(chosen, "adamw", source).mistake == mistake
