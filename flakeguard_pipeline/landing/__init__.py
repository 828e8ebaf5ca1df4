"""Artifacts as they came."""
