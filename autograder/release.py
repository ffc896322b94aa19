"""The student's bundle: ``python -m autograder release DIR``.

The notebook, ``adamw_pset`` without the answers, pinned requirements, a short README, and the same as a zip
file.  A bundle that holds an answer is not made.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import tomllib
import zipfile
from pathlib import Path

import adamw_pset
from autograder.leaks import LEFT_OUT, Leak, find_leaks

ROOT = Path(__file__).resolve().parents[1]
PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "adamw-pset"
description = "{description}"
version = "{version}"
license = "MIT"
requires-python = "{python}"
dependencies = {dependencies}

[project.optional-dependencies]
notebook = {notebook}

[project.scripts]
adamw-pset = "adamw_pset.cli:main"

[tool.setuptools.packages.find]
include = ["adamw_pset*"]

[tool.setuptools.package-data]
adamw_pset = ["worked_numbers.json"]
"""
README = """# Why AdamW exists: a problem set

With Python {python} or newer, in this folder:

    python3 -m venv .venv
    .venv/bin/python -m pip install -r requirements.txt
    .venv/bin/jupyter lab explore_Adam.ipynb

(On Windows `.venv\\Scripts\\` in the place of `.venv/bin/`.) Then run the cells from top to bottom. In
Colab, upload `explore_Adam.ipynb`, and the zip file of this folder beside it; the first cell installs it.

    .venv/bin/adamw-pset check explore_Adam.ipynb

says which answers are right, which are not yet, and which are open. Save the notebook before you hand it in.
"""


def release(folder: Path) -> list[str]:
    """Make the bundle in ``folder``, and ``folder.zip`` beside it; the names of its files.

    A bundle of an earlier run is replaced.  Raises ``Leak`` if there is an answer in it, and
    ``ValueError`` if ``folder`` holds anything else; nothing is written then.
    """
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if there - {"explore_Adam.ipynb"} and "adamw_pset" not in there:
        raise ValueError(f"{folder} holds something that is no bundle: give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        draft = Path(temporary) / folder.name
        fill(draft)
        if leaks := sorted(set(find_leaks(draft))):
            raise Leak("; ".join(leaks))
        names = sorted(str(path.relative_to(draft)) for path in draft.rglob("*") if path.is_file())
        _zip(draft, names, Path(temporary) / "bundle.zip")
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
        (Path(temporary) / "bundle.zip").replace(folder.with_name(f"{folder.name}.zip"))
    return names


def fill(folder: Path) -> None:
    """Write the bundle's files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shutil.copytree(ROOT / "adamw_pset", folder / "adamw_pset", ignore=shutil.ignore_patterns(*LEFT_OUT))
    for name in ("explore_Adam.ipynb", "constraints.txt", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    text = PROJECT.format(
        description=project["description"], version=adamw_pset.__version__, python=project["requires-python"],
        dependencies=json.dumps(project["dependencies"]),
        notebook=json.dumps(project["optional-dependencies"]["notebook"]),
    )  # fmt: skip
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    (folder / "requirements.txt").write_text("-c constraints.txt\n-e .[notebook]\n", encoding="utf-8")
    readme = README.format(python=project["requires-python"].removeprefix(">="))
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _zip(folder: Path, names: list[str], target: Path) -> None:
    """A zip file that is the same for the same files."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(f"{folder.name}/{name}", (2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (folder / name).read_bytes())
