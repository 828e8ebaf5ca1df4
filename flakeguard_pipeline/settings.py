"""Settings: what a person configures, read from one YAML file, environment and command line.

Belongs here: names, types, defaults and where each value comes from. The command line wins over the environment,
the environment over the file, the file over the defaults.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.normalize.identity import DEFAULT_RULES, ExtraRule, IdentityRules
from flakeguard_pipeline.normalize.identity_rules import Field as IdentityField
from flakeguard_pipeline.normalize.variants import JobRule, VariantRules
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.stats.parameters import ScoringParameters

DEFAULT_HOME = Path(".flakeguard")
CONFIG_VARIABLE = "FLAKEGUARD_CONFIG"
HOME_VARIABLE = "FLAKEGUARD_HOME"
VARIABLES = {
    "drop": "FLAKEGUARD_DROP",
    "warehouse": "FLAKEGUARD_WAREHOUSE",
    "out": "FLAKEGUARD_OUT",
    "landing": "FLAKEGUARD_LANDING",
}
_FULL_NAME = re.compile(r"[^/\s]+(?:/[^/\s]+)+")
MAX_CONFIG_BYTES = 1 << 20
"""A configuration is some lines; a larger file is not one."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VariantSection(_Section):
    """How an artifact's name becomes a variant."""

    prefixes: tuple[str, ...] | None = None
    pattern: str | None = None
    shard_like: frozenset[str] = frozenset()
    workflow_label: Literal["auto", "never", "always"] = "auto"


class JobRuleSection(_Section):
    """Which job an artifact belongs to."""

    artifact: str
    job: str


class IdentityRuleSection(_Section):
    """One more thing that differs from run to run in the names of tests."""

    fields: tuple[IdentityField, ...] = ("name",)
    pattern: str
    replacement: str


class IdentityOverrideSection(_Section):
    """What makes tests the same, besides the built-in rules."""

    disable: tuple[str, ...] = ()
    rules: tuple[IdentityRuleSection, ...] = ()


class IdentitySection(IdentityOverrideSection):
    """The same for the organisation, with what single repositories add to it."""

    repositories: dict[str, IdentityOverrideSection] = {}


class ScoringSection(_Section):
    """What the scoring may be told."""

    window_days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = None


class PolicySection(_Section):
    """When a flaky test is quarantined, and for how long."""

    enabled: StrictBool | None = None
    min_p_flaky: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    min_flake_rate: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    min_same_commit_flips: Annotated[int, Field(strict=True, ge=1)] | None = None
    min_executions: Annotated[int, Field(strict=True, ge=1)] | None = None
    expiry_days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = None
    excuse: Literal["known_signatures", "any"] | None = None


class ExportSection(_Section):
    """What the export says of itself."""

    valid_for_hours: Annotated[int, Field(strict=True, ge=1, le=8760)] = 72


class InferredPassesSection(_Section):
    """Whether a job's success without a report is evidence."""

    enabled: StrictBool = True
    sources: dict[str, StrictBool] = {}


class RedactionSection(_Section):
    """What is redacted besides secrets."""

    emails: StrictBool = False


class ConfigFile(_Section):
    """The whole configuration file."""

    org: str | None = None
    provider: str = "github"
    drop: str | None = None
    warehouse: str | None = None
    landing: str | None = None
    out: str | None = None
    default_branch: str | None = None
    variant: VariantSection = VariantSection()
    artifact_jobs: tuple[JobRuleSection, ...] = ()
    identity: IdentitySection = IdentitySection()
    inferred_passes: InferredPassesSection = InferredPassesSection()
    scoring: ScoringSection = ScoringSection()
    policy: PolicySection = PolicySection()
    export: ExportSection = ExportSection()
    redaction: RedactionSection = RedactionSection()


