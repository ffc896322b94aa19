"""Pairs of mistakes are named, or others with the same numbers; what they leave; calls that can be pasted."""

from __future__ import annotations

import contextlib
import io
import itertools
import random
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from helpers.right_answers import ADAMW

from adamw_pset import State
from adamw_pset.checks.diagnosis import DECAY, HANDED_ON, STEP, diagnose
from adamw_pset.checks.run_answer import observe
from adamw_pset.checks.verdicts import CheckFailed, check, judge, numbers, single
from autograder.assignment.answer_sources import LINES, PARTS, RULES, Change, compiled, textbook, wrong_source
from autograder.assignment.mistakes import CATALOGUE, NO_FORMULA
from autograder.assignment.questions import QUESTIONS
from autograder.grading.finding import GRADED, Finding
from autograder.grading.grade import score

M, V = HANDED_ON.format("m"), HANDED_ON.format("v")
SAMPLE = 80  # of the pairs of a rule, of which there are thousands; another seed draws others


def of_one_part(question: str) -> Iterator[tuple[str, Change]]:
    for mistake in CATALOGUE:
        for change in mistake.variants.get(question, ()):
            if set(change) <= {*PARTS, *LINES, "place"} and not any(map(NO_FORMULA.search, change.values())):
                yield mistake.id, change


def pairs(question: str) -> list[tuple[set[str], Change]]:
    """Two mistakes of different parts, and the change that makes both."""
    return [
        ({a, b}, {**first, **second})
        for (a, first), (b, second) in itertools.combinations(of_one_part(question), 2)
        if not set(first) & set(second) and a != b
    ]


def named(question: str, answer: Callable[..., Any]) -> tuple[set[str], Any]:
    worked = numbers()["questions"][question]
    seen = observe("rule", worked["inputs"], answer)
    return set(single(judge(worked, seen).mistake)), seen


def same_first_steps(ours: Any, theirs: Any) -> bool:
    """Whether two rules make the same of every state they are given, up to the tolerance of ``check``."""
    parts = [
        (a["theta"][0], b["theta"][0], a["first_m"], b["first_m"])
        for a, b in zip(ours.records, theirs.records, strict=True)
    ]
    return all(
        np.allclose(x, y, rtol=0, atol=2e-5 * max(1.0, abs(np.nan_to_num(x, posinf=0, neginf=0)).max()), equal_nan=True)
        for theta, other, m, n in parts
        for x, y in ((theta, other), (m, n))
    )


def explains(question: str, found: set[str], seen: Any) -> bool:
    """Whether some way of making just the mistakes ``found`` gives the same numbers."""
    ways: list[list[Change]] = [[]]
    by_id: dict[str, list[Change]] = {}
    for mistake, change in of_one_part(question):
        by_id.setdefault(mistake, []).append(change)
    for mistake in found:
        own = by_id.get(mistake, [])
        both = [[first, second] for first, second in itertools.combinations(own, 2) if not set(first) & set(second)]
        ways = [way + more for way in ways for more in [*([one] for one in own), *both]]
    for way in ways:
        names = [name for change in way for name in change]
        if len(names) == len(set(names)):
            merged = {name: text for change in way for name, text in change.items()}
            other = observe(
                "rule", numbers()["questions"][question]["inputs"], compiled(question, wrong_source(question, merged))
            )
            if other.event is None and same_first_steps(seen, other):
                return True
    return False


@pytest.mark.parametrize("question", RULES)
def test_pairs_of_mistakes_are_named(question: str) -> None:
    drawn = random.Random(question).sample(pairs(question), SAMPLE)
    exact, unexplained, unknown = 0, [], []
    for expected, change in drawn:
        answer = compiled(question, wrong_source(question, change))
        found, seen = named(question, answer)
        follow = set().union(*(numbers()["questions"][question]["covers"].get(mistake, ()) for mistake in found))
        if found == expected or (expected - found <= follow and found <= expected):
            exact += 1
        elif "unknown" in found:
            unknown.append((expected, change))
        elif seen.event is None and not explains(question, found, seen):
            unexplained.append((expected, found, change))
    # Of all 39,701 pairs 42 stay unknown: a decay on the new θ beside a decay of the step, a penalty in m alone beside
    # a step from the bare g, a factor of t inside g with a wrong t, and the like are not looked for.
    assert len(unknown) <= 1, unknown
    assert len(unexplained) <= SAMPLE // 50, unexplained
    assert exact >= 0.85 * SAMPLE


def test_pairs_are_thousands() -> None:
    assert sum(len(pairs(question)) for question in RULES) > 20_000


@pytest.mark.parametrize("question", RULES)
def test_a_right_rule_in_any_size_has_no_mistake(question: str) -> None:
    """Also where numbers are rounded on the way, as float32 does."""

    def rounded(theta: Any, grad: Any, state: Any, **hyper: Any) -> Any:
        new, (t, m, v) = right(theta, grad, state, **hyper)
        return new.float(), State(t, m.float().double(), v.float().double())

    right = compiled(question, textbook(question))
    assert named(question, rounded)[0] == set()


