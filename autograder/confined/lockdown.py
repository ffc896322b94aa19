"""Locks a process in, from inside it: namespaces, limits, no privileges, few system calls (Linux).

Bubblewrap builds the room that the worker lives in; this locks each child of the worker in, in a room
of its own, so that it cannot see the worker, another child, or what another child left behind.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import struct
from pathlib import Path

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 1, 2, 4, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 38, 22, 24
MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25
MEGABYTE = 1 << 20
# A right answer needs a twentieth of a second and a few megabytes.
CPU_SECONDS, MEMORY, FILE_SIZE, SCRATCH_SIZE = 4, 1024 * MEGABYTE, 8 * MEGABYTE, "16m"

SCRATCH = "/scratch"  # the one folder that can be written to

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # the kernel's audit numbers
# Why calls are refused, and their numbers on x86_64 and aarch64; None where there is none of that name.
REFUSED: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "it starts a process or another program": {
        "fork": (57, None),
        "vfork": (58, None),
        "execve": (59, 221),
        "execveat": (322, 281),
    },
    "it reaches other machines or servers": {
        "socket": (41, 198),
        "connect": (42, 203),
        "bind": (49, 200),
        "listen": (50, 201),
    },
    "it looks into other processes, or ends them": {
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "pidfd_open": (434, 434),
        "pidfd_getfd": (438, 438),
        "pidfd_send_signal": (424, 424),
    },
    "it changes, or tells of, what is mounted": {
        "mount": (165, 40),
        "umount2": (166, 39),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "open_tree": (428, 428),
        "move_mount": (429, 429),
        "fsopen": (430, 430),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fspick": (433, 433),
        "mount_setattr": (442, 442),
        "statmount": (457, 457),
        "listmount": (458, 458),
    },
    "it opens files without their path": {"name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265)},
    "it makes or enters a namespace, with all privileges inside": {"unshare": (272, 97), "setns": (308, 268)},
    "it reaches parts of the kernel in which holes are found": {
        "bpf": (321, 280),
        "perf_event_open": (298, 241),
        "userfaultfd": (323, 282),
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
        "add_key": (248, 217),
        "request_key": (249, 218),
        "keyctl": (250, 219),
        "personality": (135, 92),
        "lookup_dcookie": (212, 18),
    },
    "it uses memory that no limit of a process counts": {
        "memfd_create": (319, 279),
        "shmget": (29, 194),
        "shmat": (30, 196),
        "shmctl": (31, 195),
        "shmdt": (67, 197),
        "semget": (64, 190),
        "semop": (65, 193),
        "semctl": (66, 191),
        "semtimedop": (220, 192),
        "msgget": (68, 186),
        "msgsnd": (69, 189),
        "msgrcv": (70, 188),
        "msgctl": (71, 187),
        "mq_open": (240, 180),
    },
    "it is for the administrator of a machine": {
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "quotactl": (179, 60),
        "swapon": (167, 224),
        "swapoff": (168, 225),
        "reboot": (169, 142),
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "adjtimex": (159, 171),
        "syslog": (103, 116),
        "acct": (163, 89),
    },
}
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3, CLONE_THREAD = 435, 0x00010000
EPERM, ENOSYS = 1, 38

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def separate() -> None:
    """New user, mount, network and IPC namespaces for the process, a new PID one for its next child.

    Raises ``OSError`` where the kernel does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    _do(libc.unshare(NEWUSER | NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS))
    for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", file).write_text(text)


def hide() -> None:
    """Cover ``SCRATCH`` with an empty folder of the process's own, /proc and /dev/shm with nothing."""
    _mount(None, "/", None, MS_REC | MS_PRIVATE, None)
    _mount("tmpfs", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, f"size={SCRATCH_SIZE},nr_inodes=1k")
    for folder in ("/dev/shm", "/proc"):
        if os.path.isdir(folder):
            _mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "size=4k")


def limit(space: int, seconds: int) -> None:
    """Limits on CPU time (``seconds``), address space (``space`` bytes in all), files and core dumps."""
    for what, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (value, value) if hard in (-1, value) or hard > value else (hard, hard))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _do(libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0))


def go_first() -> None:
    """Where the machine runs out of memory, have the kernel end this process before any other."""
    Path("/proc/self/oom_score_adj").write_text("1000")


def renounce() -> None:
    """Give up every privilege for good, and refuse the system calls of ``REFUSED``."""
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    header = struct.pack("Ii", 0x20080522, 0)  # version 3, this process
    _do(libc.capset(header, struct.pack("6I", *[0] * 6)))
    _do(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    machine = platform.machine()
    if machine in ARCHITECTURES:
        _filter(_program(machine))


def refused(machine: str) -> list[int]:
    """The numbers that the refused system calls have on this kind of machine."""
    column = list(ARCHITECTURES).index(machine)
    return [
        number for calls in REFUSED.values() for numbers in calls.values() if (number := numbers[column]) is not None
    ]


def used() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def threads(process: int, proc: int) -> int:
    """How many threads a process has, by the open folder ``proc`` (/proc may be hidden); 0 if it is gone."""
    try:
        with open(os.open(f"{process}/stat", os.O_RDONLY, dir_fd=proc)) as file:
            return int(file.read().rpartition(")")[2].split()[17])
    except (OSError, IndexError):
        return 0


def collapse() -> None:
    """Put this process's memory into huge pages, as far as the kernel does that (Linux 6.1)."""
    huge = 2 * MEGABYTE
    for line in Path("/proc/self/maps").read_text().splitlines():
        if segment := re.match(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0\s*(\[heap\])?$", line):
            start, end = -(-int(segment[1], 16) // huge) * huge, int(segment[2], 16) // huge * huge
            if end > start:
                libc.madvise(start, end - start, MADV_HUGEPAGE)
                libc.madvise(start, end - start, MADV_COLLAPSE)


def _program(machine: str) -> bytes:
    """The filter as classic BPF: each instruction is (code, jump if true, jump if false, constant)."""
    load, equal, greater, test, done = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill = 0x7FFF0000, 0x80000000

    def refuse(error: int) -> int:
        return 0x00050000 | error

    steps = [(load, 0, 0, 4), (equal, 1, 0, ARCHITECTURES[machine]), (done, 0, 0, kill), (load, 0, 0, 0)]
    steps += [(greater, 0, 1, 0x40000000), (done, 0, 0, refuse(EPERM))]  # the other calls of x86-64
    for number in refused(machine):
        steps += [(equal, 0, 1, number), (done, 0, 0, refuse(EPERM))]
    steps += [(equal, 0, 1, CLONE3), (done, 0, 0, refuse(ENOSYS))]  # libc then uses clone
    steps += [(equal, 0, 3, CLONE[machine]), (load, 0, 0, 16), (test, 1, 0, CLONE_THREAD), (done, 0, 0, refuse(EPERM))]
    steps += [(done, 0, 0, allow)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _filter(program: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    filter_program = Program(len(program) // 8, program)
    _do(libc.prctl(PR_SET_SECCOMP, 2, ctypes.addressof(filter_program), 0, 0))


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _do(libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]))


def _do(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
