"""Where the strings and comments of a statement are, and which values it binds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.warehouse.dialects import positional, unnamed
from flakeguard_pipeline.warehouse.statements import first_word, pieces, without_end


@pytest.mark.parametrize(
    "untouched",
    [
        "select 'it''s $x'",
        'select "a""$x"',
        "select 1 -- $x",
        "select /* costs $x */ 1",
        "select /* a /* b */ $x */ 1",
        "select /* not closed $x",
        "select $$body $x$$",
        "select $tag$ $x $$ $other$ $tag$",
        "select $é$ $x $é$",
        r"select E'it\'s $x'",
        r"select e'\\\'$x'",
        "select E'a'\n  'b\\'$x'",
        "select 'not closed $x",
        "select a$x from t",
        "select a$$x$$",
    ],
)
def test_what_is_no_value_is_left_alone(untouched: str) -> None:
    assert positional(untouched, {"x": 1}) == (untouched, [])
    assert unnamed(untouched, {"x": 1}) == ["x"]


@pytest.mark.parametrize(
    ("named", "numbered"),
    [
        ("select $x, $y, $x", "select $1, $2, $1"),
        ("select $X::int", "select $1::int"),
        (r"select 'a\', $x, 'b'", r"select 'a\', $1, 'b'"),
        (r"select e'\\', $x", r"select e'\\', $1"),
        ("select 1 -- one\r, $x", "select 1 -- one\r, $1"),
        ("select /* /* */ */ $x", "select /* /* */ */ $1"),
        ("select $$a$$ || $x || $b$c$b$", "select $$a$$ || $1 || $b$c$b$"),
        ("select some'text' || $x", "select some'text' || $1"),
        ("select 1-$x", "select 1-$1"),
    ],
)
def test_values_are_numbered_in_their_order(named: str, numbered: str) -> None:
    assert positional(named, {"y": "b", "x": "a"}) == (numbered, ["a", "b"][: numbered.count("$2") + 1])


def test_a_number_may_be_the_name_of_a_value() -> None:
    assert positional("select $x, $1", {"1": "one", "x": "other"}) == ("select $1, $2", ["other", "one"])


def test_a_value_that_is_not_given_is_named() -> None:
    with pytest.raises(KeyError, match="Gone"):
        positional("select $x, $Gone", {"x": 1})


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("select 1 as a; -- done", "select 1 as a"),
        ("select 1 ; /* a; /* b */ */ ;\n\n-- c\n;", "select 1"),
        ("select ';'", "select ';'"),
        ("select '-- a;", "select '-- a;"),
        ("select $$ ; -- $$ ;", "select $$ ; -- $$"),
        ("select 1; select 2; ", "select 1; select 2"),
        ("select 1 /* not closed ;", "select 1 /* not closed ;"),
        (" -- a\n ; /* b */", ""),
        ("", ""),
    ],
)
def test_what_ends_a_statement_is_taken_off_it(text: str, without: str) -> None:
    assert without_end(text) == without


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Select 1", "select"),
        ("/* a /* b */ delete */ -- c\n ((with a as (select 1) select 1))", "with"),
        ("'select'", ""),
        ("$select", ""),
        ("", ""),
    ],
)
def test_the_first_word_is_found_behind_comments_and_parentheses(text: str, word: str) -> None:
    assert first_word(text) == word


@given(st.text(alphabet="ab1_é $'\"\\;-/*eE\n\r(", max_size=40))
def test_the_pieces_are_the_text(text: str) -> None:
    assert "".join(piece.text for piece in pieces(text)) == text
    assert text.startswith(without_end(text))
