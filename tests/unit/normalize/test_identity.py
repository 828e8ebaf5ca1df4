"""One test is one test over time: what is the same, what stays different, and what configurations may say."""

import datetime as dt
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.domain.model import ReportContext
from flakeguard_pipeline.normalize import identity
from flakeguard_pipeline.normalize.frames import executions_frame
from flakeguard_pipeline.normalize.identity import (
    DEFAULT_RULES,
    ExtraRule,
    IdentityRules,
    normalise_classname,
    normalise_file,
    normalise_name,
    normalise_suite,
)
from flakeguard_pipeline.normalize.identity_rules import (
    BUILT_IN_RULES,
    FIELDS,
    HINTS,
    RULE_IDS,
    Field,
    IdentityRule,
)
from flakeguard_pipeline.parsing.cases import case_frame
from flakeguard_pipeline.parsing.elements import Execution
from flakeguard_pipeline.settings import Settings, load_settings

NORMALISE = {
    "name": normalise_name,
    "classname": normalise_classname,
    "suite": normalise_suite,
    "file": normalise_file,
}
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "identity.md"

# -- the same test, seen twice -------------------------------------------------------------------------------

SAME_NAMES = [
    # pytest
    ("test_upload[9b2f1c1e-1111-4222-8333-0123456789ab]", "test_upload[0C1DBEEF-aaaa-4bbb-9ccc-ba9876543210]"),
    ("test_repr[<Foo object at 0x7f3c5a1b2d10>]", "test_repr[<Foo object at 0x7f9e00aa0150>]"),
    ("test_call[<function f at 0x10a2b3c40>]", "test_call[<function f at 0x10ffb1040>]"),
    (
        "test_bound[<bound method A.b of <a.A object at 0x000001F2A3B4C5D6>>]",
        "test_bound[<bound method A.b of <a.A object at 0x000002A0B1C2D3E4>>]",
    ),
    ("test_mock[<Mock name='db' id='140234567890123'>]", "test_mock[<Mock name='db' id='139876543210987'>]"),
    (
        "test_read[/tmp/pytest-of-jenkins/pytest-12/test_read0/a.csv]",
        "test_read[/tmp/pytest-of-runner/pytest-3/popen-gw7/test_read0/a.csv]",
    ),
    ("test_open[/tmp/tmpab12cd_x/config.yml]", "test_open[/tmp/tmpzz99yyxx/config.yml]"),
    (
        "test_open[/private/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/tmpq8w9e0r1]",
        "test_open[/var/folders/9f/abcdefghijklmnopqrst1234567890/T/tmpa1b2c3d4]",
    ),
    ("test_day[2026-10-16-utc]", "test_day[2026-10-17-utc]"),
    ("test_now[2026-10-16T10:15:30.123456+00:00]", "test_now[2026-11-02T23:59:01.000001+00:00]"),
    ("test_fault[/src/foo.py:123]", "test_fault[/src/foo.py:131]"),
    ('test_trace[File "foo.py", line 12]', 'test_trace[File "foo.py", line 120]'),
    ("test_get[http://127.0.0.1:54321/x]", "test_get[http://127.0.0.1:40001/x]"),
    ("test_digest[4bf92f3577b34da6a3ce929d0e0e4736]", "test_digest[00f067aa0ba902b700f067aa0ba902b7]"),
    # JUnit 5 and Surefire
    ("repetition 3 of 10", "repetition 10 of 10"),
    ("[1] com.acme.Foo@1b2c3d4", "[1] com.acme.Foo@7a81197d"),
    ("[2] [Ljava.lang.String;@6d06d69c", "[2] [Ljava.lang.String;@4fca772d"),
    ("[3] com.acme.A$$Lambda$14/0x0000000800066840@3f99bd52", "[3] com.acme.A$$Lambda$201/0x0000000840121c40@1a2b3c4d"),
    ("[3] com.acme.A$$Lambda/0x00007f0001234567@3f99bd52", "[3] com.acme.A$$Lambda/0x00007f9abcdef012@1a2b3c4d"),
    ("[4] Service$$EnhancerBySpringCGLIB$$1a2b3c4d", "[4] Service$$EnhancerBySpringCGLIB$$ffee0011"),
    ("[5] Mock for Dao, Dao$MockitoMock$123456", "[5] Mock for Dao, Dao$MockitoMock$98765432"),
    ("[6] com.sun.proxy.$Proxy12", "[6] com.sun.proxy.$Proxy143"),
    ("copies(Path)[/tmp/junit1234567890123456789/a.txt]", "copies(Path)[/tmp/junit-987654321098765432/a.txt]"),
    ("fails at (Foo.java:45)", "fails at (Foo.java:46)"),
    ("[7] Fri Oct 16 10:15:30 UTC 2026", "[7] Sat Oct 17 11:16:31 CEST 2026"),
    ("[8] 2026-10-16T10:15:30.123456789Z", "[8] 2026-10-17T09:08:07.5Z"),
    ("[9] /tmp/upload1234567890123456789.tmp", "[9] /tmp/upload9876543210987654321.tmp"),
    # Jest, Mocha, Playwright, Cypress
    (
        "saves Fri Oct 16 2026 10:15:30 GMT+0000 (Coordinated Universal Time)",
        "saves Sat Oct 17 2026 12:15:30 GMT+0200 (Central European Summer Time)",
    ),
    ("creates order-1697452800123", "creates order-1760609730456"),
    ("writes /tmp/app-a1B2c3/out.json", "writes /tmp/app-Zy9X8w/out.json"),
    ("GET http://localhost:49153/users returns 200", "GET http://localhost:61007/users returns 200"),
    ("user 01ARZ3NDEKTSV4RRFFQ69G5FAV logs in", "user 01BX5ZZKBKACTAV9WEVGEMMVRZ logs in"),
    ("room 9m4e2mr0ui3e8a215n4g is left", "room 0k1j2h3g4f5d6s7a8p9o is left"),
    ("throws at src/app.ts:10:5", "throws at src/app.ts:88:17"),
    # Go
    ("TestDump/0xc000010200", "TestDump/0xc0004a8000"),
    ("TestOpen//tmp/TestOpen1234567890/001/db", "TestOpen//tmp/TestOpen987654321/001/db"),
    # PHPUnit, RSpec, NUnit, xUnit, GoogleTest, Robot
    ("testSave with data set #0 ('2026-10-16 10:15:30')", "testSave with data set #0 ('2026-11-17 07:08:09')"),
    ("shows #<User:0x000055d0c8a1b2c0>", "shows #<User:0x00007fa1b2c3d4e5>"),
    (
        r'Reads("C:\Users\ci1\AppData\Local\Temp\tmpab12cd34\a")',
        r'Reads("C:\Users\ci2\AppData\Local\Temp\tmpzz12cd34\a")',
    ),
    ("Parses(id: 6f9619ff-8b86-d011-b42d-00c04fc964ff)", "Parses(id: 00112233-4455-6677-8899-aabbccddeeff)"),
    ("Backends/StoreTest.Writes/0x7ffd1a2b3c40", "Backends/StoreTest.Writes/0x7ffe99887766"),
    ("Backup 20261016-101530 Is Kept", "Backup 20261017-235901 Is Kept"),
    ("Log 2026-10-16_10-15-30 Is Shown", "Log 2026-10-17_23-59-01 Is Shown"),
    ("Waits until epoch=1697452800", "Waits until epoch=1760609730"),
    ("Builds in /build/tmp.Ab12Cd/x", "Builds in /build/tmp.Zz99Qq/x"),
]
SAME_GROUPS: list[tuple[Field, str, str]] = [
    # Karma, Web Test Runner, Playwright, Cypress
    ("classname", "HeadlessChrome 119.0.6045 (Linux x86_64).Suite", "HeadlessChrome 121.0.6167 (Linux x86_64).Suite"),
    ("classname", "Chrome_Headless_119_0_0_0_(Linux_x86_64).Suite", "Chrome_Headless_120_0_0_0_(Linux_x86_64).Suite"),
    ("classname", "Firefox 115.0 (Ubuntu 0.0.0).Cart", "Firefox 128.0 (Ubuntu 24.4).Cart"),
    ("suite", "Chrome 120.0.0.0 (Mac OS 10.15.7)", "Chrome 121.0.1.2 (Mac OS 14.1)"),
    ("suite", "Firefox 115.0 (Linux)", "Firefox 116.0.3 (Linux)"),
    ("suite", "Electron 118.0.5993", "Electron 119.1.2"),
    ("suite", "e2e shard 1/4", "e2e shard 4/4"),
    ("suite", "e2e [shard 2 of 8]", "e2e [shard 7 of 8]"),
    ("suite", "e2e (1/4)", "e2e (3/4)"),
    ("suite", "e2e-shard-3", "e2e"),
    ("classname", "api tests-shard-3", "api tests-shard-4"),
    ("suite", "TestAcme-20251114214921", "TestAcme-20261016010203"),
    ("suite", "Nightly 2026-10-16 02:15", "Nightly 2026-10-17 02:16"),
    ("suite", "nightly_20261016", "nightly_20261017"),
    ("suite", "Regression run #1234", "Regression run #1235"),
    ("suite", "Regression - build 77", "Regression - build 78"),
    ("suite", "smoke host=ip-10-0-0-12", "smoke host=fv-az123.internal"),
    ("suite", "crate::bin@stress-0", "crate::bin@stress-1"),
    ("classname", "Dao$MockitoMock$123456", "Dao$MockitoMock$654321"),
    ("file", "./spec/a_spec.rb", "spec/a_spec.rb"),
    ("file", r"tests\unit\test_a.py", "tests/unit/test_a.py"),
    ("file", "/home/runner/work/acme/acme/tests/a.py", r"D:\a\acme\acme\tests\a.py"),
    ("file", "/builds/group/repo/tests/a.py", "/github/workspace/tests/a.py"),
    ("file", "/home/circleci/project/tests/a.py:12", "tests/a.py:40:3"),
    ("file", "/var/lib/jenkins/workspace/acme@2/tests/a.py", "/home/vsts/work/1/s/tests/a.py"),
    ("file", "file:///__w/acme/acme/tests/a.py", "tests/a.py"),
    ("file", "/tmp/tmpab12cd34/tests/a.py", "/private/tmp/tmpzz12cd34/tests/a.py"),
]


