"""The readers of protocols, one per module, and their list."""
