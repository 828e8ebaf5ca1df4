"""Decisions to the files that CI reads."""
