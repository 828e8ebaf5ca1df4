"""Where Dagster's history is kept: what may be said of it, and that no password gets out."""

from pathlib import Path

import pytest

from flakeguard_pipeline.dagster_storage import STORAGE_VARIABLE, parse_storage
from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.settings import Settings, load_settings
from flakeguard_pipeline.source_sections import SecretReference

PASSWORD = "hunter2-s3cret"


def settings_of(tmp_path: Path, text: str, **environment: str) -> Settings:
    (tmp_path / "flakeguard.yml").write_text(text)
    return load_settings(tmp_path / "flakeguard.yml", environment=environment)


def test_without_a_word_history_is_kept_in_files(tmp_path: Path):
    assert settings_of(tmp_path, "org: acme\n").dagster_storage is None


@pytest.mark.parametrize(
    "text",
    [
        "dagster_storage: postgresql://fg@db/flakeguard\n",
        "dagster_storage: {url: 'postgresql://fg@db/flakeguard'}\n",
        "dagster_storage: {url: 'postgres://fg@db:5432/flakeguard', schema: dagster}\n",
    ],
)
def test_a_storage_is_an_address_or_a_section(tmp_path: Path, text: str):
    storage = settings_of(tmp_path, text).dagster_storage
    assert storage is not None
    assert (storage.shown, storage.schema) == ("postgresql://fg@db:5432/flakeguard", "dagster")
    assert (storage.password, storage.reference, storage.options) == (None, None, {})


def test_options_of_libpq_are_passed_through():
    storage = parse_storage("postgresql://f%40g@[::1]:5433/db?sslmode=verify-full&sslrootcert=%2Fca.pem")
    assert (storage.user, storage.host, storage.port) == ("f@g", "::1", 5433)
    assert storage.options == {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}
    assert storage.shown == "postgresql://f%40g@[::1]:5433/db"


def test_the_environment_wins_and_may_hold_the_password(tmp_path: Path):
    text = "dagster_storage: {url: 'postgresql://fg@db/one', password: {env: PW}, schema: history}\n"
    settings = settings_of(tmp_path, text, **{STORAGE_VARIABLE: f"postgresql://fg:{PASSWORD}@db/two"})
    storage = settings.dagster_storage
    assert storage is not None
    assert (storage.database, storage.schema, storage.password) == ("two", "history", PASSWORD)
    assert storage.reference == SecretReference(env="PW")
    assert PASSWORD not in repr(settings) + storage.shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"postgresql://fg:{PASSWORD}@db/flakeguard", "holds a password; take it out"),
        (f"{{url: 'postgresql://fg@db/flakeguard', password: {PASSWORD}}}", "is no secret's place"),
        (f"postgresql://fg@db/flakeguard?password={PASSWORD}", "may not name the password after the question mark"),
        (f"postgresql://fg:{PASSWORD}/x@db/flakeguard", "is no address"),
        (f"mysql://fg:{PASSWORD}@db/flakeguard", "is no address of a Postgres database"),
        (f"postgresql://fg:{PASSWORD}@db", "names no database"),
        ("postgresql://db/flakeguard", "is no address of a Postgres database"),
        ("postgresql://fg@db/flakeguard?options=-csearch_path%3Dx", "may not set search_path"),
        ("{url: 'postgresql://fg@db/flakeguard', schema: 'Dag Ster'}", "should match pattern"),
        ("{url: 'postgresql://fg@db/flakeguard', shema: x}", "is no known key, did you mean `schema`"),
        ("[1]", "dagster_storage"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place_and_without_the_password(tmp_path: Path, text: str, told: str):
    with pytest.raises(ConfigurationError, match=told) as caught:
        settings_of(tmp_path, f"dagster_storage: {text}\n")
    assert "flakeguard.yml:1:" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_an_address_in_the_environment_that_cannot_be_used_is_not_quoted(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=f"the environment variable {STORAGE_VARIABLE} is no") as caught:
        settings_of(tmp_path, "org: acme\n", **{STORAGE_VARIABLE: f"postgresql://fg:{PASSWORD}/x@db/flakeguard"})
    assert PASSWORD not in str(caught.value)
