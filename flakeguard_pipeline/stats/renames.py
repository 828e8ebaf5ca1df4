"""Which tests look like one test under two names: one disappeared at the commit at which the other appeared.

Only the default branch is read: elsewhere old and new code take turns. Its code versions have positions from 1, by
first start. A *group* is what makes tests run together: workflow, artifact and variant.

**Disappeared**: a test that was seen in at least `MIN_SEEN` run attempts, last at position p. It disappeared at the
first position after p at which a group that it was last seen in left a whole report, that is, one with at least
`WHOLE_SHARE` of the executions of the group's report before. So a shard that did not run, or broke off, says nothing.
**Appeared**: a test whose first sighting ever has that position.

The confidence that both are one test is a product of shares:

    confidence = likeness * gone * new * duration * outcomes * alone

    likeness   0.65 * name + 0.35 * place: what they are called
    name       equal: 1 / (1 + ln(1 + namesakes)), or `mapped` where that is more; only parameters differ: from 0.3,
               for wholly different ones, to 0.7; else the words or the letters that both have, beyond those that
               unrelated names share
    place      file and class name: the words that both have, or `mapped` where that is more
    mapped     of n tests that go from one place (or parametrised function) to another under equal names:
               (1 - 1/n) * n / (all that disappeared there or appeared here at this commit)
    gone, new  1 - (1 - p)^k: the test was seen in a share p of its group's code versions, and then in none of k
    duration   0.7 + 0.3 * shorter median / longer median, each with 50 ms added
    outcomes   0.8 + 0.2 * (1 - difference of the failure rates, shrunk to their common rate)
    alone      1 - 0.5 * r^3, where r compares the strongest rival (another pair with one of the two tests) to the pair;
               a rival counts as much less as its other test prefers a third

Numbers that agree say little, as most tests are quick and pass; so they only take away. Pairs are taken one-to-one by
falling confidence, ties bytewise by test key. Nothing here decides: a person does.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import product
from typing import Any

import polars as pl

from flakeguard_pipeline.stats.likeness import (
    ALIKE_BY_CHANCE,
    LETTERS_BY_CHANCE,
    Vocabulary,
    base_and_values,
    beyond_chance,
    letters_alike,
    words,
)

DETECTOR_VERSION = "1"
"""Changes when equal results would give other proposals: they are then made anew."""

MIN_SEEN = 3
"""Run attempts that a test was seen in before it can have disappeared: less is no history to carry over."""

WHOLE_SHARE = 0.5
"""Share of the executions of a group's report before that a whole report has: a suite that broke off loses more, one
whose tests were deleted mostly less."""

MIN_CONFIDENCE = 0.5
"""Less likely than not is not worth a person's time."""

MAX_PROPOSALS = 20_000
"""Proposals for one repository, the surest first: a package of thousands of tests may move in one commit, and more
than that fills a table for nobody."""

MAX_BLOCK_PAIRS = 10_000
"""Pairs among tests that share a name or a place at one commit. More of them (a hundred tests with one name) cannot
be told apart by it; a finer share, such as class and name, may still do."""

MAX_COMMIT_PAIRS = 50_000
"""Pairs that are compared at one commit, those with most in common first: a second's work or two."""

NAME_WEIGHT = 0.65
"""The name tells what a test is for; the place is shared with others."""

PARAMETERS_LOW, PARAMETERS_HIGH = 0.3, 0.7
"""The name of a parametrised test whose parameters alone differ: a case may as well be a new one."""

NOISE_US = 50_000.0
"""Added to durations before they are compared: below 50 ms the machine decides, not the test."""

DURATION_WEIGHT = 0.3
OUTCOME_WEIGHT = 0.2
RIVAL_WEIGHT = 0.5
"""What disagreement takes away at most. Two equal rivals leave neither above `MIN_CONFIDENCE`, unless all else is
perfect."""

SHRINKAGE = 5.0
"""Executions at the common failure rate that are added to each test: few executions tell no rate."""

DECIMALS = 9

UTC_TIME = pl.Datetime("us", "UTC")

