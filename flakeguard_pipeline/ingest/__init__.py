"""From a source into the landing zone, and from there into `core`."""
