"""Stacks of six languages: equal for one failure on two machines, different where it broke elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.normalize.signatures import failure_signature
from flakeguard_pipeline.normalize.stacks import LANGUAGES, MAX_FRAMES, MAX_LINE, MAX_LINES, stack_of

JAVA = """java.lang.IllegalStateException: order 12 is closed
\tat java.base/java.util.Objects.requireNonNull(Objects.java:233)
\tat app//com.acme.shop.Orders.close(Orders.java:41)
\tat com.acme.shop.Orders.lambda$close$3(Orders.java:57)
\tat com.acme.shop.Orders$$Lambda$120/0x00000008400f2c40.run(Unknown Source)
\tat jdk.proxy2/jdk.proxy2.$Proxy42.close(Unknown Source)
\tat com.acme.shop.Basket$1.pay(Basket.kt:9) ~[shop-1.2.jar:?]
\tat jdk.internal.reflect.GeneratedMethodAccessor17.invoke(Unknown Source)
\tat org.junit.jupiter.engine.execution.MethodInvocation.proceed(MethodInvocation.java:60)
"""
CAUSED = """java.lang.RuntimeException: cannot pay
\tat com.acme.shop.Till.pay(Till.java:12)
\tSuppressed: java.io.IOException: closing
\t\tat com.acme.shop.Socket.close(Socket.java:7)
\tCaused by: java.io.IOException: in the suppressed one
\t\tat com.acme.shop.Socket.flush(Socket.java:9)
Caused by: java.net.ConnectException: refused
\tat java.base/sun.nio.ch.Net.connect(Net.java:579)
\tat com.acme.shop.Gateway.open(Gateway.java:88)
\t... 12 more
"""
PYTHON = """Traceback (most recent call last):
  File "/usr/lib/python3.11/unittest/case.py", line 57, in testPartExecutor
    yield
  File "/home/joe/shop/tests/test_till.py", line 12, in test_pay
    till.pay()
  File "/home/joe/shop/shop/till.py", line 30, in pay
    return requests.post(url)
  File "/home/joe/.venv/lib/python3.11/site-packages/requests/api.py", line 115, in post
    return request("post", url)
ValueError: no such till
"""
PYTHON_CHAINED = """Traceback (most recent call last):
  File "/srv/shop/db.py", line 3, in read
    return rows["till"]
KeyError: 'till'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/shop/till.py", line 30, in pay
    read()
shop.TillError: cannot pay
"""
PYTEST_LONG = """client = <Client object at 0x7f01>

    def test_pay(client):
>       client.pay()

tests/test_till.py:12:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

self = <Client object at 0x7f01>

    async def pay(self):
        def inner():
            pass
>       raise ValueError("no such till")
E       ValueError: no such till

shop/client.py:212: ValueError
"""
PYTEST_SHORT = """tests/test_till.py:12: in test_pay
    client.pay()
shop/client.py:212: in pay
    raise ValueError("no such till")
