"""The course's secret: a seed from which the inputs of every answer are drawn."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

SEED_FILE = "seed.txt"


def secret_seed(course: Path = Path()) -> str:
    """The seed of the course in this folder, from its ``seed.txt``, made at the first use for its owner alone.

    Keep the file, and keep it to yourself: with it, grading again gives the same.
    """
    path = course / SEED_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    seed = secrets.token_hex(16)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(seed + "\n")
    return seed


def inputs_seed(seed: str, student: str, question: str) -> int:
    """The number that the inputs for this student's answer are drawn from."""
    text = "\n".join((seed, student, question))
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogateescape")).digest()[:8])
