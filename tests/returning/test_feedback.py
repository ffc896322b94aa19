"""The pages that students get, and the class report: what they say, what they never hold, what they can do."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from helpers.submissions import RIGHT, grade_one, hand_in, notebook

from autograder.grading.seed import secret_seed

pytest.importorskip("latex2mathml", reason="pip install -e .[autograder]")

from adamw_pset.checks import verdicts
from adamw_pset.checks.run_answer import observe
from autograder.__main__ import main
from autograder.assignment.answer_sources import compiled
from autograder.assignment.mistakes import SENTENCES, known
from autograder.assignment.questions import ALL, QUESTIONS
from autograder.grading import batch, grade
from autograder.grading.finding import BY_HAND, GRADED, NOT_GRADED, Finding
from autograder.grading.grade import score
from autograder.grading.marks import Mark
from autograder.grading.public_example import PASSES
from autograder.returning import report, safe_markdown, svg
from autograder.returning.feedback import Part, Returned, file_name, give_back, page, parts
from autograder.returning.graded_notebook import Answer, harmless
from autograder.sandbox.sandbox import Sandbox

SEED = "a seed for tests"
BIDI = "a \u202e b \u2066 c \u200f d \x07 e \ud800 f"
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<!-- x --><b>",
    "[a](javascript:alert(1))",
    "![a](https://example.org/x.png)",
    "[a][b]\n\n[b]: javascript:alert(1)",
    "<https://example.org>",
    "</pre></code></div></section><h1>Score: 100</h1>",
    "<style>*{display:none}</style>",
    "$\\href{javascript:alert(1)}{x}$",
    "$$\\style{display:none}{\\class{x}{\\htmlId{total}{y}}}$$",
    "$\\text{<script>alert(1)</script>}$",
    "$\\text{&lt;img src=x onerror=alert(1)&gt;}$",
    "$\\frac{1$ $\\left($ $}{$",
    "$\\color{white}{x}\\hspace{99999em}\\bbox[red]{x}$",
    "$\\def\\a{\\a\\a}\\a$",
    "$$" + "{" * 2000,
    "&lt;script&gt;",
    '```"><script>\n</code></pre><script>alert(1)</script>\n```',
    "| a |\n| --- |\n| <iframe srcdoc=x> |",
    "# H\n<details open ontoggle=alert(1)>",
    '" onmouseover=alert(1) x="',
    "{{ 7 * 7 }}{% raw %}",
    BIDI,
    ">" * 3000 + "x",
    "x" * 300_000,
    "$x$ " * 4000,
    "&#x202e;&#106;avascript:",
    "| a |\n| :-: |\n| b |\n\n7. x",
    "$\\boxed{x}\\phantom{y}\\cancel{z}$",
    "\\begin{align}\n" * 900,
]

ALLOWED = {  # every tag of a page, and the attributes that it may have
    "html": {"lang"},
    "head": set(),
    "meta": {"charset", "http-equiv", "content", "name"},
    "title": set(),
    "style": set(),
    "body": {"class"},
    "header": set(),
    "main": set(),
    "footer": {"class"},
    "section": {"id"},
    "h1": set(),
    "h2": set(),
    "h3": set(),
    "p": {"class"},
    "strong": set(),
    "em": set(),
    "s": set(),
    "br": set(),
    "hr": set(),
    "ul": set(),
    "ol": set(),
    "li": set(),
    "blockquote": set(),
    "a": {"href"},
    "caption": set(),
    "table": set(),
    "thead": set(),
    "tbody": set(),
    "tr": set(),
    "td": {"class"},
    "th": {"scope", "class"},
    "div": {"class", "tabindex", "role", "aria-label"},
    "span": {"class", "tabindex"},
    "pre": {"class"},
    "code": {"class"},
    "figure": set(),
    "figcaption": set(),
    "img": {"class", "alt", "src"},
    "svg": {"viewbox", "role", "aria-label"},
    "clippath": {"id"},
    "g": {"clip-path"},
    "rect": {"x", "y", "width", "height", "class"},
    "path": {"class", "d"},
    "circle": {"class", "cx", "cy", "r"},
    "text": {"x", "y", "text-anchor"},
    "polyline": {"class", "points"},
} | {tag: set(safe_markdown.ATTRIBUTES) for tag in safe_markdown.TAGS}
EMPTY = {"meta", "br", "hr", "img"}


class Tree(HTMLParser):
    """Checks that a page is well formed and holds nothing but ``ALLOWED``; collects its text and headings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)
        assert all(after <= before + 1 for before, after in zip(self.levels, self.levels[1:], strict=False))
        assert self.levels.count(1) == 1

    @property
    def levels(self) -> list[int]:
        return [int(tag[1]) for tag in self.headings]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        assert {name for name, _ in attrs} <= ALLOWED[tag], (tag, attrs)
        values = dict(attrs)
        if tag == "img":
            assert re.fullmatch("data:image/png;base64,[A-Za-z0-9+/=]+", values["src"] or "")
            assert values["alt"]
        if tag == "svg":
            assert values["aria-label"]
        if tag == "a":
            self.links.append(values["href"] or "")
        self.ids += [values["id"] or ""] if "id" in values else []
        self.headings += [tag] if re.fullmatch("h[1-6]", tag) else []
        if tag not in EMPTY and self.get_starttag_text()[-2:] != "/>":  # type: ignore[index]
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += [] if tag in ("code", "span", "em", "strong", "a") else [" "]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def part(name: str, finding: Finding, text: str = "", comment: str = "", given: float | None = None) -> Part:
    question = QUESTIONS[name]
    points = score(question, finding) if given is None else given
    return Part(question, finding, Answer(text), points, question.points, comment)


