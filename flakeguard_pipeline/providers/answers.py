"""Reading the JSON of a provider that may answer anything: values of the wrong type are absent, never an exception.

Belongs here: what several sources need of any JSON, and of the addresses and times in it.
Does not belong here: what a field means.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote, urlsplit

from flakeguard_pipeline.domain.errors import ConfigurationError, SourceError

_SCP_ADDRESS = re.compile(r"(?:[^@/\s]+@)?(?P<host>[^:/\s]+):(?P<path>[^/\s].*)")
_TOKEN = re.compile(r"[\x21-\x7e]+")


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Return a text field; '' where it is absent, null or no text. Numbers become text."""
    value = fields.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def object_of(value: object) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def objects_of(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in a JSON array; whatever else stands in it is left out."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def require_list(value: object, place: str, what: str) -> list[Any]:
    """Return a JSON array.

    Raises:
        SourceError: it is none.
    """
    if isinstance(value, list):
        return value
    raise SourceError(
        f"{place} answers with {_kind(value)} where a list of {what} belongs; is the source's `url` the provider's API?"
    )


def require_object(value: object, place: str, what: str) -> Mapping[str, Any]:
    """Return a JSON object.

    Raises:
        SourceError: it is none.
    """
    if isinstance(value, Mapping):
        return value
    raise SourceError(
        f"{place} answers with {_kind(value)} where {what} belongs; is the source's `url` the provider's API?"
    )


def moment_of(fields: Mapping[str, Any], name: str) -> datetime | None:
    """Return a field that holds a time in ISO 8601, in UTC; None where it holds none."""
    value = fields.get(name)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def iso(moment: datetime | None) -> str | None:
    """Return a time as `2026-03-02T07:00:00Z`, with milliseconds where it has any; None for None."""
    if moment is None:
        return None
    has_fraction = moment.microsecond >= 1000
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if has_fraction else "seconds")
    return text.removesuffix("+00:00") + "Z"


def full_name_of(address: str) -> str:
    """Return `owner/name` of a repository's address, in any of git's spellings; '' where it has none.

    Whatever else an address holds (a host, a user, a password) is left behind.
    """
    address = address.strip()
    if "://" in address:
        try:
            path = urlsplit(address).path
        except ValueError:
            return ""
    else:
        found = _SCP_ADDRESS.fullmatch(address)
        path = found["path"] if found else ""
    path = path.strip("/").removesuffix(".git").rstrip("/")
    return path if "/" in path else ""


def segment(text: str) -> str:
    """Return a text as one segment of an address's path."""
    return quote(text, safe="").replace(".", "%2E") if set(text) <= {"."} else quote(text, safe="")


def is_wanted(path: str, globs: Sequence[str], default_suffixes: tuple[str, ...]) -> bool:
    """Say whether a path fits one of the globs, in which `*` also stands for `/`; without globs, whether it ends so."""
    if not globs:
        return path.lower().endswith(default_suffixes)
    return any(fnmatchcase(path, glob) for glob in globs)


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return JSON whose bytes are equal for equal values."""
    return json.dumps(value, sort_keys=True).encode()


def require_token(token: str, source: str) -> str:
    """Return a token as a header takes it, without the line end that files have.

    Raises:
        ConfigurationError: it is empty or holds what no token holds; the message does not show it.
    """
    token = token.strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"the token of the source {source} is empty or holds characters that no token has; check what its `token` "
            "refers to"
        )
    return token


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "a number")
