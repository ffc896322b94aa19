"""A small course to look at: ``python -m autograder demo DIR`` makes it, grades it, writes its feedback."""

from __future__ import annotations

import copy
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook

from adamw_pset.files import write_whole
from autograder.assignment.answer_sources import CODE, textbook
from autograder.assignment.mistakes import known
from autograder.assignment.places import INSTRUCTOR, NAME, RELEASED
from autograder.demo import written_answers
from autograder.grading import batch
from autograder.grading.finding import Row
from autograder.grading.seed import secret_seed
from autograder.platforms.course import LINES
from autograder.returning.feedback import give_back
from autograder.returning.grading_page import write_grading_page
from autograder.returning.report import write_report

RIGHT = {question: textbook(question) for question in CODE}
WRITTEN = written_answers.answers(1)  # right
IN_NUMPY = """
def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):
    g, m, v = np.array(grad), np.array(state.m), np.array(state.v)
    m, v, t = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g, state.t + 1
    step = lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    new = np.array(theta) - weight_decay * np.array(theta) - step
    return torch.as_tensor(new), State(t, torch.as_tensor(m), torch.as_tensor(v))
"""
LEFT_TO_GRADE = 8  # students, whose written answers wait for whoever looks at the course
COMMON = {  # mistake: the question in which it is made
    "decay_left_out": "adamw",
    "decay_through_gradient": "adamw",
    "decay_times_lr": "adamw",
    "decay_in_denominator": "adamw",
    "decay_wrong_sign": "adamw",
    "decay_on_new_theta": "adamw",
    "bias_left_out": "adam_l2",
    "t_not_counted": "adam_l2",
    "eps_inside_root": "adam_l2",
    "decay_decoupled": "adam_l2",
    "decay_in_buffer": "sgdw",
    "changed_in_place": "sgdw",
    "factor_missing": "preconditioner",
    "one_k_fits": "counterexample",
    "factor_two": "scaled_penalty_gradient",
    "diverged_ignored": "good_fraction",
}
CONFIG = f"""c = get_config()
c.CourseDirectory.course_id = "adamw"
{LINES}"""
NEVER = "def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):\n    "
HOSTILE = {
    "equals everything": NEVER + "return type('E', (float,), {'__eq__': lambda *a: True})(), state\n",
    "calls torch.optim": NEVER + "torch.optim.AdamW([torch.nn.Parameter(theta)], lr=lr).step()\n",
    "reads the answers": NEVER + "from adamw_pset.optimizers import adamw as a\n    return a(theta, grad, state)\n",
    "runs for ever": NEVER + "while True: pass\n",
    "takes all memory": NEVER + "x = [bytearray(1 << 28) for _ in range(64)]\n",
    "forks": NEVER + "import os\n    while True: os.fork()\n",
    "kills its parent": NEVER + "import os\n    os.kill(0, 9)\n",
    "forges a reply": NEVER + "import os\n    os.write(3, b'10' * 99)\n    return theta, state\n",
}


def build(folder: Path) -> dict[str, str]:
    """Write the course into ``folder``; student by student, what they handed in."""
    write_whole(folder / "source" / NAME / f"{NAME}.ipynb", INSTRUCTOR.read_text(encoding="utf-8"))
    write_whole(folder / "nbgrader_config.py", CONFIG)
    kinds = {}
    for number, (kind, content) in enumerate(submissions(), start=1):
        student = f"student{number:02}"
        kinds[student] = kind
        write_whole(folder / "submitted" / student / NAME / f"{NAME}.ipynb", content)
    return kinds


def submissions() -> Iterator[tuple[str, str]]:
    """What it is, and the text of the file."""
    right = (RIGHT | written_answers.answers(number) for number in itertools.count(1))
    yield "right", notebook(next(right))
    yield "right, in numpy", notebook(next(right) | {"adamw": IN_NUMPY})
    yield "nothing answered", notebook({})
    for mistake, question in COMMON.items():
        source = next(source for mistakes, _, source in known(question) if mistakes == mistake)
        yield f"{mistake} in {question}", notebook(next(right) | {question: source})
    for kind, source in HOSTILE.items():
        yield kind, notebook(next(right) | {"adamw": source})
    yield "script in an answer", notebook(next(right) | {"written_1a_i": "<script>alert(1)</script> Done."})
    yield "cut off", notebook(RIGHT)[:4000]
    yield "empty file", ""
    yield "without ids", notebook(next(right), ids=False)
    yield "adamw twice", notebook(next(right), more=NEVER + "return theta, state\n")
    yield "its cell deleted", notebook({name: text for name, text in next(right).items() if name != "sgdw"}, "sgdw")
    yield "a syntax error", notebook(next(right) | {"adam_l2": RIGHT["adam_l2"].replace("return", "retrun")})


