"""Who asks GitHub: a token, an installation of a GitHub App, or nobody.

https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api
"""

from collections.abc import Callable

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.providers.answers import require_token
from flakeguard_pipeline.providers.github_client import Identity
from flakeguard_pipeline.source_sections import GitHubAppSection, GitHubSection, SecretReference

KINDS = {"github_pat_": "the fine-grained token", "ghp_": "the classic token", "ghs_": "the installation's token"}
"""What tokens are called, by how they begin (https://github.blog/engineering/behind-githubs-new-authentication-token-formats)."""


def identity_of(section: GitHubSection, secret: Callable[[SecretReference], str]) -> Identity:
    """Return who asks for a source.

    Raises:
        ConfigurationError: the token or the App's key cannot be one; the message does not show it.
    """
    from githubkit import TokenAuthStrategy, UnauthAuthStrategy  # noqa: PLC0415

    if section.app is not None:
        return _installation(section.name, section.app, secret)
    if section.token is None:
        return Identity("an anonymous client", "", UnauthAuthStrategy())
    token = require_token(secret(section.token), section.name)
    kind = next((kind for start, kind in KINDS.items() if token.startswith(start)), "the token")
    return Identity(kind, stable_id(["token", token]), TokenAuthStrategy(token))


def _installation(source: str, app: GitHubAppSection, secret: Callable[[SecretReference], str]) -> Identity:
    import jwt  # noqa: PLC0415
    from githubkit import AppInstallationAuthStrategy  # noqa: PLC0415

    # some tools keep the key on one line, with its line ends written out
    key = secret(app.private_key).strip().replace("\\n", "\n") + "\n"
    try:
        jwt.get_algorithm_by_name("RS256").prepare_key(key)
        is_private = "PRIVATE KEY-----" in key
    except (ValueError, TypeError, jwt.PyJWTError):
        is_private = False
    if not is_private:
        # without the error's cause, which may quote the key
        raise ConfigurationError(
            f"the private key of the source {source} is none: it has to be the PEM file that GitHub made for the App"
        ) from None
    # no more than is needed, whatever else the App may do
    auth = AppInstallationAuthStrategy(
        app.app_id, key, app.installation_id, permissions={"actions": "read", "metadata": "read"}
    )
    return Identity("the GitHub App", stable_id(["app", app.app_id, app.installation_id]), auth)
