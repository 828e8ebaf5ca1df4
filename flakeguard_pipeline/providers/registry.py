"""From a section of the configuration to the source that it describes.

Every kind is imported when it is wanted: a command that asks nobody over HTTP need not import a client for it.
"""

# ruff: noqa: PLC0415 - that is what this module is for

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from flakeguard_pipeline.providers.source import ArtifactSource
from flakeguard_pipeline.secrets import read_secret
from flakeguard_pipeline.source_sections import (
    AnySource,
    BuildkiteSection,
    CircleCISection,
    DropSection,
    GitHubSection,
    GitLabSection,
    JenkinsSection,
    SecretReference,
)

if TYPE_CHECKING:
    from flakeguard_pipeline.providers.patience import Clock


def build_source(
    section: AnySource,
    *,
    environment: Mapping[str, str] | None = None,
    cache_dir: Path | None = None,
    clock: "Clock | None" = None,
) -> ArtifactSource:
    """Return the source that a section describes. It asks nothing of anyone yet.

    Args:
        section: the section.
        environment: environment variables that secrets are looked up in; None means this process's.
        cache_dir: a folder for answers that the provider validates again; None keeps none.
        clock: the machine's clock and waiting, unless a test says otherwise.

    Raises:
        ConfigurationError: a secret is not where the section says.
    """
    secret = partial(_reveal, environment)
    if isinstance(section, DropSection):
        from flakeguard_pipeline.providers.drop_folder import DropFolder

        return DropFolder(section.url, section.name, section.provider, endpoint_url=section.endpoint_url)
    if isinstance(section, GitHubSection):
        from flakeguard_pipeline.providers.github import build_github

        return build_github(section, secret, clock=clock, cache_dir=cache_dir)
    if isinstance(section, GitLabSection):
        from flakeguard_pipeline.providers.gitlab import build_gitlab

        return build_gitlab(section, secret, clock=clock)
    if isinstance(section, JenkinsSection):
        from flakeguard_pipeline.providers.jenkins import build_jenkins

        return build_jenkins(section, secret, clock=clock)
    if isinstance(section, BuildkiteSection):
        from flakeguard_pipeline.providers.buildkite import build_buildkite

        return build_buildkite(section, secret, clock=clock)
    if isinstance(section, CircleCISection):
        from flakeguard_pipeline.providers.circleci import build_circleci

        return build_circleci(section, secret, clock=clock)
    assert_never(section)


@contextlib.contextmanager
def opened_source(
    section: AnySource, *, environment: Mapping[str, str] | None = None, cache_dir: Path | None = None
) -> Iterator[ArtifactSource]:
    """Yield the source that a section describes, and close its connections afterwards. Raises as `build_source`."""
    source = build_source(section, environment=environment, cache_dir=cache_dir)
    with contextlib.closing(source):
        yield source


def _reveal(environment: Mapping[str, str] | None, reference: SecretReference) -> str:
    return read_secret(reference, environment).reveal()
