"""The bulk path and the tolerant path read the same from every well-formed report, whatever lies beside it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.bulk.read import read_bulk
from tests.support.junit_documents import OTHERS, damaged, plain, well_formed
from tests.support.report_frames import assert_equal, is_sound, read_alone, read_together

SINGLE_EXAMPLES = 250
BATCH_EXAMPLES = 80
COUNTED_DOCUMENTS = 150
QUIETLY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
RANDOMS = st.randoms(use_true_random=False)
WITHOUT_CASES = b"<testsuites/>"


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads as a load has them."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


def is_read_in_bulk(data: bytes) -> bool:
    return read_bulk([data]).dialects[0] is not None


def suite(children: str, attributes: str = "") -> bytes:
    return f'<testsuites><testsuite name="s" {attributes}>{children}</testsuite></testsuites>'.encode()


@settings(max_examples=SINGLE_EXAMPLES, deadline=None, suppress_health_check=QUIETLY)
@given(RANDOMS, st.booleans())
def test_a_well_formed_report_reads_the_same_in_bulk_and_alone(random: Random, is_plain: bool) -> None:
    data = plain(random) if is_plain else well_formed(random)
    alone = read_alone(data)
    assert is_sound(alone)
    assert_equal(read_together([data])[0], alone)
    event(f"read in bulk: {is_read_in_bulk(data)}")


def drawn(random: Random) -> bytes:
    kind = random.randrange(6)
    if kind < 3:
        return plain(random)
    if kind < 5:
        return well_formed(random)
    if random.randrange(3):
        return damaged(random, plain(random))
    return OTHERS[random.randrange(len(OTHERS))]


@settings(max_examples=BATCH_EXAMPLES, deadline=None, suppress_health_check=QUIETLY)
@given(RANDOMS, st.integers(1, 6), st.booleans())
def test_a_report_reads_the_same_whatever_lies_beside_it(
    pool: ThreadPoolExecutor, random: Random, size: int, in_threads: bool
) -> None:
    documents = [drawn(random) for _ in range(size)]
    alone = [read_alone(data) for data in documents]
    order = list(range(size))
    for _ in range(2):
        together = read_together([documents[place] for place in order], pool if in_threads else None)
        assert len(together) == size
        for read, place in zip(together, order, strict=True):
            assert_equal(read, alone[place])
        random.shuffle(order)


def test_reports_of_the_plain_shape_are_read_in_bulk() -> None:
    in_bulk = sum(is_read_in_bulk(plain(Random(seed))) for seed in range(COUNTED_DOCUMENTS))
    assert in_bulk > COUNTED_DOCUMENTS * 2 // 3


def test_many_of_all_well_formed_reports_are_read_in_bulk() -> None:
    in_bulk = sum(is_read_in_bulk(well_formed(Random(seed))) for seed in range(COUNTED_DOCUMENTS))
    assert in_bulk > COUNTED_DOCUMENTS // 8


@pytest.mark.parametrize(
    "data",
    [
        suite('<testcase name="a" x:name="b" x:file="c" x:time="1"/>'),
        suite('<testcase x:name="b"/>'),
        suite('<testcase name="a" xmlns:file="urn:f"/>'),
        suite('<testcase name="a"><failure xmlns:message="urn:m" xsi:type="q">t</failure></testcase>'),
        suite('<testcase name="a"/>', 'x:hostname="h" skipped="0"'),
    ],
)
def test_attributes_with_a_prefix_are_not_those_without(data: bytes) -> None:
    alone = read_alone(data)
    assert alone[0]["failure_type"].to_list() == [""]
    assert_equal(read_together([data])[0], alone)


@pytest.mark.parametrize(
    "data",
    [
        suite('<testcase name="a"/><x:testcase name="b"/>'),
        suite('<testcase name="a"/><testcase name="b"><x:failure message="m"/></testcase>'),
        suite('<testcase name="b"><failure message="m"/><x:system-out>o</x:system-out></testcase>'),
        suite('<testcase name="a"/><x:error message="m"/>'),
    ],
)
def test_elements_with_a_prefix_are_those_without(data: bytes) -> None:
    assert_equal(read_together([data])[0], read_alone(data))


def test_a_stack_trace_in_a_failure_is_its_text() -> None:
    data = suite('<testcase name="a"><failure>one<stackTrace> two</stackTrace></failure></testcase>')
    ((cases, _),) = read_together([data])
    assert cases["failure_text"].to_list() == ["one two"]


def test_a_case_that_failed_by_its_status_alone_has_its_output() -> None:
    cases = (
        '<testcase name="a" status="failed"><system-out>own</system-out></testcase>'
        '<testcase name="b" status="error"/><system-err>of the suite</system-err>'
    )
    ((read, _),) = read_together([suite(cases)])
    assert read["outcome"].to_list() == [Outcome.FAILED.value, Outcome.ERRORED.value]
    assert read["output"].to_list() == ["own", "of the suite"]


def test_reports_without_a_test_case_do_not_disturb_each_other() -> None:
    for count in (1, 3):
        reads = read_together([WITHOUT_CASES] * count)
        for read in reads:
            assert_equal(read, read_alone(WITHOUT_CASES))


@pytest.mark.parametrize(
    "root",
    [
        (
            '<testsuites name="pytest tests" xsi:noNamespaceSchemaLocation="surefire.xsd">'
            '<testsuite name="s">{}</testsuite></testsuites>'
        ),
        '<testsuite name="pytest tests">{}</testsuite>',
        (
            '<testsuites name="other"><testsuite name="s"><testcase name="b"/></testsuite>'
            '<testsuite name="pytest">{}</testsuite></testsuites>'
        ),
    ],
)
def test_what_pytest_repeats_is_read_alike_whatever_else_marks_the_report(root: str) -> None:
    data = root.format('<testcase name="a"/><testcase name="a"/>').encode()
    alone = read_alone(data)
    assert "failed" in alone[0]["outcome"].to_list()
    assert_equal(read_together([data])[0], alone)
