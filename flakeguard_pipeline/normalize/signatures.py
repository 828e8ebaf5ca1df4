"""Failure signatures: equal for failures that look alike, different for a test that fails in a new way.

Belongs here: what of a message counts, and the digest. Which frames of a stack count: see `stacks`.
"""

import hashlib
import re
from typing import NamedTuple

from flakeguard_pipeline.normalize.redaction import redact
from flakeguard_pipeline.normalize.stacks import stack_of

SIGNATURE_HEX_DIGITS = 16
"""64 bits: signatures are compared within one test, never across a warehouse."""

MAX_MESSAGE = 4_000
"""Characters of a message that count: beyond are dumps of data."""

MAX_TEXT = 16 * 1024
"""Characters of a failure's text in which frames are looked for."""


class SignatureRule(NamedTuple):
    """What is replaced in messages: matches of `pattern`, by `placeholder`, and `why`."""

    id: str
    why: str
    pattern: re.Pattern[str]
    placeholder: str


_NUMBER = r"[0-9]++(?:[.,][0-9]++)*+"
_UNIT = (
    r"(?:ns|nanos(?:econds?)?|[µμu]s|micros(?:econds?)?|ms|msecs?|millis(?:econds?)?|s|secs?|seconds?"
    r"|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![A-Za-z_])"
)
_DURATION = rf"{_NUMBER}\s?(?:{_UNIT}|[hms](?=[0-9]))"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? {1,2}"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_CLOCK = (
    r"(?<![0-9])[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]++)?(?: ?[AaPp]\.?[Mm]\b\.?)?"
    r"(?: ?(?:Z\b|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}(?![0-9])))?+"
)
_HEXTETS = r"[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4})"

SIGNATURE_RULES: tuple[SignatureRule, ...] = (
    SignatureRule(
        "colours",
        "colours of a terminal, also with their escape character lost",
        re.compile("[\x1b\ufffd]\\[[0-9;]*+m"),
        "",
    ),
    SignatureRule(
        "uuids",
        "UUIDs",
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE),
        "<uuid>",
    ),
    SignatureRule(
        "named-dates",
        "dates with the name of a month, alone or with a time",
        re.compile(
            rf"(?:\b{_DAY})?+(?:(?<![0-9])[0-9]{{1,2}}[ /-]{_MONTH}(?:[ /-][0-9]{{4}}(?![0-9]))?"
            rf"|\b{_MONTH} {{1,2}}[0-9]{{1,2}}(?![0-9])(?:,? [0-9]{{4}}(?![0-9:]))?)"
            rf"(?:(?:,? (?:at )?|:){_CLOCK})?(?: [A-Z]{{3,4}}(?= [0-9]{{4}}))?(?: [0-9]{{4}}\b)?"
        ),
        "<time>",
    ),
    SignatureRule(
        "times",
        "dates and times of day in digits",
        re.compile(
            rf"(?:(?<![0-9])(?:[0-9]{{4}}([-/.])[0-9]{{2}}\1[0-9]{{2}}|[0-9]{{1,2}}([/.])[0-9]{{1,2}}\2[0-9]{{4}})"
            rf"(?:T[0-9]{{2}}:[0-9]{{2}}(?![:0-9])(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?|(?:,? |T|:)(?={_CLOCK}){_CLOCK})?"
            rf"(?![0-9])|{_CLOCK})"
        ),
        "<time>",
    ),
    SignatureRule(
        "ip-addresses",
        "IP addresses, of both versions",
        re.compile(
            r"(?<![\w:.])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.]*[0-9])"
            rf"|(?:{_HEXTETS}{{7}}|(?=[0-9A-Fa-f:]{{0,40}}[0-9])(?:{_HEXTETS}{{0,6}})?::(?:{_HEXTETS}{{0,6}})?)"
            r"(?:%\w{1,16})?(?![\w:]))"
        ),
        "<ip>",
    ),
    SignatureRule(
        "random-names",
        "names that temporary files and folders get by chance",
        re.compile(
            r"(?<=[\\/])((?:te?mp[\\/](?:[A-Za-z_.]{1,64}-){1,8})?)"
            r"(?:tmp(?:[a-z0-9_]{8}|\.[A-Za-z0-9]{6,10})|(?<=-)[A-Za-z0-9]{6})(?![\w.-])",
            re.IGNORECASE,
        ),
        r"\1<temp>",
    ),
    SignatureRule(
        "folders",
        "folders of absolute paths and file URLs; the last name stays",
        re.compile(
            r"(?:\bfile:/{0,2}+|(?<![\w./\\:+@~#<>$-]))(?:/?[A-Za-z]:)?"
            r"(?:[\\/]{1,2}[\w.+@~#<>$%-]++(?=[\\/]))++(?=[\\/]{1,2}[\w.+@~#<>$%-])"
        ),
        "<path>",
    ),
    SignatureRule("addresses", "memory addresses", re.compile(r"0x[0-9a-f]++", re.IGNORECASE), "#"),
    SignatureRule(
        "identity-hashes", "identity hashes of objects, as in Foo@1b2c3d4", re.compile(r"@[0-9a-f]{4,16}\b"), "@#"
    ),
    SignatureRule(
        "digests",
        "hexadecimal words of eight and more characters with a digit",
        re.compile(
            r"(?<![0-9A-Za-z])(?:(?=[a-f]{0,128}[0-9])[0-9a-f]{8,}+|(?=[A-F]{0,128}[0-9])[0-9A-F]{8,}+)(?![0-9A-Za-z])"
        ),
        "#",
    ),
    SignatureRule(
        "durations",
        "durations: numbers and their units",
        re.compile(rf"(?<![0-9])(?<![0-9][.,]){_DURATION}(?: ?{_DURATION})*+"),
        "<duration>",
    ),
    SignatureRule(
        "numbers",
        "numbers: counts, ports, lines, milliseconds since 1970, and those in names of threads",
        re.compile(_NUMBER),
        "#",
    ),
    SignatureRule("white-space", "white space", re.compile(r"\s++"), " "),
)
"""What is replaced in types and messages, in this order. Quoted values are kept.

A change here gives every failure a new signature.
"""

