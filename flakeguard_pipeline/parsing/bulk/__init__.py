"""Reads many simple JUnit reports at once, natively; see read.py."""
