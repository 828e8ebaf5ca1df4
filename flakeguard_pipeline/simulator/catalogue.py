"""The names of the simulated suite: a web shop's tests in Python, one class of its payments in Java."""

from flakeguard_pipeline.simulator.model import SimulatedTest

SUREFIRE_TRIES = 3
"""Surefire with `rerunFailingTestsCount=2`: the first try and two more."""

JAVA_CLASS = "com.acme.shop.payments.GatewayTest"
JAVA_REPORT = f"surefire-reports/TEST-{JAVA_CLASS}.xml"
_JAVA_FILE = "payments/src/test/java/com/acme/shop/payments/GatewayTest.java"

_MODULES = (
    ("checkout", "cart"),
    ("catalog", "listing"),
    ("accounts", "login"),
    ("search", "query"),
    ("orders", "refund"),
    ("checkout", "coupon"),
    ("catalog", "stock"),
    ("accounts", "address"),
    ("search", "suggestion"),
    ("orders", "invoice"),
    ("checkout", "payment_form"),
    ("catalog", "image"),
    ("accounts", "session"),
    ("search", "ranking"),
    ("orders", "shipment"),
)
"""(area, subject) of each Python module; neighbours differ in area, so that small suites cover all."""

_BEHAVIOURS = (
    "rejects_empty_input",
    "is_idempotent",
    "keeps_order_of_items",
    "expires_after_timeout",
    "round_trips_through_json",
    "handles_unicode_names",
    "respects_permissions",
    "emits_audit_event",
    "paginates_results",
    "retries_on_conflict",
    "returns_404_for_unknown_id",
    "is_cached_between_requests",
    "survives_worker_restart",
    "rounds_half_to_even",
    "locks_while_updating",
    "validates_currency",
)

_JAVA_METHODS = (
    "capturesAuthorizedPayment",
    "refundsPartially",
    "declinesExpiredCard",
    "retriesAfterGatewayTimeout",
    "convertsCurrency",
    "verifiesWebhookSignature",
    "storesTokenNotCardNumber",
    "rejectsDuplicateCharge",
)


def suite(tests: int, retried: int) -> tuple[SimulatedTest, ...]:
    """Return `tests` distinct test cases; the last `retried` of them are Java, reported by Surefire."""
    return tuple(_python_test(i) for i in range(tests - retried)) + tuple(_java_test(i) for i in range(retried))


def _python_test(index: int) -> SimulatedTest:
    module = index % len(_MODULES)
    place = index // len(_MODULES)
    area, subject = _MODULES[module]
    # modules start at different behaviours, so that a small suite isn't the same four tests everywhere
    behaviour = _BEHAVIOURS[(place + 3 * module) % len(_BEHAVIOURS)]
    case = place // len(_BEHAVIOURS)
    return SimulatedTest(
        classname=f"tests.{area}.test_{subject}",
        name=f"test_{subject}_{behaviour}" + (f"[case-{case}]" if case else ""),
        file=f"tests/{area}/test_{subject}.py",
        line=18 + 13 * place,
        report=f"junit/pytest-{area}.xml",
        max_tries=1,
    )


def _java_test(index: int) -> SimulatedTest:
    method = _JAVA_METHODS[index % len(_JAVA_METHODS)]
    case = index // len(_JAVA_METHODS)
    return SimulatedTest(
        classname=JAVA_CLASS,
        name=method + (f"(int)[{case}]" if case else ""),
        file=_JAVA_FILE,
        line=31 + 14 * index,
        report=JAVA_REPORT,
        max_tries=SUREFIRE_TRIES,
    )
