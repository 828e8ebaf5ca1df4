"""What makes two executions the same test over time: normalised names and stable keys.

Belongs here: the rules, the fields that they apply to, and the key. Every function is pure and idempotent.
Does not belong here: variants (variants.py), failure signatures (signatures.py).

A rule that is too eager is worse than one that is missing: two tests under one key look like one test that passes
and fails on the same code, which is what a flaky test looks like. A name that changes only costs history. Therefore
what a rule found is left alone where one report shows it to be a parameter (frames.py).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, get_args

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError

Field = Literal["name", "classname", "suite", "file"]
"""A part of a test's identity that rules apply to."""

FIELDS: tuple[Field, ...] = get_args(Field)

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
class IdentityRule:
    r"""One thing that differs from run to run: what it looks like and what stands in its place.

    `id` is what a configuration names; it never changes. `placeholder` is a template of `re.sub` (`\1` is a group
    of `pattern`). What it inserts by itself holds '<' and '>', or nothing, so that no rule takes it for something
    to replace.
    """

    id: str
    why: str
    pattern: re.Pattern[str]
    placeholder: str
    applies_to: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class ExtraRule:
    """A rule of a configuration: `pattern` is searched in `fields`, `replacement` is literal text."""

    fields: tuple[Field, ...]
    pattern: str
    replacement: str


_TEXT: tuple[Field, ...] = ("name", "classname", "suite")
_ALL: tuple[Field, ...] = FIELDS
_GROUPS: tuple[Field, ...] = ("classname", "suite")

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

_DATE = r"20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CALENDAR_DATE = (
    r"20[0-9]{2}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_BASIC_DATE = r"20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = (
    r"(?!00:00(?::00(?:[.,]0+)?)?(?![0-9:]|[.,][0-9]))"
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?"
)
_DATE_TIME = rf"""
    (?<![0-9])
    (?:
        {_DATE}[T_ ]{_CLOCK}(?:Z|[ ]UTC|[ ]?[+-][0-9]{{2}}:?[0-9]{{2}})?
      | {_DATE}[T_-](?:[01][0-9]|2[0-3])[-_.][0-5][0-9][-_.][0-5][0-9]
      | {_BASIC_DATE}[T_-]?(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9](?:[.,]?[0-9]{{3}}|[.,][0-9]{{1,9}})?Z?
    )
    (?![0-9])
"""

_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_WORDS_CLOCK = r"(?!00:00:00)[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
_DATE_WORDS = rf"""
    {_WEEKDAY}
    (?:
        [ ]{_MONTH}[ ]{{1,2}}[0-3]?[0-9][ ]20[0-9]{{2}}[ ]{_WORDS_CLOCK}
        (?:[ ]GMT[+-][0-9]{{4}}(?:[ ]\([A-Za-z ]{{1,50}}\))?)?
      | [ ]{_MONTH}[ ]{{1,2}}[0-3]?[0-9][ ]{_WORDS_CLOCK}(?:[ ][A-Z]{{2,5}})?[ ]20[0-9]{{2}}
      | ,[ ][0-3]?[0-9][ ]{_MONTH}[ ]20[0-9]{{2}}[ ]{_WORDS_CLOCK}(?:[ ](?:GMT|UTC|[+-][0-9]{{4}}))?
    )
    (?![0-9])
"""

