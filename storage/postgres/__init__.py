"""The Postgres backend: a separate schema, a write connection, a few read connections, a
transaction per batch.
"""
