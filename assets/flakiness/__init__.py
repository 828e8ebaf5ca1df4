"""Asset group `flakiness`."""