POSITION_SCHEMA: dict[str, pl.DataType] = {
    "code_version": pl.String(),
    "head_sha": pl.String(),
    "position": pl.Int64(),
}
"""One row per code version of the default branch."""

SPAN_SCHEMA: dict[str, pl.DataType] = {
    "test_key": pl.String(),
    "suite": pl.String(),
    "classname": pl.String(),
    "name": pl.String(),
    "file": pl.String(),
    "first_position": pl.Int64(),
    "last_position": pl.Int64(),
    "run_attempts": pl.Int64(),
}
"""One row per test that was seen on the default branch."""

SIGHTING_SCHEMA: dict[str, pl.DataType] = {
    "test_key": pl.String(),
    "workflow": pl.String(),
    "artifact": pl.String(),
    "variant": pl.String(),
    "first_position": pl.Int64(),
    "last_position": pl.Int64(),
    "positions": pl.Int64(),
    "first_known_at": UTC_TIME,
    "executions": pl.Int64(),
    "failures": pl.Int64(),
    "median_duration_us": pl.Float64(),
}
"""One row per test that moved (`moved`) and group; `first_known_at`: from when on its first position is known."""

GROUP_RUN_SCHEMA: dict[str, pl.DataType] = {
    "workflow": pl.String(),
    "artifact": pl.String(),
    "variant": pl.String(),
    "position": pl.Int64(),
    "executions": pl.Int64(),
    "known_at": UTC_TIME,
}
"""One row per group and position with a report; `executions` of the fullest run attempt."""

PROPOSAL_SCHEMA: dict[str, pl.DataType] = {
    "old_test_key": pl.String(),
    "old_suite": pl.String(),
    "old_classname": pl.String(),
    "old_name": pl.String(),
    "old_file": pl.String(),
    "new_test_key": pl.String(),
    "new_suite": pl.String(),
    "new_classname": pl.String(),
    "new_name": pl.String(),
    "new_file": pl.String(),
    "head_sha": pl.String(),
    "confidence": pl.Float64(),
    "evidence": pl.String(),
    "known_at": UTC_TIME,
}
"""One row per proposal, sorted by (old_test_key, new_test_key) bytewise; each test is in one proposal at most on
either side."""

GROUP = ("workflow", "artifact", "variant")


@dataclass(frozen=True, slots=True)
class _Moved:
    """A test that disappeared or appeared at a position, with what it was called and how it did."""

    key: str
    suite: str
    classname: str
    name: str
    file: str
    position: int
    known_at: datetime
    run_attempts: int
    steadiness: float
    executions: int
    failures: int
    duration_us: float | None

    @property
    def place(self) -> str:
        """Where it stands: file and class name, or the suite where there are neither."""
        return _place(self.suite, self.classname, self.file)

    @property
    def own_class(self) -> str:
        """The last part of its place."""
        return _own_class(self.suite, self.classname, self.file)

    @property
    def base(self) -> str:
        """Its name without parameters."""
        return base_and_values(self.name)[0]

    @property
    def values(self) -> str:
        """The parameters in its name."""
        return base_and_values(self.name)[1]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A test that disappeared and one that appeared, with what speaks for both being one."""

    old: _Moved
    new: _Moved
    score: float
    facts: Mapping[str, Any]


def moved(spans: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `spans` (`SPAN_SCHEMA`) that may have disappeared or appeared inside the history."""
    return spans.filter(_may_be_gone(spans) | _may_be_new(spans))


