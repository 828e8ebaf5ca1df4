"""Failure signatures: equal for failures that look alike, different for a test that fails in a new way."""

import hashlib
import re

from flakeguard_pipeline.normalize.redaction import redact

SIGNATURE_HEX_DIGITS = 16
"""64 bits: signatures are compared within one test, never across a warehouse."""

MAX_FRAMES = 5
"""Stack frames in a signature: the innermost ones say where it broke, the rest is the test runner."""

MAX_MESSAGE = 4_000
"""Characters of a message that count: beyond are dumps of data."""

MAX_TEXT = 16 * 1024
"""Characters of a failure's text in which frames are looked for."""

SIGNATURE_RULES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "colours of a terminal, also with their escape character lost",
        re.compile("[\x1b\ufffd]\\[[0-9;]*m"),
        "",
    ),
    (
        "UUIDs",
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE),
        "<uuid>",
    ),
    (
        "ISO dates and times, and times of day",
        re.compile(
            r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ](?=[0-9]))?)?"
            r"(?:(?<![0-9])[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)"
            r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?",
        ),
        "<time>",
    ),
    (
        "folders of absolute paths; the last name stays",
        re.compile(r"(?<![\w./\\:+@~#<>$-])(?:[A-Za-z]:)?(?:[\\/][\w.+@~#<>$-]++(?=[\\/]))++(?=[\\/][\w.+@~#<>$-])"),
        "<path>",
    ),
    ("memory addresses", re.compile(r"0x[0-9a-f]+", re.IGNORECASE), "#"),
    ("identity hashes of objects, as in Foo@1b2c3d4", re.compile(r"@[0-9a-f]{4,16}\b"), "@#"),
    ("digests: hexadecimal words with a digit", re.compile(r"\b(?=[a-f]{0,64}[0-9])[0-9a-f]{8,}\b"), "#"),
    (
        "durations: a number and its unit",
        re.compile(r"[0-9]+(?:[.,][0-9]+)*\s?(?:ns|µs|us|ms|s|sec|secs|seconds?|m|mins?|minutes?|milliseconds?)\b"),
        "<duration>",
    ),
    ("numbers: counts, ports, lines, IP addresses", re.compile(r"[0-9]+(?:[.,][0-9]+)*"), "#"),
    ("white space", re.compile(r"\s+"), " "),
)
"""Why, what and by what a part of a message or frame is replaced, in this order. Quoted values are kept.

A change here gives every failure a new signature.
"""

_FRAME = re.compile(r"""\s*+(?:at\s|File\s")""")
_FRAME_LINE = re.compile(r"(?::[0-9]+)+(?=\)?\s*$)|,\s*line\s+[0-9]+")


def failure_signature(failure_type: str, message: str, text: str) -> str:
    """Return 16 hexadecimal digits that failures alike in type, message and place share; '' for no failure.

    The message (else the first line of `text`) and the first frames of the stack in `text` count, without
    line numbers and without what SIGNATURE_RULES replace. Secrets are redacted first: a rotated key is no
    news.
    """
    text = redact(text[:MAX_TEXT])
    message = redact(message).strip() or _first_line(text)
    parts = [_normalised(redact(failure_type)), _normalised(message[:MAX_MESSAGE])]
    parts += [_normalised(_FRAME_LINE.sub("", line)) for line in _frames(text)]
    if not any(parts):
        return ""
    framed = "\n".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(framed).hexdigest()[:SIGNATURE_HEX_DIGITS]


def _normalised(text: str) -> str:
    for _, pattern, placeholder in SIGNATURE_RULES:
        text = pattern.sub(placeholder, text)
    return text.strip()


def _first_line(text: str) -> str:
    stripped = text.lstrip()
    return stripped.partition("\n")[0].strip()


def _frames(text: str) -> list[str]:
    frames: list[str] = []
    for line in text.splitlines():
        if _FRAME.match(line):
            frames.append(line)
            if len(frames) == MAX_FRAMES:
                break
    return frames
