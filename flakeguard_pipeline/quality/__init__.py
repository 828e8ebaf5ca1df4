"""Expectations on loaded data."""
