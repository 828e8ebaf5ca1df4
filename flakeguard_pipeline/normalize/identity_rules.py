"""What differs in the words of a test from run to run: the built-in rules, and what tells whether one may apply.

Belongs here: patterns, each with its reason. Does not belong here: applying them (identity.py).
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

Field = Literal["name", "classname", "suite", "file"]
"""A part of a test's identity that rules apply to."""

FIELDS: tuple[Field, ...] = get_args(Field)


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


HINTS: dict[Field, re.Pattern[str]] = {
    "name": _hint(r"-0-9@$:/\\", _TEXT_HINTS),
    "classname": _hint(r"-0-9@$:/\\", _TEXT_HINTS + _GROUP_HINTS),
    "suite": _hint(r"-0-9@$:/\\=", _TEXT_HINTS + _GROUP_HINTS + _SUITE_HINTS),
    "file": _hint(r"-\\:/.0-9", _FILE_HINTS),
}
