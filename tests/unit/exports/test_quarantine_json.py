import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.exports.quarantine_json import ExportEntry, export_entry, render_export
from flakeguard_pipeline.policy.events import fold
from flakeguard_pipeline.policy.policy import Policy
from tests.unit.policy.scores import NOW, decisions, health_row

ENTRY = ExportEntry(
    test_key="key",
    test_id="id",
    suite="unit",
    classname="pkg.Case",
    name="test_é[a/b]",
    file="",
    variant="linux",
    reason="flaky",
    flake_rate=1 / 60,
    flake_rate_low=0.008,
    flake_rate_high=0.03,
    executions=412,
    failures=7,
    same_commit_flips=5,
    runs=(("100", 1), ("99", 2)),
    known_signatures=("b", "a"),
    quarantined_at=NOW,
    expires_at=NOW + timedelta(days=30),
    decision_id="decision",
)


def render(*entries: ExportEntry, as_of: datetime = NOW) -> bytes:
    return render_export(
        "acme",
        "acme/shop",
        as_of=as_of,
        valid_until=as_of + timedelta(hours=72),
        policy=Policy(),
        entries=entries,
    )


def check(data: bytes) -> dict:
    schema = json.loads(resources.files("flakeguard_pipeline.exports").joinpath("quarantine.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(data)
    jsonschema.Draft202012Validator(schema).validate(document)
    for moment in (document["as_of"], document["valid_until"]):
        assert datetime.fromisoformat(moment).tzinfo is not None
    return document


def test_an_export_is_valid():
    document = check(render(ENTRY, replace(ENTRY, variant="*", owner="team", clean_runs_needed=58)))
    assert document["excuse"] == "known_signatures"
    assert document["valid_until"] == "2026-05-04T00:00:00Z"
    star, linux = document["entries"]
    assert (star["variant"], star["clean_runs_needed"], star["owner"]) == ("*", 58, "team")
    assert "clean_runs_needed" not in linux
    assert linux["owner"] is None
    assert linux["flake_rate"]["mean"] == 0.016667
    assert linux["known_signatures"] == ["a", "b"]


def test_an_export_without_entries_is_valid():
    assert check(render())["entries"] == []


def test_equal_content_is_equal_bytes():
    one, other = ENTRY, replace(ENTRY, test_key="Z")
    data = render(one, other)
    assert data == render(other, one)
    assert data == render(one, other, as_of=NOW.astimezone(timezone(timedelta(hours=2))))
    assert data.endswith(b"\n}\n")
    assert "test_é[a/b]".encode() in data
    assert [entry["test_key"] for entry in json.loads(data)["entries"]] == ["Z", "key"]


def test_fractions_of_seconds_are_kept():
    assert b'"2026-05-01T00:00:00.000250Z"' in render(as_of=datetime(2026, 5, 1, 0, 0, 0, 250, tzinfo=UTC))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(0, 1))
def test_any_name_and_rate_make_a_valid_export(text: str, rate: float):
    document = check(render(replace(ENTRY, name=text, classname=text, variant=text, flake_rate=rate)))
    assert document["entries"][0]["name"] == text


def test_a_decision_becomes_an_entry():
    entries = fold(decisions([health_row()], signatures={"t": ["sig"]}))
    document = check(render(export_entry(entries["t"], owner="team", clean_runs_needed=3)))
    (entry,) = document["entries"]
    assert entry["decision_id"] == entries["t"].event.decision_id
    assert entry["evidence"]["runs"] == [{"run_id": "r1", "run_attempt": 1}]
    assert entry["evidence"]["same_commit_flips"] == 5
    assert entry["known_signatures"] == ["sig"]
    assert entry["quarantined_at"] == "2026-05-01T00:00:00Z"


def test_only_a_quarantined_test_becomes_an_entry():
    events = decisions([health_row()])
    events += decisions([health_row(status="broken")], current=fold(events), as_of=NOW + timedelta(days=1))
    with pytest.raises(ValueError, match="not quarantined"):
        export_entry(fold(events)["t"])