def propose(
    positions: pl.DataFrame, spans: pl.DataFrame, sightings: pl.DataFrame, group_runs: pl.DataFrame
) -> pl.DataFrame:
    """Return the proposals (`PROPOSAL_SCHEMA`) for one repository; the order of the inputs' rows does not matter.

    Args:
        positions: `POSITION_SCHEMA`.
        spans: `SPAN_SCHEMA`, all tests.
        sightings: `SIGHTING_SCHEMA`, those of `moved(spans)` at least.
        group_runs: `GROUP_RUN_SCHEMA`.
    """
    placed = _placed(sightings, group_runs)
    gone = _by_position(_gone(spans, placed, group_runs))
    new = _by_position(_new(spans, placed))
    commits = sorted(gone.keys() & new.keys())
    if not commits:
        return pl.DataFrame(schema=PROPOSAL_SCHEMA)
    likeness = _Likeness(spans)
    chosen = [pair for position in commits for pair in _at_one_commit(gone[position], new[position], likeness)]
    chosen.sort(key=lambda pair: (-pair[1], _key(pair[0])))
    heads = dict(positions.select("position", "head_sha").iter_rows())
    rows = [_row(pair, confidence, heads) for pair, confidence in chosen[:MAX_PROPOSALS]]
    rows.sort(key=lambda row: (row["old_test_key"].encode(), row["new_test_key"].encode()))
    return pl.DataFrame(rows, schema=PROPOSAL_SCHEMA)


def _may_be_gone(spans: pl.DataFrame) -> pl.Expr:
    newest = spans.get_column("last_position").max() or 0
    return (pl.col("last_position") < newest) & (pl.col("run_attempts") >= MIN_SEEN)


def _may_be_new(spans: pl.DataFrame) -> pl.Expr:
    oldest = spans.get_column("first_position").min() or 0
    return pl.col("first_position") > oldest


def _placed(sightings: pl.DataFrame, group_runs: pl.DataFrame) -> pl.DataFrame:
    """Add to each sighting how many code versions its group reported: before, within and after it."""
    runs = group_runs.select(*GROUP, "position")
    counted = (
        sightings.select("test_key", *GROUP, "first_position", "last_position")
        .join(runs, on=GROUP)
        .group_by("test_key", *GROUP)
        .agg(
            runs_before=(pl.col("position") < pl.col("first_position")).sum(),
            runs_within=pl.col("position").is_between("first_position", "last_position").sum(),
            runs_since=(pl.col("position") >= pl.col("first_position")).sum(),
            runs_after=(pl.col("position") > pl.col("last_position")).sum(),
        )
    )
    return sightings.join(counted, on=["test_key", *GROUP])


def _gone(spans: pl.DataFrame, placed: pl.DataFrame, group_runs: pl.DataFrame) -> pl.DataFrame:
    """Return the tests that disappeared, with `position`, `known_at` and `steadiness`, how sure their end is."""
    previous = pl.col("executions").shift(1).over(GROUP, order_by="position")
    whole = (
        group_runs.with_columns(previous=previous)
        .filter(pl.col("executions") >= WHOLE_SHARE * pl.col("previous").fill_null(0))
        .select(*GROUP, "position", "known_at")
    )
    last = spans.filter(_may_be_gone(spans)).select("test_key", "last_position")
    # seen + 1/2 of runs + 1: a few sightings in a row do not make certainty (Jeffreys' estimate of a share)
    share = (pl.col("positions") + 0.5) / (pl.col("runs_within") + 1.0)
    ends = (
        placed.join(last, on=["test_key", "last_position"])
        .join(whole, on=GROUP)
        .filter(pl.col("position") > pl.col("last_position"))
        .sort("position", "known_at", *GROUP)
        .group_by("test_key", maintain_order=True)
        .agg(
            pl.col("position").first(),
            pl.col("known_at").first(),
            steadiness=(1.0 - (1.0 - share.clip(0.0, 1.0)) ** pl.col("runs_after")).max(),
        )
    )
    return ends.join(_behaviour(placed), on="test_key").join(spans, on="test_key")


