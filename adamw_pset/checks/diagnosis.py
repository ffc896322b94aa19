"""Which mistakes explain what a rule does, part by part, so that any combination of them is found.

A rule's first step from a given state shows t, m, v and θ.  t, m and v are told from the state alone; the step
from θ where the decay is 0, with the m and v that this rule made; the decay from what is left of θ elsewhere.
For each part there is a list of ways to write it, each with the mistake that it is ("" if it is none).  For the
decay only numbers are stored: what it may pull at, on the inputs of each trial.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import CodeType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Way = tuple[str, str]  # a mistake, and the expression that makes it

UNSEEN = "unseen"  # whether there is a pull in a moment that nothing explains
MOST_PAIRS, MOST_STEPS, MOST_TRIED = 6, 12, 600  # hypotheses that are followed to the end
USE_EPS = ("denominator", "step", "update")
STEP_PARTS = ("update", "step", "m_hat", "eps", "denominator", "v_hat")

OVER_ALL = re.compile(r"(\(g\*\*2\)|\bg)\.(sum|mean)\(\)")  # over the coordinates of each g of a stack
OTHER_CONVENTION = {"decay_times_lr", "decay_divided_by_lr"}  # no mistakes of their own where the place is wrong
LINE_ORDER = ("t", "grad", "m", "v", "m_hat", "v_hat", "eps", "denominator", "step", "update")
# What follows from a mistake and is not said beside it.
FOLLOWS = {
    "constant": {"state_not_returned", "t_not_counted", "decay_left_out"},
    "theta_missing": {"decay_left_out"},
    "state_not_returned": {"t_not_counted"},
    "momentum_unused": {"state_not_returned"},
    "gradient_sign": {"state_not_returned"},
    "lr_in_buffer": {"lr_missing"},
    "lr_in_heavy_ball": {"lr_missing"},
    "velocity": {"lr_missing", "step_wrong_sign"},
    "velocity_heavy_ball": {"lr_missing", "step_wrong_sign"},
    "eps_added_to_theta": {"eps_left_out"},
    "root_in_v": {"root_missing"},
    "sign_in_buffer": {"step_wrong_sign"},
}
# θ ← λθ − step is what it is, and not −step with a decay that pushes.
TOGETHER = {frozenset({"theta_missing", "decay_wrong_sign"}): "decay_keeps_lambda"}
# How a state may be read, and how it may be handed on, if not as t, m, v.
RIGHT, SWAPPED, T_LAST = ("t", "m", "v"), ("t", "v", "m"), ("m", "v", "t")
ORDERS = ((RIGHT, SWAPPED), (RIGHT, T_LAST), (T_LAST, T_LAST), (SWAPPED, SWAPPED), (SWAPPED, RIGHT), (T_LAST, RIGHT))


class Probe(NamedTuple):
    """One step from a given state: what went in, by the names of the algorithm, and what came out."""

    trial: str
    given: dict[str, Any]
    pulls: Array  # (pulls, ...): what each known pull of the decay is here, before any factor
    decays: bool  # the decay argument is not 0
    out: dict[str, Array]  # theta, t, m, v


class Part(NamedTuple):
    """A way in which one part agrees with what was seen."""

    mistakes: frozenset[str]
    pull: tuple[int, int] | str | None  # pull and factor that are in it
    values: list[Array]  # on each probe
    gradients: list[Array]


class Diagnosis(NamedTuple):
    """The mistakes that explain a rule, the first to mend in front, and the parts that nothing explains."""

    mistakes: tuple[str, ...]
    unknown: tuple[str, ...]
    right: tuple[str, ...]  # of t, m, v, "the step" and "the decay"


def diagnose(worked: Mapping[str, Any], records: Sequence[Mapping[str, Array]]) -> Diagnosis:
    """What explains ``records``, the trials of a rule; ``worked`` is what is stored of its question."""
    with np.errstate(all="ignore"):
        probes = list(_probes(worked, records))
        best = _Search(worked, probes).best()
        if {"t", "m", "v"} & set(best.unknown) and worked["adaptive"]:
            t_is_a_moment = any(probe.out["t"].ndim for probe in probes)
            for read, handed in ORDERS:
                if (T_LAST in (read, handed)) != t_is_a_moment:
                    continue
                diagnosis = _Search(worked, [_reordered(probe, read, handed) for probe in probes]).best(depths=(False,))
                if not diagnosis.unknown:
                    return diagnosis._replace(mistakes=("moments_exchanged", *diagnosis.mistakes))
        return best


def _probes(worked: Mapping[str, Any], records: Sequence[Mapping[str, Array]]) -> Iterator[Probe]:
    for number, (trial, record) in enumerate(zip(worked["inputs"], records, strict=True)):
        theta, grad = np.array(trial["theta"]), np.array(trial["grads"][0])
        start = trial["start"] or {"t": 0, "m": np.zeros_like(theta), "v": np.zeros_like(theta)}
        old = {"old_t": np.float64(start["t"]), "old_m": np.array(start["m"]), "old_v": np.array(start["v"])}
        given = {**worked["defaults"], **trial["hyper"], "theta": theta, "grad": grad, **old}
        pulls = np.array([np.resize(each[number], theta.shape) for _, each in worked["pulls"]])
        out = {"theta": record["theta"][0], **{name: _shaped(record[f"first_{name}"], theta) for name in "tmv"}}
        yield Probe(trial["name"], given, pulls, trial["hyper"][worked["decay"]] != 0, out)


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


def _told(mistakes: frozenset[str]) -> frozenset[str]:
    """``mistakes`` without those that follow from others, and without "" for no mistake."""
    for both, one in TOGETHER.items():
        if both <= mistakes:
            mistakes = mistakes - both | {one}
    follow = set().union(*(FOLLOWS.get(each, set()) for each in mistakes))
    return mistakes - follow - {""}


def _corner(probe: Probe) -> Probe:
    """The first coordinate of what came out."""
    return probe._replace(out={"theta": probe.out["theta"].reshape(-1)[:1]})


def _corner_of(space: Mapping[str, Any]) -> dict[str, Any]:
    """``space`` with the first coordinate of every array."""

    def first(value: Any) -> Any:
        return value.reshape(-1)[:1] if isinstance(value, np.ndarray) and value.ndim else value

    return {name: first(value) for name, value in space.items()}


def _factors(known: Sequence[Way]) -> Iterator[tuple[frozenset[str], str]]:
    """The factors that a decay may have: those that are known, and each of them times η as well."""
    yield from ((frozenset({mistake}), factor) for mistake, factor in known)
    for mistake, factor in known:
        if mistake and mistake not in OTHER_CONVENTION:
            yield frozenset({mistake, "decay_times_lr"}), f"lr * ({factor})"


class _Search:
    """The search for the fewest mistakes that explain some probes."""

    def __init__(self, worked: Mapping[str, Any], probes: list[Probe]) -> None:
        self.lines: dict[str, list[Way]] = worked["lines"]
        self.factors = list(_factors(worked["lines"]["factor"]))
        self.pulls = [mistake for mistake, _ in worked["pulls"]]
        self.places: Mapping[str, str] = worked["places"]
        self.coupled = worked["places"]["g"] == ""
        self.adaptive: bool = worked["adaptive"]
        self.tolerance: float = worked["tolerance"]
        self.default_mistake: str = worked["default_mistake"]
        self.probes = sorted(probes, key=lambda probe: (probe.trial == "defaults", not probe.given["old_m"].any()))
        self.usual = [probe for probe in self.probes if probe.trial != "defaults"]
        self.pulled = [self.every_pull(probe, probe.given["old_t"] + 1) for probe in self.probes]

    def every_pull(self, probe: Probe, t: Any) -> Array:
        """Each pull with each factor: (pulls, factors, *shape)."""
        space, shape = probe.given | {"t": t}, probe.out["theta"].shape
        factors = [np.broadcast_to(_value(factor, space), shape) for _, factor in self.factors]
        return np.asarray(probe.pulls[:, None] * np.array(factors))

    def agree(self, guesses: Array, probe: Probe, name: str) -> NDArray[np.bool_]:
        """Which of ``guesses``, (..., *shape of θ), are what came out under ``name``, up to rounding."""
        shape, seen = probe.out["theta"].shape, probe.out[name]
        if seen.ndim == 0:
            seen = np.broadcast_to(seen, shape)
        if seen.shape != shape or guesses.shape[guesses.ndim - len(shape) :] != shape:
            return np.zeros(guesses.shape[: guesses.ndim - len(shape)], bool)
        finite = seen[np.isfinite(seen)]
        size = abs(finite).max() if finite.size else 1.0
        same = np.isclose(guesses, seen, rtol=0, atol=self.tolerance * max(size, 1e-6), equal_nan=True)
        return np.asarray(same.reshape(*same.shape[: same.ndim - seen.ndim], -1).all(axis=-1))

    def best(self, depths: tuple[bool, ...] = (False, True)) -> Diagnosis:
        """The diagnosis with the fewest unknown parts and, of those, the fewest mistakes."""
        counted = self.counted()
        moments, unknown = self.moments(depths)
        diagnoses = []
        for first, second in moments:
            for t_used in self.times(counted):
                diagnoses += list(self.steps(first, second, t_used, counted, unknown))
        return min(diagnoses, key=self.weight)

    def weight(self, diagnosis: Diagnosis) -> tuple[int, int, bool]:
        """How little a diagnosis is worth: unknown parts, mistakes, and wrong defaults rather than something else."""
        return len(diagnosis.unknown), len(diagnosis.mistakes), self.default_mistake in diagnosis.mistakes

    # --- t ---

    def counted(self) -> str | None:
        """The mistake in t, "" if there is none; None if it is not known."""
        for mistake, expression in self.lines["t"]:
            guesses = [np.asarray(_value(expression, probe.given) + 0.0) for probe in self.probes]
            if all(bool(np.allclose(probe.out["t"], guess)) for probe, guess in zip(self.probes, guesses, strict=True)):
                return mistake
        return None

    def times(self, counted: str | None) -> list[list[Any]]:
        """The t that the step may use: the one that is handed on, or the right one."""
        own = [probe.out["t"] for probe in self.probes]
        right = [probe.given["old_t"] + 1 for probe in self.probes]
        return [own] if counted == "" else [right, own]

    # --- m and v ---

    def moments(self, depths: tuple[bool, ...]) -> tuple[list[tuple[Part, Part]], tuple[str, ...]]:
        """The likeliest pairs of ways in which m and v agree, and which of the two no way explains."""
        for thorough in depths:
            first = self.moment("m", thorough)
            second = self.moment("v", thorough) if self.adaptive else [self.as_seen("v")]
            if first and second:
                break
        unknown = tuple(name for name, ways in (("m", first), ("v", second)) if not ways)
        pairs = itertools.product(first or [self.as_seen("m")], second or [self.as_seen("v")])
        ranked = sorted(pairs, key=lambda pair: len(self.pair(*pair)) + self.leaks(*pair))
        return ranked[:MOST_PAIRS], unknown

    def pair(self, first: Part, second: Part) -> frozenset[str]:
        return _told(first.mistakes | second.mistakes)

    def leaks(self, first: Part, second: Part) -> int:
        """How many things are wrong with the decay in m and v."""
        at_home = (0, 0) if self.coupled else None
        both = {first.pull, second.pull} if self.adaptive else {first.pull}
        return sum(pull not in (at_home, UNSEEN) for pull in both)

    def as_seen(self, name: str) -> Part:
        values = [probe.out[name] for probe in self.probes]
        return Part(frozenset(), UNSEEN, values, [probe.given["grad"] for probe in self.probes])

    def gradients(self, thorough: bool) -> list[tuple[str, tuple[int, int] | None]]:
        """Each gradient that m and v may be made of: an expression for that of the loss, and the pull in it."""
        bases = [expression for _, expression in self.lines["grad"]]
        if not thorough:
            return [(bases[0], (0, 0)), (bases[0], None)] if self.coupled else [(bases[0], None), (bases[0], (0, 0))]
        pulls = itertools.product(range(len(self.pulls)), range(len(self.factors)))
        plain = list(itertools.product(range(len(self.pulls)), range(len(self.lines["factor"]))))
        return [
            *((base, None) for base in bases),
            *((bases[0], pull) for pull in pulls),
            *itertools.product(bases[1:], plain),
        ]

    def moment(self, name: str, thorough: bool) -> list[Part]:
        """The ways in which m or v agrees on all probes but the one with the defaults."""
        if not any((np.isfinite(probe.out[name]) & (probe.out[name] != 0)).any() for probe in self.usual):
            return []  # zeros, or nothing finite, show nothing
        options = self.gradients(thorough)
        mistake_of = {expression: mistake for mistake, expression in self.lines["grad"]}
        stacks = []
        for probe, pulled in zip(self.probes, self.pulled, strict=True):
            base = {e: np.asarray(_value(e, probe.given)) for e in {expression for expression, _ in options}}
            stacks.append(np.array([base[e] + (0 if p is None else pulled[p]) for e, p in options]))
        ways = []
        handed: list[Way] = [("", name)]
        if self.adaptive:
            handed.append(("hats_returned", f"{name} / (1 - beta{'12'[name == 'v']}**t)"))
        for mistake, line in self.lines[name]:
            guesses = [self.line(line, probe, gs) for probe, gs in zip(self.probes, stacks, strict=True)]
            for change, hand_on in handed:
                left = np.ones(len(options), bool)
                for probe, guess in zip(self.probes, guesses, strict=True):
                    if probe.trial != "defaults" and left.any():
                        space = probe.given | {name: guess, "t": probe.given["old_t"] + 1}
                        left &= self.agree(np.asarray(_value(hand_on, space)), probe, name)
                for index in np.flatnonzero(left):
                    expression, pull = options[index]
                    mistakes = _told(frozenset({mistake, change, mistake_of[expression]}))
                    values = [guess[index] for guess in guesses]
                    ways.append(Part(mistakes, pull, values, [gs[index] for gs in stacks]))
            if thorough and name == "m":
                ways += self.beside(mistake, guesses, stacks, options)
        if all(bool(self.agree(np.asarray(p.given[f"old_{name}"]), p, name)) for p in self.usual):
            ways += self.kept(name, stacks)
        return ways

    def line(self, line: str, probe: Probe, gs: Array) -> Array:
        """A line for m or v on each gradient of a stack."""
        axes = tuple(range(1, gs.ndim))
        over_all = {
            "total": lambda x: x.sum(axis=axes, keepdims=True),
            "average": lambda x: x.mean(axis=axes, keepdims=True),
        }
        line = OVER_ALL.sub(lambda found: {"sum": "total", "mean": "average"}[found[2]] + f"({found[1]})", line)
        return np.asarray(_value(line, probe.given | over_all | {"m": probe.out["m"], "g": gs})) + 0 * gs

    def beside(
        self, mistake: str, guesses: list[Array], stacks: list[Array], options: list[tuple[str, Any]]
    ) -> Iterator[Part]:
        """m with a pull beside the weighted gradient, not in it."""
        plain = options.index(("grad", None))
        values = [guess[plain] + pulled for guess, pulled in zip(guesses, self.pulled, strict=True)]
        left: Any = True
        for probe, value in zip(self.probes, values, strict=True):
            if probe.trial != "defaults":
                left = left & self.agree(value, probe, "m")
        for number, factor in np.argwhere(left):
            told = {self.pulls[number], *self.factors[factor][0]} - OTHER_CONVENTION
            told_with = _told(frozenset({mistake, *told}))
            yield Part(told_with, "buffer", [value[number, factor] for value in values], [gs[plain] for gs in stacks])

    def kept(self, name: str, stacks: list[Array]) -> Iterator[Part]:
        """The old moment is handed on, so the new one is not seen: it may be right, or made from nothing."""
        for mistake, line in self.lines[name]:
            if mistake in ("", "state_ignored"):
                values = [self.line(line, p, gs[:1])[0] for p, gs in zip(self.probes, stacks, strict=True)]
                pull = (0, 0) if self.coupled else None
                yield Part(frozenset({"state_not_returned", mistake}) - {""}, pull, values, [gs[0] for gs in stacks])

    # --- the step ---

    def steps(
        self, first: Part, second: Part, times: list[Any], counted: str | None, unknown: tuple[str, ...]
    ) -> Iterator[Diagnosis]:
        """What explains θ with these moments: at least one diagnosis."""
        before = self.pair(first, second) | ({counted} if counted else set())
        missing = ("t",) if counted is None else ()
        spaces = [
            probe.given | {"t": t, "m": m, "v": v, "g": g}
            for probe, t, m, v, g in zip(self.probes, times, first.values, second.values, first.gradients, strict=True)
        ]
        explained = False
        for choice in self.updates(spaces):
            chosen = [self.lines[name][index] for name, index in choice.items()]
            mistakes = frozenset(before) | {mistake for mistake, _ in chosen}
            explained = True
            yield self.decay(first, second, spaces, self.written(choice), mistakes, (*missing, *unknown))
        if not explained:
            told = self.ordered(before | ({self.in_moments(first, second)} - {"", self.places["nowhere"]}))
            yield Diagnosis(told, (*missing, *unknown, "the step"), self.right(told, first, second, counted))

    def updates(self, spaces: list[dict[str, Any]]) -> list[dict[str, int]]:
        """The ways to write step and update that give θ where there is no decay, the fewest mistakes first."""
        where = [i for i, probe in enumerate(self.probes) if not probe.decays]
        choices: list[dict[str, int]] = []
        for ways in (1, len(self.lines["eps"])):
            left: Any = True
            for i in where:  # one coordinate sorts out nearly all
                corner = _corner(self.probes[i])
                space = _corner_of(spaces[i])
                left = left & self.agree(self.every_update(space, ways), corner, "theta")
            choices = list(itertools.islice(self.confirmed(left, where, spaces), MOST_STEPS))
            if choices and not any("eps_left_out" in self.told(choice) for choice in choices):
                break  # else ε may be there as a fixed number
        return sorted(choices, key=lambda choice: len(self.told(choice)))

    def confirmed(
        self, left: NDArray[np.bool_], where: list[int], spaces: list[dict[str, Any]]
    ) -> Iterator[dict[str, int]]:
        """Those of the combinations ``left`` that give all of θ, those with few mistakes first."""
        cost = np.zeros(left.shape, dtype=np.int64)
        for axis, name in enumerate(STEP_PARTS):
            wrong = np.array([mistake != "" for mistake, _ in self.lines[name][: left.shape[axis]]])
            cost += np.expand_dims(wrong, [i for i in range(len(STEP_PARTS)) if i != axis])
        places = np.argwhere(left)
        for place in places[np.argsort(cost[left], kind="stable")[:MOST_TRIED]]:
            choice = dict(zip(STEP_PARTS, map(int, place), strict=True))
            written = self.written(choice)
            if choice["eps"] and not re.search(r"\beps\b", " ".join(written[name] for name in USE_EPS)):
                continue
            if all(
                bool(self.agree(self.stepped(spaces[i], written)["update"], self.probes[i], "theta")) for i in where
            ):
                yield choice

    def written(self, choice: dict[str, int]) -> dict[str, str]:
        return {name: self.lines[name][index][1] for name, index in choice.items()}

    def told(self, choice: dict[str, int]) -> frozenset[str]:
        return _told(frozenset(self.lines[name][index][0] for name, index in choice.items()))

    def every_update(self, space: dict[str, Any], ways: int) -> Array:
        """θ after every combination of the parts of the step: an axis for each of ``STEP_PARTS``, then θ's own."""
        shape = space["theta"].shape

        def along(axis: int, values: list[Any]) -> Array:
            stack = np.array([np.asarray(value) + np.zeros(shape) for value in values])
            return stack.reshape(*[len(values) if i == axis else 1 for i in range(6)], *shape)

        m_hat = along(2, [_value(each, space) for _, each in self.lines["m_hat"]])
        eps = along(3, [_value(each, space) for _, each in self.lines["eps"][:ways]])
        v_hat = along(5, [_value(each, space) for _, each in self.lines["v_hat"]])

        def joined(name: str, axis: int, like: Sequence[Array]) -> Array:
            full = np.broadcast_shapes(*(array.shape for array in like))
            values = [np.broadcast_to(_value(each, inner), full) for _, each in self.lines[name]]
            return np.concatenate(values, axis=axis)

        inner = space | {"v_hat": v_hat, "eps": eps, "m_hat": m_hat}
        inner["denominator"] = joined("denominator", 4, [v_hat, eps])
        inner["step"] = joined("step", 1, [m_hat, inner["denominator"]])
        return joined("update", 0, [inner["step"]])

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
        spaces: list[dict[str, Any]],
        expressions: Mapping[str, str],
        mistakes: frozenset[str],
        unknown: tuple[str, ...],
    ) -> Diagnosis:
        """The diagnosis with what is left of θ once the step is taken: where and how the decay acts."""
        spaces = [self.stepped(space, expressions) for space in spaces]
        counted = None if "t" in unknown else ""
        best: tuple[int, frozenset[str]] | None = None
        for place, added in self.left_of_theta(spaces):
            told = _told(mistakes | self.named(first, second, place, added))
            if not self.defaults_fit(first, second, spaces, place, added):
                told |= {self.default_mistake}
            if best is None or len(told) < best[0]:
                best = len(told), told
        if best is None:
            told = _told(mistakes | self.named(first, second, "nowhere", frozenset()) - {self.places["nowhere"]})
            right = self.right(told, first, second, counted)
            return Diagnosis(self.ordered(told), (*unknown, "the decay"), right)
        return Diagnosis(self.ordered(best[1]), unknown, self.right(best[1], first, second, counted))

    def stepped(self, space: dict[str, Any], expressions: Mapping[str, str]) -> dict[str, Any]:
        """``space`` with the parts of the step in it, as these expressions make them."""
        space = dict(space)
        for name in ("eps", "m_hat", "v_hat", "denominator", "step", "update"):
            space[name] = np.asarray(_value(expressions[name], space)) + np.zeros(space["theta"].shape)
        return space

    def left_of_theta(self, spaces: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
        """The places where a pull (number, factor), or an expression, makes up for what is left of θ."""
        usual = [i for i, probe in enumerate(self.probes) if probe.decays and probe.trial != "defaults"]
        for place in ("nowhere", "theta", "new theta", *(("numerator", "denominator") if self.adaptive else ())):
            left: Any = True
            for i in usual:
                left = left & self.agree(self.every_theta(i, spaces[i], place), self.probes[i], "theta")
            for number, factor in np.argwhere(left)[:MOST_PAIRS]:
                yield place, (int(number), int(factor))
        for mistake, late in self.lines["late"]:
            if mistake and all(self.late(i, spaces[i], late) for i in usual):
                yield "late", late

    def late(self, i: int, space: dict[str, Any], late: str) -> bool:
        return bool(self.agree(space["update"] - _value(late, space), self.probes[i], "theta"))

    def every_theta(self, i: int, space: dict[str, Any], place: str) -> Array:
        """θ with each pull and each factor in ``place``: (pulls, factors, *shape)."""
        if place == "nowhere":
            return np.asarray(space["update"])[None, None]
        pulls = self.every_pull(self.probes[i], space["t"])
        if place == "new theta":
            shares = pulls / space["theta"]
            flat = shares.reshape(*shares.shape[:2], -1)
            same = np.ptp(flat, axis=-1) <= 1e-7 * abs(flat).max(axis=-1)
            pulls = np.where(same.reshape(*same.shape, *[1] * space["theta"].ndim), shares * space["update"], np.nan)
        elif place == "numerator":
            pulls = space["lr"] * pulls / space["denominator"]
        elif place == "denominator":
            pulls = pulls / space["denominator"]
        return np.asarray(space["update"] - pulls)

    def named(self, first: Part, second: Part, place: str, added: Any) -> frozenset[str]:
        """The mistakes of a decay that is in m and v as these have it, and besides acts on θ in ``place``."""
        inside = {pull for pull in (first.pull, second.pull if self.adaptive else None) if isinstance(pull, tuple)}
        home, pulls = self.coupled, set(inside)
        leak = self.in_moments(first, second)
        if place == "late":
            late = next(mistake for mistake, line in self.lines["late"] if line == added)
            return frozenset({late, leak} if inside or first.pull == "buffer" else {late})
        if place == "nowhere":
            where = leak
        elif inside or first.pull == "buffer":
            where, home = self.places["twice"], False
            pulls |= {added}
        else:
            where, home = self.places[place], not self.coupled and place in ("theta", "new theta")
            pulls |= {added}
        told = {self.pulls[number] for number, _ in pulls}.union(*(self.factors[factor][0] for _, factor in pulls))
        if "decay_of_gradient" in told:
            return frozenset(told - OTHER_CONVENTION)
        if not home:
            told -= OTHER_CONVENTION
        return frozenset(told | {where})

    def defaults_fit(self, first: Part, second: Part, spaces: list[dict[str, Any]], place: str, added: Any) -> bool:
        """Whether the trial with the defaults comes out as this hypothesis has it."""
        for i, (probe, space) in enumerate(zip(self.probes, spaces, strict=True)):
            if probe.trial != "defaults":
                continue
            if place == "late":
                theta = self.late(i, space, added)
            else:
                every = self.agree(self.every_theta(i, space, place), probe, "theta")
                theta = bool(every[added] if place != "nowhere" else every.all())
            moments = [("m", first), ("v", second)]
            if not theta or not all(
                "state_not_returned" in part.mistakes
                or "hats_returned" in part.mistakes
                or bool(self.agree(part.values[i], probe, name))
                for name, part in moments
            ):
                return False
        return True

    # --- what is said ---

    def ordered(self, mistakes: frozenset[str] | set[str]) -> tuple[str, ...]:
        """The mistakes in the order of the algorithm's lines: what comes first spoils what comes after."""
        order = ["hats_returned", "state_not_returned"]
        order += [mistake for line in LINE_ORDER for mistake, _ in self.lines[line]]
        order += [*self.places.values(), *self.pulls, *(mistake for mistake, _ in self.lines["factor"])]
        order += [mistake for mistake, _ in self.lines["late"]] + [*TOGETHER.values(), self.default_mistake]
        return tuple(sorted(_told(frozenset(mistakes)), key=order.index))

    def right(
        self, told: Sequence[str] | frozenset[str], first: Part, second: Part, counted: str | None
    ) -> tuple[str, ...]:
        """Which of t, m and v nothing is wrong with."""
        own = {"t": counted != "" or False, "m": bool(first.mistakes), "v": bool(second.mistakes)}
        return tuple(name for name, wrong in own.items() if not wrong)