# --- credit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "points"),
    [
        ({"factor": "lr"}, 7.5),
        ({"factor": "lr", "denominator": "(v_hat + eps) ** 0.5"}, 5.62),
        ({"factor": "lr", "denominator": "(v_hat + eps) ** 0.5", "place": "new theta"}, 4.22),
        ({"factor": "lr", "m_hat": "m", "v_hat": "v"}, 3.75),
        ({"factor": "lr", "update": "theta + step"}, 0.0),  # uphill leaves nothing, whatever else
    ],
)
def test_several_mistakes_leave_the_product_of_their_shares(change: Change, points: float) -> None:
    worked = numbers()["questions"]["adamw"]
    answer = compiled("adamw", wrong_source("adamw", change))
    verdict = judge(worked, observe("rule", worked["inputs"], answer))
    assert score(QUESTIONS["adamw"], Finding(GRADED, verdict.mistake)) == points


def test_three_are_said_and_the_first_to_mend_stands_in_front() -> None:
    change = {"t": "1", "m": "beta1 * state.m + g", "factor": "lr", "denominator": "v_hat ** 0.5"}
    worked = numbers()["questions"]["adamw"]
    verdict = judge(worked, observe("rule", worked["inputs"], compiled("adamw", wrong_source("adamw", change))))
    assert single(verdict.mistake) == ["t_reset", "heavy_ball", "eps_left_out", "decay_times_lr"]
    assert re.fullmatch(r"Four mistakes, the first to mend in front\. First: .* Second: .* Third: .*", verdict.sentence)


# --- the call that is shown -------------------------------------------------------------------------------


def late(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
    new, after = ADAMW(theta, grad, state, **hyper)
    return (new + 0.125 if after.t == 2 else new), after


def from_a_state(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
    new, after = ADAMW(theta, grad, state, **hyper)
    return (new + 0.125 if after.t > 3 else new), after


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        ("adamw", compiled("adamw", wrong_source("adamw", {"factor": "lr"})), "Here it goes wrong:"),
        ("adamw", late, "for grad in"),
        ("adamw", from_a_state, "from a state with t = 3:"),
        ("weight_decay_factor", lambda l2, lr: l2 / lr, "weight_decay_factor("),
        ("preconditioner", lambda grads, beta2: np.eye(len(grads[0])), "preconditioner(np.array("),
        ("good_fraction", lambda table, threshold: 0.0, 'good_fraction(*example("good_fraction", 1))'),
    ],
)
def test_a_failed_check_shows_a_call_that_can_be_pasted(question: str, answer: Any, words: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        check(question, answer)
    text = str(caught.value)
    assert words in text
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    space = {question: answer, "torch": torch, "np": np, "State": State}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(textwrap.dedent("\n".join(lines)), space)
    right = [line for line in lines if line.strip().startswith("# right: ")]
    if "theta" in space:  # the last θ is not the right one
        wanted = torch.tensor(eval(right[0].split("# right: ")[1]))
        assert not torch.allclose(space["theta"].float(), wanted, atol=1e-4)


def test_in_place_is_told_to_be_the_reason_for_a_decay_on_the_new_theta() -> None:
    source = textbook("adamw").split("    theta =")[0] + (
        "    old = theta\n    theta -= lr * m_hat / (v_hat.sqrt() + eps)\n    theta -= weight_decay * old\n"
        "    return theta, State(t, m, v)\n"
    )
    with pytest.raises(CheckFailed, match="-= changes the tensor under all its names"):
        check("adamw", compiled("adamw", source))


def test_numbers_that_differ_are_quoted_with_digits_that_differ() -> None:
    def nearly(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
        new, after = ADAMW(theta, grad, state, **hyper)
        return new + 4e-5 * torch.arange(new.numel()).reshape(new.shape), after

    with pytest.raises(CheckFailed) as caught:
        check("adamw", nearly)
    found = re.search(r"θ\[(.+?)\] is (\S+), not (\S+)\.", str(caught.value))
    assert found is not None
    assert "no effect" not in str(caught.value)  # nothing is said of what is right
    assert found[1] != "0"  # the first coordinate is right
    assert found[2] != found[3]


def test_a_rule_with_an_unknown_mistake_is_told_so() -> None:
    def odd(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
        new, after = ADAMW(theta, torch.tanh(grad), state, **hyper)
        return new * 1.01, State(after.t, after.m.sin(), after.v)

    assert named("adamw", odd)[0] == {"unknown"}


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({"m": "beta1 * state.m + (1 - beta1) * g.sin()"}, {M}),
        ({"v": "beta2 * state.v + (1 - beta2) * g.tan() ** 2"}, {V}),
        ({"step": "lr * m_hat / denominator.exp()"}, {STEP}),
        ({"pull": "DECAY * theta.sin()"}, {DECAY}),
        ({"pull": "DECAY * theta.sin()", "v_hat": "v"}, {DECAY}),
        ({"m": "beta1 * state.m + (1 - beta1) * g.sin()", "factor": "lr"}, {M}),
    ],
)
@pytest.mark.parametrize("question", ["adamw", "adam_l2"])
def test_what_is_said_beside_an_unknown_part_is_true(question: str, change: Change, unknown: set[str]) -> None:
    worked = numbers()["questions"][question]
    seen = observe("rule", worked["inputs"], compiled(question, wrong_source(question, change)))
    found = diagnose(worked, seen.records)
    if question == "adam_l2" and "pull" in change:
        unknown = {M, V}  # the pull is in g
    made = {mistake for mistake, own in of_one_part(question) if own.items() <= change.items()}
    assert set(found.unknown) == unknown
    assert set(found.mistakes) <= made
    said = judge(worked, seen).sentence
    assert all(f"{part} is wrong, and by no mistake that is known here" in said for part in unknown)
