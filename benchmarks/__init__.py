"""Benchmarks: how long a person waits, and where the time goes."""
