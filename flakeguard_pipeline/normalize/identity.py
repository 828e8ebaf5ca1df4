"""What makes two executions the same test: normalised names and stable keys."""

import re

from flakeguard_pipeline.domain.digests import stable_id

NAME_RULES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "UUIDs, which parametrised tests print and which differ in each run",
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE),
        "<uuid>",
    ),
    (
        "memory addresses, as in <object at 0x7f3c5a1b2d10>; short ones are values (0x1f)",
        re.compile(r"0x[0-9a-f]{6,}", re.IGNORECASE),
        "<address>",
    ),
)
"""Why, what and by what a part of a name is replaced, in this order.

A placeholder holds '<' and '>', which no rule matches: normalising twice changes nothing. Rules may be added,
but each addition gives the tests it concerns a new identity.
"""

_QUALIFIERS = (".", "/", "::", "\\")


def normalise_name(name: str) -> str:
    """Return the name of a test without what differs from run to run; idempotent.

    Runs of white space become one space, the ends are stripped, then NAME_RULES apply.
    """
    normalised = " ".join(name.split())
    for _, pattern, placeholder in NAME_RULES:
        normalised = pattern.sub(placeholder, normalised)
    return normalised


def test_key(  # noqa: PLR0917 - the order is the one of the words in a report
    org: str, repository_id: str, suite: str, classname: str, name: str, file: str
) -> str:
    r"""Return the stable id of a test in its repository.

    A qualified class name (`org.acme.FooTest`, `tests/foo.py`, `crate::module`, `App\Foo`) tells tests apart
    by itself. Where it does not, the file does, and where there is none, the suite. `name` may be raw.
    """
    qualified = any(mark in classname for mark in _QUALIFIERS)
    discriminator = "" if qualified else file or suite
    return stable_id(("test", org, repository_id, discriminator, classname, normalise_name(name)))


def test_id(test_key: str, variant: str) -> str:
    """Return the id of a test in one variant (`variant` '' is the only one, '*' all of them)."""
    return f"{test_key}@{variant}"


# pytest takes functions called test_* for tests wherever a test module imports them
test_key.__test__ = False  # type: ignore[attr-defined]
test_id.__test__ = False  # type: ignore[attr-defined]
