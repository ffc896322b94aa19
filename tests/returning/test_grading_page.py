"""``grading.html`` in headless Chromium: 500 answers, by keyboard alone, kept over a reload, saved as ``marks.csv``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="pip install -e .[test]")

from helpers.submissions import RIGHT, hand_in, notebook  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from autograder.assignment.questions import ALL  # noqa: E402
from autograder.grading.marks import Mark, read_marks  # noqa: E402
from autograder.returning.graded_notebook import Answer  # noqa: E402
from autograder.returning.grading_page import GRADING, page, rubric, write_grading_page  # noqa: E402
from autograder.sandbox import sandbox  # noqa: E402

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,1000",
)
WRITTEN = [question for question in ALL if question.kind == "written"]
FIRST, SECOND = WRITTEN[0].name, WRITTEN[1].name


@pytest.mark.parametrize("question", WRITTEN, ids=lambda question: question.name)
def test_the_rubric_adds_up(question: Any) -> None:
    found = rubric(question.name)
    assert sum(points for _, points in found.items) == question.points
    assert "Rubric" not in found.model
    assert "Model answer" not in found.model


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def class_of(size: int) -> dict[tuple[str, Answer], list[str]]:
    """``size`` answers to the first question, of which the last is that of two students; two to the second."""
    groups = {(FIRST, Answer(f"Answer $\\lambda_{{{n}}}$ of many.")): [f"s{n:03}"] for n in range(size - 1)}
    groups[FIRST, Answer("Shared <script>alert(1)</script> &lt;")] = ["=twin", "twin, too"]
    groups[SECOND, Answer("Marked already.")] = ["s000"]
    return groups | {(SECOND, Answer("Open.")): ["s001"]}


def test_a_class_is_graded_by_keyboard(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / GRADING
    given = {("s000", SECOND): Mark(3.5, "Nearly."), ("s001", "adamw"): Mark(4.0, "")}
    file.write_text(page(class_of(500), given, "seed"), encoding="utf-8")
    start = time.perf_counter()
    browser.get(file.as_uri())
    assert time.perf_counter() - start < 10
    body = browser.find_element(By.TAG_NAME, "body")

    def text(id: str) -> str:
        return str(browser.find_element(By.ID, id).text)

    assert text("progress") == "1 of 502 answers have a mark."
    assert text("which").startswith("Answer 1 of 500")
    assert browser.find_element(By.TAG_NAME, "math")
    assert "s0" not in body.text  # no name until it is asked for
    items = rubric(FIRST).items
    body.send_keys("12")
    assert float(browser.find_element(By.ID, "score").get_property("value")) == items[0][1] + items[1][1]
    body.send_keys("c")
    browser.switch_to.active_element.send_keys("=Good, but\nshort 12", Keys.ESCAPE)
    body.send_keys("k", Keys.ENTER)
    assert text("which").startswith("Answer 2 of 500")
    body.send_keys("f")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ALT, "1", Keys.NULL)
    body.send_keys(Keys.RIGHT, "0")
    body.send_keys(Keys.RIGHT)
    field = browser.find_element(By.ID, "score")
    field.send_keys("99")
    assert "should be from 0 to" in text("wrong")
    field.clear()
    field.send_keys("1,5", Keys.ENTER)
    assert text("progress") == "5 of 502 answers have a mark."
    browser.refresh()
    assert text("progress") == "5 of 502 answers have a mark."
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("n")
    assert browser.find_element(By.ID, "who").is_displayed()
    body.send_keys("s")
    saved = tmp_path / "downloads" / "marks.csv"
    for _ in range(100):
        if saved.exists():
            break
        time.sleep(0.1)
    marks = read_marks(saved)
    assert given.items() <= marks.items()
    scores = {mark.score for (_, question), mark in marks.items() if question == FIRST}
    most = WRITTEN[0].points
    assert scores == {0.0, 1.5, items[0][1] + items[1][1], float(most)}
    comments = [mark.comment for mark in marks.values() if mark.comment.startswith("=")]
    assert comments == ["=Good, but\nshort 12"] * len(comments)
    assert len(comments) >= 2
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def test_the_shared_answer_is_read_once_and_shows_no_script(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / GRADING
    groups = {key: who for key, who in class_of(2).items() if who[0] == "=twin"}
    assert (
        page(groups, {("=twin", FIRST): Mark(1.0, "")}, "seed").count('"students": [') == 2
    )  # who was marked apart stays apart
    file.write_text(page(groups, {}, "seed"), encoding="utf-8")
    browser.get(file.as_uri())
    assert "given by 2" in browser.find_element(By.ID, "which").text
    assert "<script>alert(1)" in browser.find_element(By.ID, "text").text.replace("< ", "<")
    browser.find_element(By.TAG_NAME, "body").send_keys("f", "s")
    saved = tmp_path / "downloads" / "marks.csv"
    for _ in range(100):
        if saved.exists():
            break
        time.sleep(0.1)
    assert set(read_marks(saved)) == {("=twin", FIRST), ("twin, too", FIRST)}


def test_the_page_of_a_class(tmp_path: Path) -> None:
    """What waits is in it, once for equal answers; nothing is loaded from elsewhere."""
    if reason := sandbox.missing():
        pytest.skip(reason)
    for student, answer in (("ada", "The same."), ("ben", "The same."), ("cleo", "Another.")):
        hand_in(tmp_path / "submitted", student, notebook({"sgdw": RIGHT["sgdw"], FIRST: answer}))
    answers = write_grading_page(
        tmp_path / "submitted", tmp_path / "grades", "s", marks=None, jobs=1, confined=True, progress=False
    )
    assert answers == 2
    made = (tmp_path / "grades" / GRADING).read_text(encoding="utf-8")
    assert '["ada", "ben"]' in made
    assert "http" not in made.replace("http-equiv", "").replace("http://www.w3.org/1998/Math/MathML", "")