@pytest.mark.parametrize(("one", "other"), SAME_NAMES)
def test_what_differs_from_run_to_run_makes_no_other_test(one: str, other: str) -> None:
    assert normalise_name(one) == normalise_name(other)
    assert one != other


@pytest.mark.parametrize(("part", "one", "other"), SAME_GROUPS)
def test_suites_classes_and_files_stay_what_they_are(part: Field, one: str, other: str) -> None:
    assert NORMALISE[part](one) == NORMALISE[part](other)
    assert one != other


# -- tests that only look alike ------------------------------------------------------------------------------

DIFFERENT_NAMES = [
    # pytest
    ("test_add[1-2]", "test_add[3-4]"),
    ("test_x[obj0]", "test_x[obj1]"),
    ("test_x[param0]", "test_x[param1]"),
    ("test_x[0x1f]", "test_x[0x2f]"),
    ("test_x[0xdeadbeef]", "test_x[0xcafebabe]"),
    ("test_x[0xff00ff]", "test_x[0x00ff00]"),
    ("test_mask[0xffffffffffff]", "test_mask[0x000000000000]"),
    ("test_u64[0x7fffffffffffffff]", "test_u64[0x8000000000000000]"),
    ("test_http_404", "test_http_500"),
    ("test_on[python3.11]", "test_on[python3.12]"),
    ("test_year[2024]", "test_year[2025]"),
    ("test_ids[user-12345678]", "test_ids[user-12345679]"),
    ("test_time[2020-02-20T00:00:00]", "test_time[2020-02-21T00:00:00]"),
    ("test_leap[2024-02-29]", "test_leap[2023-02-29]"),
    ("test_day[2024-02-30]", "test_day[2024-04-31]"),
    ("test_old[1970-01-01]", "test_old[1999-12-31]"),
    ("test_compact[20240101]", "test_compact[20240102]"),
    ("test_path[/tmp]", "test_path[/var/tmp]"),
    ("test_path[/tmp/data.csv]", "test_path[/tmp/other.csv]"),
    ("test_sha[abc1234]", "test_sha[def5678]"),
    ("test_hash[sha256]", "test_hash[sha512]"),
    ("test_digits[0123456789012345]", "test_digits[9876543210987654]"),
    ("test_alphabet[0123456789abcdef]", "test_alphabet[abcdef]"),
    ("test_port[localhost:8080]", "test_port[localhost:9090]"),
    ("test_port[127.0.0.1:27017]", "test_port[127.0.0.1:15672]"),
    ("test_range[1.7976931348623157e+308]", "test_range[9007199254740991]"),
    # JUnit 5, NUnit, xUnit
    ("[1] 2, 3", "[2] 2, 3"),
    ("adds(int, int)[1]", "adds(int, int)[2]"),
    ("sends to a@facade", "sends to a@decade"),
    ("sends to bob@123456.example", "sends to bob@654321.example"),
    ("Adds(a: 1, b: 2)", "Adds(a: 1, b: 3)"),
    ("shows line 12", "shows line 13"),
    ("takes 10:15", "takes 10:30"),
    ("ratio 1/4", "ratio 3/4"),
    ("handles shard 1/4", "handles shard 2/4"),
    ("issue #1234", "issue #1235"),
    # Jest, Playwright, Cypress
    (
        "fails for: 2020-02-21T00:00:00.000Z and 2020-02-20T00:00:00.000Z",
        "fails for: 2020-02-20T00:00:00.000Z and 2020-02-20T00:00:00.000Z",
    ),
    ("expect(getObjectSubset(2015-11-30T00:00:00.000Z))", "expect(getObjectSubset(2016-12-30T00:00:00.000Z))"),
    ("supports Chrome 119.0", "supports Chrome 120.0"),
    ("number of lines: 1", "number of lines: 2"),
    ("has class c1a2b3", "has class c4d5e6"),
    ("returns 1400000000", "returns 1500000000"),
    # Go, Rust, RSpec, Cucumber
    ("TestSub#01", "TestSub#02"),
    ("BenchmarkFanout/Channel/1000", "BenchmarkFanout/Channel/10000"),
    ("TestParse/61.123", "TestParse/0.0013"),
    ("src/lib.rs - add (line 5)", "src/lib.rs - add (line 25)"),
    ("example at ./spec/a_spec.rb:12", "example at ./spec/a_spec.rb:15"),
    ("features/login.feature:12", "features/login.feature:15"),
    # PHPUnit, GoogleTest, Robot
    ("testAdd with data set #0", "testAdd with data set #1"),
    ('testAdd with data set "one"', 'testAdd with data set "two"'),
    ("Sizes/StoreTest.Writes/0", "Sizes/StoreTest.Writes/1"),
    ("TC-0045 Multi User", "TC-0046 Multi User"),
    ("version 1.2.3.4", "version 1.2.3.5"),
    ("connects to 10.0.0.1:5000", "connects to 10.0.0.2:5000"),
    ("x86sse42avx512", "x86sse42avx2"),
]
DIFFERENT_GROUPS: list[tuple[Field, str, str]] = [
    ("classname", "org.acme.Foo1Test", "org.acme.Foo2Test"),
    ("classname", "org.acme.V2Shard3Test", "org.acme.V2Shard4Test"),
    ("classname", "Firefox 115.0 (Linux).Cart", "Chrome 115.0 (Linux).Cart"),
    ("classname", "p2.S0.SomeLongTestName_100", "p2.S0.SomeLongTestName_101"),
    ("classname", "options 7980", "options 7981"),
    ("classname", "python3.11", "python3.12"),
    ("classname", "Fractions (1/2)", "Fractions (1/4)"),
    ("suite", "ABC-0045: Multi-User Chat", "ABC-0199: XMPP Ping"),
    ("suite", "hadoop-3.3.4", "hadoop-3.3.5"),
    ("suite", "sharding", "shards"),
    ("suite", "Chrome (Mac OS)", "Chrome (Windows)"),
    ("suite", "spec runner 1", "spec runner 2"),
    ("file", "/app/tests/a.py", "/srv/tests/a.py"),
    ("file", "tests/a/a.py", "a.py"),
    ("file", "/home/runner/work/acme/other/a.py", "/home/runner/work/acme/acme/a.py"),
    ("file", "migrations/2024-01-01-a.sql", "migrations/2024-01-02-a.sql"),
    ("file", ".github/a.py", "github/a.py"),
    ("file", "../a.py", "a.py"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT_NAMES)
def test_tests_that_only_look_alike_stay_apart(one: str, other: str) -> None:
    assert normalise_name(one) != normalise_name(other)


@pytest.mark.parametrize(("part", "one", "other"), DIFFERENT_GROUPS)
def test_suites_classes_and_files_that_only_look_alike_stay_apart(part: Field, one: str, other: str) -> None:
    assert NORMALISE[part](one) != NORMALISE[part](other)


@pytest.mark.parametrize("name", sorted({name for pair in DIFFERENT_NAMES for name in pair}))
def test_a_name_that_is_a_constant_is_kept_whole(name: str) -> None:
    assert normalise_name(name) == name


def test_what_stands_in_a_temporary_folder_tells_tests_apart() -> None:
    assert normalise_name("t[/tmp/tmpab12cd_x/a.yml]") != normalise_name("t[/tmp/tmpab12cd_x/b.yml]")


# -- the key -------------------------------------------------------------------------------------------------


def test_the_key_of_a_test_that_no_rule_touches_is_the_digest_of_its_words() -> None:
    key = identity.test_key("o", "1", "s", "org.acme.C", "n[1]", "f.py")
    assert key == stable_id(("test", "o", "1", "", "org.acme.C", "n[1]"))
    assert identity.test_key("o", "1", "s", "C", "n", "f.py") == stable_id(("test", "o", "1", "f.py", "C", "n"))
    assert identity.test_key("o", "1", "s", "C", "n", "") == stable_id(("test", "o", "1", "s", "C", "n"))


def test_each_word_of_the_key_is_normalised() -> None:
    browsers = {
        identity.test_key("o", "1", f"Chrome {v}.0 (Linux)", f"Chrome {v}.0 (Linux).Cart", "n", "") for v in (1, 2)
    }
    suites = {identity.test_key("o", "1", f"e2e shard {n}/4", "Cart", "n", "") for n in (1, 2)}
    files = {identity.test_key("o", "1", "", "Cart", "n", f) for f in (r"D:\a\x\x\t.js", "/builds/g/x/t.js", "./t.js")}
    assert [len(keys) for keys in (browsers, suites, files)] == [1, 1, 1]
    raw = identity.test_key("o", "1", "", "C", "a 2026-10-16", "", IdentityRules(frozenset({"date"})))
    assert raw == stable_id(("test", "o", "1", "", "C", "a 2026-10-16"))


# -- whatever the text ---------------------------------------------------------------------------------------

PIECES = [
    "0x7f3c5a1b2d10", "0x", "9b2f1c1e-1111-4222-8333-0123456789ab", "9b2f1c1e-1111", "2026-10-16", "T", "10:15:30",
    "Z", "20261016", "101530", "/tmp", "/tmpab12cd34", "/var/folders/", "C:\\Users\\x\\AppData\\Local\\Temp", "\\",
    "/", "./", "junit1234567890", "1697452800123", ".123", "4bf92f3577b34da6", "@6d06d69c", "$$Lambda", "$14",
    "$MockitoMock$", ".py", ":12", "line 3", "localhost", ":54321", "repetition 1 of 2", "@stress-1", "Chrome ",
    "120.0.0 ", "(Linux)", " shard 1/4", "(1/4)", "run 7", "host=a", "/builds/a/b/", "/home/runner/work/a/a/",
    "file://", " at ", " ", "-", "_", ".", "<", ">", "9", "f", "Fri Oct 16 10:15:30 2026",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV", "9m4e2mr0ui3e8a215n4g", " id='140234567890123'",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(FIELDS), TEXTS)
def test_normalising_twice_changes_nothing(part: Field, text: str) -> None:
    once = NORMALISE[part](text)
    assert NORMALISE[part](once) == once


@settings(deadline=None, max_examples=60)
@given(st.data())
@pytest.mark.parametrize("rule", BUILT_IN_RULES, ids=lambda rule: rule.id)
def test_the_quick_look_misses_nothing_that_a_rule_would_match(rule: IdentityRule, data: st.DataObject) -> None:
    # \1 and look-behinds are beyond from_regex's reach; texts that it draws at random are checked all the same
    text = data.draw(TEXTS | st.from_regex(rule.pattern).filter(lambda text: len(text) < 400))
    if rule.pattern.search(text):
        for part in rule.applies_to:
            assert HINTS[part].search(text), text


SURROUNDINGS = st.text(max_size=12)
FIRST, LAST = dt.datetime.fromisoformat("2014-05-14"), dt.datetime.fromisoformat("2033-05-18")
MOMENTS = st.datetimes(FIRST, LAST).filter(lambda moment: (moment.hour, moment.minute, moment.second) != (0, 0, 0))
DAYS = st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)).filter(lambda day: (day.month, day.day) != (2, 29))
LOWER = "abcdefghijklmnopqrstuvwxyz0123456789_"
RANDOM_WORDS: dict[str, st.SearchStrategy[str]] = {
    "uuid": st.uuids().map(str),
    "upper-case uuid": st.uuids().map(lambda value: str(value).upper()),
    "address": st.integers(0x550000000000, 0x7FFFFFFFFFF0).filter(lambda n: len(set(f"{n:x}")) > 1).map(hex),
    "Java hash": st.integers(0x100000, 0x7FFFFFFF)
    .map(lambda n: f"Foo@{n:x}")
    .filter(lambda s: any(map(str.isdigit, s))),
    "day": DAYS.map(dt.date.isoformat),
    "moment": MOMENTS.map(lambda moment: moment.isoformat()),
    "moment in UTC": MOMENTS.map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%SZ")),
    "moment of a file": MOMENTS.map(lambda moment: moment.strftime("%Y%m%d-%H%M%S")),
    "moment of C": MOMENTS.map(dt.datetime.ctime),
    "epoch": st.integers(1_400_000_000_000, 1_999_999_999_999).map(str),
    "tempfile": st.text(LOWER, min_size=8, max_size=8).map(lambda s: f"/tmp/tmp{s}"),
    "pytest's folder": st.integers(0, 999).map(lambda n: f"/tmp/pytest-of-ci/pytest-{n}/test_a0"),
    "macOS's folder": st.text(LOWER, min_size=30, max_size=30).map(lambda s: f"/var/folders/{s[:2]}/{s}/T/a"),
    "JUnit's folder": st.integers(10**17, 10**19).map(lambda n: f"/tmp/junit{n}"),
    "line": st.integers(1, 99_999).map(lambda n: f"foo.py:{n}"),
    "port": st.integers(32_768, 65_535).map(lambda n: f"localhost:{n}"),
}


