"""The Postgres backend: a schema of its own, a write connection, a few read connections, a
transaction per batch.
"""
