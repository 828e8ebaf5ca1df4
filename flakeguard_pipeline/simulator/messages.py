"""What failing tests say: one text per cause, with the numbers, ids and addresses that differ each time.

The parts that vary come from the digits given to `failure_of`: equal digits give equal texts, and two
occurrences of one cause differ in just what a failure signature should ignore.
"""

from dataclasses import dataclass

from flakeguard_pipeline.simulator.model import Cause, SimulatedTest


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as a report tells it: the exception's class, its message, the trace and the test's output."""

    type: str
    message: str
    trace: str
    output: str


_FLAKES = (
    (
        "TimeoutError",
        "click: Timeout 30000ms exceeded after {ms}ms waiting for selector \"a[data-id='{number}'] > b\"",
    ),
    (
        "requests.exceptions.ConnectionError",
        "HTTPConnectionPool(host='127.0.0.1', port={port}): Max retries exceeded with url: /v1/orders/{uuid}",
    ),
    ("AssertionError", "event {uuid} was not delivered & acknowledged within {ms} ms"),
    (
        "sqlalchemy.exc.OperationalError",
        "(sqlite3.OperationalError) database is locked; session <Session at 0x{address}>",
    ),
    ("OSError", "[Errno 98] Address already in use: ('0.0.0.0', {port})"),
    ("AssertionError", "expected heartbeat before {time}, worker pid {number} is still starting"),
)
_BREAKS = (
    ("AssertionError", "assert <Order {uuid}>.total == Decimal('19.99 €') && status < 400"),
    ("TypeError", "apply_discount() missing 1 required positional argument: 'currency' (basket {uuid})"),
    ("KeyError", "'shipping_address'"),
    ("AttributeError", "'NoneType' object has no attribute 'price'"),
    ("ValueError", 'cannot price order {number}: unknown tax class "reduced"'),
)
_OUTAGE = (
    "ConnectionRefusedError",
    "[Errno 111] Connection refused: could not connect to postgres at 10.0.{octet}.{octet}:5432 (#{number})",
)
_JAVA_FLAKE = (
    "java.net.SocketTimeoutException",
    "Read timed out after {ms} ms: POST https://sandbox.gateway.test/charges/{uuid}",
)
_JAVA_OUTAGE = (
    "java.net.ConnectException",
    "Connection refused: sandbox.gateway.test/10.0.{octet}.{octet}:443, request {uuid}",
)


def failure_of(test: SimulatedTest, index: int, cause: Cause, digits: str) -> Failure:
    """Return what `test`, the suite's `index`-th, says when it fails for `cause`.

    `digits` are at least 64 hexadecimal digits that differ from occurrence to occurrence.
    """
    is_java = test.file.endswith(".java")
    type_, template = _java_template(cause) if is_java else _python_template(index, cause)
    values = _varying(digits)
    message = template.format(**values)
    trace = _java_trace(test, type_, message) if is_java else _python_trace(test, type_, message, values)
    return Failure(type_, message, trace, _output(test, values))


def _python_template(index: int, cause: Cause) -> tuple[str, str]:
    if cause is Cause.OUTAGE:
        return _OUTAGE
    texts = _FLAKES if cause is Cause.FLAKE else _BREAKS
    return texts[index % len(texts)]


def _java_template(cause: Cause) -> tuple[str, str]:
    return _JAVA_OUTAGE if cause is Cause.OUTAGE else _JAVA_FLAKE


def _varying(digits: str) -> dict[str, str]:
    number = int(digits[:8], 16)
    return {
        "uuid": f"{digits[8:16]}-{digits[16:20]}-4{digits[20:23]}-a{digits[23:26]}-{digits[26:38]}",
        "address": f"7f{digits[38:48]}",
        "number": str(10_000 + number % 90_000),
        "ms": str(30_000 + number % 997),
        "port": str(32_768 + number % 28_000),
        "octet": str(1 + number % 254),
        "time": f"{number % 24:02d}:{number // 24 % 60:02d}:{number // 1440 % 60:02d}.{number % 1000:03d}",
    }


def _python_trace(test: SimulatedTest, type_: str, message: str, values: dict[str, str]) -> str:
    function = test.name.partition("[")[0]
    subject = function.split("_")[1]
    return "\n".join(
        [
            f"client = <tests.conftest.ShopClient object at 0x{values['address']}>",
            "",
            f"    def {function}(client):",
            f"        {subject} = client.create({subject!r})",
            f">       {subject}.submit(retries=0)",
            "",
            f"{test.file}:{test.line + 4}: ",
            "_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _",
            "",
            f"self = <{subject} id={values['number']}>, retries = 0",
            "",
            "    def submit(self, retries):",
            ">       return self._session.send(self, retries=retries)",
            f"E       {type_}: {message}",
            "",
            f"shop/client.py:212: {type_.rpartition('.')[2]}",
        ]
    )


def _java_trace(test: SimulatedTest, type_: str, message: str) -> str:
    method = test.name.partition("(")[0]
    return "\n".join(
        [
            f"{type_}: {message}",
            "\tat java.base/sun.nio.ch.NioSocketImpl.connect(NioSocketImpl.java:288)",
            "\tat com.acme.shop.payments.Gateway.post(Gateway.java:141)",
            "\tat com.acme.shop.payments.Gateway.<init>(Gateway.java:57)",
            f"\tat {test.classname}.{method}(GatewayTest.java:{test.line})",
        ]
    )


def _output(test: SimulatedTest, values: dict[str, str]) -> str:
    request = values["uuid"]
    return "\n".join(
        [
            f"{values['time']} INFO  shop.api request={request} started test={test.name}",
            f"{values['time']} DEBUG shop.db pool=<Pool at 0x{values['address']}> checked out 1 of 5",
            f"{values['time']} INFO  shop.api basket={values['number']} items=3 total=19.99 €",
            f"{values['time']} WARN  shop.http request={request} upstream took {values['ms']} ms",
            f"{values['time']} ERROR shop.api request={request} failed & rolled back",
        ]
    )
