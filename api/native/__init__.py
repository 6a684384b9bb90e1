"""The native API: records, aggregates, export, erasure, API keys, login."""