E   ValueError: no such till
"""
V8 = """Error: no such till
    at Object.pay (/home/joe/shop/src/till.ts:3:11)
    at async checkout (file:///home/joe/shop/src/checkout.mjs:7:5)
    at new Basket (webpack:///./src/basket.vue?1a2b:9:1)
    at http://localhost:9876/assets/main.3f2a9c1b.js?7f3e:2:99
    at Promise.all (index 0)
    at Array.map (<anonymous>)
    at post (/home/joe/shop/node_modules/axios/lib/axios.js:1:2)
    at _callCircusTest (/home/joe/shop/node_modules/jest-circus/build/run.js:212:40)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
"""
FIREFOX = """pay@http://localhost:9876/src/till.js?9f1c:3:11
async*checkout@http://localhost:9876/src/checkout.js:7:5
@http://localhost:9876/src/basket.js:9:1
map@[native code]
"""
GO = """panic: runtime error: index out of range [5] with length 3 [recovered]
\tpanic: runtime error: index out of range [5] with length 3

goroutine 12 [running]:
testing.tRunner.func1.2({0x5100a0, 0xc00001})
\t/usr/local/go/src/testing/testing.go:1545 +0x238
panic({0x5100a0?, 0xc00001?})
\t/usr/local/go/src/runtime/panic.go:914 +0x21f
acme.example/shop/till.(*Till).Pay(0xc000, {0x1, 0x2})
\t/home/joe/shop/till/till.go:30 +0x1d
acme.example/shop/till.TestPay.func2.1(0x0)
\t/home/joe/shop/till/till_test.go:12 +0x6f
created by testing.(*T).Run in goroutine 1
\t/usr/local/go/src/testing/testing.go:1648 +0x3ad

goroutine 7 [chan receive]:
acme.example/shop/till.idle()
\t/home/joe/shop/till/idle.go:3 +0x1
"""
TESTIFY = """    till_test.go:12:
        \tError Trace:\t/home/joe/shop/till/till_test.go:12
        \t            \t\t\t\t/home/joe/shop/till/helper.go:30
        \tError:      \tNot equal:
        \t            \texpected: 1
        \t            \tactual  : 2
        \tTest:       \tTestPay
"""
DOTNET = """   at System.ThrowHelper.ThrowKeyNotFound(Object key)
   at Acme.Shop.Till.<Pay>d__12.MoveNext() in C:\\src\\shop\\Till.cs:line 30
--- End of stack trace from previous location ---
   at Acme.Shop.Basket.<>c__DisplayClass3_0.<Close>b__1(Int32 id) in C:\\src\\shop\\Basket.cs:line 7
   at Acme.Shop.Basket.<Close>g__Each|3_0(Int32 id)
   at Xunit.Sdk.TestInvoker`1.CallTestMethod(Object testClass)
"""
RUST = """thread 'till::tests::pays' panicked at src/till.rs:12:5:
assertion `left == right` failed: no such till
  left: 4
 right: 5
stack backtrace:
   0: rust_begin_unwind
             at /rustc/0123456789abcdef/library/std/src/panicking.rs:645:5
   1: core::panicking::panic_fmt
             at /rustc/0123456789abcdef/library/core/src/panicking.rs:72:14
   2: shop::till::Till::pay::h0123456789abcdef
             at ./src/till.rs:30:9
   3:     0x55d0c0ffee - serde_json::from_str
             at /home/joe/.cargo/registry/src/index/serde_json-1.0/src/de.rs:1:1
   4: main
note: Some details are omitted
"""


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        (
            JAVA,
            [
                "com.acme.shop.Orders.close (Orders.java)",
                "com.acme.shop.Orders.lambda$close$ (Orders.java)",
                "com.acme.shop.Basket$.pay (Basket.kt)",
            ],
        ),
        (CAUSED, ["com.acme.shop.Gateway.open (Gateway.java)", "com.acme.shop.Till.pay (Till.java)"]),
        ("\n".join(map(str.strip, CAUSED.split("\n"))), ["com.acme.shop.Gateway.open (Gateway.java)"]),
        (PYTHON, ["pay (till.py)", "test_pay (test_till.py)"]),
        (PYTHON_CHAINED, ["read (db.py)", "pay (till.py)"]),
        (PYTEST_LONG, ["pay (client.py)", "test_pay (test_till.py)"]),
        (PYTEST_SHORT, ["pay (client.py)", "test_pay (test_till.py)"]),
        (V8, ["pay (till.ts)", "checkout (checkout.mjs)", "Basket (basket.vue)", "<anonymous> (main.js)"]),
        (FIREFOX, ["pay (till.js)", "checkout (checkout.js)", "<anonymous> (basket.js)"]),
        (GO, ["acme.example/shop/till.(*Till).Pay (till.go)", "acme.example/shop/till.TestPay.func (till_test.go)"]),
        (TESTIFY, [" (till_test.go)", " (helper.go)"]),
        (
            DOTNET,
            [
                "Acme.Shop.Till.Pay (Till.cs)",
                "Acme.Shop.Basket.Close.lambda (Basket.cs)",
                "Acme.Shop.Basket.Close.Each ()",
            ],
        ),
        (RUST, [" (till.rs)", "shop::till::Till::pay (till.rs)"]),
    ],
)
def test_the_application_frames_count_from_the_innermost(text: str, frames: list[str]) -> None:
    found = stack_of(text).frames
    # where the indentation is lost, which frames are the suppressed exception's is a guess; the cause's come first
    assert list(found[: len(frames)]) == frames
    assert len(found) <= MAX_FRAMES


def test_the_root_cause_is_the_last_in_java_the_first_in_python_and_the_innermost_in_dotnet() -> None:
    assert stack_of(CAUSED).cause == "java.net.ConnectException: refused"
    assert stack_of(PYTHON_CHAINED).cause == "KeyError: 'till'"
    nested = "System.AggregateException: one ---> System.TimeoutException: two ---> Acme.Lost: three\n" + DOTNET
    assert stack_of(nested).cause == "Acme.Lost: three"
    assert stack_of("Error: a\n    at f (a.js:1:1)\n  [cause]: Error: b\n    at g (b.js:1:1)").cause == "Error: b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PYTHON, ("ValueError: no such till",)),
        (PYTEST_LONG, ("ValueError: no such till",)),
        (GO, ("panic: runtime error: index out of range [5] with length 3",)),
        (TESTIFY, ("Not equal:", "expected: 1", "actual  : 2")),
        (RUST, ("assertion `left == right` failed: no such till", "left: 4", "right: 5")),
        ("thread 'a' panicked at 'no till', src/a.rs:1:2\nnote: run with", ("no till",)),
        ("thread 'a' panicked at 'no\n  till', src/a.rs:1:2\nnote: run with", ("no", "till")),
        ("    till_test.go:12: no such till\n", ("no such till",)),
    ],
)
def test_what_the_text_alone_says(text: str, said: tuple[str, ...]) -> None:
    assert stack_of(text).said == said


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (JAVA, {":41": ":43", "close$3": "close$5", "$120/0x00000008400f2c40": "$9/0x0001", "$Proxy42": "$Proxy7"}),
        (JAVA, {"Basket$1": "Basket$2", "Accessor17": "Accessor8", "app//": "", "~[shop-1.2.jar:?]": ""}),
        (CAUSED, {"12 more": "31 more", ":88": ":90", "Socket.close": "Socket.shut", "Net.java:579": "Net.java:1"}),
        (PYTHON, {"/home/joe": "/github/home", "line 30": "line 31", "requests/api": "requests/sessions"}),
        (PYTEST_LONG, {"0x7f01": "0x7fbb", ":212": ":219", "shop/client.py": "/srv/shop/client.py"}),
        (V8, {"/home/joe": "D:\\a", ":3:11": ":4:9", "3f2a9c1b": "00c1d2e3", "?7f3e": "?a", "9876": "4311"}),
        (FIREFOX, {"?9f1c": "", ":3:11": ":4:9", "9876": "4311"}),
        (
            GO,
            {"goroutine 12": "goroutine 77", "0xc000": "0xc111", "/home/joe": "/src", ":30": ":31", "func2.1": "func3"},
        ),
        (GO, {"till.idle()": "till.busy()"}),
        (TESTIFY, {"/home/joe": "/src", "go:30": "go:31"}),
        (DOTNET, {"C:\\src": "/home/joe", "d__12": "d__14", "b__1": "b__2", "|3_0": "|4_1", "line 30": "line 3"}),
        (DOTNET, {"   at": "   bei", ":line": ":Zeile"}),
        (RUST, {"0123456789abcdef": "fedcba9876543210", ":30:9": ":31:9", "0x55d0c0ffee": "0x1", "   2:": "   3:"}),
    ],
)
def test_another_machine_and_another_build_change_nothing(text: str, changes: dict[str, str]) -> None:
    other = text
    for old, new in changes.items():
        assert old in other
        other = other.replace(old, new)
    assert failure_signature("T", "no such till", text) == failure_signature("T", "no such till", other)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (JAVA, "Orders.close", "Orders.open"),
        (CAUSED, "Gateway.open", "Gateway.ping"),
        (CAUSED, "ConnectException: refused", "ConnectException: reset"),
        (PYTHON, "in pay", "in refund"),
        (PYTHON, "test_till.py", "test_refund.py"),
        (PYTHON_CHAINED, "KeyError: 'till'", "KeyError: 'rows'"),
        (PYTEST_LONG, "def pay", "def refund"),
        (PYTEST_SHORT, "in pay", "in refund"),
        (V8, "Object.pay", "Object.refund"),
        (FIREFOX, "till.js", "basket.js"),
        (GO, "(*Till).Pay", "(*Till).Refund"),
        (TESTIFY, "helper.go", "other.go"),
        (DOTNET, "Till.<Pay>", "Till.<Refund>"),
        (RUST, "Till::pay", "Till::refund"),
        (RUST, "at src/till.rs:12:5:", "at src/basket.rs:12:5:"),
    ],
)
def test_another_place_and_another_cause_are_another_signature(text: str, old: str, new: str) -> None:
    assert old in text
    one = failure_signature("T", "no such till", text)
    assert one != failure_signature("T", "no such till", text.replace(old, new))
    assert one != failure_signature("U", "no such till", text)
    assert one != failure_signature("T", "no such basket", text)


@pytest.mark.parametrize("text", [GO, TESTIFY, RUST, PYTEST_LONG])
def test_a_message_that_says_nothing_lets_the_text_speak(text: str) -> None:
    header = "thread 'till::tests::pays' panicked at src/till.rs:12:5:" if text is RUST else "Failed"
    words = {GO: "index", TESTIFY: "actual", RUST: "no such", PYTEST_LONG: "ValueError: no"}[text]
    assert words in text
    assert failure_signature("", header, text) != failure_signature("", header, text.replace(words, "other"))


def test_an_assertion_without_a_message_is_known_by_its_name() -> None:
    text = "java.lang.AssertionError\n\tat org.junit.Assert.{}(Assert.java:1)\n\tat a.Till.pays(Till.java:1)"
    one = failure_signature("E", "java.lang.AssertionError", text.format("assertTrue"))
    assert one != failure_signature("E", "java.lang.AssertionError", text.format("assertNotNull"))
    jupiter = text.format("assertTrue").replace("org.junit.Assert.", "org.junit.jupiter.api.Assertions.")
    assert one == failure_signature("E", "java.lang.AssertionError", jupiter)


def test_frames_of_machinery_count_only_where_there_are_no_others() -> None:
    runtime = "\tat java.lang.Object.wait(Native Method)\n\tat org.junit.Runner.run(Runner.java:1)"
    assert stack_of(runtime).frames == ("java.lang.Object.wait ()", "org.junit.Runner.run (Runner.java)")
    assert stack_of(runtime + "\n\tat a.B.c(B.java:1)").frames == ("a.B.c (B.java)",)
    dependency = '  File "/v/lib/python3.11/site-packages/attr/x.py", line 1, in f'
    machinery = '  File "/v/lib/python3.11/site-packages/_pytest/x.py", line 1, in g'
    assert stack_of(f"{machinery}\n{dependency}").frames == ("f (x.py)",)


def test_stacks_of_other_threads_do_not_count() -> None:
    dump = '"pool-{0}-thread-1" prio=5 tid={0} runnable\n\tat a.Pool{0}.run(Pool.java:{0})\n\n'
    message = "Timed out. Thread diagnostics:\n"
    stack = "\tat a.Till.waitFor(Till.java:1)\n"
    one, two = (f"{message}{dump.format(number)}" for number in (1, 2))
    assert stack_of(one + stack).frames == ("a.Till.waitFor (Till.java)",)
    assert stack_of(f"{one.strip()}\n\n[... 9 characters left out ...]\n\tat a.X.y(X.java:1)\n\n{stack}").frames == (
        "a.Till.waitFor (Till.java)",
    )
    assert failure_signature("T", one, one + stack) == failure_signature("T", two, two + stack)


def test_recursion_counts_once() -> None:
    frame = "\tat a.B.walk(B.java:1)\n"
    assert stack_of(frame).frames == stack_of(frame * 50).frames == ("a.B.walk (B.java)",)


@pytest.mark.parametrize("text", ["", "at noon", "at last (it works)", "joe@example.com", "see x.py: gone", "  12: x"])
def test_prose_is_no_stack(text: str) -> None:
    assert stack_of(text).frames == ()


def test_a_text_may_hold_stacks_of_two_languages() -> None:
    frames = stack_of(JAVA + PYTHON).frames
    assert "pay (till.py)" in frames
    assert "com.acme.shop.Orders.close (Orders.java)" in frames


def test_every_language_has_a_name_and_machinery() -> None:
    assert len({language.name for language in LANGUAGES}) == len(LANGUAGES) == 6
    assert all(language.machinery for language in LANGUAGES)


@given(st.text(max_size=300))
def test_any_text_has_a_stack_or_none(text: str) -> None:
    assert stack_of(text) == stack_of(text)


@pytest.mark.parametrize(
    "piece",
    [
        "\tat ",
        "a.",
        "(",
        "$",
        "$$Lambda",
        "<a>b__",
        ":1",
        " ---> ",
        'File "',
        "x.py:1",
        "'",
        "@",
        "/",
        '"',
        "-",
        ".go",
        "E ",
        " \t",
        "[as ",
        "Caused by:",
        "panicked at '",
        "func1.1",
        "-a1",
        "\n",
        "\n\n\tat a.b(",
    ],
)
def test_reading_stacks_is_linear(piece: str) -> None:
    line = piece * (MAX_LINE // len(piece) + 1)
    for head in (
        "\tat a",
        "\tat a (",
        "thread 'a' panicked at '",
        '  File "',
        "x_test.go:1: ",
        "\tx.go:1 ",
        "a@b",
        '"a" ',
    ):
        stack_of(f"{head}{line}\n" * MAX_LINES + "x.py: .go: panicked at ")
