"""Decisions about a request before it needs an upstream: route, caller, level of capture."""
