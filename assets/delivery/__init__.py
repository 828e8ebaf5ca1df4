"""Asset group `delivery`."""
