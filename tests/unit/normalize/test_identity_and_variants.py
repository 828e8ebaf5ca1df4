"""Which executions are one test, which variant they belong to, and which job made them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.domain.model import Job
from flakeguard_pipeline.normalize import identity
from flakeguard_pipeline.normalize.identity import normalise_name
from flakeguard_pipeline.normalize.variants import JobRule, VariantRules, job_for_artifact, variant_of

UUID = "9b2f1c1e-1111-4222-8333-0123456789ab"


def job(job_id: str, name: str) -> Job:
    return Job(job_id, name, "success", None, None)


@pytest.mark.parametrize(
    ("raw", "normalised"),
    [
        ("  adds \n two\tnumbers ", "adds two numbers"),
        ("test[<Foo object at 0x7f3c5a1b2d10>]", "test[<Foo object at <address>>]"),
        (f"upload {UUID.upper()}!", "upload <uuid>!"),
        (f"{UUID}0xabcdef012345", "<uuid><address>"),
        ("mask 0xabcdef and 12345678", "mask 0xabcdef and 12345678"),
        ("", ""),
    ],
)
def test_names_lose_what_differs_from_run_to_run(raw: str, normalised: str) -> None:
    assert normalise_name(raw) == normalised


@settings(deadline=None)
@given(st.lists(st.text(max_size=8) | st.sampled_from(["0x", "abcdef12", UUID, UUID[:20], " ", "-"]), max_size=8))
def test_normalising_a_name_twice_changes_nothing(parts: list[str]) -> None:
    once = normalise_name("".join(parts))
    assert normalise_name(once) == once


def key(**words: str) -> str:
    defaults = {"org": "o", "repository_id": "1", "suite": "s", "classname": "C", "name": "n", "file": ""}
    return identity.test_key(**(defaults | words))


@pytest.mark.parametrize("qualified", ["org.acme.C", "tests/c", "crate::c", "App\\C"])
def test_a_qualified_class_name_makes_suite_and_file_irrelevant(qualified: str) -> None:
    keys = {key(classname=qualified, suite=suite, file=file) for suite in ("", "s") for file in ("", "f.py")}
    assert len(keys) == 1


def test_a_bare_class_name_is_told_apart_by_its_file_else_by_its_suite() -> None:
    assert key(file="a.py") != key(file="b.py")
    assert key(file="a.py", suite="s") == key(file="a.py", suite="z")
    assert key(suite="s") != key(suite="z")


def test_each_word_of_the_identity_counts() -> None:
    keys = [key(), key(org="p"), key(repository_id="2"), key(classname="D"), key(name="m")]
    assert len(set(keys)) == len(keys)
    assert key(name=f"a {UUID}") == key(name="a  <uuid>")
    # a change of this value is a change of every identity in every warehouse
    assert key() == "9a4388151efb21c0315a56ca3f0167cb"


def test_a_test_id_names_its_variant() -> None:
    assert identity.test_id("abc", "linux") == "abc@linux"
    assert identity.test_id("abc", "") == "abc@"


@pytest.mark.parametrize(
    ("artifact", "variant"),
    [
        ("test-results-linux-3.11", "linux-3.11"),
        ("test-report-a", "a"),
        ("junit-b", "b"),
        ("surefire-reports-c", "c"),
        ("test-results", ""),
        ("junit-results", ""),
        ("junit", ""),
        ("it-client", "it-client"),
        ("", ""),
    ],
)
def test_the_variant_is_the_artifact_without_its_prefix(artifact: str, variant: str) -> None:
    assert variant_of(artifact, VariantRules()) == variant


def test_a_pattern_splits_the_artifact_into_labels_without_the_shard() -> None:
    rules = VariantRules(
        pattern=r"^unit-(?P<python>[^-]+)-(?P<os>[^-]+)(?:-(?P<shard>\d+))?(?P<extra>x?)$",
        shard_like=frozenset({"shard"}),
    )
    assert variant_of("unit-3.11-linux-4", rules) == "os=linux,python=3.11"
    assert variant_of("unit-3.11-linux", rules) == "os=linux,python=3.11"
    assert variant_of("junit-other", rules) == "other"
    only_shards = VariantRules(pattern=r"^it-(?P<shard>.+)$", shard_like=frozenset({"shard"}))
    assert variant_of("it-client", only_shards) == ""


def test_a_wrong_pattern_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="no regular expression"):
        VariantRules(pattern="(")
    with pytest.raises(ConfigurationError, match="no regular expression"):
        JobRule("(", "x")
    with pytest.raises(ConfigurationError, match="no such group"):
        JobRule("^it-(?P<x>.+)$", "integration ({y})")


def test_an_artifact_belongs_to_the_job_that_a_rule_names() -> None:
    jobs = [job("1", "integration (client)"), job("2", "it client"), job("3", "unit")]
    rules = [JobRule("^it-(?P<x>.+)$", "gone ({x})"), JobRule("^it-(?P<x>.+)$", "integration ({x})")]
    found = job_for_artifact("it-client", jobs, rules)
    assert found is not None
    assert found.job_id == "1"


def test_without_a_rule_the_job_of_the_same_name_is_taken() -> None:
    jobs = [job("10", "Unit (Linux, 3.11)"), job("9", "unit linux 3.11"), job("3", "!!")]
    found = job_for_artifact("unit-linux-3.11", jobs, [])
    assert found is not None
    assert found.job_id == "10"  # '10' sorts before '9' bytewise
    assert job_for_artifact("unit", jobs, []) is None
    assert job_for_artifact("", jobs, []) is None
    assert job_for_artifact("--", jobs, []) is None
