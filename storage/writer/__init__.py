"""From batches to a committed store: queue, retries, poison records, and the spool for outages of
the store.
"""
