"""The shared memory between a worker and the collector."""
