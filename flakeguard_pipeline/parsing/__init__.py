"""Report bytes to test executions and issues. No files, no clock."""
