"""Which mistakes explain what a rule does, part by part, so that any combination of them is found.

A rule's first step from a given state shows t, m, v and θ.  t, m and v are told from the state alone; the step
from θ where the decay is 0, with the m and v that this rule made; the decay from what is left of θ elsewhere.
For each part there is a list of ways to write it, each with the mistake that it is ("" if it is none); the weights in
m and v, where they are fixed numbers, are solved for.  Where no way gives the step, two probes that differ in the
decay alone still show the decay; and nothing is said that an unknown m or v may hide.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import CodeType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Way = tuple[str, str]  # a mistake, or several joined, and the expression that makes it
Pull = tuple[int, int] | str | None  # pull and factor that are in a gradient, UNSEEN, or none
Gradients = tuple[list[tuple[str, Pull]], list[Array]]  # mistake and pull of each; their values on each probe
Spaces = list[dict[str, Any]]  # on each probe: the values of the names in the algorithm's lines

JOIN = "+"  # between the ids of mistakes that are made together
UNSEEN = "unseen"  # whether there is a pull in a moment that nothing explains
MOST_PLACES, MOST_PAIRS, MOST_STEPS = 40_000, 6, 48  # hypotheses that are followed to the end
FIXED = {"m": ("0.9", "0.5"), "v": ("0.999",)}  # in a line, these stand for any weights of the old moment and of g
SCALED = "gradient_clipped"  # by any number
OF_GRADIENT = "decay_of_gradient"  # it has no place, since it is no decay of θ
HANDED_ON = "The {} that is handed on"
HIDES = {"m": ("m_hat", "step", "update"), "v": ("v_hat", "denominator", "eps")}  # what m or v may hold if unknown
STEP, DECAY = "The step of θ, with this t, m and v and a decay of 0,", "What θ loses beside the step"
USE_EPS = ("denominator", "step", "update")
STEP_PARTS = ("update", "step", "m_hat", "eps", "denominator", "v_hat")
EPS = STEP_PARTS.index("eps")

SHOWS_G = re.compile(r"\bg\b")
OVER_ALL = re.compile(r"(\(g\*\*2\)|\bg)\.(sum|mean)\(\)")  # over the coordinates of each g of a stack
DECAY_ORDER = ("pull", "factor", "late")
LINE_ORDER = ("t", "grad", "m", "v", "m_hat", "v_hat", "eps", "denominator", "step", "update")
# How a state may be read, and how it may be handed on, if not as t, m, v.
RIGHT, SWAPPED, T_LAST = ("t", "m", "v"), ("t", "v", "m"), ("m", "v", "t")
ORDERS = ((RIGHT, SWAPPED), (RIGHT, T_LAST), (T_LAST, T_LAST), (SWAPPED, SWAPPED), (SWAPPED, RIGHT), (T_LAST, RIGHT))


class Probe(NamedTuple):
    """One step from a given state: what went in, by the names of the algorithm, and what came out."""

    given: dict[str, Any]
    decays: bool  # the decay argument is not 0
    usual: bool  # not the defaults
    out: dict[str, Array]  # theta, t, m, v


class Part(NamedTuple):
    """A way in which one part agrees with what was seen."""

    mistakes: frozenset[str]
    pull: Pull
    values: list[Array]  # on each probe
    gradients: list[Array]
    handed_on: bool = True  # these values, and not others that are made of them or were before


class Loss(NamedTuple):
    """What θ loses beside the step: a late line, and in some place a pull with a factor, all of them by number."""

    place: str
    late: int
    pull: tuple[int, int]  # pull and factor; (0, 0) where the place is "nowhere"


class Diagnosis(NamedTuple):
    """The mistakes that explain a rule, the first to mend in front, and the parts that nothing explains."""

    mistakes: tuple[str, ...]
    unknown: tuple[str, ...]  # what is wrong, as the subject of a sentence
    parts: int = 0  # that are written wrong


def diagnose(worked: Mapping[str, Any], records: Sequence[Mapping[str, Array]]) -> Diagnosis:
    """What explains ``records``, the trials of a rule; ``worked`` is what is stored of its question."""
    with np.errstate(all="ignore"):
        probes = list(_probes(worked, records))
        best = _Search(worked, probes).best()
        if set(best.unknown) - {STEP, DECAY} and worked["adaptive"]:
            t_is_a_moment = any(probe.out["t"].ndim for probe in probes)
            for read, handed in ORDERS:
                if (T_LAST in (read, handed)) != t_is_a_moment:
                    continue
                diagnosis = _Search(worked, [_reordered(probe, read, handed) for probe in probes]).best(depths=(False,))
                if not diagnosis.unknown:
                    return diagnosis._replace(mistakes=("moments_exchanged", *diagnosis.mistakes))
        return best


def _probes(worked: Mapping[str, Any], records: Sequence[Mapping[str, Array]]) -> Iterator[Probe]:
    for trial, record in zip(worked["inputs"], records, strict=True):
        theta, grad = np.array(trial["theta"]), np.array(trial["grads"][0])
        start = trial["start"] or {"t": 0, "m": np.zeros_like(theta), "v": np.zeros_like(theta)}
        old = {"old_t": np.float64(start["t"]), "old_m": np.array(start["m"]), "old_v": np.array(start["v"])}
        given = {**worked["defaults"], **trial["hyper"], "theta": theta, "grad": grad, **old}
        out = {"theta": record["theta"][0], **{name: _shaped(record[f"first_{name}"], theta) for name in "tmv"}}
        usual = worked["defaults"].keys() <= trial["hyper"].keys()
        yield Probe(given, trial["hyper"][worked["decay"]] != 0, usual, out)


def _shaped(value: Array, theta: Array) -> Array:
    """``value`` if it is one number or has the shape of θ, else what agrees with nothing."""
    return value if value.shape in ((), theta.shape) else np.full(theta.shape, np.nan)


def _reordered(probe: Probe, read: tuple[str, ...], handed: tuple[str, ...]) -> Probe:
    """The probe as a rule sees it that takes the state for ``read`` and hands it on as ``handed``."""
    old = [probe.given[f"old_{name}"] for name in RIGHT]
    seen = {f"old_{name}": value for name, value in zip(read, old, strict=True)}
    out = dict(zip(handed, (probe.out["t"], probe.out["m"], probe.out["v"]), strict=True))
    return probe._replace(given=probe.given | seen, out=out | {"theta": probe.out["theta"]})


@cache
def _code(expression: str) -> CodeType:
    return compile(expression, "<a line of an update rule>", "eval")


def _value(expression: str, space: Mapping[str, Any]) -> Any:
    """The value of an expression of our own, from worked_numbers.json; NaN where it is none, as at a decay of 0."""
    try:
        return eval(_code(expression), {}, dict(space))
    except ArithmeticError:
        return np.nan


def _factors(known: Sequence[Way]) -> Iterator[tuple[frozenset[str], str]]:
    """The factors that a decay may have: those that are known, and each of them times η as well."""
    yield from ((frozenset({mistake}), factor) for mistake, factor in known)
    for mistake, factor in known:
        if mistake and not re.search(r"\blr\b", factor):
            yield frozenset({mistake, "decay_times_lr"}), f"lr * ({factor})"


class _Steps:
    """All ways to write the step from one state, without multiplying them out.

    An update is linear in its step, and a step is a multiple of m̂ or free of it.  So what a step should be is worked
    out for each update and each m̂, and looked up among the sorted multiples.
    """

    def __init__(self, lines: Mapping[str, list[Way]], space: Mapping[str, Any]) -> None:
        shape = space["theta"].shape
        self.parts = [lines[name] for name in STEP_PARTS]

        def every(name: str, inner: Mapping[str, Any], *axes: int) -> Array:
            values = [np.broadcast_to(_value(way, inner), (*axes, *shape)) for _, way in lines[name]]
            return np.array(values)

        self.m_hat, v_hat, eps = (every(name, space) for name in ("m_hat", "v_hat", "eps"))
        updates = [every("update", {**space, "eps": eps, "step": step}, len(eps)) for step in (0.0, 1.0)]
        self.start, self.slope = updates[0], updates[1] - updates[0]
        inner = {**space, "v_hat": v_hat, "eps": eps[:, None]}
        counts = len(eps), len(v_hat)
        denominator = np.moveaxis(every("denominator", inner, *counts), 0, 1)
        inner |= {"denominator": denominator, "eps": eps[:, None, None], "m_hat": 1.0}
        self.multiples = every("step", inner, counts[0], len(lines["denominator"]), counts[1])
        self.free = np.array(["m_hat" not in way for _, way in lines["step"]])

    def looked_up(self, theta: Array, allowed: float) -> NDArray[np.int_]:
        """The ways, as indices in the order of ``STEP_PARTS``, that give a number of ``theta``."""
        telling = np.where(np.isfinite(theta), abs(self.m_hat[0]), 0.0).reshape(-1)
        number = int(np.nanargmax(telling)) if (telling > 0).any() else None
        if number is None:  # no number of θ, or no moment, to tell by
            return self.with_two_wrong()
        seen = theta.reshape(-1)[number]
        start, slope, m_hat, multiples = (
            each.reshape(*each.shape[: each.ndim - theta.ndim], -1)[..., number]
            for each in (self.start, self.slope, self.m_hat, self.multiples)
        )
        ends_here = np.argwhere((slope[:, None] * m_hat[:, None] == 0) & (abs(seen - start[:, None]) <= allowed))
        places = [np.insert(ends_here, (1, 3, 3), 0, axis=1).T]  # update, m_hat, eps; the rest cannot be seen
        kinds = ((np.flatnonzero(self.free), np.ones(1)), (np.flatnonzero(~self.free), m_hat))
        for e, (steps, factors) in itertools.product(range(len(self.parts[EPS])), kinds):
            among = multiples[steps, e].reshape(-1)
            order = np.argsort(among)
            per_unit = slope[:, e, None] * factors
            middle, slack = (seen - start[:, e, None]) / per_unit, abs(allowed / per_unit)
            low, high = (np.searchsorted(among[order], middle + sign * slack) for sign in (-1, 1))
            for u, k in np.argwhere((high > low) & (per_unit != 0)):
                s, d, v = np.unravel_index(order[low[u, k] : high[u, k]], multiples[steps, e].shape)
                places.append(np.stack(np.broadcast_arrays(u, steps[s], k, e, d, v)))
        found = np.concatenate(places, axis=1).T
        return found if len(found) < MOST_PLACES else self.with_two_wrong()

    def with_two_wrong(self) -> NDArray[np.int_]:
        """The ways with at most two wrong parts."""
        places = []
        for axes in itertools.combinations(range(len(self.parts)), 2):
            ways = np.indices([len(self.parts[axis]) for axis in axes]).reshape(2, -1).T
            places.append(np.zeros((len(ways), len(self.parts)), dtype=int))
            places[-1][:, axes] = ways
        return np.unique(np.concatenate(places), axis=0)

    def updated(self, places: NDArray[np.int_]) -> Array:
        """θ after each of these ways: (ways, *shape of θ)."""
        u, s, k, e, d, v = places.T
        multiples = self.multiples[s, e, d, v]
        free = self.free[s].reshape(-1, *[1] * (multiples.ndim - 1))
        start, slope = self.start[u, e], self.slope[u, e]
        steps = np.where(free, multiples, multiples * self.m_hat[k])
        return np.asarray(start + np.where(slope == 0, 0.0, slope * steps))


class _Search:
    """The search for the fewest mistakes that explain some probes."""

    def __init__(self, worked: Mapping[str, Any], probes: list[Probe]) -> None:
        self.lines: dict[str, list[Way]] = dict(worked["lines"])
        self.factors = list(_factors(worked["lines"]["factor"]))
        self.pulls = [mistake for mistake, _ in worked["lines"]["pull"]]
        self.covers: Mapping[str, list[str]] = worked["covers"]
        self.together: list[tuple[dict[str, str], str]] = worked["together"]
        self.places: Mapping[str, str] = worked["places"]
        self.coupled = worked["places"]["g"] == ""
        self.adaptive: bool = worked["adaptive"]
        self.tolerance: float = worked["tolerance"]
        self.default_mistake: str = worked["default_mistake"]
        self.decay_argument: str = worked["decay"]
        self.probes = sorted(probes, key=lambda probe: (not probe.usual, not probe.given["old_m"].any()))
        self.usual = [probe for probe in self.probes if probe.usual]
        self.counted = self.told_of_t()
        self.times = [self.timed([probe.given["old_t"] + 1 for probe in self.probes])]
        if self.counted == "t_counted_too_often":  # perhaps by the coordinates, one after the other
            numbers = [np.arange(probe.out["theta"].size).reshape(probe.out["theta"].shape) for probe in self.probes]
            self.times.append(
                self.timed([probe.given["old_t"] + 1 + n for probe, n in zip(self.probes, numbers, strict=True)])
            )
        if self.counted != "":  # what uses t may use the one that is handed on, or the right one
            self.times.append(self.timed([probe.out["t"] for probe in self.probes]))
        for name in FIXED:
            self.lines |= self.with_fixed_numbers(name)
        self.gradients_of: dict[bool, Gradients] = {}

    def timed(self, times: list[Any]) -> Spaces:
        """What came in on each probe, with a t, the factors at that t, and what they pull."""
        spaces = [probe.given | {"t": t} for probe, t in zip(self.probes, times, strict=True)]
        for space in spaces:
            space["factors"] = self.every(self.factors, space)
            space["pulled"] = self.pulled(space)
        return spaces

    def every(self, ways: Sequence[tuple[Any, str]], space: Mapping[str, Any]) -> Array:
        """What each of these ways gives: (ways, *shape of θ)."""
        return np.array([np.broadcast_to(_value(way, space), space["theta"].shape) for _, way in ways])

    def pulled(self, space: Mapping[str, Any]) -> Array:
        """Each pull with each factor: (pulls, factors, *shape of θ); a wrong pull has no factor of two mistakes."""
        pulled = self.every(self.lines["pull"], space)[:, None] * space["factors"]
        pulled[1:, len(self.lines["factor"]) :] = np.nan
        return np.asarray(pulled)

    def agree(self, guesses: Array, probe: Probe, name: str) -> NDArray[np.bool_]:
        """Which of ``guesses``, (..., *shape of θ), are what came out under ``name``, up to rounding."""
        shape, seen = probe.out["theta"].shape, probe.out[name]
        if seen.ndim == 0:
            seen = np.broadcast_to(seen, shape)
        if seen.shape != shape or guesses.shape[guesses.ndim - len(shape) :] != shape:
            return np.zeros(guesses.shape[: guesses.ndim - len(shape)], bool)
        same = abs(guesses - seen) <= self.allowed(seen)
        if not np.isfinite(seen).all():
            same |= (guesses == seen) | (np.isnan(seen) & ~np.isfinite(guesses))  # 0 times ∞ beside it may be NaN
        return np.asarray(same.all(axis=tuple(range(-seen.ndim, 0))))

    def allowed(self, seen: Array) -> float:
        """How far a number may be from one of ``seen``."""
        finite = seen[np.isfinite(seen)]
        return self.tolerance * max(abs(finite).max() if finite.size else 1.0, 1e-6)

    def best(self, depths: tuple[bool, ...] = (False, True)) -> Diagnosis:
        """The diagnosis with the fewest unknown parts and, of those, the fewest mistakes."""
        moments, unknown = self.moments(depths)
        found: list[Diagnosis] = []
        for (first, second), timed in itertools.product(moments, self.times):
            fewest = min((self.enough(each) for each in found), default=math.inf)
            if len(self.pair(first, second)) < fewest:
                found += self.steps(first, second, timed, fewest, unknown)
        return min(found, key=self.weight)

    def enough(self, diagnosis: Diagnosis) -> float:
        """How many mistakes make another diagnosis no better than this one."""
        if {STEP, DECAY}.intersection(diagnosis.unknown):  # which others may explain
            return math.inf
        return len(diagnosis.mistakes) + self.is_vague(diagnosis)

    def is_vague(self, diagnosis: Diagnosis) -> bool:
        return bool({self.default_mistake, "step_scaled", "decay_share"}.intersection(diagnosis.mistakes))

    def weight(self, diagnosis: Diagnosis) -> tuple[int, int, bool, int]:
        """How little a diagnosis is worth: unknown parts, mistakes, whether one of them is vague, parts."""
        return len(diagnosis.unknown), len(diagnosis.mistakes), self.is_vague(diagnosis), diagnosis.parts

    # --- t ---

    def told_of_t(self) -> str | None:
        """The mistake in t, "" if there is none; None if it is not known."""
        for mistake, expression in self.lines["t"]:
            guesses = [np.asarray(_value(expression, probe.given) + 0.0) for probe in self.probes]
            if all(bool(np.allclose(probe.out["t"], guess)) for probe, guess in zip(self.probes, guesses, strict=True)):
                return mistake
        return None

    # --- m and v ---

    def with_fixed_numbers(self, name: str) -> dict[str, list[Way]]:
        """The lines of m or v and of its correction, with numbers in them in the place of β and ε."""
        probe, space = self.probes[0], self.times[0][0]
        numbers = []
        for g in (space["grad"], space["grad"] + space["pulled"][0, 0]):
            old, seen = (np.broadcast_to(value, g.shape).ravel() for value in (space[f"old_{name}"], probe.out[name]))
            terms = np.stack([old, (g ** (1 + (name == "v"))).ravel()], axis=1)
            weights = np.linalg.lstsq(terms, seen)[0] if np.isfinite(seen).all() else ()
            pairs = zip(FIXED[name], weights, strict=False)  # less 0 and 1: those are lines of their own
            numbers += [(stands_for, f"{number:.6g}") for stands_for, number in pairs if 0.01 < number < 0.9999]
        fixed: dict[str, list[Way]] = {}
        for line in (name, f"{name}_hat"):
            fixed[line] = self.lines[line] + [
                (ids, way.replace(stands_for, number))
                for ids, way in self.lines[line]
                for stands_for, number in numbers
                if re.search(rf"\b{stands_for}\b", way)
            ]
        fixed[name] += [
            (f"{ids}{JOIN}{mistake}", re.sub(r"\beps\b", number, way))
            for ids, way in self.lines[name]
            for mistake, number in self.lines["eps"][1:]
            if re.search(r"\beps\b", way)
        ]
        return fixed

    def moments(self, depths: tuple[bool, ...]) -> tuple[list[tuple[Part, Part]], tuple[str, ...]]:
        """The likeliest pairs of ways in which m and v agree, and which of the two no way explains."""
        for thorough in depths:
            first = self.moment("m", thorough)
            second = self.moment("v", thorough) if self.adaptive else [self.as_seen("v")]
            if first and second:
                break
        if self.adaptive and not any(SCALED in part.mistakes or part.pull == UNSEEN for part in second):
            first = [part for part in first if SCALED not in part.mistakes]
        unknown = tuple(HANDED_ON.format(name) for name, ways in (("m", first), ("v", second)) if not ways)
        pairs = itertools.product(first or self.not_known("m"), second or self.not_known("v"))
        return sorted(pairs, key=self.unlikely)[:MOST_PAIRS], unknown

    def pair(self, first: Part, second: Part) -> frozenset[str]:
        return self.said(first.mistakes | second.mistakes)

    def unlikely(self, pair: tuple[Part, Part]) -> int:
        """How many things are wrong in m and v; that they are made of different gradients is one."""
        told, pulls = self.pair(*pair), {part.pull for part in pair} - {None, UNSEEN}
        gradients = told & {mistake for mistake, _ in self.lines["grad"]}
        return len(told) + self.leaks(*pair) + (len(pulls) > 1) + (len(gradients) > 1)

    def leaks(self, first: Part, second: Part) -> int:
        """How many things are wrong with the decay in m and v."""
        at_home = (0, 0) if self.coupled else None
        both = {first.pull, second.pull} if self.adaptive else {first.pull}
        return sum(pull not in (at_home, UNSEEN) for pull in both)

    def as_seen(self, name: str) -> Part:
        values = [np.broadcast_to(probe.out[name], probe.out["theta"].shape) for probe in self.probes]
        return Part(frozenset(), UNSEEN, values, [probe.given["grad"] for probe in self.probes])

    def not_known(self, name: str) -> list[Part]:
        """What a step may use if nothing explains this moment: the one that is handed on, or the right one."""
        gradients = [space["grad"] + (space["pulled"][0, 0] if self.coupled else 0) for space in self.times[0]]
        right = self.made(self.lines[name][0][1], gradients, frozenset(), UNSEEN)
        return [self.as_seen(name), right._replace(handed_on=False)]

    def gradients(self, thorough: bool) -> Gradients:
        """Each gradient that m and v may be made of: its mistake, the pull in it, and its values on each probe."""
        if thorough in self.gradients_of:
            return self.gradients_of[thorough]
        bases: list[tuple[str, Pull, list[Array]]] = [
            (mistake, pull, self.each_probe(way, pull))
            for pull in (None, (0, 0))
            for mistake, way in self.lines["grad"]
        ]
        bases = bases if thorough else bases[:1]
        pulls, factors, plain = len(self.pulls), len(self.factors), len(self.lines["factor"])
        if not thorough:
            pulls = factors = 1
        alone = list(itertools.product(range(pulls), range(plain)))
        wrong = [(n, mistake) for n, (mistake, pull, _) in enumerate(bases) if mistake and pull is None]
        options: list[tuple[str, Pull]] = [(mistake, pull) for mistake, pull, _ in bases]
        options += [("", pull) for pull in itertools.product(range(pulls), range(factors))]
        options += [(mistake, pull) for _, mistake in wrong for pull in alone]
        stacks = []
        for i, space in enumerate(self.times[-1]):
            pulled, shape = space["pulled"], space["theta"].shape
            base = np.array([values[i] for *_, values in bases])
            inside = base[0] + pulled[:pulls, :factors]
            others = base[[n for n, _ in wrong], None, None] + pulled[:, :plain]
            stacks.append(np.concatenate([base, inside.reshape(-1, *shape), others.reshape(-1, *shape)]))
        self.gradients_of[thorough] = options, stacks
        return options, stacks

    def each_probe(self, way: str, pull: tuple[int, int] | None = None) -> list[Array]:
        """A line for the gradient on each probe, from the bare one or from one with this pull in it."""
        grads = [space["grad"] + (space["pulled"][pull] if pull else 0) for space in self.times[-1]]
        return [np.asarray(_value(way, p.given | {"grad": g})) for p, g in zip(self.probes, grads, strict=True)]

    def scaled(self) -> Iterator[tuple[Pull, list[Array]]]:
        """The gradient times the number that m shows: one, or what bounds its norm; the decay in it, or added."""
        right, bare, none = self.lines["m"][0][1], self.each_probe("grad"), self.each_probe("0 * grad")
        decayed = self.each_probe("grad", (0, 0))
        pulls = [decayed_g - g for decayed_g, g in zip(decayed, bare, strict=True)]
        for pull, gs, beside in ((None, bare, none), ((0, 0), decayed, none), ((0, 0), bare, pulls)):
            numbers = []
            for probe, g, more in zip(self.probes, gs, beside, strict=True):
                without, whole = (self.line(right, probe, each[None])[0] for each in (more, more + g))
                numbers.append(((probe.out["m"] - without) * (whole - without)).sum() / ((whole - without) ** 2).sum())
            bounds = [c * np.linalg.norm(g) for c, g in zip(numbers, gs, strict=True) if c < 1 - self.tolerance]
            alike = any(len(x) and np.ptp(x) < 1e-4 * max(x) for x in (numbers, bounds))
            if all(c > 0 for c in numbers) and (alike or self.adaptive):  # where v tells whether it is so
                yield pull, [c * g + more for c, g, more in zip(numbers, gs, beside, strict=True)]

    def of_scaled(self, name: str) -> Iterator[Part]:
        """m or v made of such a gradient."""
        for (pull, gradients), (mistake, line) in itertools.product(self.scaled(), self.lines[name]):
            if SHOWS_G.search(line) and self.fitting(name, line, name, [g[None] for g in gradients]).size:
                yield self.made(line, gradients, self.said(frozenset({mistake, SCALED})), pull)

    def moment(self, name: str, thorough: bool) -> list[Part]:
        """The ways in which m or v agrees on all probes but the one with the defaults."""
        if not any((np.isfinite(probe.out[name]) & (probe.out[name] != 0)).any() for probe in self.usual):
            return []  # zeros, or nothing finite, show nothing
        options, stacks = self.gradients(thorough)
        ways = []
        handed = [("", name), *self.handed_on(name)[: None if not thorough else 1]]
        for mistake, line in self.lines[name]:
            shown = bool(SHOWS_G.search(line))
            for change, hand_on in handed:
                for index in self.fitting(name, line, hand_on, [gs if shown else gs[:1] for gs in stacks]):
                    found, pull = options[index]
                    mistakes = self.said(frozenset({mistake, change, found}))
                    part = self.made(line, [gs[index] for gs in stacks], mistakes, pull if shown else UNSEEN)
                    ways.append(part._replace(handed_on=hand_on == name))
        if all(bool(self.agree(np.asarray(p.given[f"old_{name}"]), p, name)) for p in self.usual):
            ways += self.kept(name, stacks)
        if thorough and name == "m" and not ways:
            ways += self.beside()
        return ways or [*self.of_scaled(name)] if thorough else ways

    def handed_on(self, name: str) -> list[Way]:
        """What may stand in the state for m or v if not itself: what is made of it later."""
        if not self.adaptive:
            return []
        hats = [(mistake, way) for mistake, way in self.lines[f"{name}_hat"] if way != name and not SHOWS_G.search(way)]
        ways = [(f"hats_returned{JOIN}{mistake}", way) for mistake, way in hats]
        if name == "v":
            roots = [f"({value}) ** 0.5" for value in (name, hats[0][1])]
            ways += [("root_in_v", f"{root}{eps}") for root in roots for eps in ("", " + eps")]
        return ways

    def fitting(self, name: str, line: str, hand_on: str, stacks: list[Array]) -> NDArray[np.int_]:
        """Which gradients of ``stacks`` give, by this line and handed on like this, the moment that came out."""
        left = np.arange(len(stacks[0]))
        for probe, timed, gs in zip(self.probes, self.times[-1], stacks, strict=True):
            if probe.usual and left.size:
                space = probe.given | {name: self.line(line, probe, gs[left]), "t": timed["t"]}
                handed_on = np.broadcast_to(_value(hand_on, space), gs[left].shape)
                left = left[self.agree(handed_on, probe, name)]
        return left

    def made(self, line: str, gradients: list[Array], mistakes: frozenset[str], pull: Pull) -> Part:
        """A part made by ``line`` from one gradient on each probe."""
        values = [self.line(line, probe, g[None])[0] for probe, g in zip(self.probes, gradients, strict=True)]
        return Part(mistakes, pull, values, gradients)

    def line(self, line: str, probe: Probe, gs: Array) -> Array:
        """A line for m or v on each gradient of a stack."""
        axes = tuple(range(1, gs.ndim))
        over_all = {
            "total": lambda x: x.sum(axis=axes, keepdims=True),
            "average": lambda x: x.mean(axis=axes, keepdims=True),
        }
        line = OVER_ALL.sub(lambda found: {"sum": "total", "mean": "average"}[found[2]] + f"({found[1]})", line)
        return np.asarray(_value(line, probe.given | over_all | {"m": probe.out["m"], "g": gs})) + 0 * gs

    def beside(self) -> Iterator[Part]:
        """m with a pull beside the weighted gradient, not in it."""
        for (wrong, expression), (mistake, line) in itertools.product(self.lines["grad"], self.lines["m"]):
            gradients = self.each_probe(expression)
            alone = self.made(line, gradients, frozenset(), None).values
            left: Any = True
            for probe, value, space in zip(self.probes, alone, self.times[-1], strict=True):
                if probe.usual and np.any(left):
                    left = left & self.agree(value + space["pulled"], probe, "m")
            for number, factor in np.argwhere(left):
                told = {wrong, mistake, self.pulls[number], *self.factors[factor][0]}
                pulls = (space["pulled"][number, factor] for space in self.times[-1])
                values = [value + pull for value, pull in zip(alone, pulls, strict=True)]
                yield Part(self.said(frozenset(told)), "buffer", values, gradients)

    def kept(self, name: str, stacks: list[Array]) -> Iterator[Part]:
        """The old moment is handed on, so the new one is not seen: it may be right, or made from nothing."""
        for mistake, line in self.lines[name]:
            if mistake in ("", "state_ignored"):
                told = frozenset({"state_not_returned", mistake}) - {""}
                part = self.made(line, [gs[0] for gs in stacks], told, (0, 0) if self.coupled else None)
                yield part._replace(handed_on=False)

    # --- the step ---

    def steps(
        self, first: Part, second: Part, timed: Spaces, fewest: float, unknown: tuple[str, ...]
    ) -> Iterator[Diagnosis]:
        """What explains θ with these moments and fewer mistakes than ``fewest``."""
        before = first.mistakes | second.mistakes | ({self.counted} if self.counted else set())
        missing = (HANDED_ON.format("t"),) if self.counted is None else ()
        hidden = {line for name, lines in HIDES.items() if HANDED_ON.format(name) in unknown for line in lines}
        bare = [probe.given["grad"] for probe in self.probes]
        seen = False
        for gradients in [first.gradients] + [bare] * (first.pull not in (None, UNSEEN)):
            spaces = [
                space | {"m": m, "v": v, "g": g}
                for space, m, v, g in zip(timed, first.values, second.values, gradients, strict=True)
            ]
            choices = self.updates(spaces)
            for choice in choices:
                mistakes = before | {self.lines[name][n][0] for name, n in choice.items() if name not in hidden}
                if len(self.said(mistakes)) < fewest:
                    found = self.decay(first, second, spaces, self.written(choice), mistakes, (*missing, *unknown))
                    fewest = min(fewest, self.enough(found))
                    yield found
            seen = seen or bool(choices)
        if not seen:
            yield self.without_step(first, second, spaces, before, (*missing, *unknown))

    def without_step(
        self, first: Part, second: Part, spaces: Spaces, mistakes: frozenset[str], unknown: tuple[str, ...]
    ) -> Diagnosis:
        """What can be told where no way gives the step: the decay; whether it is the right step times a number."""
        right = {name: self.lines[name][0][1] for name in STEP_PARTS}
        spaces = [self.stepped(space, right) for space in spaces]
        scales = [
            (probe.given["theta"] - probe.out["theta"]) / space["step"]
            for probe, space in zip(self.probes, spaces, strict=True)
            if not probe.decays
        ]
        told = frozenset({self.in_moments(first, second)} - {self.places["nowhere"]})
        if not (twins := self.twins()):
            return Diagnosis(self.ordered(mistakes | told), (*unknown, STEP))
        decaying, bare = twins
        space = spaces[decaying] | {"update": self.probes[bare].out["theta"]}
        losses = list(self.left_of_theta({decaying: space}))
        if not unknown and all(self.is_one_number(scale) for scale in scales):
            mistakes |= {"step_scaled"}
        else:
            unknown = (*unknown, STEP)
        if not losses:
            return self.with_some_share(first, {decaying: space}, mistakes | told, unknown)
        told = min((self.named(first, second, loss) for loss in losses), key=lambda each: len(self.said(each)))
        return Diagnosis(self.ordered(mistakes | told), unknown)

    def with_some_share(
        self, first: Part, spaces: Mapping[int, dict[str, Any]], mistakes: frozenset[str], unknown: tuple[str, ...]
    ) -> Diagnosis:
        """What is known of a decay that no way gives: perhaps that it is some share of θ, or of the new θ."""
        for place in ("theta", "new theta") if first.pull in (None, UNSEEN) else ():
            base = {"theta": "theta", "new theta": "update"}[place]
            shares = [(space["update"] - self.probes[i].out["theta"]) / space[base] for i, space in spaces.items()]
            if all(self.is_one_number(share) for share in shares):
                told = {self.places[place]} | ({"decay_share"} if not self.coupled else set())
                return Diagnosis(self.ordered(mistakes | told), unknown)
        return Diagnosis(self.ordered(mistakes), (*unknown, DECAY))

    def is_one_number(self, scale: Array) -> bool:
        """Whether these are all the same, up to rounding, and not 0."""
        return bool(abs(scale).min() > 0 and np.ptp(scale) <= self.tolerance * abs(scale).max())

    def twins(self) -> tuple[int, int] | None:
        """A probe with a decay and one without that are alike in all else, t, m and v after the step as well."""
        for decaying, bare in itertools.permutations(range(len(self.probes)), 2):
            one, other = self.probes[decaying], self.probes[bare]
            alike = all(
                name == self.decay_argument or np.array_equal(value, other.given[name])
                for name, value in one.given.items()
            )
            if alike and one.decays and all(bool(np.allclose(one.out[name], other.out[name])) for name in RIGHT):
                return decaying, bare
        return None

    def updates(self, spaces: Spaces) -> list[dict[str, int]]:
        """The ways to write step and update that give θ where there is no decay, the fewest mistakes first."""
        pairs = zip(self.probes, spaces, strict=True)
        probes = [(probe, _Steps(self.lines, space)) for probe, space in pairs if not probe.decays]
        places = np.zeros((1, len(STEP_PARTS)), dtype=int)  # what is no number anywhere does not tell ways apart
        telling = [pair for pair in probes if not np.isnan(pair[0].out["theta"]).all()]
        if telling:
            probe, steps = min(telling, key=lambda pair: not np.isfinite(pair[0].out["theta"]).any())
            places = steps.looked_up(probe.out["theta"], self.allowed(probe.out["theta"]))
        for probe, steps in probes:
            places = places[self.agree(steps.updated(places), probe, "theta")]
        likely_first = places[np.lexsort((*places.T[::-1], (places > 0).sum(axis=1)))]
        choices = (dict(zip(STEP_PARTS, map(int, place), strict=True)) for place in likely_first)
        likely = list(itertools.islice(filter(self.uses_its_eps, choices), MOST_STEPS))
        return sorted(likely, key=lambda choice: len(self.told(choice)))

    def uses_its_eps(self, choice: dict[str, int]) -> bool:
        written = self.written(choice)
        return not choice["eps"] or bool(re.search(r"\beps\b", " ".join(written[name] for name in USE_EPS)))

    def written(self, choice: dict[str, int]) -> dict[str, str]:
        return {name: self.lines[name][index][1] for name, index in choice.items()}

    def told(self, choice: dict[str, int]) -> frozenset[str]:
        return self.said(frozenset(self.lines[name][index][0] for name, index in choice.items()))

    # --- the decay ---

    def in_moments(self, first: Part, second: Part) -> str:
        """The mistake that a decay in m and v is by itself; "" if it is none."""
        if first.pull == "buffer":
            return self.places["buffer"]
        m, v = first.pull, second.pull
        m, v = v if m == UNSEEN else m, m if v == UNSEEN else v
        if m == v == UNSEEN:
            return self.places["g"] if self.coupled else self.places["nowhere"]
        if (m is None) != (v is None):
            return self.places["v" if m is None else "m"]
        return self.places["nowhere" if m is None else "g"]

    def decay(
        self,
        first: Part,
        second: Part,
        spaces: Spaces,
        expressions: Mapping[str, str],
        mistakes: frozenset[str],
        unknown: tuple[str, ...],
    ) -> Diagnosis:
        """The diagnosis with what is left of θ once the step is taken: where and how the decay acts."""
        spaces = [self.stepped(space, expressions) for space in spaces]
        found = []
        decaying = {i: spaces[i] for i, probe in enumerate(self.probes) if probe.decays and probe.usual}
        for loss in sorted(self.left_of_theta(decaying), key=lambda loss: loss.late):
            told = self.as_one(mistakes | self.named(first, second, loss), expressions, loss)
            if unknown:  # which may hide a decay
                told -= {self.places["nowhere"]}
            found.append((Diagnosis(self.ordered(told), unknown, len(told - {""})), loss))
        for diagnosis, loss in sorted(found, key=lambda each: self.weight(each[0])):
            if self.defaults_fit(first, second, spaces, loss):
                return diagnosis
        if found:
            best = min((diagnosis for diagnosis, _ in found), key=self.weight)
            return best._replace(mistakes=self.ordered({*best.mistakes, self.default_mistake}))
        told = mistakes | self.named(first, second, Loss("nowhere", 0, (0, 0))) - {self.places["nowhere"]}
        return self.with_some_share(first, decaying, told, unknown)

    def as_one(self, told: frozenset[str], written: Mapping[str, str], loss: Loss) -> frozenset[str]:
        """``told`` with one mistake for those that are one where the lines are written like this."""
        for change, whole in self.together:
            ways = {**written, "factor": self.factors[loss.pull[1]][1].removeprefix("lr * ")}
            if all(text in (ways[name], ways[name].strip("()")) for name, text in change.items()):
                parts = {ids for name, text in change.items() for ids, way in self.lines[name] if way == text}
                told = told - parts | {whole}
        return told

    def stepped(self, space: dict[str, Any], expressions: Mapping[str, str]) -> dict[str, Any]:
        """``space`` with the parts of the step in it, as these expressions make them."""
        space = dict(space)
        for name in ("eps", "m_hat", "v_hat", "denominator", "step", "update"):
            space[name] = np.asarray(_value(expressions[name], space)) + np.zeros(space["theta"].shape)
        return space

    def left_of_theta(self, spaces: Mapping[int, dict[str, Any]]) -> Iterator[Loss]:
        """What makes up for what is left of θ, on the probes of these numbers, once the step is taken."""
        places = ("nowhere", "theta", "new theta", *(("numerator", "denominator") if self.adaptive else ()))
        for place in places:
            left: Any = True
            for i, space in spaces.items():
                if np.any(left):
                    left = left & self.agree(self.every_theta(space, place), self.probes[i], "theta")
            for late, *pull in np.argwhere(left)[:MOST_PAIRS].tolist():
                yield Loss(place, late, tuple(pull))

    def every_theta(self, space: dict[str, Any], place: str) -> Array:
        """θ with each late line, and with each pull and each factor in ``place``: (late, pulls, factors, *shape)."""
        late = self.every(self.lines["late"], space)
        pulls = space["pulled"][None]
        if place == "nowhere":
            pulls = np.zeros((1, 1, 1, *space["theta"].shape))
        elif place == "new theta":
            pulls = np.array([self.pulled(space | {"theta": space["update"] - each}) for each in late])
        elif place == "numerator":
            pulls = space["lr"] * pulls / space["denominator"]
        elif place == "denominator":
            pulls = pulls / space["denominator"]
        return np.asarray(space["update"] - pulls - late[:, None, None])

    def named(self, first: Part, second: Part, loss: Loss) -> frozenset[str]:
        """The mistakes of a decay that is in m and v as these have it, and besides is a ``loss`` of θ."""
        inside = {pull for pull in (first.pull, second.pull if self.adaptive else None) if isinstance(pull, tuple)}
        pulls = inside if loss.place == "nowhere" else {*inside, loss.pull}
        told = {self.pulls[number] for number, _ in pulls}.union(*(self.factors[factor][0] for _, factor in pulls))
        told.add(self.lines["late"][loss.late][0])
        within = first.pull == "buffer" or any(self.pulls[number] != OF_GRADIENT for number, _ in inside)
        beside = loss.place != "nowhere" and self.pulls[loss.pull[0]] != OF_GRADIENT
        if within and beside:
            told.add(self.places["twice"])
        elif beside:
            told.add(self.places[loss.place])
        elif within or OF_GRADIENT not in told:
            told.add(self.in_moments(first, second))
        return frozenset(told)

    def defaults_fit(self, first: Part, second: Part, spaces: Spaces, loss: Loss) -> bool:
        """Whether the trial with the defaults comes out as this hypothesis has it."""
        for i, (probe, space) in enumerate(zip(self.probes, spaces, strict=True)):
            if probe.usual:
                continue
            theta = self.agree(self.every_theta(space, loss.place), probe, "theta")[loss.late, *loss.pull]
            seen = [(name, part.values[i]) for name, part in (("m", first), ("v", second)) if part.handed_on]
            if not theta or not all(bool(self.agree(value, probe, name)) for name, value in seen):
                return False
        return True

    # --- what is said ---

    def said(self, mistakes: frozenset[str] | set[str]) -> frozenset[str]:
        """``mistakes`` without those that others cover, and without "" for no mistake."""
        each = frozenset(id for joined in mistakes for id in joined.split(JOIN))
        return each.difference(*(self.covers.get(id, ()) for id in each), {""})

    def ordered(self, mistakes: frozenset[str] | set[str]) -> tuple[str, ...]:
        """The mistakes in the order of the algorithm's lines: what comes first spoils what comes after."""
        order = ["hats_returned", "state_not_returned"]
        order += [id for line in LINE_ORDER for ids, _ in self.lines[line] for id in ids.split(JOIN)]
        order += self.places.values()
        order += [id for line in DECAY_ORDER for ids, _ in self.lines[line] for id in ids.split(JOIN)]
        order += [*(whole for _, whole in self.together), self.default_mistake]
        return tuple(sorted(self.said(mistakes), key=order.index))