def demo(folder: Path) -> str:
    """Make the course, grade it with and without nbgrader, write its feedback; the table, as text."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "gradebook.db").exists():
        raise ValueError(f"{folder} holds something that is no course of ours: give another folder")
    shutil.rmtree(folder, ignore_errors=True)
    kinds = build(folder)
    submitted, grades, seed, jobs = folder / "submitted", folder / "grades", secret_seed(folder), os.cpu_count() or 1
    rows = batch.grade_all(submitted, grades, seed, jobs=min(4, jobs))
    for step in ("generate_assignment", "autograde"):
        print(f"nbgrader {step} {NAME} …", flush=True)
        nbgrader(folder, step, NAME)
    mark(folder / "gradebook.db")
    print(f"nbgrader generate_feedback {NAME} …", flush=True)
    nbgrader(folder, "generate_feedback", NAME)
    write_report(grades, give_back(submitted, grades, seed, marks=folder / "gradebook.db"))
    write_grading_page(submitted, grades, seed, marks=folder / "gradebook.db", jobs=1, confined=True, progress=False)
    return table(kinds, rows)


def mark(gradebook: Path) -> None:
    """Grade the written answers of all but the last students, as a person would in the formgrader."""
    quality = {text: place for texts in written_answers.ANSWERS.values() for place, text in enumerate(texts)}
    with Gradebook(f"sqlite:///{gradebook}") as book:
        for submission in book.find_assignment(NAME).submissions[:-LEFT_TO_GRADE]:
            notebook = submission.notebooks[0]
            texts = written_answers.answers(int(submission.student.id.removeprefix("student")))
            comments = {comment.name: comment for comment in notebook.comments}
            for grade in notebook.grades:
                if grade.name in texts and grade.auto_score is None and grade.needs_manual_grade:
                    place = quality[texts[grade.name]]
                    grade.manual_score = written_answers.SHARES[place] * grade.max_score
                    grade.needs_manual_grade = False
                    comments[grade.name].manual_comment = written_answers.COMMENTS[place]
        book.db.commit()


def nbgrader(course: Path, *arguments: str) -> None:
    """Run an nbgrader command with our settings on ``course``; raises ``ValueError`` with its last words."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # nbgrader calls alembic
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ValueError(f"nbgrader {arguments[0]} failed: {done.stderr[-1500:]}")


def table(kinds: Mapping[str, str], rows: list[Row]) -> str:
    """A line a student: what was handed in, the points for code, and the first complaint."""
    lines = [f"{'student':11}{'handed in':36}{'code':>6}  what is said"]
    for student, kind in kinds.items():
        own = [row for row in rows if row.student == student and row.question in CODE]
        points = sum(row.score or 0 for row in own)
        open_ = " ?" if any(row.score is None for row in own) else "  "
        complaint = next((f"{row.question}: {row.message}" for row in own if row.message != "Right."), "all right")
        lines.append(f"{student:11}{kind:36}{points:>6g}{open_}{complaint[:100]}")
    return "\n".join(
        [*lines, "", "?: something was not graded, and the points are those of the rest; code is worth 46."]
    )


def notebook(answers: Mapping[str, str], deleted: str = "", more: str = "", ids: bool = True) -> str:
    released: Any = copy.deepcopy(json.loads(RELEASED.read_text(encoding="utf-8")))
    cells: list[Any] = []
    for cell in released["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if deleted and name.removeprefix("check_") == deleted:
            continue
        cell["source"] = answers.get(name, cell["source"])
        if not ids:
            cell["metadata"], cell["id"] = {}, f"cell-{len(cells)}"
        cells.append(cell)
        if name == "adamw" and more:
            cells.append({**cell, "source": more, "id": "again"})
    released["cells"] = cells
    return json.dumps(released, ensure_ascii=False, indent=1)
