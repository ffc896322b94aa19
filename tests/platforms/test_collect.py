"""Downloads as each platform makes them become nbgrader's layout, and ids are found again.

Canvas names its files in ``ContentZipper`` (canvas-lms, lib/content_zipper.rb); Moodle its folders in mod/assign,
*Download all submissions*; the third form is the example of nbgrader's ``FileNameCollectorPlugin``.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from helpers.submissions import notebook

from autograder.__main__ import main
from autograder.assignment.places import NAME
from autograder.grading.batch import students
from autograder.platforms import collect
from autograder.platforms.ids import read_ids

TEXT = json.dumps(notebook({}))


def zipped(files: dict[str, str | bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


NESTED = zipped({"set/explore_Adam.ipynb": "nested", "set/notes.txt": "", "__MACOSX/._explore_Adam.ipynb": ""})
DOWNLOADS: dict[str, tuple[dict[str, str | bytes], dict[str, str], list[str]]] = {  # files, who got what, notes
    "Canvas": (
        {
            "lovelaceada_12345_67890_explore_Adam.ipynb": "old",
            "lovelaceada_LATE_12345_67899_explore_Adam-1.ipynb": "new",
            "bondjames_7_8_explore_Adam.ipynb": "bond",
            "o_neil2_LATE_13_15_explore_Adam_1_2_3.ipynb": "neil",
            "zoë_14_16_set.zip": NESTED,
            "nonotebook_15_17_photo.png": "",
            "textonly_16_text.html": "",
            ".DS_Store": "",
        },
        {"12345": "new", "7": "bond", "13": "neil", "14": "nested"},
        [
            "12345 (lovelaceada): 2 hand-ins, took explore_Adam-1.ipynb",
            "15 (nonotebook): no notebook",
            "textonly_16_text",
        ],
    ),
    "Canvas, anonymous": (
        {"anon_AbC12_67890_explore_Adam.ipynb": "a", "LATE_anon_Xy9_67891_explore_Adam.ipynb": "x"},
        {"anon_AbC12": "a", "anon_Xy9": "x"},
        [],
    ),
    "Moodle": (
        {
            "Ada Lovelace_4001_assignsubmission_file_/explore_Adam.ipynb": "ada",
            "Zoë Ö_4002_assignsubmission_file_/my answers.ipynb": "zoe",
            "Ben B_4003_assignsubmission_onlinetext_/onlinetext.html": "",
            "Participant_4004_assignsubmission_file_explore_Adam.ipynb": "anonymous, not in folders",
        },
        {"4001": "ada", "4002": "zoe", "4004": "anonymous, not in folders"},
        ["4003 (Ben B): no notebook, but onlinetext.html"],
    ),
    "zip_collect": (
        {
            "explore_Adam_jdoe_attempt_2026-01-30-15-00-00_explore_Adam.ipynb": "old",
            "explore_Adam_jdoe_attempt_2026-02-01-15-00-00_explore_Adam.ipynb": "new",
            "explore_Adam_abc_attempt_2026-01-30-15-00-00.txt": "a receipt",
            "explore_Adam_abc_attempt_2026-01-30-15-00-00_explore_Adam.ipynb": "abc",
        },
        {"jdoe": "new", "abc": "abc"},
        ["jdoe: 2 hand-ins"],
    ),
    "a folder of notebooks": (
        {
            "ada.ipynb": "ada",
            "ben/other.ipynb": "ben",
            f"cleo/{NAME}/{NAME}.ipynb": "cleo",
            "a/b/c/d.ipynb": "",
            "x.md": "",
        },
        {"ada": "ada", "ben": "ben", "cleo": "cleo"},
        ["not placed: a/b/c/d.ipynb", "not placed: x.md"],
    ),
}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_download_becomes_folders(name: str, packed: bool, tmp_path: Path) -> None:
    files, got, notes = DOWNLOADS[name]
    download = tmp_path / "download.zip"
    download.write_bytes(zipped(files))
    if not packed:
        download = tmp_path / "download"
        zipfile.ZipFile(tmp_path / "download.zip").extractall(download)
    found = collect.collect(download, tmp_path / "submitted", {})
    assert found.layout == name.split(",")[0]
    folders = {student: tmp_path / "submitted" / student / NAME for student in students(tmp_path / "submitted")}
    assert {student: (folder / f"{NAME}.ipynb").read_text() for student, folder in folders.items()} == got
    for note in notes:
        assert any(note in line for line in found.notes), (note, found.notes)
    assert len(found.notes) == len(notes)
    if name == "zip_collect":
        assert (folders["jdoe"] / "timestamp.txt").read_text() == "2026-02-01 15:00:00 UTC"


def test_ids_name_the_folders_and_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "canvas.zip").write_bytes(zipped(DOWNLOADS["Canvas"][0]))
    (tmp_path / "ids.csv").write_text("student,id\nada,12345\njb,7\n")
    submitted = tmp_path / "submitted"
    assert main(["collect", str(tmp_path / "canvas.zip"), str(submitted), f"--ids={tmp_path / 'ids.csv'}"]) == 0
    assert students(submitted) == ["13", "14", "ada", "jb"]
    assert read_ids(submitted / "ids.csv") == {"13": ["13"], "14": ["14"], "ada": ["12345"], "jb": ["7"]}
    said = capsys.readouterr()
    assert "13 (o_neil2): this id stands in no line" in said.err
    assert "named_regexp='.*/" in said.out


@pytest.mark.parametrize("layout", collect.ZIP_COLLECT)
def test_the_expression_for_zip_collect_is_one(layout: str) -> None:
    plugins = pytest.importorskip("nbgrader.plugins", reason="pip install -e .[autograder]")
    plugin = plugins.FileNameCollectorPlugin(named_regexp=collect.ZIP_COLLECT[layout])
    for path in DOWNLOADS[layout][0]:
        ours = re.fullmatch(collect.LAYOUTS[layout], path)
        if ours and ours["file"].startswith(NAME) and "anon" not in path:
            assert plugin.collect(f"/course/downloaded/{path}") == {"student_id": ours["id"], "file_id": NAME}


WRONG = {
    "no such file": ("nothing", "neither a zip file nor a folder"),
    "an empty zip file": (zipped({}), "holds no notebook of a student"),
    "no notebook": (zipped({"a_1_2_x.png": ""}), "1 (a): no notebook, but x.png"),
    "a path upwards": (
        zipped({"../evil_1_2_explore_Adam.ipynb": "", "../../x_3_4_explore_Adam.ipynb": ""}),
        "holds no notebook",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_download_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = WRONG[name]
    (tmp_path / "in").mkdir()
    download = tmp_path / "in" / "d.zip"
    if isinstance(content, bytes):
        download.write_bytes(content)
    code = main(["collect", str(download), str(tmp_path / "in" / "submitted")])
    assert code == 2
    assert words in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


@pytest.mark.parametrize("student", ["..", ".", "a\\b", "x" * 300])
def test_no_folder_outside_is_written(student: str, tmp_path: Path) -> None:
    (tmp_path / "d.zip").write_bytes(zipped({f"{student}/n.ipynb": "x", "ok.ipynb": "y"}))
    collect.collect(tmp_path / "d.zip", tmp_path / "in" / "submitted", {})
    assert students(tmp_path / "in" / "submitted") == ["ok"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.zip", "in"]
