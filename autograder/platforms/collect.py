"""From a platform's download to the folders that are graded: ``python -m autograder collect DOWNLOAD SUBMITTED``.

Downloads are named (*Canvas*, ``lib/content_zipper.rb``; *Moodle*, ``mod/assign``, Download all submissions;
*nbgrader*, ``plugins/zipcollect.py``, whose example is Blackboard's and Sakai's form too):

    doejane_LATE_12345_67890_explore_Adam-1.ipynb                        Canvas: user, then attachment
    Jane Doe_12345_assignsubmission_file_/explore_Adam.ipynb             Moodle: participant
    explore_Adam_jdoe_attempt_2026-01-30-15-00-00_explore_Adam.ipynb     zip_collect, Blackboard
    jdoe.ipynb, jdoe/any.ipynb, jdoe/explore_Adam/any.ipynb              a folder of notebooks
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from adamw_pset.files import write_whole
from autograder.assignment.places import NAME
from autograder.grading.spreadsheet import safe, written
from autograder.grading.submission import LARGEST

IDS_FILE = "ids.csv"
MOST_FILES = 100_000  # in a download: more is no class
LAYOUTS = {
    "Canvas": r"(?:.*/)?(?P<name>[^/]*?)_?(?P<late>LATE_)?(?P<id>(?<![^_/])\d+|anon_\w+?)_"
    r"(?P<order>\d+)_(?P<file>[^/]+)",
    "Moodle": r"(?:.*/)?(?P<name>[^/]+)_(?P<id>\d+)_assignsubmission_[a-z]+_?/?(?P<file>[^/].*)",
    "zip_collect": r"(?:.*/)?(?P<name>)(?:[^/]*_)?(?P<id>[^/_]+)_attempt_(?P<time>[\d-]+)_?(?P<file>[^/]*)",
}
ZIP_COLLECT = {  # for those who use nbgrader's own command
    "Canvas": rf".*/[^/]*?_(LATE_)?(?P<student_id>\d+)_\d+_(?P<file_id>{NAME})[^/]*",
    "Moodle": rf".*/[^/]+_(?P<student_id>\d+)_assignsubmission_file_?/?(?P<file_id>{NAME})[^/]*",
}


class File(NamedTuple):
    """A file of a download."""

    path: str
    modified: tuple[int, ...]  # in an order that can be compared
    content: Callable[[], bytes]


class HandIn(NamedTuple):
    """A file of a download: whose it is, how new, and what it holds."""

    id: str  # the platform's
    name: str  # of the student, as the platform writes it; "" if it does not
    file: str  # as the student named it
    late: bool
    time: str  # of the attempt, "" if it is not known
    newer: tuple[object, ...]  # than another if it is greater
    content: Callable[[], bytes]


class Collected(NamedTuple):
    """What came of a download."""

    layout: str
    students: int
    notes: list[str]  # what a person should know: what was not placed, what was passed over


def collect(download: Path, submitted: Path, ids: Mapping[str, list[str]]) -> Collected:
    """Write the newest notebook of each student to ``submitted/<student>/explore_Adam/explore_Adam.ipynb``.

    A student's folder is named by the platform's id, which the exports find again, or by the student of ``ids``
    (student: ids there) that has this id.  Who is who stands in ``submitted/ids.csv``.  Raises ``ValueError`` if
    ``download`` is no zip file and no folder, or nothing in it can be placed.
    """
    layout, hand_ins, notes = _read(download)
    by_id = defaultdict(list)
    for hand_in in hand_ins:
        by_id[hand_in.id].append(hand_in)
    students = {id: student for student, theirs in ids.items() for id in (*theirs, student)}
    lines = []
    for id, all_files in sorted(by_id.items()):
        student = students.get(id, id)
        notebooks = sorted((each for each in all_files if each.file.endswith(".ipynb")), key=_rank)
        who = f"{student} ({all_files[0].name})" if all_files[0].name else student
        if not _may_be_a_folder(student):
            notes.append(f"not placed: {who!r} cannot be the name of a folder: give the student another with --ids")
            continue
        if not notebooks:
            notes.append(f"{who}: no notebook, but {', '.join(each.file for each in all_files)}")
            continue
        chosen = notebooks[-1]
        if passed := [each.file for each in notebooks[:-1]]:
            notes.append(f"{who}: {len(notebooks)} hand-ins, took {chosen.file}, passed over {', '.join(passed)}")
        if ids and id not in students:
            notes.append(f"{who}: this id stands in no line of the ids, so the folder is named by it")
        try:
            content = chosen.content()
        except (zipfile.BadZipFile, RuntimeError, OSError) as error:
            notes.append(f"not placed: {who}: {chosen.file} cannot be read: {error}")
            continue
        _write(submitted / student / NAME, content, chosen.time)
        lines.append((student, id, chosen.name, "late" if chosen.late else "", chosen.file))
    if not lines:
        raise ValueError(f"{download} holds no notebook of a student: " + "; ".join(notes[:5]))
    table = [[safe(cell) for cell in line] for line in lines]
    write_whole(submitted / IDS_FILE, written([("student", "id", "name", "late", "file"), *table]))
    return Collected(layout, len(lines), notes)


def _may_be_a_folder(name: str) -> bool:
    return not re.match(r"[.\s]|.*[/\\\0]", name) and 0 < len(name.encode(errors="surrogateescape")) < 200


def _rank(hand_in: HandIn) -> tuple[bool, tuple[object, ...]]:
    """A notebook of our name goes before another; then the newest."""
    return hand_in.file.startswith(NAME), hand_in.newer


def _write(folder: Path, content: bytes, when: str) -> None:
    write_whole(folder / f"{NAME}.ipynb", content)
    if time := re.fullmatch(r"(\d{4}-\d\d-\d\d)-(\d\d)-(\d\d)-(\d\d)", when):
        write_whole(folder / "timestamp.txt", f"{time[1]} {time[2]}:{time[3]}:{time[4]} UTC")


def _read(download: Path) -> tuple[str, list[HandIn], list[str]]:
    """The layout of a download, its files, and a note on each that could not be placed."""
    files = list(_files(download))
    for layout, pattern in LAYOUTS.items():
        matches = [(file, re.fullmatch(pattern, file.path)) for file in files]
        if any(match for _, match in matches):
            hand_ins = [_hand_in(match, file) for file, match in matches if match]
            return layout, hand_ins, [f"not placed: {file.path}" for file, match in matches if not match]
    hand_ins, notes = [], []
    for file in files:
        parts = file.path.split("/")
        if not file.path.endswith(".ipynb") or len(parts) > 3:
            notes.append(f"not placed: {file.path}")
            continue
        student = parts[0] if len(parts) > 1 else parts[0].removesuffix(".ipynb")
        hand_ins.append(HandIn(student, "", parts[-1], False, "", file.modified, file.content))
    return "a folder of notebooks", hand_ins, notes


def _hand_in(match: re.Match[str], file: File) -> HandIn:
    parts = match.groupdict()
    time, name = parts.get("time") or "", parts["file"].rpartition("/")[2] or NAME
    newer = (time, int(parts.get("order") or 0), file.modified)
    return HandIn(parts["id"], parts["name"] or "", name, bool(parts.get("late")), time, newer, file.content)


def _files(download: Path) -> Iterator[File]:
    """Every file of a zip file or folder; of a zip file in it, those of its notebooks."""
    if download.is_dir():
        entries = [_on_disk(path, download) for path in sorted(download.rglob("*")) if _is_own(path)]
    elif zipfile.is_zipfile(download):
        entries = list(_zipped(download.read_bytes()))
    else:
        raise ValueError(f"{download} is neither a zip file nor a folder: give what the platform lets you download")
    if len(entries) > MOST_FILES:
        raise ValueError(f"{download} holds {len(entries)} files, more than {MOST_FILES}: is it a class?")
    for file in entries:
        if any(part.startswith((".", "__MACOSX")) for part in file.path.split("/")):
            continue
        inner = [each for each in _zipped_in(file) if each.path.endswith(".ipynb")]
        yield from inner or [file]


def _is_own(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _on_disk(path: Path, download: Path) -> File:
    def content() -> bytes:
        with open(path, "rb") as file:
            return file.read(LARGEST + 1)  # what is longer, the grader says that it does not read

    return File(path.relative_to(download).as_posix(), (path.stat().st_mtime_ns,), content)


def _zipped(data: bytes) -> Iterator[File]:
    archive = zipfile.ZipFile(io.BytesIO(data))
    for entry in archive.infolist():
        if not entry.is_dir():
            yield File(entry.filename, entry.date_time, _unpacker(archive, entry))


def _unpacker(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def content() -> bytes:
        with archive.open(entry) as file:
            return file.read(LARGEST + 1)

    return content


def _zipped_in(file: File) -> Iterator[File]:
    """The files of a zip file that a student handed in, each under the path of that file."""
    if not file.path.endswith(".zip"):
        return
    try:
        for inner in _zipped(file.content()):
            if not inner.path.startswith("__MACOSX"):
                yield inner._replace(path=f"{file.path.removesuffix('.zip')}-{inner.path.rpartition('/')[2]}")
    except (zipfile.BadZipFile, OSError, RuntimeError):  # cut off, or with a password
        return
