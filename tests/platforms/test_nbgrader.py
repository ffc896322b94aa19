"""Real nbgrader commands, end to end: the same scores, no live HTML, manual scores that survive."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers.submissions import CODE_POINTS, RIGHT, hand_in, notebook

nbgrader = pytest.importorskip("nbgrader", reason="pip install -e .[autograder]")

from nbconvert.filters import markdown2html  # noqa: E402
from nbgrader.api import Gradebook  # noqa: E402
from PIL import Image  # noqa: E402

from autograder.assignment import build  # noqa: E402
from autograder.assignment.questions import ALL  # noqa: E402
from autograder.grading.batch import grade_all  # noqa: E402
from autograder.grading.marks import CHANGED  # noqa: E402
from autograder.grading.seed import secret_seed  # noqa: E402
from autograder.grading.submission import NAME  # noqa: E402
from autograder.returning import graded_notebook  # noqa: E402
from autograder.returning.feedback import give_back  # noqa: E402
from autograder.sandbox.sandbox import Sandbox  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # of nbgrader's own packages

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<!-- x --><b>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&colon;alert(1))",
    '![a](x"onerror="alert(1))',
    "[a][b]\n\n[b]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<iframe src='https://example.org'></iframe>",
    "<details open ontoggle=alert(1)>",
    "</div></div><h1>Score: 100</h1>",
    "$\\href{javascript:alert(1)}{x}$",
    "$$\\require{html}\\style{x}{y}$$",
    "`<script>alert(1)</script>`",
    "```\n<script>alert(1)</script>\n```",
    "| a |\n| --- |\n| <img src=x onerror=alert(1)> |",
    "a\n<style>body{display:none}</style>",
    "$<img src=x onerror=alert(1)>$",
    "&lt;script&gt;",
    "<<script>script>alert(1)</script>",
    "\\<img src=x onerror=alert(1)>",
    "[a\n](javascript:alert(1))",
    "[x]:javascript:alert(1)\n\n[x]",
    "$\\mmlToken{mi}[href=javascript:alert(1)]{x}$",
    "$\\bbox[background:url(https://example.org)]{x}$",
    "$&#92;href{javascript:alert(1)}{x}$ $&bsol;class{x}{y}$",
    "$\\def\\x{\\href{javascript:alert(1)}}\\x{y}$",
    "$\\color{red;background:url(x)}{x} \\rule{99em}{99em}$",
    "see http://example.org and https://example.org, www.example.org, mailto:a@example.org",
    "\\\\href{a}{b} \\\n\\href{a}{b}",
    "# written_1b_i",
    "a\n> 1. * ###written_1b_i\n#",
    "written_1b_i\n===",
    "> written_1b_i\n> -\t",
    "- written_1b_i\n  ---",
]


class Live(HTMLParser):
    """Collects what could do something in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in (
            "script",
            "iframe",
            "style",
            "object",
            "embed",
            "svg",
            "form",
            "input",
            "base",
            "meta",
            "link",
            "img",
        ):
            self.found.append(tag)
        for name, value in attrs:
            if (
                name.startswith("on")
                or name in ("src", "srcdoc")
                or "script:" in (value or "").lower().replace("&colon;", ":")
            ):
                self.found.append(f"{tag} {name}")
            if name in ("href", "id", "name"):  # the Formgrader finds its boxes by their ids
                self.found.append(f"{name} {value}")


def live(html: str) -> list[str]:
    parser = Live()
    parser.feed(html)
    return parser.found


@pytest.mark.parametrize("text", HOSTILE)
def test_a_written_answer_stays_text(text: str) -> None:
    html = markdown2html(graded_notebook.harmless(text))
    assert live(html) == [], html
    assert not re.search(r"\\\\(href|require|mmlToken|bbox|class|style|def|color|rule)\\b", unescape(html)), html


@pytest.mark.parametrize("opened", [r"\frac{", r"\frac{\}", "\\frac{%}\n", r"\left(", r"\begin{array}{c}"])
def test_formulas_that_end_a_browser_lose_what_nests_them(opened: str) -> None:
    """MathJax 2 crashed Chromium at 700 fractions in one another, and set 49."""
    made = graded_notebook.harmless(f"${opened * 700}1{'}{2}' * 700}$")
    assert not re.search(r"[{}]|\\[a-z]", made)
    assert graded_notebook.harmless(opened * 49) == opened * 49


