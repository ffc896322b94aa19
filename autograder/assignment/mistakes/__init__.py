"""The catalogue of misconceptions: each a wrong answer as code, and the one sentence that names it.

A mistake may have several variants: one idea, written in different ways, under one sentence.  The
sentence is what a student reads at midnight.  It says what went wrong and where to look, never the
line that is asked for; {...} in it is filled with what was observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from autograder.assignment.answer_sources import DECAY, LINES, PARTS, Mistake, wrong_source
from autograder.assignment.mistakes.decay import DECAY_MISTAKES
from autograder.assignment.mistakes.functions import FUNCTION_MISTAKES
from autograder.assignment.mistakes.general import GENERAL_MISTAKES
from autograder.assignment.mistakes.rules import RULE_MISTAKES

CATALOGUE: tuple[Mistake, ...] = (*DECAY_MISTAKES, *RULE_MISTAKES, *FUNCTION_MISTAKES, *GENERAL_MISTAKES)
SENTENCES = {mistake.id: mistake.sentence for mistake in CATALOGUE}

NO_FORMULA = re.compile(r"\n|_\(|\^")  # several lines, in place, or no numbers


def known(question: str) -> Iterator[tuple[Mistake, int, str]]:
    """Each known mistake of ``question``: the mistake, the number of its variant, the source."""
    for mistake in CATALOGUE:
        for number, change in enumerate(mistake.variants.get(question, ()), start=1):
            yield mistake, number, wrong_source(question, change)


def wrong_parts(question: str, name: str) -> Iterator[tuple[str, str]]:
    """(mistake, how it writes the part) for each mistake of a rule that is a change of this part alone."""
    for mistake in CATALOGUE:
        for change in mistake.variants.get(question, ()):
            also_placed = {name, "place"} if name in ("update", "pull") else {name}
            if name in change and set(change) <= also_placed and not NO_FORMULA.search(change[name]):
                yield mistake.id, change[name].replace("DECAY", DECAY[question])


def covered(question: str) -> tuple[dict[str, list[str]], list[tuple[list[str], str]]]:
    """Which mistakes of a rule are part of others: from the variants that change several parts.

    Returns for a mistake what it covers, where one of the parts is this mistake by itself; and (parts, whole) where
    each part is a mistake, and all of them together another.
    """
    names = (*PARTS, *LINES, "place", "return")
    alone = {(name, text): id for name in names for id, text in wrong_parts(question, name)}
    covers: dict[str, set[str]] = {}
    together = []
    for mistake in CATALOGUE:
        for change in mistake.variants.get(question, ()):
            parts = {alone.get((name, text.replace("DECAY", DECAY[question])), "") for name, text in change.items()}
            if mistake.id in parts:
                covers.setdefault(mistake.id, set()).update(parts - {mistake.id, ""})
            elif len(parts) > 1 and "" not in parts:
                together.append((sorted(parts), mistake.id))
    return {id: sorted(parts) for id, parts in covers.items() if parts}, together
