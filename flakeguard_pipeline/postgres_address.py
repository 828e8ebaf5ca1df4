"""Addresses of Postgres databases: what one is, what of it may be shown, and the forms that clients take it in.

The warehouse and Dagster's storage are both named so. Every setting that libpq knows may stand in the address or in its
environment variables (`sslmode`, `PGSSLMODE`, ...): ADBC, psycopg2 and dbt pass them on to libpq as they are.

Belongs here: taking an address apart, completing it, showing it, and blotting its password out of what others say.
Does not belong here: connecting; which of two servers an address is for.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

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


LIBPQ_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "client_encoding": "PGCLIENTENCODING",
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcertmode": "PGSSLCERTMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
}
"""The environment variable of each part of an address, as libpq documents them. A part without one is left to libpq's
default: `keepalives` and what belongs to it, `sslpassword`."""

PASSWORDS = ("password", "sslpassword")
"""Settings of an address that are secrets."""

HIDDEN = "***"
"""What stands where a password was."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address that was taken apart, everything decoded.

    `place` is where the server is as the address says it: hosts with ports, several separated by commas. `host` and
    `port` are for who can take one server only; `port` is None where none or several are named. `shown` names no
    password, nor any setting, since one may be a password.
    """

    user: str
    password: str | None = field(repr=False)
    place: str
    host: str
    port: int | None
    database: str
    settings: Mapping[str, str] = field(repr=False, hash=False)
    shown: str


def read_address(url: str) -> Address:
    """Take an address apart.

    Raises:
        ValueError: it cannot be taken apart safely, such as where a password holds an unencoded `/` or `@`: libpq would
            take the rest of it for a host's name, and show that. The message says nothing of the address.
    """
    parts = urlsplit(url)
    credentials, _, place = parts.netloc.rpartition("@")
    user, colon, password = credentials.partition(":")
    if "@" in credentials or "@" in parts.path or "@" in parts.fragment:
        raise ValueError("an unencoded @")
    if parts.fragment or "#" in url:
        raise ValueError("an unencoded #")
    if "\0" in unquote(url):
        raise ValueError("a NUL")
    hosts, ports = _hosts(place)
    settings = _settings(parts)
    who = f"{user}{f':{HIDDEN}' if colon or 'password' in settings else ''}@" if credentials else ""
    return Address(
        user=unquote(user) or settings.get("user", ""),
        password=unquote(password) or settings.get("password"),
        place=unquote(place) or settings.get("host", ""),
        host=",".join(hosts),
        port=ports.pop() if len(ports) == 1 else None,
        database=unquote(parts.path.removeprefix("/")) or settings.get("dbname", ""),
        settings=settings,
        shown=f"{parts.scheme}://{who}{place}{parts.path}",
    )


def _hosts(place: str) -> tuple[list[str], set[int]]:
    """Return the hosts, of IPv6 without brackets, and all ports that are named."""
    hosts, ports = [], set()
    for each in place.split(","):
        host, bracket, after = each.rpartition("]")
        if not bracket:
            host, _, port = each.partition(":")
        else:
            host, (before, _, port) = host.removeprefix("["), after.partition(":")
            if before:
                raise ValueError("something behind a bracket")
        if port and not (port.isascii() and port.isdigit()):
            raise ValueError("a port that is no number")
        hosts.append(unquote(host))
        if port:
            ports.add(int(port))
    return hosts, ports


def _settings(parts: SplitResult) -> dict[str, str]:
    """Return what stands behind the `?` as libpq reads it, to which a `+` is no blank."""
    pairs = (each.partition("=") for each in parts.query.split("&") if each)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def shown(url: str) -> str:
    """Return an address as people may see it; of one that cannot be taken apart only its kind."""
    try:
        return read_address(url).shown
    except ValueError:
        return f"{url.partition('://')[0]}://..."


def shown_parts(user: str, host: str, port: int, database: str) -> str:
    """Return an address as people may see it, of its parts."""
    return f"postgresql://{quote(user)}@{bracketed(host)}:{port}/{database}"


def bracketed(host: str) -> str:
    """Return a host as it stands in an address: of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def without_password(text: str, url: str) -> str:
    """Return what somebody says of an address with its password blotted out, however it is quoted there."""
    parts = urlsplit(url)
    given = [parts.netloc.rpartition("@")[0].partition(":")[2]]
    given += [each.partition("=")[2] for each in parts.query.split("&") if each.partition("=")[0] in PASSWORDS]
    # the longer ones first: one may be a part of another
    for secret in sorted({form for each in given for form in (each, unquote(each)) if form}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def completed(url: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the address for libpq, with the settings that are ours added where nobody has said otherwise."""
    variables = os.environ if environment is None else environment
    parts = urlsplit(url)
    given = _settings(parts)
    added = {
        name: value
        for name, (value, variable) in DEFAULTS.items()
        if name not in given and not (variable and variables.get(variable))
    }
    query = "&".join(part for part in (parts.query, urlencode(added, quote_via=quote)) if part)
    return f"postgresql://{parts.netloc}{parts.path or '/'}?{query}"


def libpq_variables(url: str) -> dict[str, str]:
    """Return the environment variables that say what an address says, but for its password.

    Raises:
        ValueError: libpq cannot read it. The message says nothing of the address.
    """
    import psycopg2  # noqa: PLC0415 - not paid where the warehouse is a file
    from psycopg2.extensions import parse_dsn  # noqa: PLC0415

    try:
        parts = parse_dsn(url)
    except psycopg2.ProgrammingError:
        # libpq's own message may quote the address, and the password in it
        raise ValueError("libpq cannot read it") from None
    return {LIBPQ_VARIABLES[name]: str(value) for name, value in parts.items() if name in LIBPQ_VARIABLES}
