"""Asset group `raw`."""
