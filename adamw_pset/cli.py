"""The command line: ``adamw-pset heatmaps``, ``curves``, ``check`` and ``tuning``."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from adamw_pset.files import write_whole
from adamw_pset.registry import OPTIMIZERS

if TYPE_CHECKING:
    from adamw_pset.rule import Rule


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: it went well; 1: ``check`` found answers that are wrong or open; 2: bad input, with one line on
    stderr; 130: ctrl-C.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"adamw-pset: {message}", file=sys.stderr)
        return run("adamw-pset", parser(), argv)


def run(
    program: str,
    commands: Parser,
    argv: Sequence[str] | None,
    refusals: tuple[type[Exception], ...] = (ValueError, OSError),
    words: Callable[[str], str] = lambda text: " ".join(text.split()),
) -> int:
    """Carry out one of the ``commands``, which sets ``run``; its exit code.

    ``refusals`` are errors that become one line on stderr, in these ``words``.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ and η gets the verdict all the same
    arguments = commands.parse_args(argv)
    try:
        code = int(arguments.run(arguments) or 0)
        print(end="", flush=True)
        return code
    except BrokenPipeError:  # of head and less
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except refusals as error:
        print(f"{program} {arguments.command}: {words(_reason(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def parser() -> Parser:
    """The command line and its help."""
    top = Parser(
        prog="adamw-pset",
        description="Heat maps of weight decay: train a small network at every learning rate and decay.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    maps = commands.add_parser(
        "heatmaps",
        help="train over a grid, draw the heat maps, print the tuning card",
        description="Trains every (learning rate, decay, seed) and writes heatmaps.png, .svg, .csv and "
        "tuning.csv into the output folder. Interrupted, the same command goes on where it stopped.",
    )
    maps.set_defaults(run=_heatmaps)
    maps.add_argument(
        "--optimizers",
        nargs="+",
        default=["adam_l2", "adamw"],
        metavar="NAME",
        help=f"one column of maps each: {', '.join(OPTIMIZERS)}, or a function of --rules (default: adam_l2 adamw)",
    )
    maps.add_argument(
        "--rules", metavar="NOTEBOOK.ipynb", help="take the rules from this notebook instead of the reference"
    )
    _add_task(maps)
    maps.add_argument("--seeds", type=_count, default=5, metavar="N", help="runs a setting (default: 5)")
    maps.add_argument("--grid", type=_count, default=13, metavar="N", help="points on each axis (default: 13)")
    maps.add_argument(
        "--lrs",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="range of learning rates (default: one that suits the rule)",
    )
    maps.add_argument(
        "--decays",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="range of decays, in the rule's own convention (default: one that suits the rule)",
    )
    maps.add_argument(
        "--out", type=Path, default=Path("figures"), metavar="DIR", help="where to write (default: figures)"
    )
    maps.add_argument("--device", default="cpu", help="cpu, or cuda for a GPU (default: cpu)")
    maps.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="train on a Dask cluster: the address of its scheduler, such as tcp://10.0.0.1:8786",
    )

    inside = commands.add_parser(
        "curves",
        help="train a few settings of a map once more, and draw what happens on the way",
        description="Trains one optimizer at a few settings, one run each, and writes curves.png, .svg and .csv: "
        "losses and accuracies by epoch, and how far each step turns the weights.",
    )
    inside.set_defaults(run=_curves)
    inside.add_argument(
        "--at",
        action="append",
        nargs=2,
        type=float,
        required=True,
        metavar=("LR", "DECAY"),
        help="a setting, in the rule's own convention; may be given several times",
    )
    inside.add_argument(
        "--optimizer", default="adamw", metavar="NAME", help=f"{', '.join(OPTIMIZERS)} (default: adamw)"
    )
    inside.add_argument("--rules", metavar="NOTEBOOK.ipynb", help="take the rule from this notebook")
    _add_task(inside)
    inside.add_argument("--seed", type=int, default=0, metavar="N", help="of data, start and batches (default: 0)")
    inside.add_argument("--out", type=Path, default=Path("figures"), metavar="DIR", help="where to write")

    checks = commands.add_parser(
        "check",
        help="say which answers of a notebook are right, wrong or open",
        description="Checks the answers in a notebook: runs its cells from top to bottom, as a kernel does, "
        "without its sweeps and figures, and judges each answer where it is checked. The exit code is 1 "
        "while an answer is wrong or open.",
    )
    checks.set_defaults(run=_check)
    checks.add_argument("notebook", type=Path, metavar="NOTEBOOK.ipynb")

    card = commands.add_parser(
        "tuning",
        help="print the tuning card of a saved table",
        description="Prints what the maps of a saved table say, with 95 % intervals over seeds.",
    )
    card.set_defaults(run=_tuning)
    card.add_argument("results", type=Path, metavar="RESULTS.csv", help="a heatmaps.csv")
    card.add_argument(
        "--threshold", type=float, default=0.9, help="accuracy from which a setting is good (default: 0.9)"
    )
    return top


def _add_task(command: argparse.ArgumentParser) -> None:
    """The arguments that say what is trained: data, network, epochs."""
    command.add_argument(
        "--data", default="synthetic", help="synthetic, digits, or your arrays in a FILE.npz (default: synthetic)"
    )
    command.add_argument(
        "--difficulty", metavar="LEVEL", help="of the synthetic data: easy, medium or hard (default: medium)"
    )
    command.add_argument(
        "--knob",
        action="append",
        default=[],
        type=_knob,
        metavar="NAME=NUMBER",
        help="of the data, such as label_noise=0.2 or n_train=512; may be given several times",
    )
    command.add_argument("--plain", action="store_true", help="a plain network, without normalisation")
    command.add_argument(
        "--epochs", type=_count, default=20, metavar="N", help="passes over the training data (default: 20)"
    )


