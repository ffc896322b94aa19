"""The student's bundle: ``python -m autograder release DIR``.

The notebook, ``adamw_pset`` without the answers, pinned requirements, a short README, and the same as a zip
file.  A bundle that holds an answer is not made.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

import adamw_pset
from autograder.assignment.leaks import LEFT_OUT, Leak, find_leaks
from autograder.assignment.places import BUNDLE
from autograder.assignment.questions import ALL


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
    package = Path(adamw_pset.__file__).parent
    try:
        shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns(".*"))
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        readme = (BUNDLE / "README.md").read_text(encoding="utf-8")
        points = sum(question.points for question in ALL)
        (folder / "README.md").write_text(readme.replace("{{points}}", f"{points:g}"), encoding="utf-8")
    except shutil.Error as error:
        raise OSError(error.args[0][0][-1]) from None  # the first of many


def _zip(folder: Path, names: list[str], target: Path) -> None:
    """A zip file that is the same for the same files."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(f"{folder.name}/{name}", (2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (folder / name).read_bytes())
