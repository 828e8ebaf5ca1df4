"""Where Dagster keeps runs, events and schedules when it does not keep them in files: a database of a Postgres server.

Belongs here: what a person says of it, and what follows from that. Does not belong here: connecting; Dagster.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.postgres_address import POSTGRES_SCHEMES, read_address, shown_parts
from flakeguard_pipeline.source_sections import SecretReference

STORAGE_VARIABLE = "FLAKEGUARD_DAGSTER_STORAGE"
"""The environment's word for the key `dagster_storage`: an address, which may hold a password here."""

STORAGE_PORT = 5432

DEFAULT_SCHEMA = "dagster"
"""Dagster's tables get a schema of their own. It names some of them as others would, `alembic_version` for one, so that
in a database that is shared they must not lie in `public`."""

SCHEMA_PATTERN = r"^[a-z_][a-z0-9_]{0,62}$"
"""What PostgreSQL takes without quotes: the name travels through `search_path`, where quotes are easily lost."""

_DATABASE = re.compile(r"[\w.-]+")

_NOT_HERE = {"password": "the password", "passfile": "a password file", "sslpassword": "a password"}


@dataclass(frozen=True, slots=True)
class DagsterStorage:
    """A schema in a database. `options` are libpq's, such as `sslmode`.

    Of the password it holds where that is, or, where the environment gave it within the address, the password itself.
    Without either, libpq looks for one by itself (`PGPASSWORD`, `~/.pgpass`).
    """

    user: str
    host: str
    port: int
    database: str
    schema: str
    options: Mapping[str, str] = field(hash=False)
    reference: SecretReference | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The address as people may see it."""
        return shown_parts(self.user, self.host, self.port, self.database)


def parse_storage(
    url: str, *, schema: str = DEFAULT_SCHEMA, reference: SecretReference | None = None
) -> DagsterStorage:
    """Return the storage that an address names.

    Raises:
        ValueError: it is no such address. The message does not quote it, since it may hold a password.
    """
    if not url.startswith(POSTGRES_SCHEMES):
        raise ValueError("is no address of a Postgres database; write it like postgresql://user@host:5432/database")
    try:
        address = read_address(url)
    except ValueError:
        raise ValueError(
            "is no address; write it like postgresql://user@host:5432/database, and in a password %40 for @, %2F for /"
        ) from None
    if not address.user or not address.place:
        raise ValueError("is no address of a Postgres database; write it like postgresql://user@host:5432/database")
    if not _DATABASE.fullmatch(address.database):
        raise ValueError("names no database, or one with unusual characters; write it like postgresql://user@host/name")
    for name in address.settings:
        if name in _NOT_HERE:
            raise ValueError(f"may not name {_NOT_HERE[name]} after the question mark, where it would be shown")
    if "search_path" in address.settings.get("options", ""):
        raise ValueError("may not set search_path; name the schema by the key `schema` of `dagster_storage`")
    return DagsterStorage(
        user=address.user,
        host=address.host,
        port=address.port or STORAGE_PORT,
        database=address.database,
        schema=schema,
        options=address.settings,
        reference=reference,
        password=address.password,
    )


def _is_storage(url: str) -> str:
    if parse_storage(url).password is not None:
        raise ValueError(f"holds a password; take it out, and name it by `password`, or give {STORAGE_VARIABLE}")
    return url


class DagsterStorageSection(BaseModel):
    """Where Dagster keeps its own history; written as an address alone, or with these keys."""

    # an error never quotes what stands in the file: it may be a secret in the wrong place
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_is_storage)]
    password: SecretReference | None = None
    db_schema: Annotated[str, Field(alias="schema", pattern=SCHEMA_PATTERN)] = DEFAULT_SCHEMA

    @model_validator(mode="before")
    @classmethod
    def _is_address(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    def storage(self) -> DagsterStorage:
        """Return the storage that the section names."""
        return parse_storage(self.url, schema=self.db_schema, reference=self.password)


def storage_of(section: DagsterStorageSection | None, environment: Mapping[str, str]) -> DagsterStorage | None:
    """Return the storage that the environment or else the configuration names; None: files in Dagster's folder.

    Raises:
        ConfigurationError: the environment names none that can be used.
    """
    told = environment.get(STORAGE_VARIABLE)
    if not told:
        return section.storage() if section else None
    schema = section.db_schema if section else DEFAULT_SCHEMA
    try:
        return parse_storage(told, schema=schema, reference=section.password if section else None)
    except ValueError as error:
        raise ConfigurationError(f"the environment variable {STORAGE_VARIABLE} {error}") from None