@pytest.mark.parametrize("kind", list(RANDOM_WORDS))
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_random_word_at_the_same_place_of_any_name_gives_the_same_name(kind: str, data: st.DataObject) -> None:
    before, after = data.draw(SURROUNDINGS), data.draw(SURROUNDINGS)
    one, other = data.draw(RANDOM_WORDS[kind]), data.draw(RANDOM_WORDS[kind])
    # a word is one where it ends: what goes on with a letter or digit is another, longer word
    assume(not re.search(r"[A-Za-z0-9_.:,@/\\+-]\Z", before) and not re.match(r"[A-Za-z0-9_.:,@/\\+ -]", after))
    assert normalise_name(f"{before}{one}{after}") == normalise_name(f"{before}{other}{after}")


@given(st.text(st.characters(exclude_characters="-0123456789xX@$:/\\=", exclude_categories=["Nd"])))
def test_a_text_without_a_sign_of_change_is_kept_but_for_white_space(text: str) -> None:
    assert normalise_name(text) == " ".join(text.split())
    assert normalise_classname(text) == text
    assert normalise_suite(text) == text


ADVERSE = [
    "a",
    "0",
    "f0",
    "0x",
    "-",
    "2026-10-16",
    "/",
    "/tmp",
    "/tmp/",
    "\\",
    "./",
    "$$Lambda$",
    "@",
    "Foo@1b2c3d",
    " ",
    ".py:",
]
ADVERSE += [
    "/a",
    "a1",
    "localhost:",
    "line ",
    "[shard 1",
    " shard-1",
    "Chrome_1.",
    "Chrome 1.1 (",
    "/tmp/a-",
    "(1/",
    "host=a.",
]
ADVERSE += ["0000-", "20", "1697452800", "/builds/a", "Fri Oct 16 ", "junit1", "_work/", "/tmp/pytest-of-a/"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ADVERSE)
@pytest.mark.parametrize("part", FIELDS)
def test_a_hostile_text_is_read_in_time_and_to_the_end(part: Field, piece: str) -> None:
    text = piece * (20_000 // len(piece))
    for hostile in (text, f"/{text}!", f"{text}\n9"):
        assert NORMALISE[part](f"{hostile} kept").endswith("kept")


# -- configured rules ----------------------------------------------------------------------------------------


def extra(pattern: str, replacement: str = "<x>", *fields: Field) -> IdentityRules:
    return IdentityRules(extra=(ExtraRule(fields or ("name",), pattern, replacement),))


def test_a_rule_can_be_disabled() -> None:
    rules = IdentityRules(frozenset({"date"}))
    assert normalise_name("a 2026-10-16 9b2f1c1e-1111-4222-8333-0123456789ab", rules) == "a 2026-10-16 <uuid>"


def test_every_rule_can_be_disabled() -> None:
    rules = IdentityRules(RULE_IDS)
    for part, one, other in SAME_GROUPS:
        assert NORMALISE[part](one, rules) == one
        assert NORMALISE[part](other, rules) == other


def test_configured_rules_come_first_in_their_order_and_only_for_their_fields() -> None:
    rules = IdentityRules(
        extra=(ExtraRule(("name", "suite"), r"order-\d+", "<order>"), ExtraRule(("name",), r"<order>-\w+", "<item>"))
    )
    assert normalise_name("buys order-17-b at 2026-10-16", rules) == "buys <item> at <date>"
    assert normalise_suite("order-17-b", rules) == "<order>-b"
    assert normalise_classname("order-17-b", rules) == "order-17-b"
    assert normalise_file("order-17-b", rules) == "order-17-b"


def test_a_configured_rule_sees_the_front_of_a_name_only() -> None:
    name = "a" * identity.MAX_EXTRA_TEXT + "b"
    assert normalise_name(name, extra("b")) == name
    assert normalise_name(name[1:], extra("b")) == name[1:-1] + "<x>"


def test_a_match_of_nothing_changes_nothing() -> None:
    assert normalise_name("aab", extra("(?<=a)c*", "<x>")) == "aab"


@settings(deadline=None)
@given(TEXTS)
def test_configured_rules_leave_normalising_idempotent(text: str) -> None:
    rules = IdentityRules(extra=(ExtraRule(FIELDS, r"[0-9]+", "<n>"), ExtraRule(FIELDS, r"^\s*x+", "")))
    for part in FIELDS:
        once = NORMALISE[part](text, rules)
        assert NORMALISE[part](once, rules) == once


@pytest.mark.parametrize(
    ("pattern", "replacement", "says"),
    [
        ("(", "", "'(' is no regular expression: "),
        ("a*", "<x>", "matches where there is nothing"),
        ("(a+)+b", "<x>", "can match in several ways"),
        ("(?:a|ab)*c", "<x>", "can match in several ways"),
        ("((a?b){2}c){3}", "<x>", "can match in several ways"),
        ("(?:(?:a+)b)*c", "<x>", "can match in several ways"),
        ("a" * (identity.MAX_PATTERN + 1), "<x>", "the pattern has 501 characters, 500 are allowed"),
        ("a", "b" * (identity.MAX_REPLACEMENT + 1), "the replacement has 101 characters, 100 are allowed"),
        ("(a)b", r"\1", "is literal text and refers to no group"),
        ("a", "ab", "the replacement 'ab' would be replaced again in a name"),
        ("a", "2026-10-16", "the replacement '2026-10-16' would be replaced again in a name"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(pattern: str, replacement: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        extra(pattern, replacement)
    assert str(raised.value).startswith("rules.0: ")
    assert says in str(raised.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:[a-z]+-)++x",
        r"(?:\d++\.)+x",
        "(?:ab)+",
        "[+*(]+a",
        r"\(a+\)+",
        "(?P<a>b)+c",
        "(?:a{3})*b",
        "a+b+",
        "(?<=a)b",
    ],
)
def test_a_rule_that_reads_in_good_time_is_taken(pattern: str) -> None:
    assert extra(pattern).extra[0].pattern == pattern


def test_unknown_rules_and_fields_and_too_many_rules_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="disable: no rule is called 'dates'"):
        IdentityRules(frozenset({"dates", "date"}))
    with pytest.raises(
        ConfigurationError, match=r"rules\.0: fields must be some of name, classname, suite, file, not 'x'"
    ):
        IdentityRules(extra=(ExtraRule(("x",), "a", ""),))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"rules\.0: fields must be some of name, classname, suite, file$"):
        IdentityRules(extra=(ExtraRule((), "a", ""),))
    with pytest.raises(ConfigurationError, match="101 rules are more than 100"):
        IdentityRules(extra=(ExtraRule(("name",), "a", ""),) * (identity.MAX_EXTRA_RULES + 1))


def test_rules_are_values() -> None:
    assert IdentityRules() == DEFAULT_RULES
    assert hash(extra("a")) == hash(extra("a"))
    assert len({DEFAULT_RULES, extra("a"), extra("b"), IdentityRules(frozenset({"date"}))}) == 4
    assert extra("a").digest_parts() == extra("a").digest_parts() != extra("b").digest_parts()
    assert normalise_name("a", pickle.loads(pickle.dumps(extra("a")))) == "<x>"


# -- in the configuration file -------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "flakeguard.yml"


def loaded(config: Path, text: str) -> Settings:
    config.write_text(text)
    return load_settings(config, environment={})


IDENTITY = """
identity:
  disable: [date]
  rules: [{pattern: 'order-\\d+', replacement: <order>}]
  repositories:
    Acme/Shop:
      disable: [port]
      rules: [{fields: [suite, classname], pattern: 'worker \\d+', replacement: worker}]
"""


def test_a_repository_adds_to_what_the_organisation_says(config: Path) -> None:
    settings = loaded(config, IDENTITY)
    others, shop = settings.identity_for("acme/other"), settings.identity_for("acme/shop")
    assert others.disabled == {"date"}
    assert shop.disabled == {"date", "port"}
    assert [rule.pattern for rule in shop.extra] == [r"order-\d+", r"worker \d+"]
    assert shop == settings.identity_for("ACME/shop")
    assert normalise_suite("worker 7", shop) == "worker"
    assert normalise_suite("worker 7", others) == "worker 7"
    assert loaded(config, "").identity_for("acme/shop") == DEFAULT_RULES


@pytest.mark.parametrize(
    "text",
    [
        "identity: {disable: [date]}\n",
        "identity: {rules: [{pattern: a, replacement: <b>}]}\n",
        "identity: {rules: [{fields: [suite], pattern: a, replacement: <b>}]}\n",
        "identity: {repositories: {a/b: {disable: [date]}}}\n",
        "identity: {repositories: {a/c: {disable: [date]}}}\n",
        IDENTITY,
    ],
)
def test_other_rules_mean_loading_again(config: Path, text: str) -> None:
    digest = loaded(config, text).loading_digest
    assert digest != loaded(config, "").loading_digest
    assert digest == loaded(config, text).loading_digest


IDENTITY_OF_TWO = """
identity:
  rules: [{pattern: q, replacement: b}]
  repositories: {o/n: {rules: [{pattern: b, replacement: c}]}}
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("identity: {disable: [dates]}\n", "flakeguard.yml:1:21: identity.disable: no rule is called 'dates'"),
        (
            "identity: {rules: [{pattern: '(', replacement: a}]}\n",
            "flakeguard.yml:1:20: identity.rules[0]: '(' is no regular",
        ),
        (
            "identity: {repositories: {owner/name: {rules: [{pattern: '(', replacement: a}]}}}\n",
            "flakeguard.yml:1:48: identity.repositories.owner/name.rules[0]: '(' is no regular expression: ",
        ),
        (
            IDENTITY_OF_TWO,
            "flakeguard.yml:4:31: identity.repositories.o/n.rules: the replacement 'b' would be replaced again",
        ),
        ("identity: {repositories: {name: {}}}\n", "identity.repositories.name: is no full name of a repository"),
        ("identity: {repositories: {a/b: {}, A/b: {}}}\n", "identity.repositories.A/b: is there twice"),
        ("identity: {rules: [{pattern: a}]}\n", "flakeguard.yml:1:20: identity.rules[0].replacement: is missing"),
        (
            "identity: {rules: [{field: name, pattern: a, replacement: b}]}\n",
            "flakeguard.yml:1:21: identity.rules[0].field: is no known key, did you mean `fields`?",
        ),
        (
            "identity: {rules: [{fields: [x], pattern: a, replacement: b}]}\n",
            "flakeguard.yml:1:30: identity.rules[0].fields[0]: input should be",
        ),
    ],
)
def test_a_wrong_section_is_told_with_its_place(config: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        loaded(config, text)
    assert says in str(raised.value)


# -- the page that explains it -------------------------------------------------------------------------------


def documented() -> list[list[str]]:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| ([a-z, ]+) \| ([^|]+) \| `` (.+?) `` \| `` (.*?) `` \|$",
        PAGE.read_text("utf-8"),
        re.MULTILINE,
    )
    return [list(row) for row in rows]


def test_the_page_lists_every_rule_in_order_with_its_fields_and_reason() -> None:
    assert [row[:3] for row in documented()] == [
        [rule.id, ", ".join(rule.applies_to), rule.why] for rule in BUILT_IN_RULES
    ]


@pytest.mark.parametrize("rule", BUILT_IN_RULES, ids=lambda rule: rule.id)
def test_every_example_of_the_page_holds_and_is_the_rule_s_own(rule: IdentityRule) -> None:
    ((before, after),) = [row[3:] for row in documented() if row[0] == rule.id]
    for part in rule.applies_to:
        assert NORMALISE[part](before) == after.strip()
        assert NORMALISE[part](before, IdentityRules(frozenset({rule.id}))) != after.strip()


def test_every_example_of_parameters_holds() -> None:
    context = ReportContext("acme", "github", "7", "1", 1, "a", "r", "", "", dt.datetime(2026, 3, 2, tzinfo=dt.UTC))
    (table,) = re.findall(
        r"^\| in one report \| becomes \|\n\|[ -|]+\n((?:\|.*\n)+)", PAGE.read_text("utf-8"), re.MULTILINE
    )
    rows = [line.strip("|").split("|") for line in table.splitlines()]
    assert len(rows) > 3
    for reported, becomes in rows:
        names = re.findall(r"`([^`]+)`", reported) * (2 if "twice" in reported else 1)
        cases = case_frame([Execution(suite="s", classname="a.B", name=name) for name in names], 0)
        executions = executions_frame(cases, [context])
        assert executions["name"].unique(maintain_order=True).to_list() == re.findall(r"`([^`]+)`", becomes)


def test_the_example_configuration_of_the_page_does_what_it_says(config: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    shop = loaded(config, example).identity_for("acme/shop")
    assert normalise_classname("HeadlessChrome 119.0.6045 (Linux x86_64).Cart", shop) == "Cart"
    assert normalise_suite("Firefox 115.0 (Linux)", shop) == ""
    assert normalise_name("tenant blue-17 on 2026-10-16", shop) == "tenant <tenant> on 2026-10-16"
