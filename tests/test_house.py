"""The house: which way imports run, who gets which wings, and what loads when."""

from __future__ import annotations

import ast
import io
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import adamw_pset
from adamw_pset import off_limits, optimizers
from adamw_pset.files import tree_hash
from adamw_pset.registry import DECAY_SYMBOLS, OPTIMIZERS
from adamw_pset.rule import DECAYS, decay_name
from adamw_pset.training import cluster
from adamw_pset.training.grids import ranges
from autograder.assignment import release
from autograder.assignment.places import AUTOGRADER, wings
from autograder.grading import journal
from autograder.platforms import gradescope
from autograder.sandbox import mounts

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "adamw_pset"

# A wing may import itself, what stands on its right, and in adamw_pset the files at the top.
ARROWS = {
    "adamw_pset": {
        "": {""},
        "optimizers": {""},
        "training": {""},
        "maps": {""},
        "checks": {""},
        "cli": {"", "training", "maps", "checks", "optimizers"},
    },
    "autograder": {
        "assignment": set(),
        "confined": set(),
        "sandbox": {"assignment", "confined"},
        "grading": {"assignment", "confined", "sandbox"},
        "returning": {"assignment", "confined", "sandbox", "grading"},
        "platforms": {"assignment", "confined", "sandbox", "grading", "returning"},
        "demo": {"assignment", "confined", "sandbox", "grading", "returning", "platforms"},
        "__main__": {"assignment", "confined", "sandbox", "grading", "returning", "platforms", "demo"},
        "nbgrader_config": {"assignment", "confined", "sandbox", "grading", "returning", "platforms", "demo"},
    },
}
# What of adamw_pset the wings of autograder may hold: nothing beside untrusted code knows an answer.
WITHOUT_ANSWERS = ("confined",)


