"""Settings: who has the last word, where things lie by default, and what a configuration may not say."""

import traceback
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
    assert settings.drop == "from/file"


def test_the_configuration_is_the_one_that_is_named_else_that_of_the_variable_else_that_of_the_folder() -> None:
    for name in ("named", "variable", "flakeguard"):
        Path(f"{name}.yml").write_text(f"org: {name}\n")
    variables = {"FLAKEGUARD_CONFIG": "variable.yml"}
    assert load_settings(Path("named.yml"), environment=variables).org == "named"
    assert load_settings(environment=variables).org == "variable"
    assert load_settings(environment={}).org == "flakeguard"


def test_the_read_only_copy_is_switched_off_by_a_truth_value_and_no_word() -> None:
    assert not loaded("read_copy: false\n").read_copy
    assert "read_copy: input should be a valid boolean" in refused('read_copy: "no"\n')


def test_no_configuration_at_all_is_the_defaults() -> None:
    settings = load_settings(environment={})
    assert settings == loaded("")
    assert settings == loaded("# nothing but a remark\n")
    assert (settings.drop, settings.org, settings.provider, settings.default_branch) == (None, None, "github", None)
    assert settings.warehouse == "duckdb:///.flakeguard/warehouse.duckdb"
    assert settings.out == Path(".flakeguard/quarantine")
    assert settings.dagster_home == Path(".flakeguard/dagster")
    assert settings.valid_for_hours == 72
    assert settings.read_copy
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
    ("text", "says"),
    [
        ("ogr: acme\n", "1:1: ogr: is no known key, did you mean `org`?"),
        ("# mine\n\nOrg: acme\n", "3:1: Org: is no known key, did you mean `org`?"),
        ("policy:\n  flips: 2\n", "2:3: policy.flips: is no known key"),
        ("policy:\n  min_execution: 2\n", "2:3: policy.min_execution: is no known key, did you mean `min_executions`?"),
        ("variant: {prefix: x}\n", "1:11: variant.prefix: is no known key, did you mean `prefixes`?"),
        ("artifact_jobs: [{artifact: a, job: b, os: c}]\n", "1:39: artifact_jobs[0].os: is no known key"),
        ("export: {hours: 2}\n", "1:10: export.hours: is no known key"),
        ("scoring: {window: 2}\n", "1:11: scoring.window: is no known key, did you mean `window_days`?"),
        ("inferred_passes: {drop: false}\n", "1:19: inferred_passes.drop: is no known key"),
        (
            "identity:\n  repositories:\n    acme/shop:\n      disabel: [date]\n",
            "4:7: identity.repositories.acme/shop.disabel: is no known key, did you mean `disable`?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_its_place_and_what_was_meant(text: str, says: str) -> None:
    assert refused(text) == f"flakeguard.yml:{says}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("org: acme\norg: other\n", "2:1: org: is there twice; keep one of them"),
        ("sources:\n- {kind: drop, name: a, name: b, url: x}\n", "2:25: sources[0].name: is there twice; "),
    ],
)
def test_a_key_that_is_there_twice_is_refused(text: str, says: str) -> None:
    assert refused(text).startswith(f"flakeguard.yml:{says}")


def test_what_is_merged_in_may_be_said_otherwise() -> None:
    text = "export: &common {valid_for_hours: 5}\nscoring: {window_days: 3}\n"
    assert loaded(text).valid_for_hours == 5
    merged = "sources:\n- &one {kind: drop, name: a, url: x}\n- <<: *one\n  name: b\n"
    assert [(each.name, each.kind) for each in loaded(merged).sources] == [("a", "drop"), ("b", "drop")]
    assert refused(merged + "  url: [1]\n").startswith("flakeguard.yml:5:8: sources[1].url: ")


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
        ("org: 7\n", "flakeguard.yml:1:6: org: input should be a valid string"),
        ("policy: none\n", "policy: input should be "),
        (
            "variant: {workflow_label: sometimes}\n",
            "variant.workflow_label: input should be 'auto', 'never' or 'always'",
        ),
        ("policy: {excuse: all}\n", "policy.excuse: input should be 'known_signatures' or 'any'"),
        ("artifact_jobs: [{artifact: a}]\n", "flakeguard.yml:1:17: artifact_jobs[0].job: is missing"),
        ("artifact_jobs: [{artifact: '(', job: b}]\n", "flakeguard.yml:1:17: artifact_jobs[0]: "),
        ("variant: {pattern: '('}\n", "flakeguard.yml:1:10: variant: "),
        ("- acme\n", "must be a mapping of keys to values"),
        ("acme\n", "must be a mapping of keys to values"),
        ("policy: {enabled: [true}\n", "flakeguard.yml:1:24: is no valid YAML: "),
        ("org: acme\nout: !!python/object:os.system x\n", "flakeguard.yml:2:6: is no valid YAML: "),
        ("a: &a [*a, *b]\n", "flakeguard.yml:1:12: is no valid YAML: "),
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


# -- sources -------------------------------------------------------------------------------------------------

GITHUB = "sources:\n  - kind: github\n    name: hub\n    repositories: [acme/shop]\n"


