"""Connections to upstreams: kept, lent, opened."""