# what makes temporary names: pytest, Python's tempfile, mktemp, UUIDs, Ruby, Java and Go, Node's mkdtemp
_TEMPORARY_NAME = rf"""
    (?:
        [\\/]pytest-of-[^\\/\s]{{1,64}}[\\/]pytest-(?:[0-9]{{1,9}}|current)(?:[\\/]popen-gw[0-9]{{1,4}})?
        (?![A-Za-z0-9_-])
      | [\\/]tmp[a-z0-9_]{{8}}(?![A-Za-z0-9_])
      | [\\/]tmp\.[A-Za-z0-9]{{6,12}}(?![A-Za-z0-9])
      | [\\/]{_UUID}
      | (?:([\\/][A-Za-z][A-Za-z_.-]{{0,63}}?)|[\\/])20[0-9]{{6}}-[0-9]{{1,8}}-[0-9a-z]{{4,8}}(?![0-9A-Za-z])
      | (?:([\\/][A-Za-z][A-Za-z0-9_.-]{{0,63}}?)|[\\/])(?<![0-9])-?[0-9]{{9,20}}(?![0-9A-Za-z])
        (?:/[0-9]{{3}}(?![0-9]))?
      | ([\\/][A-Za-z][A-Za-z0-9_.-]{{0,63}}?)[-.](?=[a-zA-Z0-9]{{0,5}}(?:[0-9][A-Za-z]|[a-z][A-Z]))
        [A-Za-z0-9]{{6}}(?![A-Za-z0-9])
    )
"""
_TEMPORARY_PATH = rf"""
    (?:
        (?<![A-Za-z0-9.])
        (?:
            (?:[A-Za-z]:)?[\\/]Users[\\/][^\\/\s]{{1,64}}[\\/]AppData[\\/]Local[\\/]Temp
          | (?:/private)?/var/folders/[0-9a-z_+]{{2}}/[0-9a-z_+]{{20,40}}/[TC0]
          | /(?:home|Users)/runner/work/_temp
          | [A-Za-z]:[\\/]a[\\/]_temp
        )
        (?![A-Za-z0-9_-])
        {_TEMPORARY_NAME}?
      | (?<![A-Za-z0-9.])(?:/private)?(?:/var)?/tmp{_TEMPORARY_NAME}
      | (?<![A-Za-z0-9.])/build/tmp\.[A-Za-z0-9]{{4,12}}(?![A-Za-z0-9])
      | (?<![A-Za-z0-9])junit-?[0-9]{{10,20}}(?![0-9])
    )
"""

_SOURCE = (
    r"\.(?:py|pyx|java|kt|kts|scala|groovy|js|jsx|mjs|cjs|ts|tsx|vue|go|rs|php|cs|fs|vb|c|cc|cpp|cxx|h|hpp|m|swift"
    r"|ex|exs|lua|(?<!_spec\.)rb)"
)

_VERSION = r"[0-9]{1,6}(?:[._][0-9]{1,6}){1,4}"
_BROWSER = (
    r"(?:Mobile[ _])?"
    r"(?:HeadlessChrome|ChromeHeadless|HeadlessEdg|Chrome|Chromium|Firefox|Safari|WebKit|Edge|Edg|IE|Opera|Electron"
    r"|PhantomJS|jsdom)(?:[ _]Headless|[ _]WebView|[ _]Mobile)?"
)
_SYSTEM = (
    r"(?:Linux|Ubuntu|Debian|Fedora|Mac[ _]OS(?:[ _]X)?|macOS|Windows|Android|iOS|Chrome[ _]OS|Node(?:\.js)?|Unknown)"
)

_SHARD = r"(?:shard|chunk|partition|split)[ _#:-]?[0-9]{1,4}"
_OF_SHARDS = r"(?:/|[ _-]of[ _-])[0-9]{1,4}"

_CHECKOUT = r"""
    ^(?:file://)?
    (?:
        /(?:home|Users)/runner/work/([^/]+)/\1/                        # GitHub
      | [A-Za-z]:/a/([^/]+)/\2/                                        # GitHub, Windows
      | /__w/([^/]+)/\3/                                               # GitHub, container jobs
      | (?:[A-Za-z]:)?/(?:[^/]+/){0,6}_work/([^/]+)/\4/                # GitHub, own runners
      | /github/workspace/                                             # GitHub, container actions
      | /builds/(?:[A-Za-z0-9_-]{8,9}/[0-9]{1,3}/)?[^/]+/[^/]+/        # GitLab
      | /(?:home/circleci|root)/project/                               # CircleCI
      | /home/travis/build/[^/]+/[^/]+/                                # Travis
      | /(?:var/lib/jenkins|var/jenkins_home|home/jenkins(?:/agent)?)/workspace/[^/]+/
      | (?:/home/vsts/work|/Users/runner/work|/__w|[A-Za-z]:/a|/(?:[^/]+/){0,3}_work)/[0-9]{1,4}/s/   # Azure
      | /var/lib/buildkite-agent/builds/[^/]+/[^/]+/[^/]+/
      | /opt/atlassian/pipelines/agent/build/                          # Bitbucket
      | /opt/buildagent/work/[0-9a-f]{16}/                             # TeamCity
      | /home/semaphore/[^/]+/
      | /drone/src/
      | [A-Za-z]:/projects/[^/]+/                                      # AppVeyor
    )
"""


