"""What the results of tests say: pure functions and one documented parameter struct. No IO."""
