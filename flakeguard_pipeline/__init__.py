"""FlakeGuard: tells flaky tests from broken code, from CI results to quarantine decisions."""

__version__ = "0.1.0"