def words(html: str) -> str:
    return " ".join("".join(Tree(html).text).split())


# --- what a submission can do to a page ----------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
def test_whatever_a_student_writes_stays_text(text: str) -> None:
    name = text[:200].encode(errors="replace").decode()  # a folder's name has no half characters
    html = page(
        name,
        [
            part("written_1a_i", Finding(BY_HAND), harmless(text), comment=text),
            part("adamw", Finding(GRADED, "exception", f"Your code stopped with {text[:600]}"), text),
            part("sgdw", Finding(NOT_GRADED, "", text)),
        ],
    )
    tree = Tree(html)
    assert tree.links == ["#written_1a_i", "#adamw", "#sgdw"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f\x07]", html)
    assert len(html) < 8 * len(text) + 1_000_000  # formulas grow, and not without end
    html.encode()


def test_an_answer_without_harmless_is_harmless_too() -> None:
    for text in HOSTILE:
        Tree(page("ada", [part("written_1a_i", Finding(BY_HAND), text)]))


def test_honest_answers_are_set() -> None:
    html = str(
        safe_markdown.prose(
            "**So** $a < b$ and\n\n- $\\hat v_t$\n\n| a | b |\n| --- | --- |\n| 1 | `x[0]` |\n\n$$\\frac{1}{2}$$"
        )
    )
    for wanted in (
        "<strong>So</strong>",
        "<mo>&lt;</mo>",
        "<li>",
        "<td>1</td>",
        "<code>x[0]</code>",
        "<mfrac>",
        'display="block"',
    ):
        assert wanted in html
    aligned = str(safe_markdown.formula("\\begin{aligned}a&=b\\\\c&=d\\end{aligned}"))
    assert aligned.count("<mtr>") == 2
    assert "<math" not in safe_markdown.formula("x" * 5000)  # would take as long as it likes
    assert "\\frac{1" in str(safe_markdown.formula("\\def\\x{\\frac{1}{2}}"))  # what cannot be read stays as it is


def test_a_page_needs_nothing_but_itself() -> None:
    html = page("ada", [part("written_1a_i", Finding(BY_HAND), "see https://example.org"), wrong_part()])
    assert re.findall(r"(?:src|href)=\"(?!#|data:)", html) == []
    assert re.findall(r"https?://", html.replace("see https://example.org", "")) == []
    assert "url(" not in html.replace("url(#inside-adamw)", "")
    assert "default-src 'none'" in html
    assert "@import" not in html


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_of_text_can_be_read() -> None:
    style = (Path(report.__file__).parent / "templates" / "style.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in style.split("@media")[:2])
    for colours in (light, dark):
        for name in set(colours) - {"paper", "soft", "line"}:
            for ground in ("paper", "soft"):
                low, high = sorted(luminance(colours[each]) for each in (name, ground))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)  # WCAG 2.2, AA


