"""The catalogue of misconceptions: each a wrong answer as code, and the one sentence that names it.

A mistake may have several variants: one idea, written in different ways, under one sentence.  A change
that stands under two mistakes makes both.  The sentence is what a student reads at midnight.  It says what
went wrong and where to look, never the line that is asked for; {...} in it is filled with what was observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from adamw_pset.checks.diagnosis import JOIN
from autograder.assignment.answer_sources import DECAY, LINES, PARTS, Change, Mistake, wrong_source
from autograder.assignment.mistakes.decay import DECAY_MISTAKES
from autograder.assignment.mistakes.functions import FUNCTION_MISTAKES
from autograder.assignment.mistakes.general import GENERAL_MISTAKES
from autograder.assignment.mistakes.rules import RULE_MISTAKES

CATALOGUE: tuple[Mistake, ...] = (*DECAY_MISTAKES, *RULE_MISTAKES, *FUNCTION_MISTAKES, *GENERAL_MISTAKES)
SENTENCES = {mistake.id: mistake.sentence for mistake in CATALOGUE}

NO_FORMULA = re.compile(r"\n|_\(|\^")  # several lines, in place, or no numbers


def known(question: str) -> Iterator[tuple[str, Change, str]]:
    """Each wrong answer to ``question``: the mistakes that it makes, joined; the change; the source."""
    made: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for mistake in CATALOGUE:
        for change in mistake.variants.get(question, ()):
            made.setdefault(tuple(change.items()), []).append(mistake.id)
    for lines, ids in made.items():
        yield JOIN.join(ids), dict(lines), wrong_source(question, dict(lines))


def wrong_parts(question: str, name: str) -> Iterator[tuple[str, str]]:
    """(mistake, how it writes the part) for each mistake of a rule that is a change of this part alone."""
    for mistake in CATALOGUE:
        for change in mistake.variants.get(question, ()):
            also_placed = {name, "place"} if name in ("grad", "update", "pull") else {name}
            if name in change and set(change) <= also_placed and not NO_FORMULA.search(change[name]):
                yield mistake.id, change[name].replace("DECAY", DECAY[question])


def ways(question: str, name: str) -> dict[str, str]:
    """The wrong ways to write a part, and the mistakes that each makes, joined."""
    made: dict[str, dict[str, None]] = {}
    for mistake, text in wrong_parts(question, name):
        made.setdefault(text, {})[mistake] = None
    return {text: JOIN.join(mistakes) for text, mistakes in made.items()}


def covered(question: str) -> tuple[dict[str, list[str]], list[tuple[Change, str]]]:
    """Which mistakes of a rule are part of others: from the variants that change several parts.

    Returns for a mistake what it covers, where one of the parts is this mistake by itself; and (change, whole) where
    each part is a mistake, and all of them together another.
    """
    names = (*PARTS, *LINES, "place", "return")
    alone = {(name, text): set(ids.split(JOIN)) for name in names for text, ids in ways(question, name).items()}
    covers: dict[str, set[str]] = {}
    together: list[tuple[Change, str]] = []
    for mistake in CATALOGUE:
        for variant in mistake.variants.get(question, ()):
            change = {name: text.replace("DECAY", DECAY[question]) for name, text in variant.items()}
            parts = [alone.get(part, set()) for part in change.items()]
            if mistake.id in set().union(*parts):
                others = set().union(*(part for part in parts if mistake.id not in part))
                covers.setdefault(mistake.id, set()).update(others)
            elif len(parts) > 1 and all(parts):
                together.append((change, mistake.id))
    return {id: sorted(parts) for id, parts in covers.items() if parts}, together
