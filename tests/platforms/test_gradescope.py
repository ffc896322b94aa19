"""Gradescope: its results never hold a 0 for what is not graded, and its archive runs as it would there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from helpers.submissions import CODE_POINTS, RIGHT, notebook

from autograder.__main__ import main
from autograder.assignment.mistakes import known
from autograder.assignment.questions import ALL, QUESTIONS
from autograder.grading.finding import BY_HAND, GRADED, NOT_GRADED, Finding
from autograder.platforms import gradescope
from autograder.sandbox import sandbox, without_namespaces

CODE = [question for question in ALL if question.kind != "written"]
TIMES_LR = next(source for mistakes, _, source in known("adamw") if mistakes == "decay_times_lr")


def findings(**changed: Finding) -> dict[str, Finding]:
    """All right, the written answers waiting; but for ``changed``."""
    return {
        question.name: changed.get(
            question.name, Finding(BY_HAND) if question.kind == "written" else Finding(GRADED, "", "Right.")
        )
        for question in ALL
    }


CASES: dict[str, tuple[dict[str, Finding], float | None, str]] = {
    "right": ({}, CODE_POINTS, "graded by hand: written_1a_i, "),
    "partly": ({"adamw": Finding(GRADED, "decay_times_lr", "Times lr.")}, CODE_POINTS - 2.5, "by hand"),
    "a true zero": ({question.name: Finding(GRADED, "open", "Open.") for question in CODE}, 0, "by hand"),
    "not graded": ({"adamw": Finding(NOT_GRADED, "", "Which counts?")}, None, "which is not a 0: adamw"),
    "nothing graded": ({q.name: Finding(NOT_GRADED, "", "Cut off.") for q in ALL}, None, "none was found"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_graded_is_no_zero(name: str) -> None:
    """The total is the sum of the tests' scores; it exists only where every code question has one."""
    changed, total, words = CASES[name]
    made = gradescope.results(findings(**changed))
    scores = [test["score"] for test in made["tests"] if "score" in test]
    assert "score" not in made
    assert words in made["output"]
    if total is None:
        assert scores == []
        assert any(test["output"].startswith("Not graded: ") for test in made["tests"])
    else:
        assert (sum(scores), len(scores)) == (total, len(CODE))
    assert [test["max_score"] for test in made["tests"]] == [question.points for question in CODE]
    assert {test["output_format"] for test in made["tests"]} == {made["output_format"]} == {"text"}
    assert all("written" not in test["name"] for test in made["tests"])


# --- the archive, run by its entry script --------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What Gradescope makes of the archive: /autograder, but elsewhere."""
    (tmp_path / "seed.txt").write_text("a seed of tests\n")
    monkeypatch.chdir(tmp_path)
    assert main(["gradescope", str(tmp_path / "grader.zip")]) == 0
    made = tmp_path / "autograder"
    with zipfile.ZipFile(tmp_path / "grader.zip") as archive:
        archive.extractall(made / "source")
        assert archive.getinfo("setup.sh").external_attr >> 16 == 0o755
    shutil.copy(made / "source" / "run_autograder", made / "run_autograder")
    (made / "run_autograder").chmod(0o755)
    (made / "submission").mkdir()
    (made / "results").mkdir()
    who = {"users": [{"email": "ada@uni.edu", "id": 1, "name": "Ada"}]}
    (made / "submission_metadata.json").write_text(json.dumps(who))
    return made


def hand_in(root: Path, answers: dict[str, str]) -> None:
    path = root / "submission" / "my final version (2).ipynb"
    path.write_text(json.dumps(notebook(answers)), encoding="utf-8")


def scores(root: Path) -> dict[str, Any]:
    made = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
    titles = {question.title: question.name for question in ALL}
    return {titles[test["name"]]: test.get("score") for test in made["tests"]}