# --- what a page says ----------------------------------------------------------------------------------


def wrong_part(values: Any = (-1.1, -1.2, -1.3, None)) -> Part:
    said = SENTENCES["decay_times_lr"]
    return part("adamw", Finding(GRADED, "decay_times_lr", said, json.dumps([0, 2, list(values)])), RIGHT["adamw"])


GONE = Finding(NOT_GRADED, "", "there is no sgdw in the notebook, and the cell that asks for it is gone.")
CASES: dict[str, tuple[Part, list[str]]] = {
    "right": (
        part("adamw", Finding(GRADED, "", "Right."), RIGHT["adamw"]),
        ["✓ 10 of 10 points", "Right.", "m_hat", "10 of 10 points"],
    ),
    "a mistake": (
        wrong_part(),
        ["◐ 7.5 of 10 points", "convention of PyTorch", "with lr = ", "coordinate 3 of θ", "−1.3", "not finite"],
    ),
    "far away": (wrong_part([1e300, 1e301, -1e302, 1e9]), ["Yours leaves the picture", "1e+300"]),
    "nothing known": (part("adamw", Finding(GRADED, "unknown", "Look there.")), ["✗ 0 of 10 points", "Look there."]),
    "by heart": (
        part("adamw", Finding(GRADED, "unknown", "Look.", PASSES), "x"),
        ["On the example of check your numbers are right; on other inputs they are not."],
    ),
    "a value": (
        part("preconditioner", Finding(GRADED, "factor_missing", "No.", "[0, 0, [[0.5, 0.0], [0.0, null]]]")),
        ["with beta2 = 0.732, your function gives", "0.5 0 0 not finite"],
    ),
    "a table's value": (
        part("good_fraction", Finding(GRADED, "per_cent", "No.", "[0, 0, [[33.3]]]")),
        ["your function gives 33.3"],
    ),
    "open": (part("sgdw", Finding(GRADED, "open", "This question is still open.")), ["✗ 0 of 6 points", "still open"]),
    "waiting": (
        part("written_1a_i", Finding(BY_HAND), "Because $x$."),
        ["Waiting for a person, 6 points", "6 more points wait for a person", "0 of 0 points so far"],
    ),
    "read": (
        part("written_1a_i", Finding(BY_HAND), "Because.", "Say *why*.", 4.5),
        ["◐ 4.5 of 6 points", "From the person who graded this Say why.", "4.5 of 6 points"],
    ),
    "not graded": (
        GONE_PART := part("sgdw", GONE),
        ["Nothing could be graded.", "There is no sgdw in the notebook", "This is not a zero."],
    ),
    "a person's zero": (part("sgdw", GONE, given=0.0), ["✗ 0 of 6 points"]),
}


@pytest.mark.parametrize(("shown", "said"), CASES.values(), ids=CASES)
def test_the_page_says(shown: Part, said: list[str]) -> None:
    text = words(page("ada", [shown]))
    for wanted in said:
        assert wanted in text, text[-900:]


def test_what_is_not_graded_beside_what_is() -> None:
    text = words(page("ada", [GONE_PART, wrong_part()], penalty=2))
    assert "5.5 of 10 points so far 6 points could not be graded" in text
    assert "2 points were taken off for handing in late" in text
    assert (
        "Not graded, 6 points · sgdw There is no sgdw in the notebook, and the cell that asks for it is gone. This is not a zero."
        in text
    )
    assert "no sgdw in the notebook" not in words(page("ada", [CASES["a person's zero"][0]]))
    assert "GRADED WITHOUT A SANDBOX" in words(page("ada", [wrong_part()], confined=False))


def test_marks_go_before_our_scores() -> None:
    findings = {question.name: Finding(GRADED, "", "Right.") for question in ALL}
    answers = {question.name: Answer() for question in ALL}
    marks = {
        ("ada", "adamw"): Mark(8.0, "Late."),
        ("ada", "sgdw"): Mark(None, "Good."),
        ("ben", "adam_l2"): Mark(0.0, ""),
        ("ada", "written_1a_i"): Mark(None, "", changed=True),
    }
    found = {each.question.name: each for each in parts("ada", findings, answers, marks)}
    assert [(found[name].score, found[name].comment) for name in ("adamw", "sgdw", "adam_l2")] == [
        (8.0, "Late."),
        (6.0, "Good."),
        (8.0, ""),
    ]
    assert (found["written_1a_i"].score, found["written_1a_i"].finding.status) == (None, BY_HAND)