_DIGIT = re.compile("[0-9]")
_ALWAYS = tuple(rule for rule in SIGNATURE_RULES if rule.id in ("colours", "random-names", "folders", "white-space"))
"""Rules that replace texts without a digit, too; nearly half of all messages have none."""

_STACK_BEGINS = re.compile(
    r"^(?:[ \t]*+at (?:async |new )?+[^\s()]++(?: \[as [^\]\n]++\])? ?\([^()\n]*+\)"
    r"|[ \t]*+\"[^\"\n]{0,500}+\" [^\n]{0,200}?(?:prio|tid|nid)="
    r"|Traceback \(most recent call last\):|goroutine [0-9]++ \[)",
    re.MULTILINE,
)
_SAYS_NOTHING = re.compile(
    r"(?:the )?(?:tests?|build|runtime|assertion|suite)?[ _-]?"
    r"(?:failed|failures?|fail|errors?|errored|panic|exception)[.:!]?"
    # Rust says it on the next line, and the place is the first frame
    r"|thread '.{0,300}' (?:\([0-9]{1,20}\) )?panicked at .{1,1000}",
    re.IGNORECASE,
)
_SEPARATOR = "\0"
"""Keeps type, message and cause apart, on a line of its own: no rule reaches across."""


def failure_signature(failure_type: str, message: str, text: str) -> str:
    """Return 16 hexadecimal digits that failures alike in type, message and place share; '' for no failure.

    What counts is the type, the message, the root cause and the innermost frames of the stack in `text`,
    without what SIGNATURE_RULES replace. Where the message says nothing, the text speaks. Secrets are redacted
    first: a rotated key is no news.
    """
    text = text[:MAX_TEXT]
    stack = stack_of(text)
    message = message[:MAX_TEXT].strip()
    if not message or _SAYS_NOTHING.fullmatch(message):
        said = "\n".join(stack.said) or _first_line(text)
        # Rust's header repeats the place, which the frames hold
        message = said if not message or (said and message.startswith("thread '")) else f"{message}\n{said}"
    elif (dump := _STACK_BEGINS.search(message)) and dump.start():
        message = message[: dump.start()]
    spoken = redact(f"\n{_SEPARATOR}\n".join((failure_type[:MAX_MESSAGE], message, stack.cause)))
    counted = _SEPARATOR.join(part[:MAX_MESSAGE] for part in spoken.split(_SEPARATOR))
    parts = [part.strip() for part in _normalised(counted).split(_SEPARATOR)]
    parts += stack.frames
    if not any(parts):
        return ""
    framed = "\n".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(framed).hexdigest()[:SIGNATURE_HEX_DIGITS]


def _normalised(text: str) -> str:
    for _, _, pattern, placeholder in SIGNATURE_RULES if _DIGIT.search(text) else _ALWAYS:
        text = pattern.sub(placeholder, text)
    return text


def _first_line(text: str) -> str:
    stripped = text.lstrip()
    return stripped.partition("\n")[0].strip()
