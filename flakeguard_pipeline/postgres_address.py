"""Addresses of shared warehouses: what of one may be shown, and what is added to it before libpq gets it.

Every setting that libpq knows may stand in the address or in its environment variables (`sslmode`, `PGSSLMODE`, ...):
ADBC, psycopg2 and dbt pass them on to libpq as they are.

Belongs here: taking an address apart and completing it. Does not belong here: connecting.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

POSTGRES_SCHEMES = ("postgresql://", "postgres://")

APPLICATION = "flakeguard"
"""What sessions are called in `pg_stat_activity`, unless the address says otherwise."""

CONNECT_SECONDS = 10
"""How long to wait for a server that does not answer: far longer than any network takes, and short enough that a
person at a terminal learns the cause."""

DEFAULTS: Mapping[str, tuple[str, str]] = {
    "connect_timeout": (str(CONNECT_SECONDS), "PGCONNECT_TIMEOUT"),
    "fallback_application_name": (APPLICATION, ""),
    # A peer that vanishes without a word (power cut, firewall) is noticed within a minute; the system's own default
    # is two hours.
    "keepalives_idle": ("30", ""),
    "keepalives_interval": ("10", ""),
    "keepalives_count": ("3", ""),
    # No text may depend on the client's locale.
    "client_encoding": ("UTF8", ""),
}
"""Settings of libpq that hold where neither the address nor the environment variable named says otherwise."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address that was taken apart. `shown` names no password, nor any setting, since one may be a password."""

    user: str
    host: str
    database: str
    shown: str


def read_address(url: str) -> Address:
    """Take an address apart.

    Raises:
        ValueError: it cannot be taken apart safely, such as where a password holds an unencoded `/` or `@`: libpq would
            take the rest of it for a host's name, and show that. The message says nothing of the address.
    """
    parts = _split(url)
    credentials, _, place = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    if "@" in credentials or "@" in parts.path or "@" in parts.fragment:
        raise ValueError("an unencoded @")
    if parts.fragment or "#" in url:
        raise ValueError("an unencoded #")
    ports = [each.rpartition(":")[2] for each in place.split(",") if ":" in each.rpartition("]")[2]]
    if not all(port.isdigit() or not port for port in ports):
        raise ValueError("a port that is no number")
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    who = f"{user}{':***' if colon or 'password' in settings else ''}@" if credentials else ""
    return Address(
        user=unquote(user) or settings.get("user", ""),
        host=unquote(place) or settings.get("host", ""),
        database=unquote(parts.path.removeprefix("/")) or settings.get("dbname", ""),
        shown=f"{parts.scheme}://{who}{place}{parts.path}",
    )


def shown(url: str) -> str:
    """Return an address as people may see it; of one that cannot be taken apart only its kind."""
    try:
        return read_address(url).shown
    except ValueError:
        return f"{url.partition('://')[0]}://..."


def completed(url: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the address with the settings that are ours added, where nobody has said otherwise."""
    variables = os.environ if environment is None else environment
    parts = _split(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    added = {
        name: value
        for name, (value, variable) in DEFAULTS.items()
        if name not in given and not (variable and variables.get(variable))
    }
    query = "&".join(part for part in (parts.query, urlencode(added, quote_via=quote)) if part)
    return f"postgresql://{parts.netloc}{parts.path or '/'}?{query}"


def _split(url: str) -> SplitResult:
    return urlsplit(url)