def _rule(  # noqa: PLR0917 - the columns of a table
    identifier: str, why: str, pattern: str, placeholder: str, applies_to: tuple[Field, ...], flags: int = 0
) -> IdentityRule:
    return IdentityRule(identifier, why, re.compile(pattern, flags), placeholder, applies_to)


BUILT_IN_RULES: tuple[IdentityRule, ...] = (
    _rule(
        "path-separator",
        "Windows and other systems write one path in two ways",
        r"\\+",
        "/",
        ("file",),
    ),
    _rule(
        "temporary-path",
        "temporary folders are random, or belong to a user; a fixed name such as /tmp/data.csv stays",
        _TEMPORARY_PATH,
        r"<tmp>\1\2\3\4\5\6",
        _ALL,
        re.VERBOSE,
    ),
    _rule(
        "checkout-folder",
        "where CI checks a repository out says nothing about the test",
        _CHECKOUT,
        "",
        ("file",),
        re.VERBOSE,
    ),
    _rule("leading-dot", "./tests and tests are one folder", r"^(?:\./+)+", "", ("file",)),
    _rule("file-line", "lines move with every change above them", r":[0-9]{1,7}(?::[0-9]{1,6})?\Z", "", ("file",)),
    _rule("uuid", "UUIDs are random", _UUID, "<uuid>", _ALL),
    _rule(
        "java-lambda",
        "the JVM numbers lambda classes as it meets them",
        r"\$\$Lambda(?=[$/@])(?:\$[0-9]+)?(?:/(?:0x)?[0-9a-fA-F]+)?(?:@[0-9a-f]+)?",
        "$$Lambda<id>",
        _TEXT,
    ),
    _rule(
        "generated-class",
        "proxies and mocks have random or counted class names",
        r"(\$\$(?:EnhancerBySpringCGLIB|FastClassBySpringCGLIB|EnhancerByCGLIB|FastClassByCGLIB|EnhancerByGuice"
        r"|SpringCGLIB)\$\$|\$MockitoMock\$|\$HibernateProxy\$|\$ByteBuddy\$|\$Proxy(?=[0-9]))[0-9A-Za-z]+",
        r"\1<id>",
        _TEXT,
    ),
    _rule(
        "memory-address",
        "objects lie elsewhere in each process; 0x1f and 0xdeadbeef are values",
        # user space ends at 48 bits; one digit repeated is a mask
        r"0[xX](?:(?:0000)?(?!([0-9a-fA-F])\1{8,11}(?![0-9a-fA-F]))[0-9a-fA-F]{9,12}"
        r"|(?<= at 0[xX])[0-9a-fA-F]{4,8})(?![0-9a-fA-F])",
        "<address>",
        _TEXT,
    ),
    _rule(
        "object-hash",
        "Java prints an object without toString() with its hash code",
        r"(?<=[A-Za-z0-9_$;\]>])@(?=[a-f]{0,7}[0-9])[0-9a-f]{6,8}(?![A-Za-z0-9_.@-])",
        "@<hash>",
        _TEXT,
    ),
    _rule(
        "mock-id",
        "Python's mocks print their address as a decimal number",
        r"(?<=[ ]id=')[0-9]{9,20}(?=')",
        "<id>",
        _TEXT,
    ),
    _rule(
        "date-time",
        "the time at which the test or the report was made; exactly midnight is a constant",
        _DATE_TIME,
        "<time>",
        _TEXT,
        re.VERBOSE,
    ),
    _rule(
        "date-words",
        "the same as dates of JavaScript, Java, C and HTTP write it",
        _DATE_WORDS,
        "<time>",
        _TEXT,
        re.VERBOSE,
    ),
    _rule(
        "date",
        "the day on which the test ran; days that few years have, and years before 2000, are constants",
        rf"(?<![0-9]){_CALENDAR_DATE}(?![0-9]|[T_ ][0-9]{{2}}:)",
        "<date>",
        _TEXT,
    ),
    _rule(
        "epoch",
        "milliseconds since 1970 (13 digits, 2014 to 2033), or seconds where a word or a fraction says so",
        r"(?<![0-9.])(?:1[4-9][0-9]{11}|1[4-9][0-9]{8}\.[0-9]{3,9})(?![0-9]|\.[0-9])"
        r"|(?<=(?:stamp|epoch|_time)[=:_ -])1[4-9][0-9]{8}(?![0-9])",
        "<time>",
        _TEXT,
    ),
    _rule(
        "hex-id",
        "digests and random ids of 16 and more hexadecimal digits, with digits and letters in turn",
        r"(?<![0-9A-Za-z])(?:"
        r"(?=[0-9a-f]*[0-9][a-f])(?=[0-9a-f]*[a-f][0-9])[0-9a-f]{16,128}"
        r"|(?=[0-9A-F]*[0-9][A-F])(?=[0-9A-F]*[A-F][0-9])[0-9A-F]{16,128}"
        r")(?![0-9A-Za-z])",
        "<id>",
        _TEXT,
    ),
    _rule(
        "random-id",
        "ULIDs, and ids of 20 and more digits and small letters in at least five turns (XID, CUID)",
        r"(?<![0-9A-Za-z])(?:01[0-9A-HJKMNP-TV-Z]{24}|(?=[0-9a-f]*[g-z])(?=(?:[a-z]{0,6}+[0-9]++){5})[0-9a-z]{20,40})(?![0-9A-Za-z])",
        "<id>",
        _TEXT,
    ),
    _rule(
        "line-number",
        "lines move with every change above them; RSpec's lines and Cucumber's stay, they name the example",
        rf"({_SOURCE}):[0-9]{{1,7}}(?::[0-9]{{1,6}})?(?![0-9])",
        r"\1:<line>",
        _TEXT,
    ),
    _rule(
        "line-words",
        'the same in words, as in "foo.py", line 12',
        rf"({_SOURCE}[\"')]?,?[ ][(\[]?line[ ])[0-9]{{1,7}}(?![0-9])",
        r"\1<line>",
        _TEXT,
    ),
    _rule(
        "port",
        "the system picks free ports above 32767; lower ones are chosen by people",
        r"(?<![A-Za-z0-9.])(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\])"
        r":(?:3276[89]|327[7-9][0-9]|32[89][0-9]{2}|3[3-9][0-9]{3}|[45][0-9]{4}|6[0-5][0-9]{3})(?![0-9])",
        r"\1:<port>",
        _TEXT,
    ),
    _rule(
        "repetition",
        "a repeated test of JUnit 5 is one test that ran often",
        r"\brepetition [0-9]{1,9} of [0-9]{1,9}(?![0-9])",
        "repetition <n>",
        _TEXT,
    ),
    _rule(
        "stress-run",
        "nextest repeats a whole suite under a number",
        r"@stress-[0-9]{1,9}(?![0-9A-Za-z_-])",
        "",
        _GROUPS,
    ),
    _rule(
        "browser-version",
        "browsers and systems update themselves; which browser it is stays, for it may fail alone",
        rf"(?<![A-Za-z0-9])({_BROWSER})(?:[ _]{_VERSION}([ _]\({_SYSTEM}(?:[ _](?:x86_64|aarch64|arm64|i686))?)"
        rf"(?:[ _][0-9]{{1,6}}(?:[._][0-9]{{1,6}}){{0,4}})?(\))|[ _]{_VERSION}(?![0-9A-Za-z]))",
        r"\1\2\3",
        _GROUPS,
    ),
    _rule(
        "shard",
        "a test that moves between shards is one test",
        rf"(?:^|[ _.:-]{{1,3}})(?:[\[(]{_SHARD}(?:{_OF_SHARDS})?[\])]|{_SHARD}{_OF_SHARDS}(?![0-9A-Za-z_])"
        r"|shard[ _#:-][0-9]{1,4}(?![0-9A-Za-z_]))",
        "",
        _GROUPS,
        re.IGNORECASE,
    ),
    _rule(
        "shard-count", "a suite that ends in (1/4) is split", r"[ ]?[(\[][0-9]{1,3}/[0-9]{1,3}[)\]]\Z", "", ("suite",)
    ),
    _rule(
        "suite-date",
        "a suite that ends in the day on which it ran",
        rf"(?<=[ _.-]){_BASIC_DATE}\Z",
        "<date>",
        ("suite",),
    ),
    _rule(
        "run-number",
        "a suite that ends in the number of its run",
        r"[ _-]{1,3}[\[(]?(?:run|build|pipeline|attempt|retry)[ _#:-]{1,3}[0-9]{1,12}[\])]?\Z",
        "",
        ("suite",),
        re.IGNORECASE,
    ),
    _rule(
        "host",
        "the machine, where it is marked as one",
        r"\b(host(?:name)?[=:] ?)[0-9A-Za-z][0-9A-Za-z._-]*",
        r"\1<host>",
        ("suite",),
        re.IGNORECASE,
    ),
)
"""The built-in rules, in the order in which they apply.

Rules may be added, but each addition gives the tests it concerns a new identity.
"""

