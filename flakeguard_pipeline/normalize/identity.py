"""What makes two executions the same test over time: normalised names and stable keys.

Belongs here: applying rules to the fields of a test, and the key. Every function is pure and idempotent.
Does not belong here: the built-in rules (identity_rules.py), variants (variants.py), signatures (signatures.py).

A rule that is too eager is worse than one that is missing: two tests under one key look like one test that passes
and fails on the same code, which is what a flaky test looks like. A name that changes only costs history. Therefore
what a rule found is left alone where one report shows it to be a parameter (frames.py).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.normalize.identity_rules import BUILT_IN_RULES, FIELDS, HINTS, RULE_IDS, Field

MAX_PASSES = 8
"""Times that the rules are applied in turn: a replacement can give another rule its boundary; three do in practice."""

MAX_PATTERN = 500
"""Characters of a configured pattern: rules that people maintain are far shorter."""

MAX_REPLACEMENT = 100
"""Characters of a configured replacement: it is a placeholder, not a text."""

MAX_EXTRA_RULES = 100
"""Configured rules of one repository, the organisation's included: each is tried on every name."""

MAX_EXTRA_TEXT = 1_000
"""Characters that configured rules see: what backtracks then stays bounded, and what varies stands near the front."""


@dataclass(frozen=True, slots=True)
class ExtraRule:
    """A rule of a configuration: `pattern` is searched in `fields`, `replacement` is literal text."""

    fields: tuple[Field, ...]
    pattern: str
    replacement: str


_EVERYTHING = re.compile("")

_Step = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str], bool]
"""What to search, what to put there, and whether only the first MAX_EXTRA_TEXT characters are searched."""


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The rules of one repository: the built-in ones but for `disabled`, after the `extra` ones, in their order.

    Raises ConfigurationError for an id that no built-in rule has, and for an extra rule that is no usable one.
    """

    disabled: frozenset[str] = frozenset()
    extra: tuple[ExtraRule, ...] = ()
    _hints: dict[Field, re.Pattern[str]] = field(init=False, repr=False, compare=False)
    _steps: dict[Field, tuple[_Step, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for unknown in sorted(self.disabled - RULE_IDS):
            raise ConfigurationError(f"disable: no rule is called {unknown!r}; see docs/reference/identity.md")
        if len(self.extra) > MAX_EXTRA_RULES:
            raise ConfigurationError(f"rules: {len(self.extra)} rules are more than {MAX_EXTRA_RULES}")
        compiled = [_checked(index, rule) for index, rule in enumerate(self.extra)]
        hints: dict[Field, re.Pattern[str]] = {}
        steps: dict[Field, tuple[_Step, ...]] = {}
        for each in FIELDS:
            own: list[_Step] = [
                (pattern, partial(_replaced, rule.replacement), True)
                for pattern, rule in zip(compiled, self.extra, strict=True)
                if each in rule.fields
            ]
            hints[each] = _EVERYTHING if own else HINTS[each]
            built_in: list[_Step] = [
                (rule.pattern, rule.placeholder, False)
                for rule in BUILT_IN_RULES
                if each in rule.applies_to and rule.id not in self.disabled
            ]
            steps[each] = (*own, *built_in)
        object.__setattr__(self, "_hints", hints)
        object.__setattr__(self, "_steps", steps)
        for index, rule in enumerate(self.extra):
            for each in rule.fields:
                if self._normalise(each, rule.replacement) != rule.replacement:
                    raise ConfigurationError(
                        f"rules.{index}: the replacement {rule.replacement!r} would be replaced again in a {each}; "
                        "put a word in angle brackets"
                    )

    @property
    def touches_every_name(self) -> bool:
        """Whether NAME_TRIGGER does not tell which names may change, because there are extra rules for names."""
        return self._hints["name"] is _EVERYTHING

    def digest_parts(self) -> tuple[str, ...]:
        """Return what the rules are as texts: equal for rules that do the same, different for others."""
        built_in = [
            repr((rule.id, rule.pattern.pattern, rule.pattern.flags, rule.placeholder, rule.applies_to))
            for rule in BUILT_IN_RULES
            if rule.id not in self.disabled
        ]
        return (*(repr((rule.fields, rule.pattern, rule.replacement)) for rule in self.extra), *built_in)

    def _normalise(self, part: Field, text: str) -> str:
        if self._hints[part].search(text) is None:
            return text
        for _ in range(MAX_PASSES):
            before = text
            for pattern, replacement, bounded in self._steps[part]:
                if bounded and len(text) > MAX_EXTRA_TEXT:
                    text = pattern.sub(replacement, text[:MAX_EXTRA_TEXT]) + text[MAX_EXTRA_TEXT:]
                else:
                    text = pattern.sub(replacement, text)
            if part == "name":
                text = folded(text)
            if text == before or self._hints[part].search(text) is None:
                break
        return text


def _replaced(replacement: str, found: re.Match[str]) -> str:
    # a match of nothing stays nothing: putting a word there would do so again the next time
    return replacement if found[0] else ""


def _checked(index: int, rule: ExtraRule) -> re.Pattern[str]:
    def refuse(why: str) -> ConfigurationError:
        return ConfigurationError(f"rules.{index}: {why}")

    unknown = [each for each in rule.fields if each not in FIELDS]
    if unknown or not rule.fields:
        raise refuse(f"fields must be some of {', '.join(FIELDS)}" + (f", not {unknown[0]!r}" if unknown else ""))
    if len(rule.pattern) > MAX_PATTERN:
        raise refuse(f"the pattern has {len(rule.pattern)} characters, {MAX_PATTERN} are allowed")
    if len(rule.replacement) > MAX_REPLACEMENT:
        raise refuse(f"the replacement has {len(rule.replacement)} characters, {MAX_REPLACEMENT} are allowed")
    if re.search(r"\\(?:[0-9]|g<)", rule.replacement):
        raise refuse(
            f"the replacement {rule.replacement!r} is literal text and refers to no group; "
            "keep what surrounds a match with (?<=...) and (?=...)"
        )
    try:
        pattern = re.compile(rule.pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise refuse(f"{rule.pattern!r} is no regular expression: {error}") from error
    if pattern.search("") is not None:
        raise refuse(f"{rule.pattern!r} matches where there is nothing; it would match everywhere")
    if _repeats_a_repetition(rule.pattern):
        raise refuse(
            f"{rule.pattern!r} repeats a group that can match in several ways, which can take for ever; "
            "make the repetition possessive, as in (?:[a-z]+-)++"
        )
    return pattern


_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CHARACTER_SET = re.compile(r"\[\^?\]?[^\]]*\]")
_POSSESSIVE_ATOM = re.compile(r"(?<!\))(?:[*+?]|\{[0-9,]+\})\+")
_INNERMOST_GROUP = re.compile(
    r"\((?:\?(?:[:=!>]|<[=!]|P?<\w+>|[aiLmsux-]+:))?(?P<inside>[^()]*)\)"
    r"(?:(?P<possessive>(?:[*+?]|\{[0-9,]+\})\+)|(?P<times>[*+]|\{[0-9,]+\}))?"
)
_GIVES_BACK = re.compile(r"[*+?|]|\{[0-9]*,[0-9]*\}")


def _repeats_a_repetition(pattern: str) -> bool:
    """Tell whether a group that repeats holds what can match in several ways: the usual road to exponential time."""
    text = _POSSESSIVE_ATOM.sub("", _CHARACTER_SET.sub("s", _ESCAPED.sub("e", pattern)))
    while (group := _INNERMOST_GROUP.search(text)) is not None:
        several_ways = _GIVES_BACK.search(group["inside"]) is not None
        if several_ways and group["times"]:
            return True
        atom = "g*" if (several_ways or group["times"]) and not group["possessive"] else "g"
        text = text[: group.start()] + atom + text[group.end() :]
    return False


DEFAULT_RULES = IdentityRules()
"""What holds where nothing is configured."""

_QUALIFIERS = (".", "/", "::", "\\")


def folded(name: str) -> str:
    """Return the name of a test with its runs of white space as one space each, and none at its ends."""
    return " ".join(name.split())


def normalise_name(name: str, rules: IdentityRules = DEFAULT_RULES) -> str:
    """Return the name of a test without what differs from run to run; idempotent.

    White space is folded, then the rules apply.
    """
    return rules._normalise("name", folded(name))


def normalise_classname(classname: str, rules: IdentityRules = DEFAULT_RULES) -> str:
    """Return a class name without what differs from run to run; idempotent."""
    return rules._normalise("classname", classname)


def normalise_suite(suite: str, rules: IdentityRules = DEFAULT_RULES) -> str:
    """Return a suite's name without what differs from run to run; idempotent."""
    return rules._normalise("suite", suite)


