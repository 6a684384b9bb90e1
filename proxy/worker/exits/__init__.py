"""Where responses go: each protocol's wire towards a client."""
