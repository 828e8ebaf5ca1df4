"""Settings: who has the last word, where things lie by default, and what a configuration may not say."""

from pathlib import Path
from typing import Any

import pytest

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.settings import MAX_CONFIG_BYTES, VARIABLES, InferenceSwitches, Settings, load_settings
from flakeguard_pipeline.warehouse.connection import Warehouse


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str = "", overrides: dict[str, str | None] | None = None, **variables: str) -> Settings:
    Path("flakeguard.yml").write_text(text)
    return load_settings(None, overrides, environment=variables)


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        loaded(text)
    assert raised.value.exit_status == 2
    assert "\n" not in str(raised.value)
    return str(raised.value)


# -- who has the last word -----------------------------------------------------------------------------------


def place(settings: Settings, name: str) -> str | None:
    value = getattr(settings, name)
    return None if value is None else str(value)


@pytest.mark.parametrize("name", list(VARIABLES))
def test_the_command_line_wins_over_the_environment_over_the_file_over_the_defaults(name: str) -> None:
    file = f"{name}: from/file.duckdb\n"
    variables = {VARIABLES[name]: "from/environment.duckdb"}
    command_line: dict[str, str | None] = {name: "from/command-line.duckdb"}
    default = place(loaded(), name)
    assert place(loaded(file), name) == "from/file.duckdb"
    assert place(loaded(file, **variables), name) == "from/environment.duckdb"
    assert place(loaded(file, command_line, **variables), name) == "from/command-line.duckdb"
    assert place(loaded("", command_line), name) == "from/command-line.duckdb"
    assert default not in {"from/file.duckdb", "from/environment.duckdb", "from/command-line.duckdb"}


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_word_says_nothing(nothing: str | None) -> None:
    settings = loaded("drop: from/file\n", {"drop": nothing}, FLAKEGUARD_DROP="")
    assert settings.drop == Path("from/file")


def test_the_configuration_is_the_one_that_is_named_else_that_of_the_variable_else_that_of_the_folder() -> None:
    for name in ("named", "variable", "flakeguard"):
        Path(f"{name}.yml").write_text(f"org: {name}\n")
    variables = {"FLAKEGUARD_CONFIG": "variable.yml"}
    assert load_settings(Path("named.yml"), environment=variables).org == "named"
    assert load_settings(environment=variables).org == "variable"
    assert load_settings(environment={}).org == "flakeguard"


def test_no_configuration_at_all_is_the_defaults() -> None:
    settings = load_settings(environment={})
    assert settings == loaded("")
    assert settings == loaded("# nothing but a remark\n")
    assert (settings.drop, settings.org, settings.provider, settings.default_branch) == (None, None, "github", None)
    assert settings.warehouse == "duckdb:///.flakeguard/warehouse.duckdb"
    assert settings.out == Path(".flakeguard/quarantine")
    assert settings.dagster_home == Path(".flakeguard/dagster")
    assert settings.valid_for_hours == 72
    assert settings.policy.enabled
    assert settings.scoring.window_days == 90


# -- where things lie ----------------------------------------------------------------------------------------


def test_each_warehouse_has_a_landing_zone_of_its_own() -> None:
    one = loaded("", {"warehouse": "duckdb:///ci/one.duckdb"})
    two = loaded("", {"warehouse": "duckdb:///ci/two.duckdb"})
    elsewhere = loaded("", {"warehouse": "duckdb:///other/one.duckdb"})
    assert len({one.landing, two.landing, elsewhere.landing}) == 3
    assert one.landing == str(Path("ci/one.landing").absolute())


@pytest.mark.parametrize(
    ("url", "home"),
    [
        ("duckdb:///ci/w.duckdb", "ci"),
        ("duckdb:////srv/ci/w.duckdb", "/srv/ci"),
        ("ci/w.duckdb", "ci"),
        ("/srv/ci/w.duckdb", "/srv/ci"),
        ("w.duckdb", "."),
        ("duckdb:///w.duckdb", "."),
    ],
)
def test_everything_lies_beside_the_warehouse_whether_its_address_is_relative_or_absolute(url: str, home: str) -> None:
    settings = loaded("", {"warehouse": url})
    assert settings.home == Path(home)
    assert Warehouse(settings.warehouse).path.parent == Path(home)
    assert settings.out == Path(home) / "quarantine"
    assert settings.dagster_home == Path(home) / "dagster"
    assert Path(settings.landing) == (Path(home) / "w.landing").absolute()


def test_a_home_of_its_own_moves_all_that_nobody_named() -> None:
    settings = loaded("", FLAKEGUARD_HOME="/srv/home")
    assert settings.warehouse == "duckdb:////srv/home/warehouse.duckdb"
    assert settings.out == Path("/srv/home/quarantine")
    assert settings.landing == "/srv/home/warehouse.landing"
    named = loaded("", {"warehouse": "ci/w.duckdb"}, FLAKEGUARD_HOME="/srv/home")
    assert named.home == Path("/srv/home")
    assert named.landing == str(Path("ci/w.landing").absolute())


def test_a_landing_zone_may_be_an_object_store() -> None:
    assert loaded("landing: s3://bucket/ci\n").landing == "s3://bucket/ci"


# -- what a configuration may not say ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ogr: acme\n", "ogr"),
        ("Org: acme\n", "Org"),
        ("policy: {min_flips: 2}\n", "policy.min_flips"),
        ("variant: {prefix: x}\n", "variant.prefix"),
        ("artifact_jobs: [{artifact: a, job: b, os: c}]\n", "artifact_jobs.0.os"),
        ("export: {hours: 2}\n", "export.hours"),
        ("scoring: {window: 2}\n", "scoring.window"),
        ("inferred_passes: {drop: false}\n", "inferred_passes.drop"),
    ],
)
def test_an_unknown_key_is_named(text: str, key: str) -> None:
    assert refused(text) == f"the configuration flakeguard.yml is wrong: {key}: is no known key"


