"""The command line, from arguments to files, and the tables that it saves."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.submissions import CODE, counted
from helpers.tables import diagonal, table

from adamw_pset.checks import check, summary
from adamw_pset.cli import main
from adamw_pset.maps.measures import tuning_card
from adamw_pset.table import TableError, join, read_table, write_table

TINY = ["--grid", "3", "--seeds", "2", "--epochs", "1"]


def test_heatmaps_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "figures"
    assert main(["heatmaps", *TINY, "--out", str(out)]) == 0
    names = ["heatmaps.csv", "heatmaps.png", "heatmaps.svg", "runs", "tuning.csv"]
    assert sorted(p.name for p in out.iterdir()) == names
    results = read_table(out / "heatmaps.csv")
    assert len(results) == 2 * 3 * 3 * 2
    printed = capsys.readouterr()
    assert "two_line_regret" in printed.out
    assert "100%" in printed.err
    saved = pd.read_csv(out / "tuning.csv", index_col=0)
    np.testing.assert_allclose(saved, tuning_card(results), rtol=1e-12)
    before = (out / "heatmaps.svg").read_bytes()
    assert main(["heatmaps", *TINY, "--out", str(out)]) == 0  # nothing left to train
    assert (out / "heatmaps.svg").read_bytes() == before
    capsys.readouterr()
    assert main(["tuning", str(out / "heatmaps.csv")]) == 0
    assert printed.out.startswith(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("paint", "invalid choice: 'paint'"),
        (
            "heatmaps --optimizers adamw adm",
            "no rule named adm in the reference, with a row in the registry; there are: sgd, sgdw",
        ),
        ("heatmaps --grid 1", "grid of 1: give at least 2 points"),
        ("heatmaps --grid 2.5", "'2.5' should be a whole number from 1 up"),
        ("heatmaps --seeds 0", "'0' should be a whole number from 1 up"),
        ("heatmaps --lrs -1 1", "range -1 to 1: give two numbers with 0 < low < high"),
        ("heatmaps --decays 1 0.1", "range 1 to 0.1"),
        ("heatmaps --lrs nan 1", "range nan to 1"),
        ("heatmaps --difficulty brutal", "difficulty='brutal': choose one of easy, medium, hard"),
        ("heatmaps --data iris", "data 'iris': choose synthetic, digits or a file ending in .npz"),
        ("heatmaps --data {tmp}/no.npz", "no.npz: No such file or directory"),
        ("heatmaps --data {tmp}/words.npz", "words.npz: y_train holds <U3, and should hold numbers"),
        ("heatmaps --data {tmp}/few.npz", "data has 9 training points, fewer than batch_size=64"),
        ("curves --at 1 1 --knob n_train=9", "data has 9 training points, fewer than batch_size=64"),
        ("heatmaps --data {tmp}/halves.npz", "halves.npz: y_train is torch.float64 of shape (9,): give whole numbers"),
        ("heatmaps --device abacus", "device='abacus'"),
        ("heatmaps --out {tmp}/file/sub", "Not a directory"),
        ("tuning {tmp}/no.csv", "no.csv: No such file or directory"),
        ("tuning {tmp}/file", "file is not a table of runs"),
        ("tuning {tmp}/words.csv", "column optimizer, lr, decay, seed"),
        ("tuning {tmp}", "Is a directory"),
        ("tuning {tmp}/good.csv --threshold 2", "threshold=2.0: give an accuracy from 0 to 1"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "words.csv").write_text("some,words\n1,2\n")
    for name, labels in {"words": ["cat"] * 9, "few": [0] * 9, "halves": [0.5] * 9}.items():
        x, y = np.ones((9, 2)), np.array(labels)
        np.savez(tmp_path / f"{name}.npz", x_train=x, y_train=y, x_val=x, y_val=y)
    write_table(table(diagonal(0)), tmp_path / "good.csv")
    try:
        code = main(arguments.format(tmp=tmp_path).split())
    except SystemExit as error:
        code = int(error.code or 0)
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert words in printed.err
    assert printed.err.startswith("adamw-pset")


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--optimizers", "adamw", "--out", str(tmp_path)]
    assert main(["heatmaps", *TINY, *out]) == 0
    before = (tmp_path / "heatmaps.csv").read_bytes()
    assert main(["heatmaps", *TINY, "--plain", *out]) == 2
    assert "holds runs of other settings" in capsys.readouterr().err
    assert (tmp_path / "heatmaps.csv").read_bytes() == before


def test_own_arrays_and_ranges_reach_the_sweep(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(128, 3)), rng.integers(2, size=128)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_val=x, y_val=y)
    options = ["--data", str(tmp_path / "mine.npz"), "--lrs", "0.01", "0.1", "--decays", "0.001", "0.1"]
    assert main(["heatmaps", *TINY, *options, "--optimizers", "sgd", "--out", str(tmp_path)]) == 0
    results = read_table(tmp_path / "heatmaps.csv")
    assert sorted(set(results["decay"])) == [0.001, 0.01, 0.1]
    assert (results["lr"].min(), results["lr"].max()) == (0.01, 0.1)
    assert results.attrs["data"]["data"] == "mine.npz"


def test_without_the_answers_the_command_asks_for_rules() -> None:
    code = (
        "import sys; sys.modules['adamw_pset.optimizers'] = None\n"
        "from adamw_pset.cli import main\n"
        "sys.exit(main(['heatmaps']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the reference rules are not installed here: give --rules NOTEBOOK.ipynb" in done.stderr


def test_ctrl_c_while_python_imports_is_a_word() -> None:
    code = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from adamw_pset.cli import main\n"
        "sys.exit(main(['heatmaps']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        130,
        "\nStopped. What was finished is kept; the same command goes on from there.\n",
    )


def _as_excel(text: str) -> bytes:
    """What a spreadsheet makes of a file that it opened and saved: a byte order mark, its own line ends and quotes."""
    made = io.StringIO(newline="")
    csv.writer(made).writerows(csv.reader(io.StringIO(text)))
    return ("\ufeff" + made.getvalue()).encode()


def _as_german_excel(text: str) -> bytes:
    made = io.StringIO(newline="")
    first, *rest = csv.reader(io.StringIO(text))
    csv.writer(made, delimiter=";").writerows([first, *([cell.replace(".", ",") for cell in row] for row in rest)])
    return ("\ufeff" + made.getvalue()).encode()


def _as_german_excel_with_sep(text: str) -> bytes:
    return b"\xef\xbb\xbfsep=;\r\n" + _as_german_excel(text)[3:]


def test_tables_survive_the_disk(tmp_path: Path) -> None:
    original = table(diagonal(-2) / 3, "adam_l2")
    original.loc[3, ["val_accuracy", "val_loss"]] = np.nan
    original.attrs = {"epochs": 2, "optimizers": {"adam_l2": {"decay": "l2"}}}
    write_table(original, tmp_path / "t.csv")
    again = read_table(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(again, original, check_exact=True)
    assert again.attrs == original.attrs
    for saved in (_as_excel, _as_german_excel, _as_german_excel_with_sep):
        (tmp_path / "s.csv").write_bytes(saved((tmp_path / "t.csv").read_text(encoding="utf-8")))
        again = read_table(tmp_path / "s.csv")
        pd.testing.assert_frame_equal(again, original, check_exact=True)
        assert again.attrs == original.attrs
    other = table(diagonal(0), "adamw")
    other.attrs = {"epochs": 2, "optimizers": {"adamw": {"decay": "weight_decay"}}}
    assert set(join([again, other]).attrs["optimizers"]) == {"adam_l2", "adamw"}
    other.attrs["epochs"] = 3
    with pytest.raises(TableError, match="do not belong together: epochs is 3 there and 2 here"):
        join([again, other])


PRINTING = "def weight_decay_factor(l2, lr):\n    print('λ_w = η λ_ℓ2')\n    return l2 * lr\n"


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("encoding", ["cp1252", "cp850", "ascii"])
def test_a_verdict_comes_in_any_encoding(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": PRINTING}]}))
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    check("weight_decay_factor", lambda l2, lr: print("λ_w = η λ_ℓ2") or l2 * lr)
    summary({"weight_decay_factor": lambda l2, lr: l2 + lr})
    assert main(["check", str(path)]) == 1
    said = sys.stdout.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert "weight_decay_factor: right." in said
    assert said.count("_w = ? ?_?2") == 2
    assert f"0 of {len(CODE)} code answers right" in said
    assert counted(1, 0) in said


@pytest.mark.filterwarnings("default")
def test_a_reader_that_has_gone_away_costs_no_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": "x = 1"}]}))
    program = f"import sys; from adamw_pset.cli import main; sys.exit(main(['check', {str(path)!r}]))"
    theirs, ours = os.pipe()
    os.close(theirs)
    done = subprocess.run([sys.executable, "-c", program], stdout=ours, stderr=subprocess.PIPE, text=True, check=False)
    os.close(ours)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr


def test_the_instructor_s_words_come_in_any_encoding(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autograder", "grade", "λ"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr[:40]) == (2, b"autograder grade: ? is not a folder: giv")
