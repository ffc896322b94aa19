"""Text from outside is made harmless once, names stay apart, and files are read by whom the umask lets."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest

from adamw_pset.files import write_whole
from autograder.grading.finding import GRADED, LONGEST, Finding
from autograder.grading.journal import journalled, read_journal
from autograder.grading.marks import Mark, matched
from autograder.grading.plain_text import alike, name_of, one_line
from autograder.grading.seed import SEED_FILE, secret_seed

NAMES = {
    "ada": "ada",
    "ann ": "ann ",
    "Ünal Öz": "Ünal Öz",
    "नेहा\u200dक": "नेहा\u200dक",
    "a\rb\nc\td": "a[U+000D]b[U+000A]c[U+0009]d",
    "a\u2028\x85b": "a[U+2028][U+0085]b",
    "\x1b]0;gone\x07": "[U+001B]]0;gone[U+0007]",
    "f\udcff": "f[U+DCFF]",
    "pay\u202egnp": "pay[U+202E]gnp",
    "in\u200bvis\u00adible\U000e0041": "in[U+200B]vis[U+00AD]ible[U+E0041]",
}


@pytest.mark.parametrize("folder", NAMES)
def test_a_name_is_shown_as_it_is_and_nothing_hides_in_it(folder: str) -> None:
    assert name_of(folder) == NAMES[folder]
    assert name_of(name_of(folder)) == name_of(folder)


def test_a_message_is_cut_and_harmless_wherever_it_comes_from() -> None:
    finding = Finding(GRADED, "exception", "\x1b[2Jx\ud83d\r\n" + "y" * 3_000_000)
    assert finding.message.startswith("[U+001B][2Jx[U+D83D]\n")
    assert len(finding.message) <= LONGEST
    assert Finding(*json.loads(json.dumps(finding))) == finding
    assert one_line(" a\nb\u2028c ") == "a b c"


def test_names_that_a_person_cannot_tell_apart_are_known() -> None:
    assert len({alike(name) for name in ("ann", "ANN", "ann ", "Ann\t")}) == 1
    assert alike("e\u0301va") == alike("\u00c9va")
    assert alike("ann") != alike("anne")


def test_marks_meet_the_student_whom_they_name() -> None:
    one, two, three = Mark(1.0, ""), Mark(2.0, ""), Mark(3.0, "")
    given = {("ann ", "adamw"): one, ("e\u0301va", "adamw"): two, ("nobody", "adamw"): three, ("nobody", "sgdw"): one}
    found, notes = matched(given, ["ann", "\u00e9va"])
    assert found == {("\u00e9va", "adamw"): two}
    assert notes == [
        "'ann ': marks, but nothing was handed in",
        "'e\u0301va': marks, given to '\u00e9va': the accents are written in another way",
        "'nobody': marks, but nothing was handed in",
    ]
    assert matched({("ann ", "adamw"): one}, ["ann", "ann "]) == ({("ann ", "adamw"): one}, [])


def test_a_line_of_the_journal_that_cannot_be_read_costs_one_finding(tmp_path: Path) -> None:
    findings = {key: Finding(GRADED, "", f"{key}\u2028\x85 é") for key in "abcdef"}
    text = journalled(findings)
    assert text.isascii()
    lines = text.encode().split(b"\n")
    lines[1] = b"\xff\x00"
    lines[2] = b'{"c": ["graded", 1, "", ""]}'
    lines[3] = b'{"d": ["perfect", "", "", ""]}'
    lines[5] = lines[5][:9]
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"\n".join(lines[:-1]))
    assert read_journal(journal) == {key: findings[key] for key in "ae"}
    assert journal.read_bytes().endswith(b"\n")


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o027, 0o640), (0o022, 0o644)])
def test_who_may_read_a_file_is_for_the_umask_and_the_seed_is_for_its_owner(
    umask: int, mode: int, tmp_path: Path
) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "grades.csv", "x")
        secret_seed(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "grades.csv").stat().st_mode & 0o777 == mode
    assert (tmp_path / SEED_FILE).stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"grades.csv", SEED_FILE}


def test_a_full_disk_is_told_with_the_file_that_had_no_room(tmp_path: Path) -> None:
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    try:
        with pytest.raises(OSError, match=r"\[Errno \d+\] .+: '.*grades.csv'"):
            write_whole(tmp_path / "grades.csv", "x" * 99_999)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    assert list(tmp_path.iterdir()) == []
