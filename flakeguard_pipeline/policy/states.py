"""The states of a test variant's quarantine and what leads from one to another."""

from enum import StrEnum


class QuarantineState(StrEnum):
    """Where a test variant stands. Only `quarantined` excuses failures."""

    NONE = ""
    QUARANTINED = "quarantined"
    RELEASED = "released"
    EXPIRED = "expired"


TRANSITIONS: dict[tuple[QuarantineState, QuarantineState], str] = {
    (QuarantineState.NONE, QuarantineState.QUARANTINED): (
        "It is flaky, and the policy's floors are met; or it is carried over from the name that the test had before."
    ),
    (QuarantineState.RELEASED, QuarantineState.QUARANTINED): (
        "It is flaky (again), and the floors are met: a release was right at its time and binds nobody."
    ),
    (QuarantineState.EXPIRED, QuarantineState.QUARANTINED): (
        "It qualifies and has flaked since it expired. The flakes that it was quarantined for do not count "
        "again, or expiry would mean nothing."
    ),
    (QuarantineState.QUARANTINED, QuarantineState.QUARANTINED): (
        "Renewed: its time is up, but it still qualifies and has flaked since the last decision."
    ),
    (QuarantineState.QUARANTINED, QuarantineState.RELEASED): (
        "It is fixed; or it is broken now, which a quarantine must not hide; or the policy was switched off; or its "
        "history goes on under another name, and the quarantine with it."
    ),
    (QuarantineState.QUARANTINED, QuarantineState.EXPIRED): (
        "Its time is up and nothing new speaks for it, or it is no longer seen."
    ),
}
"""All transitions, each with its reason. A quarantine by hand ends only by expiry: a person's word outranks
scores."""
