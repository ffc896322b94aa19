"""What the worker finds in the sandbox: our few files, stubs for what would be an answer, nothing else.

A read-only system and Python, one empty folder to write to, the wing ``confined`` of this package, and
``adamw_pset`` without its answers.  No network, no other process, no home, no course.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import adamw_pset
from adamw_pset.off_limits import HARMLESS, LIBRARIES, OPTIMIZERS, OURS
from autograder.assignment.places import AUTOGRADER
from autograder.confined.lockdown import SCRATCH

PACKAGE = Path(adamw_pset.__file__).parent
HIDDEN = (*LIBRARIES, "adamw_pset", "autograder", "nbgrader")  # packages that an answer cannot import

EXCHANGE = "/usr/local/share"  # in whose nbgrader/exchange lies what others handed in


def stage(folder: Path) -> None:
    """Put what the worker needs into ``folder``: our wings, and stubs for what would be an answer."""
    code = folder / "code"
    for path, wing in ((PACKAGE, "adamw_pset"), (AUTOGRADER / "confined", "autograder/confined")):
        shutil.copytree(path, code / wing, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    shutil.copy(AUTOGRADER / "__init__.py", code / "autograder")
    for wing in OURS:
        _stub_all(code / _path(wing), wing)
    for library in OPTIMIZERS:
        source, target = _site_packages() / _path(library), folder / "stubs" / _path(library)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            _stub_all(target, library)
        elif source.with_suffix(".py").exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            stubbed = stub(source.with_suffix(".py"), library)
            target.with_suffix(".py").write_text(stubbed, encoding="utf-8")
    (folder / "empty").mkdir()


def _path(module: str) -> str:
    return module.replace(".", "/")


def _stub_all(folder: Path, package: str) -> None:
    """Stubs in the place of a package's modules, but for those that compute nothing of an answer."""
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder).with_suffix("").parts
        module = ".".join((package, *(part for part in parts if part != "__init__")))
        if module not in HARMLESS and re.search(r"^(?:def|class) ", file.read_text(encoding="utf-8"), re.MULTILINE):
            file.write_text(stub(file, module), encoding="utf-8")


def stub(source: Path, module: str) -> str:
    """A module with the names of ``source``; whatever is called in it says that it is off limits."""
    lines = ["from adamw_pset.off_limits import OffLimits, refusal"]
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            refuse = f"raise OffLimits(refusal({f'{module}.{node.name}'!r}))"
            if isinstance(node, ast.FunctionDef):
                lines.append(f"def {node.name}(*args, **kwargs): {refuse}")
                continue
            lines.append(f"class {node.name}:")
            lines.append(f"    def __init__(self, *args, **kwargs): {refuse}")
            lines.append("    def __class_getitem__(cls, item): return cls")
        elif isinstance(node, ast.Assign):
            lines += [f"{target.id} = []" for target in node.targets if isinstance(target, ast.Name)]
    return "\n".join(lines) + "\n"


def bubblewrap(folder: Path) -> list[str]:
    """The command that builds the worker's room around what follows it."""
    command = [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--setenv",
        "LANG",
        "C.UTF-8",
        "--setenv",
        "HOME",
        SCRATCH,
        "--setenv",
        "TMPDIR",
        SCRATCH,
        "--setenv",
        "OMP_NUM_THREADS",
        "1",
        "--setenv",
        "PYTHONHASHSEED",
        "0",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        *_bounded(),
        "--tmpfs",
        SCRATCH,
        "--dir",
        "/room",
    ]
    for place in ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"):
        if os.path.islink(place):
            command += ["--symlink", os.readlink(place), place]
        elif os.path.exists(place):
            command += ["--ro-bind", place, place]
    homes = [place for place in sorted({sys.prefix, sys.base_prefix}) if not Path(place).is_relative_to("/usr")]
    for place in homes:
        command += ["--ro-bind", place, place]
    if not any(Path(place).is_relative_to("/tmp") for place in homes):
        command += ["--symlink", SCRATCH, "/tmp"]
    site = _site_packages()
    for library in OPTIMIZERS:
        for path in (_path(library), f"{_path(library)}.py"):
            if (folder / "stubs" / path).exists():
                command += ["--ro-bind", str(folder / "stubs" / path), str(site / path)]
        compiled = (site / _path(library)).with_name("__pycache__")
        if not (site / _path(library)).is_dir() and compiled.is_dir():  # of a module: a package's goes with its folder
            command += ["--ro-bind", str(folder / "empty"), str(compiled)]
    for library in HIDDEN:
        if (site / library).is_dir():
            command += ["--ro-bind", str(folder / "empty"), str(site / library)]
    if os.path.isdir(EXCHANGE):
        command += ["--ro-bind", str(folder / "empty"), EXCHANGE]
    command += ["--ro-bind", str(folder / "code"), "/room"]
    return [*command, "--chdir", SCRATCH, "--remount-ro", "/", "--remount-ro", "/dev", "--"]


def _bounded() -> list[str]:
    """The size of the folder to write to, for cells that cannot have one of their own (bubblewrap 0.7)."""
    told = subprocess.run(["bwrap", "--help"], capture_output=True, text=True)
    return ["--size", str(16 << 20)] if "--size" in told.stdout + told.stderr else []


def boot(folder: Path, confined: bool) -> str:
    """The program that starts the worker, as text."""
    room = "/room" if confined else str(folder / "code")
    return f"import sys; sys.path.insert(0, {room!r}); from autograder.confined.worker import main; main()"


def _site_packages() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]
