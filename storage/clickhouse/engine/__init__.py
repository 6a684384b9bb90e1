"""Differences between versions of the server."""
