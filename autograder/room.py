"""What the worker finds in the sandbox: our few files, stubs for what would be an answer, nothing else.

A read-only system and Python, one empty folder to write to, ``worker``, ``jail`` and ``wire`` of this
package, and ``adamw_pset`` without its answers.  No network, no other process, no home, no course.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from autograder.jail import CELL

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "adamw_pset"
BESIDE = ("__init__.py", "worker.py", "jail.py", "wire.py")  # of ours, what is with the student's code
ANSWERS = ("optimizers.py", "preconditioner.py", "tuning.py", "checks.py")
# Files and packages that would do the exercise, where they are installed.
OPTIMIZERS = ("torch/optim", "torch/distributed/optim", "sklearn/neural_network/_stochastic_optimizers.py")
LIBRARIES = (
    "optax", "jax", "flax", "keras", "tensorflow", "timm", "transformers", "bitsandbytes", "apex", "mxnet",
    "paddle", "torch_optimizer", "pytorch_optimizer", "lion_pytorch", "lightning", "pytorch_lightning",
    "tinygrad", "autograder", "nbgrader",
)  # fmt: skip


def stage(folder: Path) -> None:
    """Put what the worker needs into ``folder``: our files, and stubs for what would be an answer."""
    (folder / "code" / "autograder").mkdir(parents=True)
    for name in BESIDE:
        shutil.copy(HERE / name, folder / "code" / "autograder" / name)
    package = folder / "code" / "adamw_pset"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    for name in ANSWERS:
        if (package / name).exists():
            (package / name).write_text(stub(PACKAGE / name, f"adamw_pset.{name[:-3]}"), encoding="utf-8")
    for library in OPTIMIZERS:
        source = _site_packages() / library
        if not source.exists():
            continue
        target = folder / "stubs" / library
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(stub(source, library), encoding="utf-8")
            continue
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        for file in target.rglob("*.py"):
            if file.name not in ("__init__.py", "optimizer.py", "lr_scheduler.py", "swa_utils.py"):
                file.write_text(stub(file, library.replace("/", ".")), encoding="utf-8")
    (folder / "empty").mkdir()


def stub(source: Path, name: str) -> str:
    """A module with the names of ``source``; whatever is called in it says that it is not available."""
    message = f"{name} is not available while grading: write it yourself"
    lines = [
        "class _Refused:",
        "    def __init__(self, *args, **kwargs):",
        f"        raise RuntimeError({message!r})",
        "    def __class_getitem__(cls, item):",
        "        return cls",
        "def _refuse(*args, **kwargs):",
        f"    raise RuntimeError({message!r})",
    ]
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            lines.append(f"class {node.name}(_Refused): pass")
        elif isinstance(node, ast.FunctionDef):
            lines.append(f"{node.name} = _refuse")
        elif isinstance(node, ast.Assign):
            lines += [f"{target.id} = []" for target in node.targets if isinstance(target, ast.Name)]
    return "\n".join(lines) + "\n"


def bubblewrap(folder: Path) -> list[str]:
    """The command that builds the worker's room around what follows it."""
    command = [
        "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
        "--setenv", "LANG", "C.UTF-8", "--setenv", "HOME", CELL, "--setenv", "TMPDIR", CELL,
        "--setenv", "OMP_NUM_THREADS", "1", "--setenv", "PYTHONHASHSEED", "0",
        "--proc", "/proc", "--dev", "/dev", *_bounded(), "--tmpfs", CELL, "--dir", "/room",
    ]  # fmt: skip
    for place in ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"):
        if os.path.islink(place):
            command += ["--symlink", os.readlink(place), place]
        elif os.path.exists(place):
            command += ["--ro-bind", place, place]
    homes = [
        place for place in sorted({sys.prefix, sys.base_prefix}) if not Path(place).is_relative_to("/usr")
    ]
    for place in homes:
        command += ["--ro-bind", place, place]
    if not any(Path(place).is_relative_to("/tmp") for place in homes):
        command += ["--symlink", CELL, "/tmp"]
    site = _site_packages()
    for library in OPTIMIZERS:
        if (folder / "stubs" / library).exists():
            command += ["--ro-bind", str(folder / "stubs" / library), str(site / library)]
    for library in (*LIBRARIES, "adamw_pset"):
        if (site / library).is_dir():
            command += ["--ro-bind", str(folder / "empty"), str(site / library)]
    command += ["--ro-bind", str(folder / "code"), "/room"]
    return [*command, "--chdir", CELL, "--remount-ro", "/", "--remount-ro", "/dev", "--"]


def _bounded() -> list[str]:
    """The size of the folder to write to, for cells that cannot have one of their own (bubblewrap 0.7)."""
    told = subprocess.run(["bwrap", "--help"], capture_output=True, text=True)
    return ["--size", str(16 << 20)] if "--size" in told.stdout + told.stderr else []


def boot(folder: Path, confined: bool) -> str:
    """The program that starts the worker, as text."""
    room = "/room" if confined else str(folder / "code")
    return f"import sys; sys.path.insert(0, {room!r}); from autograder.worker import main; main()"


def _site_packages() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]
