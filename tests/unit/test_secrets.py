"""Secrets: found where the configuration says, refused with what to do, and never shown."""

import copy
import json
import pickle
import traceback
from pathlib import Path

import pytest

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.secrets import MAX_SECRET_BYTES, OpenSecretWarning, Secret, read_secret
from flakeguard_pipeline.source_sections import SecretReference

PLANTED = "Zq7-planted-secret-9xK"


def in_file(path: Path, data: bytes, mode: int = 0o600) -> SecretReference:
    path.write_bytes(data)
    path.chmod(mode)
    return SecretReference(file=str(path))


def test_a_secret_comes_from_the_environment_without_white_space() -> None:
    assert read_secret(SecretReference(env="TOKEN"), {"TOKEN": f" {PLANTED}\n"}).reveal() == PLANTED


def test_a_secret_comes_from_a_file_and_a_key_keeps_its_lines(tmp_path: Path) -> None:
    key = "-----BEGIN X-----\nabc\n-----END X-----"
    assert read_secret(in_file(tmp_path / "key", f"{key}\n".encode())).reveal() == key


@pytest.mark.parametrize(("environment", "told"), [({}, "is not set"), ({"TOKEN": " \n"}, "is empty")])
def test_a_variable_without_a_secret_is_named(environment: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the environment variable TOKEN {told}; it is to hold a secret"):
        read_secret(SecretReference(env="TOKEN"), environment)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xff" + PLANTED.encode(), "is no text"),
        (b"x" * (MAX_SECRET_BYTES + 1), "is larger than"),
        (f"{PLANTED}ü".encode(), "holds characters that no secret has"),
    ],
)
def test_a_file_without_a_secret_is_named_and_its_content_is_not(tmp_path: Path, data: bytes, told: str) -> None:
    reference = in_file(tmp_path / "token", data)
    with pytest.raises(ConfigurationError, match=told) as raised:
        read_secret(reference)
    assert str(tmp_path / "token") in str(raised.value)
    assert PLANTED not in "".join(traceback.format_exception(raised.value))
    assert PLANTED not in repr(raised.value.__context__ if not raised.value.__suppress_context__ else "")


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the secret in .*; check the path and the rights there"):
        read_secret(SecretReference(file=str(tmp_path / name)))


def test_a_file_that_everyone_may_read_is_warned_of(tmp_path: Path) -> None:
    reference = in_file(tmp_path / "token", PLANTED.encode(), 0o644)
    with pytest.warns(OpenSecretWarning, match="everyone on this machine may read the secret in .*; chmod 600 "):
        assert read_secret(reference).reveal() == PLANTED


def test_a_file_of_ones_own_is_no_reason_to_warn(tmp_path: Path) -> None:
    # warnings are errors in these tests
    assert read_secret(in_file(tmp_path / "token", PLANTED.encode(), 0o640)).reveal() == PLANTED


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret(PLANTED)
    shown = [repr(secret), str(secret), f"{secret}", f"{[secret]}", f"{secret!r:>40}", repr({"a": secret})]
    assert all(PLANTED not in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    with pytest.raises(TypeError):
        json.dumps({"token": secret})
