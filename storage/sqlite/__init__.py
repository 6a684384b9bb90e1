"""The SQLite backend: one file, one write connection, a few read connections, one transaction per
batch.
"""
