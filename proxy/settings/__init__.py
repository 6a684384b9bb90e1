"""The configuration: declarations, sources of values, and checks."""
