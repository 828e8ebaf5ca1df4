"""The questions that people ask: what their files say of themselves, and how texts become bound values."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.domain.errors import UsageError
from flakeguard_pipeline.warehouse.questions import Question, find_question, questions
from flakeguard_pipeline.warehouse.questions_page import questions_page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "queries.md"
QUESTIONS = [pytest.param(each, id=each.name) for each in questions()]


def body(question: Question) -> str:
    return "\n".join(line for line in question.sql.splitlines() if not line.lstrip().startswith("--"))


def test_there_is_a_question_for_every_file() -> None:
    files = sorted(path.stem for path in (bundled("sql") / "queries" / "questions").iterdir())
    assert [each.name for each in questions()] == files
    assert len(files) >= 15


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == questions_page(), "run `make docs` and commit what it writes"


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_header_says_what_is_asked_and_what_it_takes(question: Question) -> None:
    assert question.asks.endswith("?")
    assert question.grain
    assert question.columns
    assert all(question.columns.values())
    assert {each.name for each in question.parameters} == set(re.findall(r"\$(\w+)", body(question)))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_file_is_one_statement_that_reads_in_a_fixed_order(question: Question) -> None:
    (statement,) = duckdb.extract_statements(question.sql)
    assert statement.type == duckdb.StatementType.SELECT
    assert ";" not in body(question)
    assert "\norder by" in body(question)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_default_is_a_value_of_its_kind(question: Question) -> None:
    needed = {each.name: "7" for each in question.parameters if each.default is None}
    assert question.bind(needed).keys() == {each.name for each in question.parameters}


def test_texts_become_values_of_their_kind() -> None:
    flakiest = find_question("flakiest_tests")
    assert flakiest.bind({}) == {"repository": "", "until": None, "days": 7}
    given = {"repository": "acme/shop", "until": "2026-03-06T12:00:00+01:00", "days": "14"}
    until = datetime(2026, 3, 6, 11, tzinfo=UTC)
    assert flakiest.bind(given) == {"repository": "acme/shop", "until": until, "days": 14}
    assert flakiest.bind({"until": "2026-03-06"})["until"] == datetime(2026, 3, 6, tzinfo=UTC)
    assert find_question("changed_since").bind({"since": "2026-03-06"})["since"] == date(2026, 3, 6)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("flakiest_tests", {"dyas": "7"}, r"has no parameter 'dyas'; it takes repository, until, days"),
        ("source_freshness", {"days": "7"}, r"it takes no parameters"),
        ("failures_of_run", {}, r"needs run_id: .+; add --param run_id=VALUE"),
        ("flakiest_tests", {"days": "many"}, r"days='many' is no integer; write it like --param days=7"),
        ("flakiest_tests", {"days": "none"}, r"days='none' is no integer"),
        ("flakiest_tests", {"days": "99999999999"}, r"is no integer"),
        ("flakiest_tests", {"until": "Friday"}, r"until='Friday' is no moment; write it like --param until=2026"),
        ("flakiest_tests", {"until": "0001-01-01T00:00:00+14:00"}, r"is no moment"),
        ("changed_since", {"since": "2026-02-30"}, r"since='2026-02-30' is no day"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_refused(name: str, given: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        find_question(name).bind(given)


def test_a_misspelt_question_is_told_which_one_was_meant() -> None:
    with pytest.raises(UsageError, match=r"no question 'flakiest_test'; did you mean flakiest_tests\?"):
        find_question("flakiest_test")
    with pytest.raises(UsageError, match=r"no question '\.\./repositories'; `flakeguard sql --list` lists all"):
        find_question("../repositories")