def test_all_faults_are_said_at_once() -> None:
    assert refused("ogr: acme\nscoring: {window_days: 0}\n").count("; ") == 1


@pytest.mark.parametrize("text", ['"yes"', '"true"', "1", "0", '""', "[true]", "{}"])
def test_booleans_are_strict(text: str) -> None:
    assert "policy.enabled: input should be a valid boolean" in refused(f"policy: {{enabled: {text}}}\n")


def test_inferred_passes_are_on_until_someone_switches_them_off_for_all_or_for_a_source() -> None:
    assert loaded("").inference == InferenceSwitches(enabled=True, sources_off=())
    assert loaded("inferred_passes: {enabled: false}\n").inference == InferenceSwitches(enabled=False)
    sources = "inferred_passes: {sources: {mirror: false, drop: true, archive: false}}\n"
    assert loaded(sources).inference == InferenceSwitches(sources_off=("archive", "mirror"))
    assert "inferred_passes.sources.drop: input should be a valid boolean" in refused(
        'inferred_passes: {sources: {drop: "no"}}\n'
    )


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("yes", True), ("off", False)])
def test_what_yaml_calls_a_boolean_is_one(text: str, value: bool) -> None:
    assert loaded(f"policy: {{enabled: {text}}}\n").policy.enabled is value


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("scoring", "window_days"),
        ("policy", "min_p_flaky"),
        ("policy", "min_flake_rate"),
        ("policy", "min_same_commit_flips"),
        ("policy", "min_executions"),
        ("policy", "expiry_days"),
        ("export", "valid_for_hours"),
    ],
)
@pytest.mark.parametrize("value", ['"1"', "true", "many", "[1]", "-1", ".nan", ".inf"])
def test_a_number_is_a_number_within_its_range(section: str, key: str, value: str) -> None:
    assert f"{section}.{key}: input should be " in refused(f"{section}: {{{key}: {value}}}\n")


def test_a_number_of_a_fraction_may_be_written_whole() -> None:
    assert loaded("policy: {min_p_flaky: 1, min_flake_rate: 0}\n").policy.min_p_flaky == 1.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("org: [acme]\n", "org: input should be a valid string"),
        ("org: 7\n", "org: input should be a valid string"),
        ("policy: none\n", "policy: input should be "),
        (
            "variant: {workflow_label: sometimes}\n",
            "variant.workflow_label: input should be 'auto', 'never' or 'always'",
        ),
        ("policy: {excuse: all}\n", "policy.excuse: input should be 'known_signatures' or 'any'"),
        ("artifact_jobs: [{artifact: a}]\n", "artifact_jobs.0.job: field required"),
        ("artifact_jobs: [{artifact: '(', job: b}]\n", "configuration: artifact_jobs: "),
        ("variant: {pattern: '('}\n", "configuration: variant: "),
        ("- acme\n", "must be a mapping of keys to values"),
        ("acme\n", "must be a mapping of keys to values"),
        ("policy: {enabled: [true}\n", "is no valid YAML at line 1, column 24: "),
        ("org: acme\norg: !!python/object:os.system x\n", "is no valid YAML at line 2, column 6: "),
        ("a: &a [*a, *b]\n", "is no valid YAML at line 1, column "),
        ("a: \x07\n", "is no valid YAML: unacceptable character"),
        ("a: " + "[" * 5000, "is nested too deeply"),
        ("#" * (MAX_CONFIG_BYTES + 1), "is larger than 1 MiB"),
    ],
)
def test_a_damaged_configuration_is_one_line_that_says_where(text: str, says: str) -> None:
    assert says in refused(text)


def test_a_configuration_that_is_no_text_is_refused() -> None:
    Path("flakeguard.yml").write_bytes(b"org: \xff\n")
    with pytest.raises(ConfigurationError, match=r"is not UTF-8 text \(byte 5\)"):
        load_settings(environment={})


@pytest.mark.parametrize(("name", "why"), [("missing.yml", "No such file"), ("folder", "Is a directory")])
def test_a_configuration_that_is_named_must_be_there(name: str, why: str) -> None:
    Path("folder").mkdir()
    for arguments in ({"config": Path(name)}, {"environment": {"FLAKEGUARD_CONFIG": name}}):
        call: dict[str, Any] = {"environment": {}, **arguments}
        with pytest.raises(ConfigurationError, match=f"cannot read the configuration {name}: {why}.*; check --config"):
            load_settings(**call)


# -- what loading again depends on ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "org: acme\n",
        "provider: gitlab\n",
        "default_branch: trunk\n",
        "variant: {pattern: '^(?P<os>.+)$'}\n",
        "variant: {pattern: '^(?P<os>.+)$', shard_like: [os]}\n",
        "variant: {prefixes: [x-]}\n",
        "artifact_jobs: [{artifact: a, job: b}]\n",
    ],
)
def test_what_the_loaded_rows_follow_from_changes_the_digest(text: str) -> None:
    assert loaded(text).loading_digest != loaded().loading_digest
    assert loaded(text).loading_digest == loaded(text).loading_digest


@pytest.mark.parametrize(
    "text",
    [
        "policy: {enabled: false}\n",
        "scoring: {window_days: 7}\n",
        "out: x\n",
        "variant: {workflow_label: never}\n",
        "inferred_passes: {enabled: false}\n",
    ],
)
def test_what_only_comes_after_loading_does_not(text: str) -> None:
    assert loaded(text).loading_digest == loaded().loading_digest