def test_its_entry_script_grades_a_submission(root: Path) -> None:
    if reason := sandbox.missing():
        pytest.skip(reason)
    hand_in(root, RIGHT | {"adamw": TIMES_LR})
    where = {"AUTOGRADER_ROOT": str(root), "GRADER_PYTHON": sys.executable}
    done = subprocess.run([root / "run_autograder"], env=os.environ | where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert scores(root) == {question.name: question.points for question in CODE} | {"adamw": 7.5}


def test_without_a_sandbox_nothing_is_run_and_nothing_is_zero(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradescope, "missing", lambda: "bubblewrap is missing")
    hand_in(root, RIGHT)
    made = gradescope.run(root)
    assert set(scores(root).values()) == {None}
    assert "without it nothing is run: bubblewrap is missing" in made["tests"][0]["output"]


# A container as Gradescope's: root without the right to make namespaces, over a copy of this machine
# that is thrown away.
CONTAINER = """
set -e
mount -t tmpfs tmpfs {scratch}
mkdir {scratch}/upper {scratch}/work {scratch}/root
mount -t overlay overlay -o lowerdir=/,upperdir={scratch}/upper,workdir={scratch}/work {scratch}/root
mount --rbind /dev {scratch}/root/dev
mount --rbind /proc {scratch}/root/proc
mkdir {scratch}/root/autograder
cp -a {root}/. {scratch}/root/autograder
for place in {open}; do chmod a+x {scratch}/root$place; done
setpriv --bounding-set=-sys_admin,-sys_ptrace --inh-caps=-sys_admin,-sys_ptrace \
    chroot {scratch}/root env GRADER_PYTHON={python} /autograder/run_autograder
for _ in $(seq 50); do test -e {scratch}/root/tmp/survived || break; sleep 0.1; done
test ! -e {scratch}/root/tmp/survived
cp {scratch}/root/autograder/results/results.json {root}/results
"""
ATTACK = """
def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):
    import os, socket, torch.optim.adamw
    from pathlib import Path
    def textbook():
        file = Path(torch.optim.adamw.__file__)
        compiled = b"".join(path.read_bytes() for path in file.parent.glob("__pycache__/adam*"))
        return file.read_text() + compiled.decode("latin-1")
    ways = {
        "seed": lambda: Path("/autograder/source/seed.txt").read_text(),
        "answers": lambda: Path("/autograder/source/adamw_pset/optimizers/__init__.py").read_text(),
        "results": lambda: Path("/autograder/results/results.json").write_text("{}"),
        "list": lambda: os.listdir("/autograder"),
        "cell": lambda: Path("/scratch/left").write_text("x"),
        "fork": os.fork,
        "program": lambda: os.execv("/bin/true", ["true"]),
        "network": socket.socket,
        "memory": lambda: open(f"/proc/{os.getppid()}/mem", "rb").close(),
        "root": lambda: os.setuid(0),
        "grader": lambda: os.kill(1, 9),
        "torch": lambda: torch.optim.AdamW([torch.nn.Parameter(theta)]),
        "source": lambda: "bias_correction" in textbook() or 1 / 0,
        "survivor": lambda: [pid for pid in os.listdir("/proc") if pid.isdigit()
                             and os.stat("/proc/" + pid).st_uid in set(range(62182, 64182)) - {os.getuid()}][0],
        "reached": lambda: open("/tmp/reached").close(),
    }
    won = []
    for name, way in ways.items():
        try:
            way()
            won.append(name)
        except Exception:
            pass
    raise RuntimeError(f"uid {os.getuid()} won {won}")
"""

# A cell that outlives its answer: it is to be ended before it can reach the next one.
SURVIVOR = """
def weight_decay_factor(l2, lr):
    import ctypes, os, time
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    os.kill(os.getppid(), 9)
    open("/tmp/survived", "w").write("x")
    for _ in range(300):
        time.sleep(0.2)
        for pid in os.listdir("/proc"):
            try:
                if pid.isdigit() and int(pid) != os.getpid():
                    open(f"/proc/{pid}/mem", "r+b").close()
                    open("/tmp/reached", "w").write(pid)
            except OSError:
                pass
"""


def container(root: Path) -> subprocess.CompletedProcess[str]:
    scratch = root.parent / "scratch"
    scratch.mkdir()
    prefixes = {Path(sys.prefix), Path(sys.base_prefix)}
    parents = sorted({str(parent) for prefix in prefixes for parent in prefix.parents} - {"/"})
    script = CONTAINER.format(scratch=scratch, root=root, python=sys.executable, open=" ".join(parents))
    return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)


