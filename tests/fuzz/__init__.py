"""Fuzzers: longer than tests, and only now and then."""
