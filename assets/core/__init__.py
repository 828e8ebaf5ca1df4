"""Asset group `core`."""