def normalise_file(file: str, rules: IdentityRules = DEFAULT_RULES) -> str:
    """Return a file's path as it is in the repository, as far as that can be told; idempotent."""
    return rules._normalise("file", file)


def test_key(  # noqa: PLR0917 - the order is the one of the words in a report
    org: str,
    repository_id: str,
    suite: str,
    classname: str,
    name: str,
    file: str,
    rules: IdentityRules = DEFAULT_RULES,  # noqa: PT028 - it is no test
) -> str:
    r"""Return the stable id of a test in its repository. All words may be raw.

    A qualified class name (`org.acme.FooTest`, `tests/foo.py`, `crate::module`, `App\Foo`) tells tests apart
    by itself. Where it does not, the file does, and where there is none, the suite.

    Where a report has several tests that the rules give one key, each has its own words instead (frames.py).
    """
    classname = normalise_classname(classname, rules)
    told_apart_by = discriminator(suite, classname, normalise_file(file, rules), rules)
    return stable_id(("test", org, repository_id, told_apart_by, classname, normalise_name(name, rules)))


def discriminator(suite: str, classname: str, file: str, rules: IdentityRules = DEFAULT_RULES) -> str:
    """Return what tells the tests of a class from those of another of the same name.

    The class name and the file are taken as they are, as the identity has them; the suite is normalised.
    """
    if any(mark in classname for mark in _QUALIFIERS):
        return ""
    return file or normalise_suite(suite, rules)


def test_id(test_key: str, variant: str) -> str:
    """Return the id of a test in one variant (`variant` '' is the only one, '*' all of them)."""
    return f"{test_key}@{variant}"


# pytest takes functions called test_* for tests wherever a test module imports them
test_key.__test__ = False  # type: ignore[attr-defined]
test_id.__test__ = False  # type: ignore[attr-defined]
