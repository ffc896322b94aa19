"""In the place of ``bwrap`` where a container allows no namespaces: a user of its own for the student's code.

Gradescope runs one submission in one container, as root, and Docker refuses what bubblewrap needs.  This
takes bubblewrap's arguments, puts the worker's files where they would have been mounted, shuts
``/autograder`` (answers, seed, results, submission) to everyone but root, and starts the worker as a user
who owns nothing.  ``jail`` does the rest, as always: limits, no privileges, no new processes, no sockets.
What is lost against bubblewrap: the student's code sees the container's other readable files, and may
leave files in ``/tmp``.

It changes the machine that it runs on for good, and so refuses to run anywhere but in such a container.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

HOME = Path("/autograder")
USER = 62182  # has no entry in /etc/passwd, and owns no file
PROCESSES = 32
ARGUMENTS = {
    "--unshare-all": 0,
    "--die-with-parent": 0,
    "--new-session": 0,
    "--clearenv": 0,
    "--proc": 1,
    "--dev": 1,
    "--tmpfs": 1,
    "--size": 1,
    "--dir": 1,
    "--chdir": 1,
    "--remount-ro": 1,
    "--setenv": 2,
    "--symlink": 2,
    "--ro-bind": 2,
}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
# Not dumpable, the worker and a cell's parent keep their memory from a cell, which has the same user.
# The cell, two forks below the worker, is dumpable again: it may write to its own files in /proc.
FIRST = f"""
import ctypes, os
prctl, forks = ctypes.CDLL(None).prctl, []
prctl({PR_SET_DUMPABLE}, 0, 0, 0, 0)
def forked():
    forks.append(1)
    prctl({PR_SET_DUMPABLE}, len(forks) > 1, 0, 0, 0)
os.register_at_fork(after_in_child=forked)
"""


class Room(NamedTuple):
    """What bubblewrap was asked for."""

    binds: list[tuple[str, str]]
    folders: list[str]
    environment: dict[str, str]
    folder: str
    command: list[str]


def room(arguments: list[str]) -> Room:
    """The meaning of bubblewrap's arguments; raises ``ValueError`` for one that is not known here."""
    made = Room([], [], {"PATH": "/usr/bin:/bin"}, "/", [])
    while arguments and arguments[0] != "--":
        option, arguments = arguments[0], arguments[1:]
        if option not in ARGUMENTS:
            raise ValueError(f"{option} is not known here: {', '.join(ARGUMENTS)}")
        values, arguments = arguments[: ARGUMENTS[option]], arguments[ARGUMENTS[option] :]
        if option == "--ro-bind":
            made.binds.append((values[0], values[1]))
        elif option == "--tmpfs":
            made.folders.append(values[0])
        elif option == "--setenv":
            made.environment[values[0]] = values[1]
        elif option == "--chdir":
            made = made._replace(folder=values[0])
    return made._replace(command=arguments[1:])


def furnish(made: Room) -> None:
    """Put files where they would have been mounted, and shut what a student must not see."""
    for source, target in made.binds:
        if not os.path.exists(target) or not os.path.samefile(source, target):
            _copy(Path(source), Path(target))
    for folder in made.folders:
        Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)
    HOME.chmod(0o700)


def _copy(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    elif target.exists():
        target.unlink()
        for compiled in target.parent.glob(f"__pycache__/{target.stem}.*"):
            compiled.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy(source, target)
        return
    shutil.copytree(source, target)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def main() -> None:
    """Furnish the room and become the worker in it, as ``USER``.  Does not return."""
    if os.getuid() != 0 or not (HOME / "run_autograder").exists():
        sys.exit("this stands in for bubblewrap in a container of Gradescope, as root, and nowhere else")
    made = room(sys.argv[1:])
    furnish(made)
    os.chdir(made.folder)
    os.setsid()
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    program = made.command.index("-c") + 1
    made.command[program] = FIRST + made.command[program]
    os.execve(made.command[0], made.command, made.environment)


if __name__ == "__main__":
    main()