def test_honest_answers_look_as_they_were_written() -> None:
    text = "**So** $a < b$, `x[0](y)` and\n\n- $\\theta_t = (1-\\lambda_w)\\theta$\n- a table:\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert graded_notebook.harmless(text).replace("] (", "](") == text


def png(width: int = 8, height: int = 8, extra: bytes = b"") -> str:
    drawn = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(drawn, "PNG")
    return base64.b64encode(drawn.getvalue() + extra).decode()


@pytest.mark.parametrize(
    ("encoded", "shown"),
    [
        (png(), True),
        (png(extra=b"<script>alert(1)</script>"), True),
        ("", False),
        ("no base64!", False),
        (base64.b64encode(b"<svg onload=alert(1)>").decode(), False),
        (png(1, 40_000_000), False),
        (png()[:60], False),
    ],
)
def test_pictures_are_drawn_anew(encoded: str, shown: bool) -> None:
    drawn = graded_notebook.picture(encoded)
    assert (drawn is not None) == shown
    assert drawn is None or b"script" not in base64.b64decode(drawn)


# --- a course ----------------------------------------------------------------------------------------


def command(course: Path, *arguments: str, path: str = os.environ["PATH"], code: int = 0) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}"}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments, f"--CourseDirectory.root={course}"],
        cwd=build.AUTOGRADER,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stderr


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory, box: Sandbox) -> Path:
    """A course that was graded once."""
    root = tmp_path_factory.mktemp("course")
    (root / "source" / NAME).mkdir(parents=True)
    (root / "source" / NAME / f"{NAME}.ipynb").write_bytes(build.INSTRUCTOR.read_bytes())
    submitted = root / "submitted"
    convention = RIGHT | {"adamw": RIGHT["adamw"].replace("(1 - weight_decay)", "(1 - lr * weight_decay)")}
    written = notebook(RIGHT | {"written_1a_i": "\n\n".join(HOSTILE), "written_1a_ii": "It changes."})
    (cell,) = (c for c in written["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "written_1a_ii")
    cell["attachments"] = {"photo.png": {"image/png": png(1600, 20)}}
    hand_in(submitted, "ada", written)
    loud = notebook(convention, before="raise SystemExit")
    loud["cells"][0]["outputs"] = [
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/html": "<script>alert(2)</script>", "image/png": png()},
        }
    ]
    hand_in(submitted, "ben", loud)
    hand_in(submitted, "ben", "import os; os._exit(1)", "numpy.py")
    hand_in(submitted, "ben", "soon \x1b[2J", "timestamp.txt")
    hand_in(submitted, "cut", json.dumps(notebook(RIGHT))[:3000])
    hand_in(submitted, "dora", notebook(RIGHT), "renamed.ipynb")
    hand_in(submitted, "dora", "2026-01-02 03:04:05 UTC", "timestamp.txt")
    hand_in(submitted, "dora", "known to the exchange and to dora", "submission_secret.txt")
    command(root, "generate_assignment", NAME)
    command(root, "autograde", NAME)
    return root


def scores(course: Path) -> dict[tuple[str, str], float | None]:
    found = {}
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        for submission in book.find_assignment(NAME).submissions:
            for grade in submission.notebooks[0].grades:
                found[submission.student.id, grade.name.removeprefix("check_")] = grade.auto_score
    return found


def test_the_same_scores_as_without_nbgrader(course: Path, tmp_path: Path) -> None:
    rows = grade_all(course / "submitted", tmp_path, secret_seed(course), progress=False)
    assert len(rows) == 4 * len(ALL)
    assert scores(course) == {(row.student, row.question): row.score for row in rows}
    assert scores(course)["ben", "adamw"] == 7.5


def test_feedback_says_why_and_holds_nothing_live(course: Path) -> None:
    command(course, "generate_feedback", NAME)
    pages = {p.parts[-3]: p.read_text(encoding="utf-8") for p in course.glob(f"feedback/*/{NAME}/{NAME}.html")}
    assert set(pages) == {"ada", "ben", "cut", "dora"}
    assert "the convention of PyTorch" in pages["ben"]
    assert "it may be cut off" in pages["cut"]
    for page in pages.values():
        assert "alert(2)" not in page
        assert "onerror=alert" not in page.replace("&lt; img src=x onerror=alert", "")
        assert "For the grader" not in page  # rubrics and model answers
        assert "Model answer" not in page
    # Of the page; test_feedback looks at them closely.
    own = {"style", "meta", "name viewport", "name generator", "svg", "img", "img src"}
    for page in pages.values():
        found = live(page)
        places = {f"id {before}{question.name}" for question in ALL for before in ("", "inside-")}
        assert set(found) <= own | places | {place.replace("id ", "href #") for place in places}
        assert all(found.count(place) <= 1 for place in places)
    assert pages["ada"].count('src="data:image/png;base64,') == 1


def test_the_grader_sees_rubric_and_picture(course: Path) -> None:
    ada = json.loads((course / "autograded" / "ada" / NAME / f"{NAME}.ipynb").read_text())
    rubrics = [cell["id"] for cell in ada["cells"] if cell["id"].startswith("rubric_")]
    assert rubrics == [f"rubric_{question.name}" for question in ALL if question.kind == "written"]
    ben = json.loads((course / "autograded" / "ben" / NAME / f"{NAME}.ipynb").read_text())
    (before,) = [cell for cell in ben["cells"] if cell["id"] == "handed_in_1"]
    assert [set(output["data"]) for output in before["outputs"]] == [{"image/png"}]
    assert not (course / "autograded" / "ben" / NAME / "numpy.py").exists()
    assert (course / "submitted" / "ben" / NAME / "timestamp-unreadable.txt").exists()


def test_export_leaves_out_what_is_not_graded(course: Path, tmp_path: Path) -> None:
    command(course, "export", f"--to={tmp_path / 'grades.csv'}")
    with open(tmp_path / "grades.csv", newline="", encoding="utf-8") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert rows["cut"]["score"] == rows["ada"]["score"] == ""
    assert rows["cut"]["ungraded"] == str(len(ALL))
    assert (rows["dora"]["score"], rows["dora"]["raw_score"]) == (f"{CODE_POINTS:.1f}", f"{CODE_POINTS:.1f}")


def test_manual_scores_survive_and_are_flagged_if_the_answer_changed(course: Path) -> None:
    def grades() -> dict[str, Any]:
        with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
            return {
                name: (g.manual_score, g.needs_manual_grade)
                for name in ("written_1a_i", "written_1a_ii")
                for g in [book.find_grade(name, NAME, NAME, "ada")]
            }

    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        for name in ("written_1a_i", "written_1a_ii"):
            grade = book.find_grade(name, NAME, NAME, "ada")
            grade.manual_score, grade.needs_manual_grade = 3, False
        book.db.commit()
    answers = RIGHT | {"written_1a_i": "\n\n".join(HOSTILE), "written_1a_ii": "It changes, and here is why."}
    hand_in(course / "submitted", "ada", notebook(answers))
    command(course, "autograde", NAME, "--student=ada", "--force")
    assert grades() == {"written_1a_i": (3.0, False), "written_1a_ii": (3.0, True)}
    command(course, "autograde", NAME, "--student=ada", "--force")
    assert grades()["written_1a_ii"] == (3.0, True)  # until a person has looked


def test_the_same_page_as_without_nbgrader(course: Path, tmp_path: Path) -> None:
    """To the byte, with what people gave: scores, also for code, comments, answers that changed since."""
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        book.find_grade("check_sgdw", NAME, NAME, "ben").manual_score = 2.5
        book.find_comment("sgdw", NAME, NAME, "ben").manual_comment = "See $\\eta$ & <b>."
        book.find_comment("written_1b_i", NAME, NAME, "dora").manual_comment = "Why is it empty?"
        book.db.commit()
    command(course, "generate_feedback", NAME, "--force")
    back = give_back(course / "submitted", tmp_path, secret_seed(course), marks=course / "gradebook.db", progress=False)
    for each in back:
        theirs = (course / "feedback" / each.student / NAME / f"{NAME}.html").read_bytes()
        assert theirs == (tmp_path / "feedback" / each.file).read_bytes(), each.student
    ben = (tmp_path / "feedback" / "ben.html").read_text(encoding="utf-8")
    assert "2.5 of 6 points" in ben
    assert "&amp; &lt;b&gt;." in ben
    assert CHANGED in (tmp_path / "feedback" / "ada.html").read_text(encoding="utf-8")


def test_the_page_goes_back_through_the_exchange(course: Path, tmp_path: Path) -> None:
    command(course, "release_feedback", NAME, f"--Exchange.root={tmp_path}", "--student=dora")
    (released,) = tmp_path.glob("adamw/feedback/*.html")
    assert released.read_bytes() == (course / "feedback" / "dora" / NAME / f"{NAME}.html").read_bytes()


def test_the_formgrader_shows_the_rubric_and_nothing_live(course: Path) -> None:
    """Its page, as its server makes it: nbconvert with our settings and its template."""
    program = (
        "import sys; from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension\n"
        "from nbconvert.exporters import HTMLExporter\n"
        "app = FormgradeExtension(); app.root_dir = sys.argv[1]; app.initialize([])\n"
        "page, _ = HTMLExporter(config=app.config).from_filename(sys.argv[2], resources={'base_url': '', 'submission_id': 'x',\n"
        "    'assignment_id': 'a', 'notebook_id': 'n', 'index': 0, 'total': 1, 'student': 's', 'first_name': '', 'last_name': '',\n"
        "    'notebook_path': ''})\n"
        "sys.stdout.write(page)"
    )
    pages = {}
    for student in ("ada", "dora"):
        notebook_file = course / "autograded" / student / NAME / f"{NAME}.ipynb"
        done = subprocess.run(
            [sys.executable, "-c", program, str(build.AUTOGRADER), str(notebook_file)],
            cwd=build.AUTOGRADER,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        pages[student] = done.stdout
    assert "For the grader." in pages["ada"]
    known = live(pages["dora"])
    assert [part for part in live(pages["ada"]) if part not in known] == []


def test_without_bubblewrap_nothing_is_graded(course: Path, tmp_path: Path) -> None:
    before = scores(course)
    said = command(course, "autograde", NAME, "--force", path=str(tmp_path), code=1)
    assert "Nothing was graded: bubblewrap is missing" in said
    assert "sudo apt-get install bubblewrap" in said
    assert scores(course) == before