RULE_IDS = frozenset(rule.id for rule in BUILT_IN_RULES)

# What a field holds wherever one of its rules matches: it finds too much, never too little. All start with one set
# of characters, which the regular expression engine skips to, and so cost far less than the rules.
_TEXT_HINTS = r"""
        (?<=[0-9])(?:(?=[0-9a-fA-F]{7})|(?<=[0-9a-fA-F]{8})|(?=[0-9a-z]{13})|(?<=0)(?=1[0-9A-Z]{24})
            |(?<=(?:ine|ion)[ ][0-9]))
      | (?<=[0-9a-fA-F]{4}-)[0-9a-fA-F]{2,4}-
      | (?<=0)[xX][0-9a-fA-F]{4}
      | (?<=:)[0-9]
      | (?<=@)[0-9a-f]{6}
      | (?<=[\\/])(?:tmp|var/|private/|home/runner/|Users[\\/]|build/|a[\\/]_temp)
      | (?<=\$)[$MHBP]
"""
_GROUP_HINTS = r"""
      | (?<=@)stress-
      | (?<=[ _][0-9])[0-9]{0,5}[._][0-9]
      | (?<=(?i:shard|chunk|split|ition)[0-9])
      | (?<=(?i:shard|chunk|split|ition)[ _#:-][0-9])
"""
_SUITE_HINTS = r"""
      | (?<=[0-9]/)[0-9]
      | (?<=[0-9])[\])]?\Z
      | (?<=(?i:host|name)[=:])
"""
_FILE_HINTS = r"""
        (?<=\\)
      | (?<=:)
      | (?<![\s\S]{2})(?<=[/.])
      | (?<=[0-9])[0-9]{9}
      | (?<=[0-9a-fA-F]{4}-)[0-9a-fA-F]{4}-
      | (?<=/)(?:tmp|var/|private/|home/runner/|Users/|build/)
"""