def test_each_kind_of_source_may_be_configured_with_a_few_keys() -> None:
    text = """
sources:
  - {kind: drop, name: mirror, url: "s3://bucket/ci", provider: gitlab}
  - {kind: github, name: hub, repositories: [acme/shop], token: {env: GITHUB_TOKEN}}
  - {kind: gitlab, name: lab, url: https://gitlab.acme.example, projects: [acme/shop], token: {file: /run/token}}
  - {kind: jenkins, name: butler, url: https://ci.acme.example/jenkins, jobs: [shop], enabled: false}
  - {kind: buildkite, name: kite, organization: acme, token: {env: KITE}}
  - {kind: circleci, name: circle, projects: [gh/acme/shop], token: {env: CIRCLE}}
"""
    settings = loaded(text, {"drop": "ci"})
    assert [each.kind for each in settings.sources] == ["drop", "github", "gitlab", "jenkins", "buildkite", "circleci"]
    assert [each.name for each in settings.all_sources][:2] == ["drop", "mirror"]
    assert [each.name for each in settings.sources_of("drop")] == ["drop", "mirror"]
    assert settings.sources_of("jenkins") == ()  # switched off
    assert {(each.lookback_days, each.initial_days) for each in settings.sources} == {(7, 14)}
    assert settings.loading_digest == loaded("").loading_digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GITHUB + "    repos: [acme/shop]\n", "5:5: sources[0].repos: is no known key"),
        (GITHUB + "    lookback: 3\n", "5:5: sources[0].lookback: is no known key, did you mean `lookback_days`?"),
        (GITHUB + "    lookback_days: many\n", "5:20: sources[0].lookback_days: input should be a valid integer"),
        (GITHUB + "    lookback_days: 91\n", "5:20: sources[0].lookback_days: input should be less than"),
        (GITHUB + "    token: {envv: TOKEN}\n", "5:13: sources[0].token.envv: is no known key, did you mean `env`?"),
        (GITHUB + "    token: {}\n", "5:12: sources[0].token: name either `env`"),
        (GITHUB + "    token: {env: A, file: b}\n", "5:12: sources[0].token: name either `env`"),
        (
            GITHUB + "    token: {env: A}\n    app: {app_id: '1', installation_id: 2, private_key: {file: k}}\n",
            "2:5: sources[0]: name either `token` or `app`, not both",
        ),
        (GITHUB + "    url: github.acme.example\n", "5:10: sources[0].url: is no address of a server"),
        ("sources:\n  - kind: githbu\n    name: hub\n", "2:11: sources[0].kind: is no kind of source; one of drop, "),
        ("sources:\n  - name: hub\n", "2:5: sources[0].kind: is missing; one of drop, github, "),
        ("sources:\n  - github\n", "2:5: sources[0]: input should be a valid dictionary"),
        ("sources: github\n", "1:10: sources: input should be a valid tuple"),
        ("sources:\n  - {kind: github, name: hub}\n", "2:5: sources[0].repositories: is missing"),
        ("sources:\n  - {kind: drop, name: The Mirror, url: x}\n", "2:24: sources[0].name: string should match"),
        (
            GITHUB + "  - {kind: drop, name: hub, url: ci}\n",
            "5:24: sources[1].name: is a name that is taken: sources[0] has it; every source needs a name of its own",
        ),
    ],
)
def test_what_is_wrong_with_a_source_is_told_with_line_and_column(text: str, says: str) -> None:
    assert refused(text).startswith(f"flakeguard.yml:{says}")


def test_the_name_drop_is_the_drop_folders_where_there_is_one() -> None:
    text = "sources:\n  - {kind: drop, name: drop, url: ci}\n"
    assert [each.name for each in loaded(text).all_sources] == ["drop"]
    assert "1:1: " not in refused("drop: here\n" + text)
    assert refused("drop: here\n" + text).startswith("flakeguard.yml:3:24: sources[0].name: is a name that is taken")


def chain(error: BaseException) -> str:
    """Return all that a log could show of an error: its own text and those of the errors that it came from."""
    return "".join(traceback.format_exception(error)) + repr(error.__cause__) + repr(error.__context__)


@pytest.mark.parametrize(
    "text",
    [
        GITHUB + "    token: {secret}\n",
        GITHUB + "    token: [{secret}]\n",
        GITHUB + "    token: {{env: '{secret}-'}}\n",
        GITHUB + "    token: {{env: A, file: '{secret}'}}\n",
        GITHUB + "    token: {{env: ['{secret}']}}\n",
        GITHUB + "    url: https://me:{secret}@github.acme.example\n",
        GITHUB + "    url: https://github.acme.example?token={secret}\n",
        GITHUB + "    url: [{secret}]\n",
        GITHUB + "    token: *{secret}\n",
        GITHUB + "    token: !{secret}\n",
        "sources:\n  - {{kind: drop, name: '{secret}', url: 's3://key:{secret}@bucket/x'}}\n",
        "org: [{secret}]\n",
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_repeated(text: str) -> None:
    secret = "Zq7-planted-secret-9xK"
    Path("flakeguard.yml").write_text(text.format(secret=secret))
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environment={})
    assert secret not in chain(raised.value)
    assert str(raised.value).startswith("flakeguard.yml:")


def test_a_secret_in_the_place_of_a_reference_is_told_where_it_belongs() -> None:
    assert refused(GITHUB + "    token: planted\n") == (
        "flakeguard.yml:5:12: sources[0].token: is no secret's place; write {env: VARIABLE} or {file: PATH}, never "
        "the secret itself"
    )


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
