"""Connections to upstreams: opened, kept, lent."""