def _new(spans: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """Return the tests that appeared, with the same columns; `steadiness` is how sure their absence before is."""
    first = spans.filter(_may_be_new(spans)).select("test_key", "first_position")
    share = (pl.col("positions") + 0.5) / (pl.col("runs_since") + 1.0)
    # a group that never ran before cannot have left the test out
    absence = pl.when(pl.col("runs_before") == 0).then(1.0).otherwise(1.0 - (1.0 - share) ** pl.col("runs_before"))
    starts = (
        placed.join(first, on=["test_key", "first_position"])
        .group_by("test_key")
        .agg(
            position=pl.col("first_position").min(),
            known_at=pl.col("first_known_at").min(),
            steadiness=absence.max(),
        )
    )
    return starts.join(_behaviour(placed), on="test_key").join(spans, on="test_key")


def _behaviour(placed: pl.DataFrame) -> pl.DataFrame:
    """Return how each test did over all its groups."""
    return placed.group_by("test_key").agg(
        pl.col("executions", "failures").sum(), duration_us=pl.col("median_duration_us").median()
    )


def _by_position(tests: pl.DataFrame) -> dict[int, list[_Moved]]:
    """Return the tests by the position at which they moved, each list in the bytewise order of their keys."""
    found: defaultdict[int, list[_Moved]] = defaultdict(list)
    for row in tests.sort("test_key").iter_rows(named=True):
        found[row["position"]].append(
            _Moved(
                key=row["test_key"],
                **{name: row[name] for name in _Moved.__slots__ if name != "key"},
            )
        )
    return dict(found)


class _Likeness:
    """What the names of a repository say: which words are rare, and which names are."""

    def __init__(self, spans: pl.DataFrame) -> None:
        self._by_name: defaultdict[str, int] = defaultdict(int)
        self._by_class: defaultdict[tuple[str, str], int] = defaultdict(int)
        names: set[str] = set()
        places: set[str] = set()
        for suite, classname, name, file in spans.select("suite", "classname", "name", "file").iter_rows():
            names.add(base_and_values(name)[0])
            places.add(_place(suite, classname, file))
            self._by_name[name] += 1
            self._by_class[_own_class(suite, classname, file), name] += 1
        self.names, self.places = Vocabulary(names), Vocabulary(places)

    def namesakes(self, old: _Moved, new: _Moved) -> int:
        """Return how many other tests have the name that both have, and the class's own name where both have it."""
        both = old.own_class == new.own_class
        count = self._by_class[old.own_class, old.name] if both else self._by_name[old.name]
        return max(0, count - 2)


def _at_one_commit(gone: Sequence[_Moved], new: Sequence[_Moved], likeness: _Likeness) -> Iterator[tuple[_Pair, float]]:
    """Return the pairs of one commit that are worth a person's time, each test in one of them at most."""
    mapped = _Mapped(gone, new)
    pairs = [_pair(old, fresh, likeness, mapped) for old, fresh in _worth_comparing(gone, new)]
    rated = sorted(
        ((pair, alone, rivals) for pair, alone, rivals in _against_rivals(pairs)),
        key=lambda each: (-round(each[0].score * each[1], DECIMALS), _key(each[0])),
    )
    taken: set[tuple[str, str]] = set()
    for pair, alone, rivals in rated:
        confidence = round(pair.score * alone, DECIMALS)
        sides = {("old", pair.old.key), ("new", pair.new.key)}
        if confidence >= MIN_CONFIDENCE and not sides & taken:
            taken |= sides
            facts = {**pair.facts, "alone": alone, "rivals": rivals}
            yield _Pair(pair.old, pair.new, pair.score, facts), confidence


def _worth_comparing(gone: Sequence[_Moved], new: Sequence[_Moved]) -> list[tuple[_Moved, _Moved]]:
    """Return the pairs that have something in common, those with most first, within the limits."""
    kinds: tuple[Callable[[_Moved], tuple[str, ...]], ...] = (
        lambda test: (test.own_class, test.name),
        lambda test: (test.place, test.base),
        lambda test: (test.name,),
        lambda test: (test.place,),
        lambda _: (),
    )
    found: dict[tuple[str, str], tuple[_Moved, _Moved]] = {}
    for kind in kinds:
        fresh: defaultdict[tuple[str, ...], list[_Moved]] = defaultdict(list)
        for test in new:
            fresh[kind(test)].append(test)
        old: defaultdict[tuple[str, ...], list[_Moved]] = defaultdict(list)
        for test in gone:
            old[kind(test)].append(test)
        for block in sorted(old.keys() & fresh.keys()):
            size = len(old[block]) * len(fresh[block])
            if size <= MAX_BLOCK_PAIRS and len(found) + size <= MAX_COMMIT_PAIRS:
                found.update(((one.key, other.key), (one, other)) for one, other in product(old[block], fresh[block]))
    return list(found.values())


class _Mapped:
    """How far the tests of one place went to another together, keeping their names."""

    def __init__(self, gone: Iterable[_Moved], new: Iterable[_Moved]) -> None:
        self._gone, self._new = _members(gone), _members(new)
        self._support = cache(self._count)

    def tests(self, old: _Moved, new: _Moved) -> tuple[float, int]:
        """Return the support that the tests of both classes give each other, and how many they are."""
        return self._support((old.place,), (new.place,))

    def cases(self, old: _Moved, new: _Moved) -> tuple[float, int]:
        """Return the same of the parametrised cases of both functions."""
        return self._support((old.place, old.base), (new.place, new.base))

    def _count(self, old: tuple[str, ...], new: tuple[str, ...]) -> tuple[float, int]:
        one, other = self._gone[old], self._new[new]
        both = len(one & other)
        return ((1.0 - 1.0 / both) * both / len(one | other), both) if both else (0.0, 0)


def _members(tests: Iterable[_Moved]) -> defaultdict[tuple[str, ...], set[str]]:
    members: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for test in tests:
        members[test.place,].add(test.name)
        if test.values:
            members[test.place, test.base].add(test.values)
    return members


def _pair(old: _Moved, new: _Moved, likeness: _Likeness, mapped: _Mapped) -> _Pair:
    together, count = mapped.tests(old, new)
    place = 1.0 if old.place == new.place else max(likeness.places.alike(old.place, new.place), together)
    name, kind = _name(old, new, likeness)
    if kind == "move":
        name = max(name, together)
    elif old.values and old.values == new.values:
        cases, count = mapped.cases(old, new)
        name = max(name, cases)
    else:
        count = 0
    durations = _durations(old, new)
    outcomes = _outcomes(old, new)
    factors = {
        "name": name,
        "place": place,
        "gone": old.steadiness,
        "new": new.steadiness,
        "duration": 1.0 if durations is None else durations,
        "outcomes": 1.0 if outcomes is None else outcomes,
    }
    score = (
        (NAME_WEIGHT * name + (1.0 - NAME_WEIGHT) * place)
        * old.steadiness
        * new.steadiness
        * (1.0 - DURATION_WEIGHT * (1.0 - factors["duration"]))
        * (1.0 - OUTCOME_WEIGHT * (1.0 - factors["outcomes"]))
    )
    return _Pair(old, new, score, {**factors, "kind": kind, "together": max(count, 1)})


def _name(old: _Moved, new: _Moved, likeness: _Likeness) -> tuple[float, str]:
    """Return how alike the names are, and what kind of change the pair would be."""
    if old.name == new.name:
        return 1.0 / (1.0 + math.log1p(likeness.namesakes(old, new))), "move"
    is_here = old.place == new.place
    if old.base == new.base:
        alike = letters_alike(old.values, new.values)
        value = PARAMETERS_LOW + (PARAMETERS_HIGH - PARAMETERS_LOW) * alike
        return value, "parameters" if is_here else "move_and_parameters"
    by_word = beyond_chance(likeness.names.alike(old.base, new.base), ALIKE_BY_CHANCE)
    by_letter = beyond_chance(letters_alike(_letters(old.base), _letters(new.base)), LETTERS_BY_CHANCE)
    return max(by_word, by_letter), "rename" if is_here else "move_and_rename"


def _letters(name: str) -> str:
    return " ".join(words(name)) or name


def _durations(old: _Moved, new: _Moved) -> float | None:
    if old.duration_us is None or new.duration_us is None:
        return None
    shorter, longer = sorted((old.duration_us + NOISE_US, new.duration_us + NOISE_US))
    return shorter / longer


def _outcomes(old: _Moved, new: _Moved) -> float | None:
    if not old.executions or not new.executions:
        return None
    common = (old.failures + new.failures) / (old.executions + new.executions)
    rates = [(test.failures + SHRINKAGE * common) / (test.executions + SHRINKAGE) for test in (old, new)]
    return 1.0 - abs(rates[0] - rates[1])


def _against_rivals(pairs: Sequence[_Pair]) -> Iterator[tuple[_Pair, float, int]]:
    """Yield each pair with its share for being alone, and how many rivals it has that could be proposed themselves."""
    of_old: defaultdict[str, list[_Pair]] = defaultdict(list)
    of_new: defaultdict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        of_old[pair.old.key].append(pair)
        of_new[pair.new.key].append(pair)
    best_of_old = {key: max(pair.score for pair in each) for key, each in of_old.items()}
    best_of_new = {key: max(pair.score for pair in each) for key, each in of_new.items()}
    # a rival weakens as its other test has a better mate
    as_rival_of_old = {key: _strongest(each, lambda pair: best_of_new[pair.new.key]) for key, each in of_old.items()}
    as_rival_of_new = {key: _strongest(each, lambda pair: best_of_old[pair.old.key]) for key, each in of_new.items()}
    likely_of_old = {key: sum(pair.score >= MIN_CONFIDENCE for pair in each) for key, each in of_old.items()}
    likely_of_new = {key: sum(pair.score >= MIN_CONFIDENCE for pair in each) for key, each in of_new.items()}
    for pair in pairs:
        if pair.score < MIN_CONFIDENCE:
            continue
        strongest = max(
            next((weight for weight, rival in ranking if rival is not pair), 0.0)
            for ranking in (as_rival_of_old[pair.old.key], as_rival_of_new[pair.new.key])
        )
        ratio = min(1.0, strongest / pair.score)
        rivals = likely_of_old[pair.old.key] + likely_of_new[pair.new.key] - 2
        yield pair, 1.0 - RIVAL_WEIGHT * ratio**3, rivals


def _strongest(pairs: Iterable[_Pair], best: Callable[[_Pair], float]) -> list[tuple[float, _Pair]]:
    """Return the two strongest of `pairs` as rivals: a pair is no rival of itself, so one alone would not do."""
    weighed = [(pair.score * pair.score / best(pair) if pair.score else 0.0, pair) for pair in pairs]
    weighed.sort(key=lambda each: (-each[0], _key(each[1])))
    return weighed[:2]


def _key(pair: _Pair) -> tuple[bytes, bytes]:
    return pair.old.key.encode(), pair.new.key.encode()


def _place(suite: str, classname: str, file: str) -> str:
    return f"{file} {classname}".strip() or suite


def _own_class(suite: str, classname: str, file: str) -> str:
    """Return the last part of a place: `OrderTest` of `org.acme.OrderTest`, `test_cart` of `tests/test_cart.py`."""
    text = classname or file or suite
    last = text.replace("\\", "/").replace(":", "/").rpartition("/")[2]
    is_path = last != text or not classname
    return last.partition(".")[0] if is_path else last.rpartition(".")[2]


def _row(pair: _Pair, confidence: float, heads: Mapping[int, str]) -> dict[str, Any]:
    old, new, facts = pair.old, pair.new, pair.facts
    evidence = {
        name: round(value, DECIMALS) if isinstance(value, float) else value for name, value in facts.items()
    } | {
        "old_run_attempts": old.run_attempts,
        "new_run_attempts": new.run_attempts,
        "old_median_duration_us": old.duration_us,
        "new_median_duration_us": new.duration_us,
    }
    return {
        "old_test_key": old.key,
        "old_suite": old.suite,
        "old_classname": old.classname,
        "old_name": old.name,
        "old_file": old.file,
        "new_test_key": new.key,
        "new_suite": new.suite,
        "new_classname": new.classname,
        "new_name": new.name,
        "new_file": new.file,
        "head_sha": heads.get(old.position, ""),
        "confidence": confidence,
        "evidence": json.dumps(evidence, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
        "known_at": max(old.known_at, new.known_at),
    }
