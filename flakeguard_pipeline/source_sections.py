"""What a person says of a source, in the section `sources` of the configuration file.

Belongs here: names, types and defaults, for every kind of source. Does not belong here: asking anything of anyone.
"""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""Names of sources stand in manifests, in the landing zone's file names, in asset metadata and on command lines."""

DEFAULT_LOOKBACK_DAYS = 7
"""Days before the newest complete listing that are listed again: re-runs appear days later. GitHub allows 30."""

DEFAULT_DOWNLOADS = 8
"""Downloads at once: enough to fill a line, far below the hundred concurrent requests that GitHub puts up with."""


DEFAULT_INITIAL_DAYS = 14
"""Days that the first listing of a source goes back: enough for a first opinion, quick to fetch. More is a backfill."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Section(BaseModel):
    # an error never quotes what stands in the file: it may be a secret in the wrong place
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _is_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("is no name of an environment variable; the secret itself never stands here")
    return name


def _without_secret(url: str) -> str:
    try:
        split = urlsplit(url)
        has_password = split.password is not None
    except ValueError as error:
        raise ValueError("is no address") from error
    if has_password:
        raise ValueError("holds a password; take it out, and name it by a key such as `token` or in the environment")
    return url


def _is_http(url: str) -> str:
    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise ValueError("is no address of a server; write it like https://ci.example")
    if "@" in split.netloc or split.query or split.fragment:
        raise ValueError("may have neither user nor query; name secrets by a key such as `token`")
    return url


Url = Annotated[str, AfterValidator(_without_secret)]
HttpUrl = Annotated[str, AfterValidator(_without_secret), AfterValidator(_is_http)]


class SecretReference(_Section):
    """Where a secret is: in an environment variable or in a file. A secret itself never stands in the configuration."""

    env: Annotated[str, AfterValidator(_is_variable)] | None = None
    file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_no_secret(cls, value: Any) -> Any:
        if not isinstance(value, dict | SecretReference):
            told = "is no secret's place; write {env: VARIABLE} or {file: PATH}, never the secret itself"
            raise ValueError(told)  # noqa: TRY004 - what pydantic takes for a fault of the input
        return value

    @model_validator(mode="after")
    def _is_one(self) -> "SecretReference":
        if bool(self.env) == bool(self.file):
            raise ValueError("name either `env` (an environment variable) or `file`")
        return self


class SourceSection(_Section):
    """What all sources have in common."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    enabled: StrictBool = True
    lookback_days: Annotated[int, Field(strict=True, ge=0, le=90)] = DEFAULT_LOOKBACK_DAYS
    initial_days: Annotated[int, Field(strict=True, ge=0, le=3650)] = DEFAULT_INITIAL_DAYS


class RemoteSection(SourceSection):
    """What all sources behind HTTP have in common. `artifacts` are globs of artifact names (or file paths)."""

    downloads: Annotated[int, Field(strict=True, ge=1, le=64)] = DEFAULT_DOWNLOADS
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    requests_per_second: Annotated[float, Field(gt=0, le=1000)] | None = None
    artifacts: tuple[str, ...] = ()


class DropSection(SourceSection):
    """A drop folder: a local path or any fsspec URL (`s3://bucket/ci`). `provider` says whose runs lie there."""

    kind: Literal["drop"]
    url: Url
    provider: str = "github"
    endpoint_url: HttpUrl | None = None


class GitHubAppSection(_Section):
    """An installation of a GitHub App."""

    app_id: str
    installation_id: Annotated[int, Field(strict=True, ge=1)]
    private_key: SecretReference


class GitHubSection(RemoteSection):
    """GitHub Actions, on github.com or GitHub Enterprise Server (`url`: https://HOST/api/v3)."""

    kind: Literal["github"]
    url: HttpUrl = "https://api.github.com"
    repositories: Annotated[tuple[str, ...], Field(min_length=1)]
    workflows: tuple[str, ...] = ()
    token: SecretReference | None = None
    app: GitHubAppSection | None = None

    @model_validator(mode="after")
    def _has_one_identity(self) -> "GitHubSection":
        if self.token is not None and self.app is not None:
            raise ValueError("name either `token` or `app`, not both")
        return self


class GitLabSection(RemoteSection):
    """GitLab CI, on gitlab.com or one's own server (`url`: its root)."""

    kind: Literal["gitlab"]
    url: HttpUrl = "https://gitlab.com"
    projects: Annotated[tuple[str, ...], Field(min_length=1)]
    token: SecretReference | None = None
    jobs: tuple[str, ...] = ()


class JenkinsSection(RemoteSection):
    """Jenkins: `jobs` are full names (`folder/job`); a folder or multibranch project stands for all jobs in it."""

    kind: Literal["jenkins"]
    url: HttpUrl
    jobs: Annotated[tuple[str, ...], Field(min_length=1)]
    user: str | None = None
    token: SecretReference | None = None


class BuildkiteSection(RemoteSection):
    """Buildkite: `pipelines` are slugs; none means all pipelines of the organization."""

    kind: Literal["buildkite"]
    url: HttpUrl = "https://api.buildkite.com"
    organization: str
    pipelines: tuple[str, ...] = ()
    token: SecretReference


class CircleCISection(RemoteSection):
    """CircleCI: `projects` are slugs (`gh/acme/shop`)."""

    kind: Literal["circleci"]
    url: HttpUrl = "https://circleci.com"
    projects: Annotated[tuple[str, ...], Field(min_length=1)]
    token: SecretReference


AnySource = Annotated[
    DropSection | GitHubSection | GitLabSection | JenkinsSection | BuildkiteSection | CircleCISection,
    Field(discriminator="kind"),
]

KINDS = ("github", "gitlab", "jenkins", "buildkite", "circleci")
"""Kinds of sources behind HTTP, in the order in which they are shown and asked."""

DROP = "drop"
"""Kind of the drop folders, and name of the one that `drop` or `--drop` names."""

SECTIONS = (DropSection, GitHubSection, GitLabSection, JenkinsSection, BuildkiteSection, CircleCISection)
