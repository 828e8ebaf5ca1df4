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

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from flakeguard_pipeline.config_positions import Document, Location, known_keys, likely, read_document, tags
from flakeguard_pipeline.dagster_storage import DagsterStorage, DagsterStorageSection, storage_of
from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.normalize.identity import DEFAULT_RULES, ExtraRule, IdentityRules
from flakeguard_pipeline.normalize.identity_rules import Field as IdentityField
from flakeguard_pipeline.normalize.variants import JobRule, VariantRules
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.postgres_address import POSTGRES_SCHEMES, read_address
from flakeguard_pipeline.source_sections import DROP, SECTIONS, AnySource, DropSection
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
    # an error never quotes what stands in the file: it may be a secret in the wrong place
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


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
    read_copy: StrictBool = True
    dagster_storage: DagsterStorageSection | None = None
    sources: tuple[AnySource, ...] = ()
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
    """Everything a run needs to know. `drop` is None until someone names a drop folder: a path, or any fsspec URL.

    `sources` are what the configuration file lists; `all_sources` has the drop folder, too.
    """

    home: Path
    warehouse: str = field(repr=False)  # it may hold a password
    landing: str
    out: Path
    drop: str | None
    sources: tuple[AnySource, ...]
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
    read_copy: bool
    dagster_storage: DagsterStorage | None

    @property
    def dagster_home(self) -> Path:
        """The folder of the Dagster instance that `flakeguard run` and `flakeguard ui` share."""
        return self.home / "dagster"

    @property
    def all_sources(self) -> tuple[AnySource, ...]:
        """All sources, also those that are switched off; the drop folder of `drop` is the first."""
        if self.drop is None:
            return self.sources
        return (DropSection(kind=DROP, name=DROP, url=self.drop, provider=self.provider), *self.sources)

    def sources_of(self, kind: str) -> tuple[AnySource, ...]:
        """Return the sources of a kind that are switched on."""
        return tuple(each for each in self.all_sources if each.kind == kind and each.enabled)

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
    file, document = _read(config, variables)
    given = {
        name: (overrides or {}).get(name) or variables.get(variable) or getattr(file, name)
        for name, variable in VARIABLES.items()
    }
    home = Path(variables[HOME_VARIABLE]) if variables.get(HOME_VARIABLE) else None
    warehouse = given["warehouse"] or f"duckdb:///{(home or DEFAULT_HOME) / 'warehouse.duckdb'}"
    landing = (home or DEFAULT_HOME) / "warehouse.landing"
    if warehouse.startswith(POSTGRES_SCHEMES):
        landing = (home or DEFAULT_HOME) / f"{_database_folder(warehouse)}.landing"
    elif "://" not in warehouse or warehouse.startswith("duckdb:///"):
        path = Path(warehouse.removeprefix("duckdb:///"))
        home = home or path.parent
        # One landing zone a warehouse, beside it: two warehouses must not load each other's artifacts.
        landing = path.with_name(f"{path.stem}.landing")
    home = home or DEFAULT_HOME
    _require_distinct(file.sources, document, has_drop=bool(given["drop"]))
    return Settings(
        home=home,
        warehouse=warehouse,
        landing=given["landing"] or str(landing.absolute()),
        out=Path(given["out"] or home / "quarantine"),
        drop=given["drop"] or None,
        sources=file.sources,
        org=file.org,
        provider=file.provider,
        default_branch=file.default_branch,
        variant_rules=_built(document, ("variant",), VariantRules, file.variant.model_dump(exclude={"workflow_label"})),
        workflow_label=file.variant.workflow_label,
        job_rules=tuple(
            _built(document, ("artifact_jobs", number), JobRule, rule.model_dump())
            for number, rule in enumerate(file.artifact_jobs)
        ),
        redact_emails=file.redaction.emails,
        identity=_identity(file.identity, document),
        inference=InferenceSwitches(
            enabled=file.inferred_passes.enabled,
            sources_off=tuple(sorted(name for name, is_on in file.inferred_passes.sources.items() if not is_on)),
        ),
        scoring=_built(document, ("scoring",), ScoringParameters, file.scoring.model_dump()),
        policy=_built(document, ("policy",), Policy, file.policy.model_dump()),
        valid_for_hours=file.export.valid_for_hours,
        read_copy=file.read_copy,
        dagster_storage=storage_of(file.dagster_storage, variables),
    )


def _database_folder(url: str) -> str:
    """Return what a database's landing zone is called: another one for each database, whoever connects to it."""
    try:
        address = read_address(url)
    except ValueError:
        return "postgres"  # the warehouse says what is wrong
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", address.database) or "postgres"
    return f"{name}-{stable_id(['database', address.place, address.database])[:8]}"