def imported(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, in a function too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(package: Path, name: str) -> str:
    """The wing, or "" for a shared file at the top, that a dotted name of ``package`` lies in."""
    first = name.split(".")[1] if "." in name else ""
    if first in ("cli", "__main__", "nbgrader_config"):
        return first
    return first if (package / first).is_dir() else ""


def arrows(package: Path) -> Iterator[tuple[str, str, str]]:
    """(wing, imported wing, file) for each import inside ``package``."""
    for path in sorted(package.rglob("*.py")):
        here = path.relative_to(package.parent).with_suffix("")
        if here.parts[1] in ("submitted", "release", "autograded", "feedback"):  # of a course that is kept here
            continue
        wing = room(package, ".".join(here.parts))
        for name in imported(path):
            if name.split(".")[0] == package.name:
                yield wing, room(package, name), str(path.relative_to(ROOT))


@pytest.mark.parametrize("package", [PACKAGE, AUTOGRADER], ids=lambda path: path.name)
def test_imports_run_one_way(package: Path) -> None:
    allowed = ARROWS[package.name]
    wrong = {(w, to, file) for w, to, file in arrows(package) if to not in allowed.get(w, set()) | {w}}
    assert not wrong
    assert {wing for wing, *_ in arrows(package)} <= set(allowed) | {""}


def test_nothing_but_the_staff_s_side_imports_the_answers() -> None:
    for path in [*PACKAGE.rglob("*.py"), *(AUTOGRADER / "confined").rglob("*.py")]:
        if path.is_relative_to(PACKAGE / "optimizers") or path == PACKAGE / "cli.py":
            continue  # the command line says in words that they are not installed
        assert not [name for name in imported(path) if name.startswith("adamw_pset.optimizers")], path


def test_an_arrow_the_wrong_way_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PACKAGE, tmp_path / "adamw_pset")
    (tmp_path / "adamw_pset" / "maps" / "more.py").write_text("from adamw_pset.training.loop import train\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    with pytest.raises(AssertionError, match="training"):
        test_imports_run_one_way(tmp_path / "adamw_pset")


# --- whole wings: each is told of a file by its being there ----------------------------------------------


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both packages somewhere else, a new file in a new folder of every wing, strays in no wing."""
    ignore = shutil.ignore_patterns("__pycache__", "submitted", "autograded", "release")
    for package in (PACKAGE, AUTOGRADER):
        shutil.copytree(package, tmp_path / package.name, ignore=ignore)
        for wing in [path.parent for path in (tmp_path / package.name).glob("*/__init__.py")]:
            (wing / "deeper").mkdir()
            (wing / "deeper" / "new.py").write_text("NEW = 1\n")
    (tmp_path / "autograder" / "students.json").write_text('["ada", "ben"]')
    (tmp_path / "autograder" / "submitted").mkdir()
    (tmp_path / "autograder" / "submitted" / "ada.py").write_text("x = 1\n")
    monkeypatch.setattr(adamw_pset, "__file__", str(tmp_path / "adamw_pset" / "__init__.py"))
    for module in (gradescope, journal, mounts):
        monkeypatch.setattr(module, "AUTOGRADER", tmp_path / "autograder")
    for module in (journal, mounts):
        monkeypatch.setattr(module, "PACKAGE", tmp_path / "adamw_pset")
    monkeypatch.setattr("autograder.assignment.places.AUTOGRADER", tmp_path / "autograder")
    monkeypatch.setattr(gradescope, "SOURCE", tmp_path / "autograder" / "source" / "explore_Adam.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_gradescope_gets_the_wings_and_nothing_else(copied: Path) -> None:
    names = set(gradescope.archive(copied / "grader.zip"))
    assert {f"autograder/{wing.name}/deeper/new.py" for wing in wings()} <= names
    assert {f"adamw_pset/{name}/deeper/new.py" for name in ("checks", "maps", "optimizers", "training")} <= names
    assert not [name for name in names if "students" in name or "submitted" in name]
    with zipfile.ZipFile(copied / "grader.zip") as archive:
        assert archive.read("autograder/assignment/bundle/explore_Adam.ipynb").startswith(b"{")


def test_the_sandbox_gets_the_wing_beside_untrusted_code_and_no_other(copied: Path) -> None:
    mounts.stage(copied / "room")
    code = copied / "room" / "code"
    assert (code / "autograder" / "confined" / "deeper" / "new.py").exists()
    assert sorted(path.name for path in (code / "autograder").iterdir()) == ["__init__.py", "confined"]
    for wing in off_limits.OURS:
        for path in (code / wing.replace(".", "/")).rglob("*.py"):
            assert "sqrt" not in path.read_text(), path


def test_the_bundle_gets_all_but_the_answers(copied: Path) -> None:
    release.fill(copied / "bundle")
    there = {str(path.relative_to(copied / "bundle")) for path in (copied / "bundle").rglob("*.py")}
    assert {f"adamw_pset/{wing}/deeper/new.py" for wing in ("checks", "maps", "training")} <= there
    assert not [name for name in there if "optimizers" in name or "autograder" in name]


@pytest.mark.parametrize(
    "file",
    [
        "adamw_pset/checks/deeper/new.py",
        "adamw_pset/optimizers/__init__.py",
        "adamw_pset/rule.py",
        "autograder/assignment/questions.py",
        "autograder/assignment/mistakes/decay.py",
        "autograder/confined/deeper/new.py",
        "autograder/grading/submission.py",
        "autograder/sandbox/sandbox.py",
        "autograder/source/explore_Adam.py",
    ],
)
def test_a_finding_depends_on_the_whole_of_what_sees_and_judges(file: str, copied: Path) -> None:
    judged_by = journal.judged_by.__wrapped__
    before = judged_by()
    assert judged_by() == before
    with open(copied / file, "a") as changed:
        changed.write("# another line\n")
    assert judged_by() != before


def test_points_and_pages_are_no_part_of_a_finding(copied: Path) -> None:
    before = journal.judged_by.__wrapped__()
    for file in ("points.toml", "returning/feedback.py", "platforms/canvas.py"):
        with open(copied / "autograder" / file, "a") as changed:
            changed.write("# another line\n")
    assert journal.judged_by.__wrapped__() == before


def test_a_worker_of_a_cluster_knows_every_file_of_training(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "__file__", str(copied / "adamw_pset" / "training" / "cluster.py"))
    about = cluster.about.__wrapped__
    before = about()
    (copied / "adamw_pset" / "training" / "deeper" / "new.py").write_text("NEW = 2\n")
    assert about() != before


def test_a_hash_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_text("1")
    hashes = [tree_hash(tmp_path / "a")]
    (tmp_path / "a" / "x.py").rename(tmp_path / "a" / "y.py")
    hashes.append(tree_hash(tmp_path / "a"))
    (tmp_path / "a" / "y.py").write_text("2")
    hashes.append(tree_hash(tmp_path / "a"))
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "y.pyc").write_text("compiled")
    assert len(set(hashes)) == 3
    assert tree_hash(tmp_path / "a") == hashes[-1]


# --- the registry, and what loads when -------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_of_the_registry_is_a_rule_with_its_ranges(name: str) -> None:
    row = OPTIMIZERS[name]
    assert decay_name(getattr(optimizers, name)) == row.decay
    assert row.decay in DECAY_SYMBOLS
    for scale_invariant in (True, False):
        for low, high in ranges(name, scale_invariant):
            assert 0 < low < high


def test_every_decay_has_a_symbol_and_every_rule_with_a_decay_a_row() -> None:
    assert set(DECAY_SYMBOLS) == set(DECAYS)
    rules = [name for name, rule in vars(optimizers).items() if getattr(rule, "__module__", "") == optimizers.__name__]
    assert set(rules) - {"adam", "rmsprop"} == set(OPTIMIZERS)


def test_a_rule_without_a_row_is_told_to_give_its_ranges() -> None:
    with pytest.raises(ValueError, match="no ranges are known for mine: give --lrs"):
        ranges("mine")


def loaded(code: str) -> set[str]:
    """The modules that are loaded after ``code`` ran in a fresh interpreter."""
    program = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "pandas", "matplotlib", "seaborn", "scipy", "sklearn"}


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import adamw_pset, adamw_pset.cli", set()),
        ("from adamw_pset import State", {"torch"}),
        ("from adamw_pset import check", {"torch", "pandas"}),
        ("from adamw_pset import sweep, make_data", {"torch", "pandas"}),
        ("from autograder.confined import worker", {"torch", "pandas"}),
    ],
)
def test_plots_and_statistics_load_when_they_are_used(code: str, heavy: set[str]) -> None:
    assert loaded(code) & HEAVY == heavy


def test_every_public_name_is_there() -> None:
    for name in adamw_pset.__all__:
        assert getattr(adamw_pset, name) is not None
    with pytest.raises(AttributeError):
        _ = adamw_pset.nothing_of_this_name


def test_a_wheel_holds_all_that_the_commands_need(tmp_path: Path) -> None:
    """Source, templates, harness and what links lead to are in the package, so it works in any folder."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
        ".",
    ]
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv*", "build", "*.egg-info"))
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as archive:
        names = set(archive.namelist())
        assert b'"cells"' in archive.read("autograder/assignment/bundle/explore_Adam.ipynb")
    for path in ("source/explore_Adam.py", "source/explore_Adam/explore_Adam.ipynb", "points.toml"):
        assert f"autograder/{path}" in names
    for package in (PACKAGE, AUTOGRADER):
        for wing in package.glob("*/__init__.py"):
            for path in wing.parent.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts and path.name[0] != ".":
                    assert str(path.relative_to(ROOT)) in names
