"""The asset groups, in the order of the data, and who looks after them. Every asset names one of these."""

RAW = "raw"
CORE = "core"
FLAKINESS = "flakiness"
QUARANTINE = "quarantine"
DELIVERY = "delivery"

GROUPS = {
    RAW: "Artifacts as CI left them, kept in the landing zone.",
    CORE: "What they say, normalised: run attempts, reports, executions of test cases.",
    FLAKINESS: "Roll-ups and what the statistics say of each test variant.",
    QUARANTINE: "Decisions, every one an appended event.",
    DELIVERY: "What CI jobs consume, and the copy that people query.",
}

OWNERS = ["team:test-infrastructure"]

WAREHOUSE_POOL = "warehouse"
"""Pool of size one for every step that opens the embedded warehouse's file: DuckDB lets one process at a time in.
Its size is set in the instance's dagster.yaml (assets/instance.py)."""

LANDING_POOL = "landing"
"""Pool of size one for every step that lands: sources share the manifests of a day, and a slow provider must not keep
the warehouse from others."""
