"""The sweep against other ways to do the same: ``make bench`` prints it, ``--write`` keeps it in docs/.

Contestants take turns within each round, so that what else the machine does falls on all of them; the
best round of each counts.  The unit is microseconds for one step of one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

import contestants
import numpy as np
import torch
from threadpoolctl import threadpool_info
from tqdm import tqdm

from adamw_pset.files import write_whole
from adamw_pset.training.workers import cores

RUNS, ROUNDS, GROWTH_ROUNDS, JAX_STEPS = 144, 5, 2, 128
ROOT = Path(__file__).resolve().parents[1]
JAX_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
CORES = cores()
GROWTH = {
    "workers": [{"runs": 144, "workers": n} for n in sorted({1, 2, CORES} & set(range(1, CORES + 1)))],
    "runs": [{"runs": n} for n in (36, 72, 144, 288, 576)],
    "width": [{"runs": 144, "width": w} for w in (32, 64, 128)],
    "training points": [{"runs": 144, "n_train": n} for n in (1024, 2048, 4096)],
    "seeds": [{"runs": 144, "seeds": n} for n in (1, 4, 9)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the result in docs/benchmarks.md")
    parser.add_argument("--grow", help=argparse.SUPPRESS)  # one measurement, in a process of its own
    arguments = parser.parse_args()
    if arguments.grow:
        print(json.dumps([1e6 * contestants.ours(**json.loads(arguments.grow)), peak_megabytes()]))
        return
    parts = []
    for part in (machine, comparison, growth):
        parts.append(part())
        print(parts[-1], end="\n\n", flush=True)
    if arguments.write:
        keep("\n\n".join(parts), "<!-- measured -->", "<!-- end -->")


def comparison() -> str:
    """The table of contestants."""
    contests = {
        "torch.optim loop, one run after the other": contestants.torch_loop,
        "torch.func: vmap(grad), all runs stacked": lambda: contestants.vmap_grad(RUNS),
        "our sweep, reference AdamW": lambda: contestants.ours(RUNS),
        "our sweep, AdamW as in the notebook": lambda: contestants.ours(RUNS, student=True),
        "the limit: matrix products and memory alone": lambda: contestants.limit(RUNS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contests}
    compiling: list[float] = []
    for _ in tqdm(range(ROUNDS), unit=" rounds"):
        for name, contest in contests.items():
            seconds[name].append(contest())
        if JAX_PYTHON.exists():
            found = jax()
            seconds.setdefault("JAX: jit, vmap, scan (compiled already)", []).append(found["run"])
            compiling.append(found["compile"])
    best = {name: min(times) for name, times in seconds.items()}
    ours = best["our sweep, reference AdamW"]
    width = max(map(len, best)) + 2
    lines = [f"{'':{width}}{'µs a run-step':>14}{'x our sweep':>13}{'rounds, µs':>20}"]
    for name, value in sorted(best.items(), key=lambda item: -item[1]):
        low, high = 1e6 * min(seconds[name]), 1e6 * max(seconds[name])
        lines.append(f"{name:{width}}{1e6 * value:>14.1f}{value / ours:>13.2f}{low:>10.1f} –{high:>8.1f}")
    lines.append("")
    share = best["the limit: matrix products and memory alone"] / ours
    lines.append(f"share of the limit that our sweep reaches: {share:.0%}")
    if compiling:
        lines.append(f"JAX compiles for {np.median(compiling):.2f} s before it starts; our sweep for none")
    else:
        lines.append("JAX is not installed: make bench installs it into .venv-bench where it can")
    return "\n".join(lines)


def jax() -> dict[str, float]:
    """JAX's seconds for one step of one run, and for compiling."""
    command = [str(JAX_PYTHON), str(ROOT / "benchmarks" / "jax_sweep.py"), str(RUNS), str(JAX_STEPS)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"run": found["run"] / RUNS / JAX_STEPS, "compile": found["compile"]}


def growth() -> str:
    """How time and memory grow: each measured in a process of its own, in turns, the best of two."""
    settings = [(what, setting) for what, several in GROWTH.items() for setting in several]
    micro, memory = [float("inf")] * len(settings), [0.0] * len(settings)
    for _ in tqdm(range(GROWTH_ROUNDS), unit=" rounds"):
        for i, (_, setting) in enumerate(settings):
            command = [sys.executable, str(Path(__file__)), "--grow", json.dumps(setting)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, memory[i] = json.loads(done.stdout)
            micro[i] = min(micro[i], seconds)
    lines = [f"{'our sweep':28}{'µs a run-step':>14}{'peak MB':>10}"]
    for (what, setting), value, peak in zip(settings, micro, memory, strict=True):
        name = f"{what} = {setting[{'training points': 'n_train'}.get(what, what)]}"
        lines.append(f"{name:28}{value:>14.1f}{peak:>10.0f}")
    return "\n".join(lines)


def peak_megabytes() -> float:
    """The most memory that this process alone held; getrusage would count what its parent held as well."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def machine() -> str:
    """The machine and the versions, in a line."""
    cpu, info = platform.processor(), Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            cpu = line.split(":")[1].strip()
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}"
    kernels = {str(each["architecture"]) for each in threadpool_info() if "architecture" in each}
    blas = f"numpy's BLAS runs its kernels for {', '.join(sorted(kernels)) or 'a processor that it does not name'}"
    return f"{CORES} cores, {cpu}; {versions};\n{blas}; {RUNS} runs, best of {ROUNDS} rounds"


def keep(text: str, begin: str, end: str) -> None:
    """Put the result between these marks of docs/benchmarks.md."""
    path = ROOT / "docs" / "benchmarks.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    write_whole(path, f"{before}{begin}\n```\n{text.strip()}\n```\n{end}{after}")


if __name__ == "__main__":
    main()