NAME_TRIGGER = (
    r"[0-9][0-9a-fA-F]{7}|[0-9a-fA-F]{7}[0-9]|[0-9][0-9a-z]{13}|01[0-9A-Z]{24}|(?:ine|ion) [0-9]"
    r"|[0-9a-fA-F]{4}-[0-9a-fA-F]{2}|0[xX][0-9a-fA-F]{4}|:[0-9]|@[0-9a-f]{6}"
    r"|[\\\\/](?:tmp|var/|private/|home/runner/|Users[\\\\/]|build/|a[\\\\/]_temp)|\$[$MHBP]"
    r"|^\s|\s$|\s\s|[^\S ]"
)
"""What a name holds that a built-in rule or the folding of white space can change, for engines without look-around.
Like the hints, it finds too much, never too little."""


def _hint(characters: str, hints: str) -> re.Pattern[str]:
    return re.compile(rf"[{characters}](?:{hints})", re.VERBOSE)


_HINTS: dict[Field, re.Pattern[str]] = {
    "name": _hint(r"-0-9@$:/\\", _TEXT_HINTS),
    "classname": _hint(r"-0-9@$:/\\", _TEXT_HINTS + _GROUP_HINTS),
    "suite": _hint(r"-0-9@$:/\\=", _TEXT_HINTS + _GROUP_HINTS + _SUITE_HINTS),
    "file": _hint(r"-\\:/.0-9", _FILE_HINTS),
}
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
            hints[each] = _EVERYTHING if own else _HINTS[each]
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
