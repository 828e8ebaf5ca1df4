"""Test executions to typed frames: identity, variants, redaction, signatures. No database."""