def _task_data(arguments: argparse.Namespace) -> Any:
    from adamw_pset.training.grids import task_data

    knobs: dict[str, Any] = dict(arguments.knob)
    if arguments.difficulty is not None:
        knobs["difficulty"] = arguments.difficulty
    return task_data(arguments.data, knobs)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from 1 up")
    return int(text)


def _knob(text: str) -> tuple[str, int | float]:
    name, _, value = text.partition("=")
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return name, number(value)
    raise argparse.ArgumentTypeError(f"{text!r} should be a name and a number, such as label_noise=0.2")


def _heatmaps(arguments: argparse.Namespace) -> None:
    from adamw_pset.maps.measures import card_table, tuning_card
    from adamw_pset.maps.plots import describe, heatmaps, save_figure
    from adamw_pset.table import join, write_table
    from adamw_pset.training.sweep import sweep

    names = list(dict.fromkeys(arguments.optimizers))
    rules = find_rules(names, arguments.rules)
    data = _task_data(arguments)
    grids = {name: _grid(name, arguments) for name in names}
    arguments.out.mkdir(parents=True, exist_ok=True)
    tables = []
    for name, rule in rules.items():
        lrs, decays = grids[name]
        tables.append(
            sweep(
                rule,
                lrs,
                decays,
                data,
                seeds=arguments.seeds,
                epochs=arguments.epochs,
                device=arguments.device,
                cluster=arguments.cluster,
                scale_invariant=not arguments.plain,
                save=arguments.out / "runs" / f"{name}.csv",
            )
        )
    table = join(tables)
    card = tuning_card(table)
    write_table(table, arguments.out / "heatmaps.csv")
    write_whole(arguments.out / "tuning.csv", card.to_csv())
    metrics = ("val_accuracy", "val_loss", *(["turn"] if table["turn"].notna().any() else []))
    figure = heatmaps(*tables, metrics=metrics)
    for suffix in ("png", "svg"):
        save_figure(figure, arguments.out / f"heatmaps.{suffix}")
    print(card_table(card).to_string())
    for each in tables:
        print(describe(each))
    print(f"Wrote heatmaps.png, heatmaps.svg, heatmaps.csv and tuning.csv to {arguments.out}")


def _curves(arguments: argparse.Namespace) -> None:
    from adamw_pset.maps.curves import describe_curves, draw_curves
    from adamw_pset.maps.plots import save_figure
    from adamw_pset.training.curves import curves

    (rule,) = find_rules([arguments.optimizer], arguments.rules).values()
    history = curves(
        rule,
        arguments.at,
        _task_data(arguments),
        seed=arguments.seed,
        epochs=arguments.epochs,
        scale_invariant=not arguments.plain,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_whole(arguments.out / "curves.csv", history.to_csv(index=False))
    figure = draw_curves(history)
    for suffix in ("png", "svg"):
        save_figure(figure, arguments.out / f"curves.{suffix}")
    print(describe_curves(history).replace(". ", ".\n"))
    print(f"Wrote curves.png, curves.svg and curves.csv to {arguments.out}")


def _grid(name: str, arguments: argparse.Namespace) -> tuple[list[float], list[float]]:
    from adamw_pset.training.grids import log_grid, ranges

    lrs, decays = arguments.lrs, arguments.decays
    if lrs is None or decays is None:
        known_lrs, known_decays = ranges(name, not arguments.plain)
        lrs, decays = lrs or known_lrs, decays or known_decays
    (lr_low, lr_high), (decay_low, decay_high) = lrs, decays
    return log_grid(lr_low, lr_high, arguments.grid), log_grid(decay_low, decay_high, arguments.grid)


def find_rules(names: Sequence[str], notebook: str | None) -> dict[str, Rule]:
    """The update rules of these names, from a notebook or from the reference."""
    if notebook is not None:
        from adamw_pset.checks.notebook_answers import load_notebook

        _say_that_cells_run(notebook)
        source, place = load_notebook(notebook, names), notebook
    else:
        try:
            from adamw_pset import optimizers
        except ImportError:
            raise ValueError("the reference rules are not installed here: give --rules NOTEBOOK.ipynb") from None
        source = {name: getattr(optimizers, name, None) for name in OPTIMIZERS}
        place = "the reference, with a row in the registry"
    if missing := [name for name in names if not callable(source.get(name))]:
        known = [name for name in OPTIMIZERS if callable(source.get(name))]
        raise ValueError(f"no rule named {', '.join(missing)} in {place}; there are: {', '.join(known) or 'none'}")
    return {name: source[name] for name in names}


def _check(arguments: argparse.Namespace) -> int:
    from adamw_pset.checks.notebook_answers import notebook_verdicts
    from adamw_pset.checks.notebook_file import load
    from adamw_pset.checks.notebook_written import states
    from adamw_pset.checks.verdicts import numbers, report

    notebook = load(arguments.notebook)
    _say_that_cells_run(arguments.notebook)
    verdicts, written = notebook_verdicts(notebook), states(notebook.cells, numbers())
    with contextlib.suppress(BrokenPipeError):  # of head and less: the verdict stands
        print(report(verdicts, written), flush=True)
    return int(any(v.mistake for v in verdicts.values()) or set(written.values()) != {"answered"})


def _say_that_cells_run(notebook: str | Path) -> None:
    print(f"adamw-pset: running the cells of {notebook}, without its sweeps and figures", file=sys.stderr)


def _tuning(arguments: argparse.Namespace) -> None:
    from adamw_pset.maps.measures import card_table, tuning_card
    from adamw_pset.table import read_table

    print(card_table(tuning_card(read_table(arguments.results), arguments.threshold)).to_string())
