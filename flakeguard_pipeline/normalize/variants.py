"""From an artifact's name to the variant of its executions and to the job that made it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from flakeguard_pipeline.domain.digests import bounded
from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.domain.model import Job

DEFAULT_PREFIXES = ("test-results-", "test-report-", "junit-", "surefire-reports-")
"""What projects put before the variant; the first that fits is removed."""

DEFAULT_UNVARIED = frozenset(
    {
        "junit",
        "junit-results",
        "surefire-reports",
        "test-report",
        "test-reports",
        "test-result",
        "test-results",
    }
)
"""Artifacts of projects with a single variant, which has no name."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PUNCTUATION = re.compile(r"[\W_]+")


@lru_cache(maxsize=256)
def _compiled(pattern: str, what: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigurationError(f"{what}: {pattern!r} is no regular expression: {error}") from error


@dataclass(frozen=True, slots=True)
class VariantRules:
    """How artifact names split into variants; raises ConfigurationError for an invalid `pattern`.

    `pattern` is searched in the artifact's name, its named groups are labels. `shard_like` labels are no part
    of the variant: a test that moves between shards is still one test.
    """

    prefixes: tuple[str, ...] = DEFAULT_PREFIXES
    unvaried: frozenset[str] = DEFAULT_UNVARIED
    pattern: str | None = None
    shard_like: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if self.pattern is not None:
            _compiled(self.pattern, "variant pattern")


@dataclass(frozen=True, slots=True)
class JobRule:
    """Maps artifacts to a job: a pattern searched in the artifact's name, a template of the job's name.

    `{group}` in the template stands for a named group of the pattern. Raises ConfigurationError for a pattern
    that is no regular expression or a template with a name the pattern has no group for.
    """

    artifact: str
    job: str

    def __post_init__(self) -> None:
        groups = _compiled(self.artifact, "job rule").groupindex
        for name in _PLACEHOLDER.findall(self.job):
            if name not in groups:
                raise ConfigurationError(f"job rule: {self.job!r} uses {{{name}}}, {self.artifact!r} has no such group")

    def expand(self, artifact: str) -> str | None:
        """Return the job's name for `artifact`, None where the pattern does not match."""
        found = _compiled(self.artifact, "job rule").search(artifact)
        if found is None:
            return None
        return _PLACEHOLDER.sub(lambda placeholder: found[placeholder[1]] or "", self.job)


def variant_of(artifact: str, rules: VariantRules) -> str:
    """Return the variant of the executions in `artifact`; '' is the variant without a name.

    Labels of a pattern that matches become `k=v,k=v`, sorted bytewise, without shard-like and empty ones.
    Without a match the first fitting prefix is removed, and a name without any is itself the variant. One that is
    longer than a key takes is cut (`bounded`).
    """
    return bounded(_variant_of(artifact, rules))


def _variant_of(artifact: str, rules: VariantRules) -> str:
    if rules.pattern is not None:
        found = _compiled(rules.pattern, "variant pattern").search(artifact)
        if found is not None:
            labels = [
                f"{label}={value}"
                for label, value in found.groupdict().items()
                if value and label not in rules.shard_like
            ]
            return ",".join(sorted(labels, key=_bytewise))
    if artifact in rules.unvaried:
        return ""
    for prefix in rules.prefixes:
        if artifact.startswith(prefix):
            return artifact.removeprefix(prefix)
    return artifact


def job_for_artifact(artifact: str, jobs: Sequence[Job], rules: Sequence[JobRule]) -> Job | None:
    """Return the job that made `artifact`, None where none is known to.

    The first rule whose expansion is a job's name decides; else the job of the same name, but for case and
    punctuation. Of several jobs of one name (a matrix that hides its values) the bytewise smallest id wins.
    """
    for rule in rules:
        name = rule.expand(artifact)
        named = [job for job in jobs if job.name == name]
        if named:
            return _smallest(named)
    folded = _folded(artifact)
    alike = [job for job in jobs if _folded(job.name) == folded] if folded else []
    return _smallest(alike) if alike else None


def _smallest(jobs: Sequence[Job]) -> Job:
    return min(jobs, key=lambda job: _bytewise(job.job_id))


def _folded(name: str) -> str:
    return _PUNCTUATION.sub("-", name.lower()).strip("-")


def _bytewise(text: str) -> bytes:
    # text order of some databases and locales differs from this one
    return text.encode("utf-8", "surrogatepass")
