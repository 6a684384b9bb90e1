"""From batches to a committed store: the queue, retries, poison records, the spool while the store
is away.
"""
