"""Asset group `quarantine`."""
