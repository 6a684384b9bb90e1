"""The Prometheus families of the collector and of its workers."""