# --- what is kept of the public example ----------------------------------------------------------------

REMEMBERS = """
SEEN = []
def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):
    SEEN.append(float(theta.sum() * 1000 + grad.sum()))
    return theta * 0 + SEEN[0], State(state.t + 1, state.m, state.v)
"""
HIDDEN_OR_NOT = {
    **{
        name: (name, next(s for mistakes, _, s in known(name) if mistakes == mistake))
        for name, mistake in (
            ("adamw", "decay_times_lr"),
            ("adam_l2", "t_not_counted"),
            ("sgdw", "decay_in_buffer"),
            ("preconditioner", "factor_missing"),
            ("scaled_penalty_gradient", "factor_two"),
            ("weight_decay_factor", "factor_two"),
            ("good_fraction", "per_cent"),
        )
    },
    "odd": ("adamw", RIGHT["adamw"].replace("theta = (1", "theta = 0.97 * (1")),
    "remembers": ("adamw", REMEMBERS),
}


def numbers_in(value: Any) -> set[str]:
    """The numbers of nested lists and dicts that are told by their digits, in four of them and in all."""
    if isinstance(value, Mapping):
        return set().union(*map(numbers_in, value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(numbers_in, value))
    if isinstance(value, float) and math.isfinite(value) and len(f"{abs(value):.4g}".strip("0.")) >= 4:
        return {f"{abs(value):.4g}", f"{abs(value):.4f}", f"{abs(value):g}"}
    return set()


@pytest.mark.parametrize(("question", "source"), HIDDEN_OR_NOT.values(), ids=HIDDEN_OR_NOT)
def test_no_hidden_number_is_on_a_page(question: str, source: str, box: Sandbox) -> None:
    finding = grade_one(box, question, source, seed=11)
    assert finding.mistake
    assert finding.example
    text = words(page("ada", [part(question, finding, source)]))
    inputs = QUESTIONS[question].inputs(11)
    worked = grade.fresh(QUESTIONS[question], inputs)
    expected = [{name: array.tolist() for name, array in record.items()} for record in worked["expected"]]
    hidden = numbers_in(list(inputs)) | numbers_in(expected)
    if question == "adamw":  # what the function that remembers would give away
        first = inputs[0]
        hidden |= numbers_in(sum(first["theta"]) * 1000 + sum(first["grads"][0]))
    public = grade.verdicts.numbers()["questions"][question]
    shown = observe(public["kind"], public["inputs"], compiled(question, source)).records  # by the answer, anew
    hidden -= numbers_in([{name: array.tolist() for name, array in record.items()} for record in shown])
    hidden -= numbers_in([public["inputs"], public["expected"]])  # a threshold, a shape: the same for all
    assert hidden
    assert [number for number in hidden if re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", text)] == []


def test_by_heart_is_said_to_be_so(box: Sandbox) -> None:
    stored = grade.verdicts.numbers()["questions"]["weight_decay_factor"]
    table = {
        repr((trial["l2"], trial["lr"])): record["value"]
        for trial, record in zip(stored["inputs"], stored["expected"], strict=True)
    }
    source = f"def weight_decay_factor(l2, lr):\n    return {table}.get(repr((l2, lr)), 0.1)\n"
    assert grade_one(box, "weight_decay_factor", source).example == PASSES


EXAMPLES = {  # answer, whether something is kept
    "right": ("adamw", RIGHT["adamw"], False),
    "stops": ("adamw", "def adamw(theta, grad, state, **k):\n    raise ValueError('\\ud800')\n", False),
    "state alone is wrong": ("adamw", RIGHT["adamw"].replace("State(t, m, v)", "State(t, m, v * 0)"), True),
    "another shape": (
        "scaled_penalty_gradient",
        "def scaled_penalty_gradient(theta, M, l2):\n    return np.ones((9, 9))\n",
        False,
    ),
    "stops later": (
        "best_accuracy",
        "N = []\ndef best_accuracy(table):\n    N.append(1)\n    return 1.0 if len(N) < 3 else 1 / 0\n",
        True,
    ),
}


@pytest.mark.parametrize(("question", "source", "kept"), EXAMPLES.values(), ids=EXAMPLES)
def test_what_is_kept(question: str, source: str, kept: bool, box: Sandbox) -> None:
    finding = grade_one(box, question, source)
    assert bool(finding.example) == kept, finding
    json.dumps(finding, ensure_ascii=False).encode()  # the journal can hold it
    assert len(finding.example) < 400
    assert Finding(*json.loads(json.dumps(finding))) == finding


def test_a_name_that_is_no_text() -> None:
    student = os.fsdecode(b"f\xff")
    assert file_name(student) == "f[U+DCFF].html"
    assert "f[U+DCFF]" in page(student, [wrong_part()])
    assert len(os.fsencode(file_name("é" * 127))) < 150


# --- a class -------------------------------------------------------------------------------------------


@pytest.fixture
def shared(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "Sandbox", lambda confined: contextlib.nullcontext(box))


NAMES = ["ada", 'ben, "junior" <b>&', "#?%41 'c'", "-x", "é\u202e", "d..", "=1+1", "y" * 200]


@pytest.mark.usefixtures("shared")
def test_a_class_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    submitted, out = tmp_path / "in", tmp_path / "out"
    half = RIGHT | {"adamw": HIDDEN_OR_NOT["adamw"][1], "written_1a_i": "Because $x$."}
    hand_in(submitted, NAMES[0], notebook(half))
    for name in NAMES[1:]:
        hand_in(submitted, name, "cut off")
    marks = tmp_path / "marks.csv"
    marks.write_text("student,question,score,comment\nada,written_1a_i,4,Fine.\n", encoding="utf-8")
    assert main(["feedback", str(submitted), "--out", str(out), "--marks", str(marks)]) == 0
    assert f"Wrote {len(NAMES)} pages" in capsys.readouterr().out
    made = {path.name: path.read_bytes() for path in (out / "feedback").iterdir()}
    assert set(made) == {file_name(name) for name in NAMES}
    text = words(made["ada.html"].decode())
    for said in ("◐ 7.5 of 10 points", "4 of 6 points", "From the person who graded this Fine."):
        assert said in text
    assert all("Nothing could be graded." in words(html.decode()) for name, html in made.items() if name != "ada.html")
    whole = (out / "report.html").read_bytes()
    links = [unquote_to_bytes(link) for link in Tree(whole.decode()).links]
    assert {os.fsdecode(link) for link in links} == {f"feedback/{name}" for name in made} - {"feedback/ada.html"}

    (out / "feedback" / "gone.html").write_bytes(made["ada.html"])
    (out / "feedback" / "mine.html").write_text("<p>not ours</p>")
    monkeypatch.setattr(grade, "in_sandbox", None)  # nothing is run again
    back = give_back(submitted, out, secret_seed(), marks=marks, progress=False)
    report.write_report(out, back)
    assert {path.name: path.read_bytes() for path in (out / "feedback").iterdir()} == made | {
        "mine.html": b"<p>not ours</p>"
    }
    assert (out / "report.html").read_bytes() == whole


# --- the report ----------------------------------------------------------------------------------------


def made_class(n: int, marks: bool) -> list[Returned]:
    """A class with drawn scores: able students do better, ``sgdw`` is a matter of luck, one is not graded."""
    rng = np.random.default_rng(7)
    back = []
    for i in range(n):
        able = rng.uniform()
        shown = []
        for question in ALL:
            luck = rng.uniform() if question.name == "sgdw" else 0.7 * able + 0.3 * rng.uniform()
            credit = sorted({0.0, *question.credit.values(), 1.0})
            share = credit[int(luck * len(credit))]
            mistake = "" if share == 1 else next((m for m, s in question.credit.items() if s == share), "unknown")
            finding, given = Finding(GRADED, mistake, "x"), None
            if question.kind == "written":
                finding, given = Finding(BY_HAND), share * question.points if marks else None
            elif i == 3 and question.name == "adamw":
                finding = Finding(NOT_GRADED, "", "gone.")
            shown.append(part(question.name, finding, given=given))
        back.append(Returned(f"student{i:02}", f"student{i:02}.html", shown))
    return back


@pytest.mark.parametrize("marks", [False, True])
def test_the_report_against_a_count_by_hand(marks: bool) -> None:
    back = made_class(40, marks)
    html = report.report(back, [("student01", "", "odd <b>"), ("student02", "adamw", "the same cell as student01")])
    text = words(html)
    assert "40 submissions" in text
    assert f"{39 if marks else 0} graded throughout, {0 if marks else 39} waiting" in text
    assert "1 with something that could not be graded" in text
    code = [i for i, question in enumerate(ALL) if question.kind != "written"]
    whole = [each for j, each in enumerate(back) if j != 3]
    table = np.array([[each.parts[i].score or 0 for i in range(len(ALL))] for each in whole])
    for i, (item, question) in enumerate(zip(report.items(back), ALL, strict=True)):
        scores = [each.parts[i].score for each in back if each.parts[i].score is not None]
        assert item.scores == scores
        assert item.right == scores.count(question.points)
        if question.kind == "written" and not marks:
            assert (item.waiting, item.n) == (40, 0)
            continue
        among = range(len(ALL)) if question.kind == "written" else code
        rest = sum(table[:, j] for j in among if j != i)
        a, b = table[:, i] - table[:, i].mean(), rest - rest.mean()
        by_hand = (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())
        assert item.correlation == pytest.approx(by_hand, abs=1e-12)  # rounding of sums of forty
        assert item.n == 39
        assert f"{np.mean(scores):.2f}" in text
    totals = Counter(min(9, int(sum(each.parts[i].score or 0 for i in code) / 4.6 + 1e-9)) for each in whole)
    bars = svg.bars([sum(each.parts[i].score or 0 for i in code) for each in whole], 46)
    assert [bar.number for bar in bars] == [totals[i] for i in range(10)]
    weak = [item.question.name for item in report.items(back) if item.weak]
    assert "sgdw" in weak
    assert "adamw" not in weak
    assert "1(a)(ii) SGDW with momentum: r = " in text
    made = Counter(each.parts[code[-1]].finding.mistake for each in back)
    mistake, count = next((each, count) for each, count in made.most_common() if each not in ("", "unknown"))
    assert f"{verdicts.sentence(mistake, {})} {count} {count / 40:.0%}" in text
    assert "student01 odd <b> student02 adamw: the same cell as student01" in text
    assert ("Everything: 39 submissions" in text) == marks
    assert "For the instructor's eyes only." in text


def test_a_small_class_is_told_so() -> None:
    text = words(report.report(made_class(6, False), []))
    assert "Fewer than 30 submissions" in text
    assert "Too few submissions to say" in text
    assert "student00" not in text
    assert [report.Item(ALL[0], [], 0, 0, 0, 0.0, n).weak for n in (29, 30)] == [False, True]
    assert math.isnan(report.correlation([1, 1, 1], [1, 2, 3]))
    low, high = report.interval(0.5, 30)
    assert (low, high) == pytest.approx((0.170, 0.729), abs=5e-4)  # Fisher's, as tables have it
    words(report.report([], []))


@pytest.mark.parametrize(
    ("right", "yours"),
    [
        ([1, 2, 3], [1, 2, 4]),
        ([0, 0, 0], [0, 1e300, -1e300]),
        ([1, 2], [1, math.nan]),
        ([1, 2], [math.inf, -math.inf]),
        ([-1e-9, 1e-9], [5, 5]),
        ([1.0], [2.0]),
        ([5, 5.001], [5, 5.0011]),
    ],
)
def test_a_picture_keeps_to_its_frame(right: list[float], yours: list[float]) -> None:
    plot = svg.paths(right, yours)
    for x, y in plot.right.markers + plot.yours.markers:
        assert svg.LEFT <= x <= svg.WIDTH - svg.RIGHT
        assert svg.TOP <= y <= svg.HEIGHT - svg.BOTTOM
    assert len(plot.right.markers) == len(right)
    assert 2 <= len(plot.y) <= 8
    assert len({tick.label for tick in plot.y}) == len(plot.y)
    assert not any("nan" in points or "inf" in points for points in plot.yours.parts)
    assert svg.paths([1, 2, 3], [1, math.nan, 3]).yours.parts == []  # no line over a gap
    scale = {tick.label: tick.place for tick in plot.y}
    assert sorted(scale.values(), reverse=True) == list(scale.values())  # up is more
