"""A class in several processes: the same at any number of them, killed or not, and nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.submissions import RIGHT, descendants, hand_in, notebook

pytest.importorskip("nbgrader", reason="pip install -e .[autograder]")

from autograder.demo import classroom
from autograder.grading import batch, grade
from autograder.grading.batch import ATTENTION, GRADES, JOURNAL, grade_all
from autograder.sandbox import pool
from autograder.sandbox.sandbox import Sandbox, SandboxError

SEED = "a seed for tests"
ROOT = Path(grade.__file__).parents[1]
SLOW = RIGHT["adamw"].replace("    t = ", "    import time; time.sleep(0.05)\n    t = ", 1)


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class that takes some seconds, with shared answers, broken files and a death or two in it."""
    folder = tmp_path_factory.mktemp("class")
    for number in range(7):
        hand_in(folder, f"slow{number}", notebook(RIGHT | {"adamw": SLOW if number % 5 else "import os; os._exit(0)"}))
    for number, (_, name, text) in enumerate(classroom.submissions(4, seed=3)):
        hand_in(folder, f"mixed{number}", text, name)
    return folder


@pytest.fixture(scope="module")
def undisturbed(submitted: Path, tmp_path_factory: pytest.TempPathFactory, box: Sandbox) -> tuple[bytes, bytes]:
    """What one process makes of the class."""
    out = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "Sandbox", lambda confined: contextlib.nullcontext(box))
        grade_all(submitted, out, SEED, progress=False)
    return tables(out)


def tables(out: Path) -> tuple[bytes, bytes]:
    return (out / GRADES).read_bytes(), (out / ATTENTION).read_bytes()


def test_the_same_at_any_number_of_jobs_in_any_order(
    submitted: Path, undisturbed: tuple[bytes, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shuffled(self: Path) -> Iterator[Path]:
        entries = [self / name for name in os.listdir(self)]
        random.Random(3).shuffle(entries)
        return iter(entries)

    monkeypatch.setattr(Path, "iterdir", shuffled)
    grade_all(submitted, tmp_path, SEED, jobs=3, progress=False)
    assert tables(tmp_path) == undisturbed
    monkeypatch.setattr(batch, "in_jobs", lambda *rest: map(partial(rest[2], SimpleNamespace(confined=True)), rest[3]))
    grade_all(submitted, tmp_path, SEED, jobs=3, progress=False)  # from the journal: there is no sandbox
    assert tables(tmp_path) == undisturbed


def test_killed_and_interrupted_it_goes_on_and_leaves_nothing_behind(
    submitted: Path, undisturbed: tuple[bytes, bytes], tmp_path: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill -9 of the whole group, then ctrl-C; each time the next run goes on."""
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    (tmp_path / "seed.txt").write_text(SEED)
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "autograder", "grade", str(submitted), "--out", str(out), "--jobs", "2"]
    before = 0
    for number in (signal.SIGKILL, signal.SIGINT):
        running = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, start_new_session=True
        )
        while journalled(out) <= before:
            assert running.poll() is None, running.stderr and running.stderr.read()
            time.sleep(0.02)
        started = descendants(running.pid)
        assert len(started) >= 6  # two processes, two bubblewraps, two workers
        os.killpg(running.pid, number)
        said = running.communicate()[1].decode()
        assert (running.returncode, "Traceback" in said) == (130 if number == signal.SIGINT else -9, False), said
        assert not (out / GRADES).exists()  # nothing half-written
        deadline = time.monotonic() + 10  # the kernel clears namespaces away in its own time
        while alive := {pid for pid in started if running_still(pid)}:
            assert time.monotonic() < deadline, alive
            time.sleep(0.05)
        before = journalled(out)
        with open(out / JOURNAL, "ab") as file:
            file.write(b'{"cut')
    monkeypatch.setattr(batch, "Sandbox", lambda confined: contextlib.nullcontext(box))
    grade_all(submitted, out, SEED, progress=False)
    assert tables(out) == undisturbed


def journalled(out: Path) -> int:
    """Submissions of which the journal holds everything."""
    return (out / JOURNAL).read_bytes().count(b"}\n") if (out / JOURNAL).exists() else 0


def running_still(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_two_at_once_on_one_folder_are_refused(submitted: Path, tmp_path: Path) -> None:
    with open(tmp_path / JOURNAL, "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match=r"another run is grading to .*--out"):
            grade_all(submitted, tmp_path, SEED, progress=False)


class Killed:
    """In the place of a sandbox: ends its process at the first submission."""

    def __enter__(self) -> Killed:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def killed(box: Killed, item: int) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def asleep(box: Killed, started: Path) -> None:
    started.write_text(str(os.getpid()))
    time.sleep(600)


def test_a_process_in_the_midst_of_its_work_ends_with_the_first(tmp_path: Path) -> None:
    started = tmp_path / "started"
    program = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "import test_pool; from pathlib import Path\n"
        f"list(test_pool.pool.in_jobs(1, test_pool.Killed, test_pool.asleep, [Path({str(started)!r})]))"
    )
    running = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    while not (started.exists() and started.read_text()):
        assert running.poll() is None
        time.sleep(0.02)
    running.kill()
    running.wait()
    deadline = time.monotonic() + 10
    while running_still(int(started.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_that_is_killed_is_told_and_not_waited_for() -> None:
    with pytest.raises(SandboxError, match="try fewer --jobs"):
        list(pool.in_jobs(1, Killed, killed, [1, 2]))  # type: ignore[arg-type]


def test_what_a_job_sends_back_is_small(tmp_path: Path, box: Sandbox) -> None:
    """Neither texts nor pictures of 500 submissions are held at once."""
    long = RIGHT["adamw"] + "".join(f"# {number}\n" for number in range(100_000))
    made = notebook(RIGHT | {"adamw": long, "written_1a_i": "x" * 500_000})
    made["cells"][0]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 500_000}}
    ]
    hand_in(tmp_path, "ada", made)
    graded = batch._grade(SEED, {}, box, tmp_path / "ada" / "explore_Adam")
    assert graded.findings["adamw"].message == "Right."
    assert len(pickle.dumps(graded)) < 20_000  # a line for each of 17 questions, and hashes


def test_a_class_is_the_same_for_the_same_seed_and_has_all_sorts(tmp_path: Path) -> None:
    first, again, other = (list(classroom.submissions(100, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    kinds = Counter(kind.split(":")[0] for kind, _, _ in first)
    assert set(kinds) == {*classroom.SHARES, "endless"}
    assert kinds["endless"] == 4
    written = classroom.write_class(tmp_path, 12)
    assert list(written.values()) == [kind for kind, _, _ in first[:12]]
    assert json.loads(first[0][2])["cells"]
