"""In the place of ``bwrap`` where a container allows no namespaces: a user of its own for the student's code.

Gradescope runs one submission in one container, as root, and Docker refuses what bubblewrap needs.  This
takes bubblewrap's arguments, puts the worker's files where they would have been mounted, shuts
``/autograder`` (answers, seed, results, submission) to everyone but root, and starts the worker as a user
who owns nothing and has never been before.  A process of root's stays behind, and when the worker ends, which it
does after each answer, ends every process of that user and removes its files: what a child leaves running
can reach no other answer.  ``lockdown`` does the rest, as always: limits, no privileges, no new processes, no
sockets.  What is lost against bubblewrap: the student's code sees the container's other readable files.

It changes the machine that it runs on for good, and so refuses to run anywhere but in such a container.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

HOME = Path("/autograder")
USERS = range(62182, 64182)  # have no entry in /etc/passwd, and own no file
LEFT = ("/tmp", "/var/tmp", "/dev/shm", "/run")  # where anyone can leave files
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
# Not dumpable, the worker and a child's parent keep their memory from the child, which has the same user.
# The child, two forks below the worker, is dumpable again: it may write to its own files in /proc.
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
    asked = Room([], [], {"PATH": "/usr/bin:/bin"}, "/", [])
    while arguments and arguments[0] != "--":
        option, arguments = arguments[0], arguments[1:]
        if option not in ARGUMENTS:
            raise ValueError(f"{option} is not known here: {', '.join(ARGUMENTS)}")
        values, arguments = arguments[: ARGUMENTS[option]], arguments[ARGUMENTS[option] :]
        if option == "--ro-bind":
            asked.binds.append((values[0], values[1]))
        elif option == "--tmpfs":
            asked.folders.append(values[0])
        elif option == "--setenv":
            asked.environment[values[0]] = values[1]
        elif option == "--chdir":
            asked = asked._replace(folder=values[0])
    return asked._replace(command=arguments[1:])


def furnish(asked: Room) -> None:
    """Put files where they would have been mounted, and shut what a student must not see."""
    for source, target in asked.binds:
        if not os.path.exists(target) or not os.path.samefile(source, target):
            _copy(Path(source), Path(target))
    for folder in asked.folders:
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
    """Furnish the room and become the worker in it, as a user of its own.  Does not return."""
    if os.getuid() != 0 or not (HOME / "run_autograder").exists():
        sys.exit("this stands in for bubblewrap in a container of Gradescope, as root, and nowhere else")
    asked = room(sys.argv[1:])
    furnish(asked)
    os.chdir(asked.folder)
    os.setsid()
    user = next(user for user in (*USERS[os.getpid() % len(USERS) :], *USERS) if not processes((user,)))
    stay_behind(user)
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    become(user)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    program = asked.command.index("-c") + 1
    asked.command[program] = FIRST + asked.command[program]
    os.execve(asked.command[0], asked.command, asked.environment)


def become(user: int) -> None:
    """Be this user, for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def stay_behind(user: int) -> None:
    """Fork a process of root's that waits for the end of this one, and then ends all that is the user's."""
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)  # the worker has it: it closes when the worker ends, however that is
    if os.fork() == 0:
        try:
            os.setsid()
            os.dup2(ours, 3)
            os.closerange(4, 4096)
            null = os.open(os.devnull, os.O_RDWR)
            for standard in range(3):
                os.dup2(null, standard)
            os.read(3, 1)
            end(user)
        finally:
            os._exit(0)
    os.close(ours)


def end(user: int) -> None:
    """End every process of the user, and remove what it has left."""
    while processes((user,)):
        child = os.fork()
        if child == 0:
            try:
                become(user)
                os.kill(-1, signal.SIGKILL)  # all that this user may
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        time.sleep(0.01)
    for place in LEFT:
        for path in Path(place).glob("*"):
            if path.lstat().st_uid == user:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def processes(users: Container[int]) -> list[int]:
    """The processes of these users, as far as they are alive."""
    numbers = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it has just ended
            state = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if int(state["Uid"].split()[0]) in users and state["State"][0] not in "ZX":
                numbers.append(int(status.parent.name))
    return numbers


if __name__ == "__main__":
    main()
