"""Secrets: from the place that the configuration names to the one request that needs them, and nowhere else.

Belongs here: reading them. Does not belong here: sending them.
"""

import os
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.source_sections import SecretReference

MAX_SECRET_BYTES = 64 * 1024
"""Bytes of the largest secret: a private key has some thousand; a larger file is something else."""

HIDDEN = "[secret]"


class OpenSecretWarning(UserWarning):
    """Others than its owner may read a file that holds a secret."""


class Secret:
    """A secret; only `reveal` gives it away. Nothing that prints, logs or stores an object shows what it holds."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself, for the request that needs it."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not to be stored or sent to another process")


def read_secret(reference: SecretReference, environment: Mapping[str, str] | None = None) -> Secret:
    """Return the secret that a reference names, without white space around it.

    Args:
        reference: an environment variable or a file.
        environment: environment variables; None means this process's.

    Raises:
        ConfigurationError: it is not there, is empty, or cannot be a secret.

    Warns:
        OpenSecretWarning: others may read the file.
    """
    if reference.env is not None:
        variables = os.environ if environment is None else environment
        text = variables.get(reference.env, "").strip()
        if not text:
            told = "is empty" if reference.env in variables else "is not set"
            raise ConfigurationError(f"the environment variable {reference.env} {told}; it is to hold a secret")
        return _checked(text, f"the environment variable {reference.env}")
    path = Path(reference.file or "")
    try:
        status = path.stat()
        if status.st_size > MAX_SECRET_BYTES:
            raise ConfigurationError(f"{path} is larger than {MAX_SECRET_BYTES} bytes; it cannot be a secret")
        text = path.read_bytes().decode("utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the secret in {path}: {error.strerror}; check the path and the rights there"
        ) from error
    except UnicodeDecodeError:
        # without the error itself, which holds the secret
        raise ConfigurationError(f"{path} is no text; it is to hold a secret") from None
    if not text:
        raise ConfigurationError(f"{path} is empty; it is to hold a secret")
    if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
        warnings.warn(
            f"everyone on this machine may read the secret in {path}; chmod 600 {path}", OpenSecretWarning, stacklevel=2
        )
    return _checked(text, str(path))


def _checked(text: str, where: str) -> Secret:
    """Refuse what cannot be sent: an HTTP client would quote it in its error."""
    if not text.isascii() or "\0" in text:
        raise ConfigurationError(f"{where} holds characters that no secret has; write it there again")
    return Secret(text)
