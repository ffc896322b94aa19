"""The student's bundle: what is in it, what must not be, and that it works on its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.submissions import RIGHT, counted, notebook

pytest.importorskip("nbgrader", reason="pip install -e .[autograder]")
pytest.importorskip("jupytext", reason="pip install -e .[autograder]")

from autograder.__main__ import main
from autograder.assignment import release
from autograder.assignment.leaks import find_leaks

pytestmark = pytest.mark.filterwarnings("default")  # of nbgrader's own packages


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "explore_Adam"
    assert main(["release", str(folder)]) == 0
    return folder


def test_what_is_in_it(bundle: Path) -> None:
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert {
        "explore_Adam.ipynb",
        "README.md",
        "requirements.txt",
        "constraints.txt",
        "pyproject.toml",
        "LICENSE",
    } <= names
    assert not [name for name in names if "optimizers" in name]
    with zipfile.ZipFile(bundle.with_name("explore_Adam.zip")) as archive:
        assert {name.removeprefix("explore_Adam/") for name in archive.namelist()} == names


def test_made_again_it_is_the_same(bundle: Path) -> None:
    before = bundle.with_name("explore_Adam.zip").read_bytes()
    assert main(["release", str(bundle)]) == 0
    assert bundle.with_name("explore_Adam.zip").read_bytes() == before


LEAKS = {
    "the reference": ("adamw_pset/optimizers/more.py", "x = 1\n", "is not for students"),
    "a grader's file": ("autograder/questions.py", "x = 1\n", "is not for students"),
    "a solution line": (
        "adamw_pset/helpers.py",
        "# M=factor*np.diag(np.diag(G) ** -0.5)",
        "holds a line of the answer to preconditioner",
    ),
    "a function that answers": (
        "adamw_pset/helpers.py",
        "def product(a, b):\n    return b * a\n",
        "product answers weight_decay_factor",
    ),
    "an answer in its cell": ("explore_Adam.ipynb", json.dumps(notebook(RIGHT)), "answers sgdw"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_bundle_that_holds_an_answer_is_not_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text, words = LEAKS[name]
    real = release.fill

    def leaky(folder: Path) -> None:
        real(folder)
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")

    monkeypatch.setattr(release, "fill", leaky)
    assert main(["release", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []  # nothing is left


def test_another_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("important")
    assert main(["release", str(tmp_path)]) == 2
    assert "holds something that is no bundle" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


def test_it_works_on_its_own(bundle: Path) -> None:
    """Its notebook's functions and its command line, with nothing of this repository importable."""
    program = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' in p or 'python3' in p]\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
        f"sys.path.insert(0, {str(bundle)!r})\n"
        "import adamw_pset, adamw_pset.cli\n"
        f"assert adamw_pset.__file__.startswith({str(bundle)!r}), adamw_pset.__file__\n"
        f"sys.exit(adamw_pset.cli.main(['check', {str(bundle / 'explore_Adam.ipynb')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, cwd=bundle)
    assert done.returncode == 1, done.stderr  # nothing is answered yet
    assert counted(0, 0) in done.stdout
    assert done.stderr.splitlines() == [
        f"adamw-pset: running the cells of {bundle / 'explore_Adam.ipynb'}, without its sweeps and figures"
    ]


def test_the_bundle_as_it_is_holds_no_answer(bundle: Path) -> None:
    assert list(find_leaks(bundle)) == []
