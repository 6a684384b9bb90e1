"""Shared memory between a worker and the collector."""