def _built(document: Document, location: Location, kind: Any, fields: Mapping[str, Any]) -> Any:
    """Build a value object from a section, leaving out what was not said so that its own defaults hold."""
    try:
        return kind(**{name: value for name, value in fields.items() if value is not None})
    except (ValueError, ConfigurationError) as error:
        raise ConfigurationError(document.fault(location, str(error))) from error


def _require_distinct(sources: tuple[AnySource, ...], document: Document, *, has_drop: bool) -> None:
    """Refuse sources of one name: what they bring could not be told apart."""
    taken = {DROP: "the drop folder of `drop` or --drop has it"} if has_drop else {}
    for number, each in enumerate(sources):
        if each.name in taken:
            fault = f"is a name that is taken: {taken[each.name]}; every source needs a name of its own"
            raise ConfigurationError(document.fault(("sources", number, "name"), fault))
        taken[each.name] = f"sources[{number}] has it"


def _identity(section: IdentitySection, document: Document) -> IdentitySettings:
    default = _identity_rules(("identity",), section, IdentityRules(), document)
    repositories: dict[str, IdentityRules] = {}
    for name, override in section.repositories.items():
        where = ("identity", "repositories", name)
        if not _FULL_NAME.fullmatch(name):
            raise ConfigurationError(document.fault(where, "is no full name of a repository, owner/name", at_key=True))
        if name.lower() in repositories:
            raise ConfigurationError(document.fault(where, "is there twice; case does not count", at_key=True))
        repositories[name.lower()] = _identity_rules(where, override, default, document)
    return IdentitySettings(default, repositories)


def _identity_rules(
    where: tuple[str, ...], section: IdentityOverrideSection, base: IdentityRules, document: Document
) -> IdentityRules:
    """Add a section's rules to `base`; a fault is told with the place that it has in the section."""
    own = tuple(ExtraRule(rule.fields, rule.pattern, rule.replacement) for rule in section.rules)
    try:
        # by themselves first, so that a fault names their place in this section
        IdentityRules(frozenset(section.disable), own)
    except ConfigurationError as error:
        place, _, fault = str(error).partition(": ")
        inside = (int(part) if part.isdigit() else part for part in place.split("."))
        raise ConfigurationError(document.fault((*where, *inside), fault)) from error
    try:
        return IdentityRules(base.disabled | frozenset(section.disable), (*base.extra, *own))
    except ConfigurationError as error:
        fault = str(error).partition(": ")[2]
        raise ConfigurationError(document.fault((*where, "rules"), fault)) from error


def _read(config: Path | None, variables: Mapping[str, str]) -> tuple[ConfigFile, Document]:
    named = config or (Path(variables[CONFIG_VARIABLE]) if variables.get(CONFIG_VARIABLE) else None)
    path = named or Path("flakeguard.yml")
    nothing = ConfigFile(), Document(str(path), None, None)
    if named is None and not path.exists():
        return nothing
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigurationError(f"the configuration {path} is larger than 1 MiB; it cannot be one")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror}; check --config") from error
    except UnicodeDecodeError as error:
        # without the error itself, which holds all that was read
        raise ConfigurationError(f"the configuration {path} is not UTF-8 text (byte {error.start})") from None
    document = read_document(str(path), text)
    if document.content is None:
        return nothing
    if not isinstance(document.content, dict):
        raise ConfigurationError(f"the configuration {path} must be a mapping of keys to values")
    try:
        return ConfigFile.model_validate(document.content), document
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
    # outside of the handler: the error holds what stands in the file
    raise ConfigurationError("; ".join(_fault(document, fault) for fault in faults))


def _fault(document: Document, fault: Mapping[str, Any]) -> str:
    """Return one fault with its place; `loc` also names which kind of source was meant."""
    told: tuple[str | int, ...] = tuple(fault["loc"])
    is_source = len(told) > 1 and told[0] == "sources"
    location = (*told[:2], *told[3:]) if is_source else told
    kind, text = fault["type"], str(fault["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = known_keys(ConfigFile, told[:-1])
        return document.fault(location, f"is no known key{likely(str(location[-1]), known)}", at_key=True)
    if kind == "missing":
        return document.fault(location, "is missing")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        kinds = [tag for each in SECTIONS for tag in tags(each)]
        tag = str(fault.get("ctx", {}).get("tag", ""))
        said = "is no kind of source" if tag else "is missing"
        return document.fault((*location, "kind"), f"{said}; one of {', '.join(kinds)}{likely(tag, kinds)}")
    return document.fault(location, text[:1].lower() + text[1:])