def can_make_a_container() -> bool:
    probe = (
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w"
        " && mount -t overlay overlay -o lowerdir=/usr,upperdir=/mnt/u,workdir=/mnt/w /mnt"
    )
    made = ["unshare", "-m", "sh", "-c", probe]
    return os.getuid() == 0 and subprocess.run(made, capture_output=True).returncode == 0


def test_without_namespaces_a_user_of_its_own_runs_the_code(root: Path) -> None:
    """The same scores; and nothing of what is worth having can be read, written or started."""
    if not can_make_a_container():
        pytest.skip("needs root and the right to mount, to play a container of Gradescope")
    with open(root / "source" / "autograder" / "assignment" / "questions.py", "a") as file:  # each takes a new worker
        file.write("ALL = tuple(QUESTIONS[name] for name in ('weight_decay_factor', 'preconditioner', 'adamw'))\n")
    hand_in(root, RIGHT | {"weight_decay_factor": SURVIVOR, "adamw": ATTACK})
    done = container(root)
    assert done.returncode == 0, done.stderr
    assert "No namespaces here: the student's code runs as a user of its own." in done.stdout
    assert scores(root) == {"weight_decay_factor": 0, "preconditioner": QUESTIONS["preconditioner"].points, "adamw": 0}
    text = (root / "results" / "results.json").read_text()
    user = re.search(r"uid (\d+) won \[\]", text)
    assert user, text
    assert int(user[1]) in without_namespaces.USERS
    deadline = time.monotonic() + 10
    while without_namespaces.processes(without_namespaces.USERS) and time.monotonic() < deadline:
        time.sleep(0.1)  # root is at it
    assert not without_namespaces.processes(without_namespaces.USERS)


def test_the_stand_in_refuses_any_other_machine() -> None:
    done = subprocess.run([sys.executable, without_namespaces.__file__, "--", "true"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "and nowhere else" in done.stderr


def test_the_stand_in_knows_what_the_sandbox_asks_for(tmp_path: Path) -> None:
    from autograder.sandbox.mounts import bubblewrap

    made = without_namespaces.room([*bubblewrap(tmp_path)[1:], "python", "-c", "x"])
    assert (made.folder, made.folders, made.command) == ("/scratch", ["/scratch"], ["python", "-c", "x"])
    assert (str(tmp_path / "code"), "/room") in made.binds
    with pytest.raises(ValueError, match="--share-net is not known here"):
        without_namespaces.room(["--share-net", "--", "true"])


def test_what_was_chosen_is_packed_and_no_student_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("submitted/ada/explore_Adam/explore_Adam.ipynb", "grades/grades.csv", "gradebook.db", "ids.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("ada's own words")
    names = gradescope.archive(tmp_path / "g.zip", "after_published", 256)
    assert not [name for name in names if re.search(r"submitted|grades/|gradebook|ids\.csv", name)]
    with zipfile.ZipFile(tmp_path / "g.zip") as file:
        assert json.loads(file.read(gradescope.CHOSEN)) == {"visibility": "after_published", "memory": 256}
        assert not any(b"ada's own words" in file.read(name) for name in names)
    (tmp_path / "root" / "source").mkdir(parents=True)
    chosen = {"visibility": "hidden", "memory": 256}
    (tmp_path / "root" / "source" / gradescope.CHOSEN).write_text(json.dumps(chosen))
    monkeypatch.setattr(gradescope, "missing", lambda: "no sandbox here")
    assert {test["visibility"] for test in gradescope.run(tmp_path / "root")["tests"]} == {"hidden"}
