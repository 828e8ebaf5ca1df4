"""Texts are cut before they are redacted: what a cut leaves holds no half of a secret, and nothing beyond its limit."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.normalize.identity import normalise_name, test_key
from flakeguard_pipeline.normalize.redaction import redact
from flakeguard_pipeline.parsing.text import (
    MAX_ATTRIBUTE,
    MAX_CUT_BACK,
    MAX_OUTPUT_HEAD,
    MAX_OUTPUT_TAIL,
    HeadTail,
    bounded,
    identity_text,
    output_buffer,
)

READABLE = 8
"""Characters of a secret in a row that help whoever wants to guess it."""

MARGIN = 60
"""Characters that the mark for what was left out may take."""

# put together here so that no scanner takes the fixtures for leaked keys
BODY = "Zq7wEb9YvvX3kLm5" * 3
PLANTED = {
    "password in a URL": ("postgres://u:", "Hunter2Secret8", "@h/db"),
    "long password in a URL": ("amqp://" + "u" * 100 + ":", BODY, "@mq"),
    "token in a URL": ("https://", BODY[:40], "@github.example/a"),
    "password of Oracle": ("jdbc:oracle:thin:joe/", "Hunter2Secret8", "@//db:1521/x"),
    "GitHub": ("ghp" + "_", BODY[:36], ""),
    "GitLab": ("glpat" + "-", BODY[:20], ""),
    "AWS": ("AK" + "IA", "IOSFODNN7EXAMPLE", ""),
    "Google": ("AI" + "za", BODY[:35], ""),
    "Slack": ("xoxb" + "-", "123456789012-" + BODY, ""),
    "Stripe": ("sk_" + "live_", BODY, ""),
    "npm": ("npm" + "_", BODY[:36], ""),
    "AI": ("s" + "k-ant-", BODY, ""),
    "JWT": ("", "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", ""),
    "assigned": ("password=", BODY, ""),
    "assigned in YAML": ("db_password : ", BODY, ""),
    "assigned in JSON": ('"client_secret" : "', BODY, '"'),
    "environment": ("DB_PASS=", BODY, ""),
    "option": ("--api-token ", BODY, ""),
    "command": ("curl -u joe:", BODY, ""),
    "header": ("Authorization : Bearer ", BODY, ""),
    "header in JSON": ('"Authorization": "Basic ', BODY, '"'),
    "element": ("<password>", BODY, "</password>"),
    "prose": ("passwd ", BODY, ""),
}
BESIDES = st.sampled_from(["word ", "12:30 INFO ", 'a="b" ', "line\n", "(x, y) "])


def cut_attribute(text: str) -> str:
    return bounded(text)


def cut_output(text: str) -> str:
    buffer = output_buffer()
    buffer.add(text)
    return buffer.text()


CUTS: list[tuple[Callable[[str], str], int]] = [
    (cut_attribute, MAX_ATTRIBUTE),
    (identity_text, MAX_ATTRIBUTE - 17),
    (cut_output, MAX_OUTPUT_HEAD),
    (cut_output, -MAX_OUTPUT_TAIL),
]
"""What cuts, and where; from the end of the text where it is negative."""


def around(planted: str, place: int, offset: int, filler: str) -> str:
    """Return a text much longer than any limit in which `place` falls `offset` characters into `planted`."""
    before = (filler * (30_000 // len(filler) + 1))[-30_000:]
    if place < 0:
        rest = (filler * (-place // len(filler) + 2))[: -place - (len(planted) - offset)]
        return before + planted + rest
    return before[len(before) - (place - offset) :] + planted + filler * (30_000 // len(filler))


def readable(secret: str, text: str) -> list[str]:
    parts = (secret[at : at + READABLE] for at in range(len(secret) - READABLE + 1))
    return [part for part in parts if part in text]


@settings(deadline=None, max_examples=600)
@given(st.sampled_from(sorted(PLANTED)), st.sampled_from(CUTS), BESIDES, st.data())
def test_no_cut_leaves_half_a_secret(
    kind: str, cut: tuple[Callable[[str], str], int], beside: str, data: st.DataObject
) -> None:
    before, secret, after = PLANTED[kind]
    planted = f"{before}{secret}{after} "
    offset = data.draw(st.integers(-3, len(planted) + 3))
    text = around(planted, cut[1], offset, beside)
    assert readable(secret, redact(cut[0](text))) == []


@pytest.mark.parametrize("kind", [kind for kind in PLANTED if " " not in PLANTED[kind][0]])
@pytest.mark.parametrize(("cut", "place"), CUTS)
def test_no_cut_of_a_document_without_blanks_leaves_half_a_secret(
    kind: str, cut: Callable[[str], str], place: int
) -> None:
    before, secret, after = PLANTED[kind]
    planted = f'"{before}{secret}{after}",'
    for offset in range(len(planted)):
        text = around(planted, place, offset, '{"key":"value"},')
        assert readable(secret, redact(cut(text))) == [], offset


@settings(deadline=None)
@given(st.text("ab \n\"'<>,;:=-", max_size=400), st.integers(1, 60), st.integers(1, 60), st.data())
def test_head_and_tail_keep_their_limits_and_do_not_depend_on_the_pieces(
    text: str, head: int, tail: int, data: st.DataObject
) -> None:
    whole, pieces = HeadTail(head, tail), HeadTail(head, tail)
    whole.add(text)
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 50))
        pieces.add(text[at : at + size])
        at += size
    assert pieces.text() == whole.text()
    assert len(whole.text()) <= head + tail + MARGIN
    if len(text) <= head + tail:
        assert whole.text() == text.strip()


@settings(deadline=None)
@given(st.text("ab \n\"'<>,;:\x01", max_size=400), st.integers(1, 300))
def test_a_bounded_text_is_the_beginning_of_the_text_and_keeps_its_limit(text: str, limit: int) -> None:
    kept = bounded(text, limit)
    assert len(kept) <= limit
    assert text.replace("\x01", "").startswith(kept)
    if len(text) <= limit:
        assert kept == text.replace("\x01", "")


def test_a_cut_goes_back_to_the_last_blank_that_is_near() -> None:
    assert bounded("one two three", 10) == "one two"
    assert bounded(f"one {'x' * 2 * MAX_CUT_BACK}", 2 * MAX_CUT_BACK) == f"one {'x' * (2 * MAX_CUT_BACK - 4)}"
    assert bounded('{"a":"one","b":"two"}', 17) == '{"a":"one","b":"'
    assert bounded("?a=one&b=two", 11) == "?a=one&"
    assert bounded("x" * 20, 10) == "x" * 10


def test_what_is_left_out_is_counted_to_the_character() -> None:
    kept = HeadTail(12, 24)
    kept.add("one two three four five six seven eight nine ten eleven")
    assert kept.text() == "one two\n[... 33 characters left out ...]\nnine ten eleven"


def test_a_tail_does_not_begin_with_what_was_announced_before_it() -> None:
    for announced in ("Authorization: Bearer abc", "--password abc", "password = abc", '"token": "abc"'):
        for at in range(len(announced)):
            kept = HeadTail(4, len(announced) - at + 40)
            kept.add(
                f"head{'-' * 100}{announced} and here follows what is told in the end"[: 104 + len(announced) + 40]
            )
            assert "abc" not in redact(kept.text()), (announced, at)


@pytest.mark.parametrize("name", ["n" * 20_000, "test adds [" + "1, " * 8_000, "a/b-c." * 4_000])
def test_long_names_that_differ_beyond_the_limit_are_two_tests(name: str) -> None:
    names = [identity_text(f"{name}{end}") for end in ("a", "b")]
    assert all(len(each) <= MAX_ATTRIBUTE for each in names)
    keys = {test_key("acme", "github:7", "s", "a.B", redact(each), "") for each in names}
    assert len(keys) == 2
    # nothing in the mark differs from run to run, so no name is called unstable
    assert [normalise_name(each) for each in names] == names


@given(st.integers())
def test_the_mark_of_a_cut_name_is_no_id(number: int) -> None:
    kept = identity_text(f"{'n ' * MAX_ATTRIBUTE}{number}")
    assert normalise_name(kept) == kept


@pytest.mark.parametrize("piece", ["x", " ", '"', "password: ", "a\n", ",", "<a "])
def test_cutting_is_linear(piece: str) -> None:
    text = piece * (4_000_000 // len(piece))
    start = time.perf_counter()
    bounded(text, 2_000_000)
    kept = HeadTail(1_000_000, 1_000_000)
    kept.add(text)
    kept.text()
    assert time.perf_counter() - start < 10
