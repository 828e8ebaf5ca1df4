"""Where artifacts come from."""
