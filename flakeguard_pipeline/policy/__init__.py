"""Scores to decisions: the rules, the state machine and its history. No IO."""