@dataclass(frozen=True, slots=True)
class InferenceSwitches:
    """Where passes are inferred: `enabled` for all, `sources_off` names sources for which they are not."""

    enabled: bool = True
    sources_off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """The identity rules of the organisation, and those of repositories (full names in small letters)."""

    default: IdentityRules = DEFAULT_RULES
    repositories: Mapping[str, IdentityRules] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a run needs to know. `drop` is None until someone names a drop folder."""

    home: Path
    warehouse: str
    landing: str
    out: Path
    drop: Path | None
    org: str | None
    provider: str
    default_branch: str | None
    variant_rules: VariantRules
    workflow_label: Literal["auto", "never", "always"]
    job_rules: tuple[JobRule, ...]
    redact_emails: bool
    identity: IdentitySettings
    inference: InferenceSwitches
    scoring: ScoringParameters
    policy: Policy
    valid_for_hours: int

    @property
    def dagster_home(self) -> Path:
        """The folder of the Dagster instance that `flakeguard run` and `flakeguard ui` share."""
        return self.home / "dagster"

    def identity_for(self, full_name: str) -> IdentityRules:
        """Return what makes tests of the repository `owner/name` the same; case does not count, as on GitHub."""
        return self.identity.repositories.get(full_name.lower(), self.identity.default)

    @property
    def loading_digest(self) -> str:
        """Digest of what the loaded rows follow from besides the artifacts: another one means loading again."""
        rules = self.variant_rules
        return stable_id(
            [
                "loading",
                self.org or "",
                self.provider,
                self.default_branch or "",
                repr((rules.prefixes, rules.pattern, sorted(rules.shard_like))),
                repr([(rule.artifact, rule.job) for rule in self.job_rules]),
                # absent where it says nothing, so that having the choice loads nothing again
                *(["redact e-mail addresses"] if self.redact_emails else []),
                repr(self.identity.default.digest_parts()),
                repr([(name, rules.digest_parts()) for name, rules in sorted(self.identity.repositories.items())]),
            ]
        )


def load_settings(
    config: Path | None = None,
    overrides: Mapping[str, str | None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings.

    Args:
        config: the configuration file; None means the one `FLAKEGUARD_CONFIG` names, else `flakeguard.yml` in the
            working folder where there is one.
        overrides: what the command line says for drop, warehouse, out and landing; None and absent say nothing.
        environment: environment variables; None means this process's.

    Raises:
        ConfigurationError: the file is missing, damaged or contradicts itself.
    """
    variables = os.environ if environment is None else environment
    file = _read(config, variables)
    given = {
        name: (overrides or {}).get(name) or variables.get(variable) or getattr(file, name)
        for name, variable in VARIABLES.items()
    }
    home = Path(variables[HOME_VARIABLE]) if variables.get(HOME_VARIABLE) else None
    warehouse = given["warehouse"] or f"duckdb:///{(home or DEFAULT_HOME) / 'warehouse.duckdb'}"
    landing = (home or DEFAULT_HOME) / "warehouse.landing"
    if "://" not in warehouse or warehouse.startswith("duckdb:///"):
        path = Path(warehouse.removeprefix("duckdb:///"))
        home = home or path.parent
        # One landing zone a warehouse, beside it: two warehouses must not load each other's artifacts.
        landing = path.with_name(f"{path.stem}.landing")
    home = home or DEFAULT_HOME
    return Settings(
        home=home,
        warehouse=warehouse,
        landing=given["landing"] or str(landing.absolute()),
        out=Path(given["out"] or home / "quarantine"),
        drop=Path(given["drop"]) if given["drop"] else None,
        org=file.org,
        provider=file.provider,
        default_branch=file.default_branch,
        variant_rules=_built("variant", VariantRules, file.variant.model_dump(exclude={"workflow_label"})),
        workflow_label=file.variant.workflow_label,
        job_rules=tuple(_built("artifact_jobs", JobRule, rule.model_dump()) for rule in file.artifact_jobs),
        redact_emails=file.redaction.emails,
        identity=_identity(file.identity),
        inference=InferenceSwitches(
            enabled=file.inferred_passes.enabled,
            sources_off=tuple(sorted(name for name, is_on in file.inferred_passes.sources.items() if not is_on)),
        ),
        scoring=_built("scoring", ScoringParameters, file.scoring.model_dump()),
        policy=_built("policy", Policy, file.policy.model_dump()),
        valid_for_hours=file.export.valid_for_hours,
    )


def _built(section: str, kind: Any, fields: Mapping[str, Any]) -> Any:
    """Build a value object from a section, leaving out what was not said so that its own defaults hold."""
    try:
        return kind(**{name: value for name, value in fields.items() if value is not None})
    except (ValueError, ConfigurationError) as error:
        raise ConfigurationError(f"configuration: {section}: {error}") from error


def _identity(section: IdentitySection) -> IdentitySettings:
    default = _identity_rules("identity", section, IdentityRules())
    repositories: dict[str, IdentityRules] = {}
    for name, override in section.repositories.items():
        where = f"identity.repositories.{name}"
        if not _FULL_NAME.fullmatch(name):
            raise ConfigurationError(f"configuration: {where}: is no full name of a repository, owner/name")
        if name.lower() in repositories:
            raise ConfigurationError(f"configuration: {where}: is there twice; case does not count")
        repositories[name.lower()] = _identity_rules(where, override, default)
    return IdentitySettings(default, repositories)


def _identity_rules(where: str, section: IdentityOverrideSection, base: IdentityRules) -> IdentityRules:
    """Add a section's rules to `base`; a fault is told with the place that it has in the section."""
    own = tuple(ExtraRule(rule.fields, rule.pattern, rule.replacement) for rule in section.rules)
    try:
        # by themselves first, so that a fault names their place in this section
        IdentityRules(frozenset(section.disable), own)
    except ConfigurationError as error:
        raise ConfigurationError(f"configuration: {where}.{error}") from error
    try:
        return IdentityRules(base.disabled | frozenset(section.disable), (*base.extra, *own))
    except ConfigurationError as error:
        fault = str(error).partition(": ")[2]
        raise ConfigurationError(f"configuration: {where}.rules: {fault}") from error


def _read(config: Path | None, variables: Mapping[str, str]) -> ConfigFile:
    named = config or (Path(variables[CONFIG_VARIABLE]) if variables.get(CONFIG_VARIABLE) else None)
    path = named or Path("flakeguard.yml")
    if named is None and not path.exists():
        return ConfigFile()
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigurationError(f"the configuration {path} is larger than 1 MiB; it cannot be one")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror}; check --config") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the configuration {path} is not UTF-8 text (byte {error.start})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigurationError(f"the configuration {path} is no valid YAML{where}: {problem}") from error
    except RecursionError as error:
        raise ConfigurationError(f"the configuration {path} is nested too deeply to be one") from error
    if content is None:
        return ConfigFile()
    if not isinstance(content, dict):
        raise ConfigurationError(f"the configuration {path} must be a mapping of keys to values")
    try:
        return ConfigFile.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {_sentence(fault)}" for fault in error.errors()
        )
        raise ConfigurationError(f"the configuration {path} is wrong: {faults}") from error


def _sentence(fault: Mapping[str, Any]) -> str:
    return "is no known key" if fault["type"] == "extra_forbidden" else str(fault["msg"]).lower()
