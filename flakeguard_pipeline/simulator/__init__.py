"""A believable CI history from a seed, for demonstrations and for tests that know the truth."""
